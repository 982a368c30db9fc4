"""Fuses ranked submission files, searches the weights to fuse with, checks files and merges parts of one.

  ensemble.py --submissions=A.csv,B.csv --weights=1,2 --output_file=OUT.csv
  ensemble.py --search --submissions=A.csv,B.csv --labels=holdout.csv --weights_file=weights.json \\
      --test_submissions=testA.csv,testB.csv --output_file=OUT.csv
  ensemble.py --submissions=A_shift-1.csv,A.csv,A_shift1.csv --w0=3.72 --output_file=A_tta.csv
  ensemble.py --check A.csv B.csv --segment_label_ids_file=segment_label_ids.csv
  ensemble.py --merge part0.csv part1.csv --output_file=OUT.csv
"""

import json
import os
import sys

from absl import flags

from yt8m.commands import command_line, run_flags
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError

FLAGS = flags.FLAGS

# A worker takes 0.4 GB where 36 files list 100,000 segments a class; the whole should stay below 1.5 GB.
_MOST_WORKERS = 3

flags.DEFINE_list("submissions", [], "Submissions to fuse: .csv, .csv.gz or .parquet files with commas between.")
flags.DEFINE_string("output_file", None, "Submission to write; the suffix .gz or .parquet chooses that form.")
flags.DEFINE_list("weights", [], "A weight for each of --submissions. Default: those of --weights_file, else 1 each.")
flags.DEFINE_float("w0", None, "w0 of weight * w0 / (rank from 0 + w0). Default: 1, eq. 20; --search finds it.")
flags.DEFINE_enum(
    "method",
    "reciprocal_rank",
    ("reciprocal_rank", "borda", "mean", "geometric_mean"),
    "How to fuse; the means need parquet files, which hold scores.",
)
flags.DEFINE_integer("top_n", MAX_SEGMENTS_PER_CLASS, "Most segments to list for a class, K of MAP@K.", lower_bound=1)
flags.DEFINE_string("classes", None, "FIRST:END, only class ids FIRST to END - 1, as in 0:250; --merge joins them.")
flags.DEFINE_integer("workers", None, "Processes. Default: one per CPU, 3 at most for memory.", lower_bound=1)
run_flags.define_ray_flag("It fuses a class on each of its CPUs.")

flags.DEFINE_bool("search", False, "Search weights of --submissions that rank --labels best.")
flags.DEFINE_string("labels", None, "Ratings for --search: CSV of vid:start,class,score, or TFRecord files.")
flags.DEFINE_string("weights_file", None, "JSON of weights: written by --search, which resumes it, and read without.")
flags.DEFINE_list("test_submissions", [], "Fuse these, in the order of --submissions, with the weights found.")
flags.DEFINE_enum("search_method", "bayesian", ("bayesian", "nelder_mead", "random", "greedy"), "How to search.")
flags.DEFINE_integer("search_steps", 150, "Most weights to try; fewer where none improve.", lower_bound=1)
flags.DEFINE_integer("num_folds", 5, "Parts of the videos that cross-validate the search; 0: none.", lower_bound=0)
run_flags.define_split_flags()
run_flags.define_side_flag("--labels that are TFRecord files")

flags.DEFINE_bool("check", False, "Check the files given behind the flags; exit 1 where one has errors.")
flags.DEFINE_bool("merge", False, "Merge the files given behind the flags: disjoint classes, or parquet of any parts.")
flags.DEFINE_string("segment_label_ids_file", None, "CSV of the class ids that --check expects, header Index.")
flags.DEFINE_string("report", None, "HTML page to write: weights, search, and how the submissions overlap.")


def main(files):
    """Fuses, searches, checks or merges, as the flags say; returns the exit status."""
    if FLAGS.check or FLAGS.merge:
        if FLAGS.check and FLAGS.merge or not files:
            raise InputError("give either --check or --merge, and files behind it, as in --check A.csv B.csv")
        return _check(files) if FLAGS.check else _merge(files)
    if files:
        raise InputError(f"unexpected argument {files[0]!r}: files to fuse are given by --submissions=A.csv,B.csv")
    if not FLAGS.submissions:
        raise InputError("--submissions=A.csv,B.csv must be given, or --check or --merge")
    found = _search() if FLAGS.search else None
    if FLAGS.output_file:
        _fuse(found)
    elif not FLAGS.search and not FLAGS.report:
        raise InputError("--output_file must be given")
    if FLAGS.report:
        from yt8m.report import write_ensemble_report

        write_ensemble_report(FLAGS.report, FLAGS.submissions, search=found, class_range=_class_range())


def _search():
    from yt8m.commands.run_flags import read_rated_labels
    from yt8m.ensemble.rank_objective import RankObjective
    from yt8m.ensemble.weight_search import SearchSettings
    from yt8m.ensemble.weights_file import search_into_file
    from yt8m.runtime.progress import Progress

    if not FLAGS.labels or FLAGS.weights or FLAGS.method != "reciprocal_rank":
        raise InputError("--search needs --labels, finds the --weights itself, and is for reciprocal ranks only")
    if not FLAGS.weights_file and not FLAGS.output_file:
        raise InputError("--search needs --weights_file or --output_file, or what it finds is lost")
    split = () if FLAGS.split == "all" else ("split", "holdout_files", "holdout_fraction")
    settings = SearchSettings(FLAGS.search_method, steps=FLAGS.search_steps, seed=FLAGS.seed or 0, w0=FLAGS.w0)
    options = {"top_n": FLAGS.top_n, "class_range": _class_range()}
    with Progress("reading ranks", unit="classes") as progress:
        objective = RankObjective.from_submissions(
            FLAGS.submissions, read_rated_labels(FLAGS.labels, FLAGS.split), workers=_workers(), progress=progress, **options
        )
    path = FLAGS.weights_file or f"{FLAGS.output_file}.weights.json"
    described = {name: FLAGS[name].value for name in ("submissions", "labels", "top_n", "classes", *split)}
    with Progress("searching", unit="steps") as progress:
        found = search_into_file(
            objective, path, described=described, settings=settings, num_folds=FLAGS.num_folds, progress=progress
        )
    print(json.dumps({name: value for name, value in found.items() if name not in ("history", *described)}))
    return found


def _fuse(found):
    from yt8m.ensemble.fusion import Fusion, fuse
    from yt8m.ensemble.weights_file import read_weights
    from yt8m.runtime.progress import Progress

    paths = FLAGS.test_submissions or FLAGS.submissions
    weights = _numbers("weights", FLAGS.weights) or (1.0,) * len(paths)
    w0 = 1.0 if FLAGS.w0 is None else FLAGS.w0
    if found is not None:
        weights, w0 = tuple(found["weights"]), found["w0"]
    elif FLAGS.weights_file:
        if FLAGS.weights or FLAGS.w0 is not None:
            raise InputError("give either --weights_file or --weights and --w0, not both")
        weights, w0 = read_weights(FLAGS.weights_file, num_files=len(paths))
    fusion = Fusion(weights, method=FLAGS.method, w0=w0, top_n=FLAGS.top_n)
    options = {"class_range": _class_range(), "workers": _workers(), "ray": FLAGS.ray}
    progress = Progress("fusing", unit="classes")
    report = fuse(paths, FLAGS.output_file, fusion=fusion, progress=progress, **options)
    progress.close()
    _print_notes(report.notes)
    print(json.dumps({"output_file": FLAGS.output_file} | report.summary()))


def _check(files):
    from yt8m.ranking.submission_checks import check_submission
    from yt8m.vocabulary import read_segment_class_ids

    expected = read_segment_class_ids(FLAGS.segment_label_ids_file) if FLAGS.segment_label_ids_file else None
    num_errors = 0
    for path in files:
        for finding in check_submission(path, expected_classes=expected, top_n=FLAGS.top_n):
            print(finding)
            num_errors += finding.is_error
    print(f"{len(files)} files, {num_errors} errors")
    return 1 if num_errors else 0


def _merge(files):
    from yt8m.ranking.submission_checks import merge_submissions

    if not FLAGS.output_file:
        raise InputError("--output_file must be given")
    num_classes = merge_submissions(files, FLAGS.output_file, top_n=FLAGS.top_n)
    print(json.dumps({"output_file": FLAGS.output_file, "num_classes": num_classes}))


def _class_range():
    from yt8m.ensemble.fusion import parse_class_range

    return parse_class_range(FLAGS.classes)


def _workers():
    return FLAGS.workers or min(len(os.sched_getaffinity(0)), _MOST_WORKERS)


def _numbers(flag, texts):
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        raise InputError(f"--{flag}={','.join(texts)}: expected numbers with commas between, as in 1,2.5") from None


def _print_notes(notes):
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="With --search, the same command goes on from --weights_file.", takes_files=True)


if __name__ == "__main__":
    run()
