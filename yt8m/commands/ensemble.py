r"""Fusion of submission files, or predictions of whole videos; search of the weights; checks and merges of files.

ensemble.py --submissions=A.csv,B.csv --weights=1,2 --output_file=OUT.csv
ensemble.py --search --submissions=A.csv,B.csv --labels=holdout.csv --weights_file=weights.json \
      --test_submissions=testA.csv,testB.csv --output_file=OUT.csv
ensemble.py --search --method=geometric_mean --submissions=A.parquet,B.parquet --labels=holdout.csv \
      --output_file=OUT.parquet
ensemble.py --submissions=A_shift-1.csv,A.csv,A_shift1.csv --w0=3.72 --output_file=A_tta.csv
ensemble.py --method=mean --submissions=videosA.csv,videosB.csv --output_file=videos.csv
ensemble.py --check A.csv B.csv --segment_label_ids_file=segment_label_ids.csv
ensemble.py --merge part0.csv part1.csv --output_file=OUT.csv
"""

import dataclasses
import json
import sys

from yt8m.commands import command_line
from yt8m.commands.groups import LABELS_HELP, SIDES, VIDEO_LABELS_HELP, RayOptions, SplitOptions
from yt8m.config import RunConfig
from yt8m.ensemble.fusion import Fusion, fuse, parse_class_range
from yt8m.ensemble.weight_search import SearchSettings
from yt8m.options import option
from yt8m.runtime.parallel import processors
from yt8m.text import printable
from yt8m.types import InputError

# A worker takes 0.4 GB where 36 files list 100,000 segments a class; the whole should stay below 1.5 GB.
_MOST_WORKERS = 3
OVERLAP_DEPTH = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class EnsembleOptions(RayOptions, SplitOptions):
    """Options of fusion, search, checks and merges."""

    configs = {Fusion: ("method", "w0", "w0_share", "top_n"), SearchSettings: ("method", "steps", "num_folds")}

    submissions: tuple[str, ...] = option(
        (),
        "Submissions to fuse: .csv, .csv.gz or .parquet files; or CSV files of whole videos' classes, for the means.",
    )
    output_file: str = option("", "Submission to write; the suffix .gz or .parquet chooses that form.")
    weights: tuple[float, ...] = option(
        (),
        "A weight for each of --submissions, as in 1,2.5.",
        low=0,
        defaults_to="those of --weights_file, else 1 each",
    )
    classes: str = option(
        "", "FIRST:END, only class ids FIRST to END - 1, as in 0:250; --merge joins them.", defaults_to="all"
    )
    workers: int | None = option(
        None, "Processes that fuse.", unit="processes", low=1, defaults_to="one per CPU, 3 at most for memory"
    )
    search: bool = option(False, "Search of the weights of --submissions that rank --labels best.")
    labels: str = option("", f"{LABELS_HELP} {VIDEO_LABELS_HELP} For --search.")
    top_k: int = option(
        20, "Classes of a video to list, and those that count in the search, as in GAP@20.", unit="classes", low=1
    )
    weights_file: str = option("", "JSON of weights: written by --search, and read without it.")
    test_submissions: tuple[str, ...] = option(
        (), "Submissions to fuse with the weights found, in the order of --submissions."
    )
    split: str = option("all", "Side of the split of --labels that are TFRecord files to read.", choices=SIDES)
    check: bool = option(False, "Check of the files given behind the flags; exit 1 where one has errors.")
    merge: bool = option(False, "Merge of the files given behind the flags: disjoint classes, or parquet of any parts.")
    segment_label_ids_file: str = option("", "CSV of the class ids that --check expects, header Index.")
    report: str = option("", "HTML page to write: weights, search, and how the submissions overlap.")

    @property
    def class_range(self) -> tuple[int, int] | None:
        """(first, end) of --classes."""
        return parse_class_range(self.classes)

    @property
    def processes(self) -> int:
        """Number of processes that fuse."""
        return self.workers or min(processors(), _MOST_WORKERS)


def main(options: EnsembleOptions, files: list[str]) -> int | None:
    """Fuses, searches, checks or merges, as the flags say; returns the exit status."""
    if options.check or options.merge:
        if options.check and options.merge or not files:
            raise InputError("give either --check or --merge, and files behind it, as in --check A.csv B.csv")
        return _check(options, files) if options.check else _merge(options, files)
    if files:
        raise InputError(f"unexpected argument {files[0]!r}: files to fuse are given by --submissions=A.csv,B.csv")
    if not options.submissions:
        raise InputError("--submissions=A.csv,B.csv must be given, or --check or --merge")
    if options.report:
        from yt8m.report.svg import import_matplotlib

        import_matplotlib()
    videos = _are_videos(options)
    found = _search(options, videos) if options.search else None
    if options.output_file:
        _fuse(options, found, videos)
    elif not options.search and not options.report:
        raise InputError("--output_file must be given")
    if options.report:
        from yt8m.report import write_ensemble_report

        write_ensemble_report(
            options.report,
            list(options.submissions),
            search=found,
            depth=0 if videos else OVERLAP_DEPTH,
            class_range=options.class_range,
        )
    return None


def _are_videos(options):
    """Whether the files hold predictions of whole videos; InputError where some do, or where a flag does not fit."""
    from yt8m.ensemble.video_fusion import check_method
    from yt8m.ranking.video_predictions import is_video_predictions

    paths = [*options.submissions, *options.test_submissions]
    videos = [is_video_predictions(path) for path in paths]
    if not any(videos):
        return False
    if not all(videos):
        raise InputError(
            f"{paths[videos.index(True)]} holds predictions of whole videos, and {paths[videos.index(False)]} does not"
        )
    if options.classes or options.ray:
        raise InputError("--classes and --ray are for submissions, and these are predictions of whole videos")
    if not options.weights_file or options.search:
        check_method(_fusion(options, (1.0,)))
    return True


def _search(options, videos):
    from yt8m.data.seen_videos import warn_of_notes
    from yt8m.ensemble.weights_file import search_into_file
    from yt8m.runtime.progress import Progress

    if not options.labels or options.weights:
        raise InputError("--search needs --labels, and finds the --weights itself")
    if not options.weights_file and not options.output_file:
        raise InputError("--search needs --weights_file or --output_file, or what it finds is lost")
    warn_of_notes(options.submissions)
    plain = _fusion(options, (1.0,) * len(options.submissions))
    search_w0 = not {"w0", "w0_share"} & set(options.of(Fusion))
    settings = SearchSettings(**options.of(SearchSettings), seed=options.seed, search_w0=search_w0)
    objective = (_video_objective if videos else _segment_objective)(options, plain)
    path = options.weights_file or f"{options.output_file}.weights.json"
    described = _described(options, plain.top_n)
    with Progress("searching", unit="evaluations") as progress:
        found = search_into_file(
            objective, path, described=described, plain=plain, settings=settings, progress=progress
        )
    print(json.dumps({name: value for name, value in found.items() if name not in ("candidates", *described)}))
    return found


def _segment_objective(options, plain):
    from yt8m.ensemble.segment_objective import SegmentObjective
    from yt8m.runtime.progress import Progress

    labels = options.rated_labels(options.labels)
    with Progress("reading submissions", unit="classes") as progress:
        return SegmentObjective.from_submissions(
            list(options.submissions),
            labels,
            by_score=plain.by_score,
            top_n=plain.top_n,
            class_range=options.class_range,
            workers=options.processes,
            progress=progress,
        )


def _video_objective(options, plain):
    from yt8m.ensemble.video_fusion import VideoObjective

    labels = options.video_labels(options.labels)
    return VideoObjective.from_predictions(list(options.submissions), labels, top_k=options.top_k)


def _described(options, top_n):
    """Inputs of a search, as the weights file keeps them."""
    described = {
        "submissions": list(options.submissions),
        "labels": options.labels,
        "top_n": top_n,
        "classes": options.classes or None,
    }
    if options.split == "all":
        return described
    given = options.of(RunConfig)
    return described | {
        "split": options.split,
        "holdout_files": given.get("holdout_files", 0),
        "holdout_fraction": given.get("holdout_fraction", 0.0),
    }


def _fusion(options, weights):
    return Fusion(tuple(weights), **options.of(Fusion))


def _fuse(options, found, videos):
    from yt8m.ensemble.video_fusion import fuse_videos
    from yt8m.ensemble.weights_file import read_weights
    from yt8m.runtime.progress import Progress

    paths = list(options.test_submissions or options.submissions)
    path = options.weights_file or (found and f"{options.output_file}.weights.json")
    if path:
        if found is None and (options.weights or set(options.of(Fusion)) - {"top_n"}):
            raise InputError("give either --weights_file or --weights, --method, --w0 and --w0_share, not both")
        fusion = read_weights(path, num_files=len(paths), top_n=_fusion(options, (1.0,)).top_n)
    else:
        fusion = _fusion(options, options.weights or (1.0,) * len(paths))
    if videos:
        report = fuse_videos(paths, options.output_file, fusion=fusion, top_k=options.top_k)
    else:
        with Progress("fusing", unit="classes") as progress:
            report = fuse(
                paths,
                options.output_file,
                fusion=fusion,
                class_range=options.class_range,
                workers=options.processes,
                ray=options.ray,
                progress=progress,
            )
    for note in report.notes:
        print(f"note: {printable(note)}", file=sys.stderr)
    print(json.dumps({"output_file": options.output_file} | report.summary()))


def _check(options, files):
    from yt8m.ranking.submission_checks import check_submission
    from yt8m.vocabulary import read_segment_class_ids

    path = options.segment_label_ids_file
    expected = read_segment_class_ids(path) if path else None
    num_errors = 0
    for path in files:
        for finding in check_submission(path, expected_classes=expected, top_n=_fusion(options, (1.0,)).top_n):
            print(printable(str(finding)))
            num_errors += finding.is_error
    print(f"{len(files)} files, {num_errors} errors")
    return 1 if num_errors else 0


def _merge(options, files):
    from yt8m.ranking.submission_checks import merge_submissions

    if not options.output_file:
        raise InputError("--output_file must be given")
    num_classes = merge_submissions(files, options.output_file, top_n=_fusion(options, (1.0,)).top_n)
    print(json.dumps({"output_file": options.output_file, "num_classes": num_classes}))


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, EnsembleOptions, takes_files=True)


if __name__ == "__main__":
    run()
