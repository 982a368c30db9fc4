"""Scores a model on rated segments or on whole videos, or a submission file on rated segments.

  eval.py --train_dir=runs/finetuned                                  the run's own holdout
  eval.py --train_dir=runs/finetuned --eval_data_pattern='validate/*.tfrecord'
  eval.py --submission=submission.csv --labels=labels.csv             prints {"map_at_k": ...}
  eval.py --submission=holdout.csv --labels='validate/*.tfrecord' --holdout_files=300 --split=holdout
  eval.py --train_dir=runs/finetuned --report=report.html --vocabulary=vocabulary.csv

The last line on standard output is one JSON object. Segments: map_at_k. Videos: gap_at_20, hit_at_one, perr, map.
"""

import dataclasses
import functools
import json

from absl import flags

from yt8m.commands import command_line, run_flags
from yt8m.ranking.calibration import METHODS
from yt8m.runtime.files import check_writable
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError
from yt8m.vocabulary import read_class_names

FLAGS = flags.FLAGS

flags.DEFINE_string("train_dir", None, "Folder of the run whose best model is scored.")
flags.DEFINE_string(
    "eval_data_pattern", None, f"Files to score on. Default: the run's own holdout. {run_flags.PATTERN_HELP}"
)
run_flags.define_split_flags()
run_flags.define_side_flag("--eval_data_pattern, or of --labels if these are TFRecord files,")
flags.DEFINE_bool(
    "segment_labels", None, "Score rated segments (True) or whole videos (False). Default: as the model was trained."
)
flags.DEFINE_integer("batch_size", 128, "Examples a step.", lower_bound=1)
flags.DEFINE_integer("top_k", 20, "Classes of a video that count, as in GAP@20.", lower_bound=1)
flags.DEFINE_bool("skip_corrupt", False, "Count corrupt records and go on, instead of stopping at the first.")
run_flags.define_backend_flag()
run_flags.define_run_check_flags()
flags.DEFINE_string("submission", None, "Submission file to score instead of a model: CSV, .gz or .parquet.")
flags.DEFINE_string("labels", None, "Ratings for --submission: CSV of vid:start,class,score, or TFRecord files.")
flags.DEFINE_integer("top_n", MAX_SEGMENTS_PER_CLASS, "K of MAP@K: segments of a class that count.", lower_bound=1)
flags.DEFINE_string("compare_with", None, "Another submission: adds the difference of MAP@K and its interval.")
flags.DEFINE_integer(
    "bootstrap", None, "Draws of videos for a 95% interval of MAP@K. Default: none, with --report 1000.", lower_bound=0
)
flags.DEFINE_string("classes", None, "Range of class ids to score, first:end without end, as in 0:250.")
flags.DEFINE_string("per_class_csv", None, "File for a table of average precision and counts of every class.")
flags.DEFINE_list("merge_per_class", None, "Tables of --per_class_csv, of ranges of --classes, to make one score of.")
flags.DEFINE_string("vocabulary", None, "CSV with Index and Name, for names in --per_class_csv and --report.")
flags.DEFINE_string(
    "report", None, "HTML page to write: numbers, learning curves, classes, calibration, classes mixed up, timelines."
)
flags.DEFINE_integer("report_videos", 20, "Videos with a timeline in --report, those with most mistakes.", lower_bound=0)
flags.DEFINE_enum(
    "calibrate",
    None,
    METHODS,
    "Fit what makes probabilities of the model's scores, on the segments scored here, and keep it in --train_dir for "
    "inference.py --intervals: a temperature, or Platt's slope and offset.",
)


def main():
    """Scores a model or a submission and prints one JSON object."""
    if FLAGS.merge_per_class:
        from yt8m.ranking.evaluation import merge_per_class

        print(json.dumps(merge_per_class(FLAGS.merge_per_class)))
        return
    if (FLAGS.submission is None) == (FLAGS.train_dir is None):
        raise InputError("give --train_dir to score a model, or --submission and --labels to score a file")
    if FLAGS.calibrate and FLAGS.submission:
        raise InputError("--calibrate is for a model: give --train_dir")
    if FLAGS.report:
        check_writable(FLAGS.report)
    names = read_class_names(FLAGS.vocabulary) if FLAGS.vocabulary else {}
    results, timelines = _score_submission() if FLAGS.submission else _score_model()
    evaluation = results.pop("evaluation", None)
    if evaluation is None and (FLAGS.per_class_csv or FLAGS.bootstrap or FLAGS.calibrate):
        raise InputError("--per_class_csv, --bootstrap and --calibrate are for segments, and whole videos were scored")
    if evaluation is not None:
        results |= _details(evaluation, names)
    if FLAGS.report:
        _report(results, evaluation, timelines, names)
    print(json.dumps(results))


def _score_submission():
    """(results, function of video_ids and class_ids that gives Timelines)."""
    from yt8m.ranking.diagnosis import has_probabilities
    from yt8m.ranking.evaluation import evaluate_submission
    from yt8m.ranking.timelines import read_timelines

    if not FLAGS.labels:
        raise InputError("--submission needs --labels: a CSV of vid:start,class,score, or TFRecord files")
    labels = run_flags.read_rated_labels(FLAGS.labels, FLAGS.split)
    evaluation = evaluate_submission(FLAGS.submission, labels, top_n=FLAGS.top_n, class_range=_class_range())
    timelines = functools.partial(read_timelines, FLAGS.submission, probabilities=has_probabilities(evaluation))
    return evaluation.summary() | {"evaluation": evaluation}, timelines


def _class_range():
    from yt8m.ensemble.fusion import parse_class_range

    return parse_class_range(FLAGS.classes)


def _score_model():
    from yt8m.inference.model_evaluation import evaluate_model
    from yt8m.inference.prediction import Scorer, predict_timelines
    from yt8m.models.checkpoints import load_model, read_run_config

    run = read_run_config(FLAGS.train_dir)
    run_flags.check_run_flags(run)
    source = _holdout_of(run)
    model, _ = load_model(FLAGS.train_dir)
    config = run.data.replace(skip_corrupt=FLAGS.skip_corrupt)
    results = evaluate_model(
        Scorer(model, batch_size=FLAGS.batch_size),
        source,
        config,
        segment_labels=run.train.segment_labels if FLAGS.segment_labels is None else FLAGS.segment_labels,
        top_k=FLAGS.top_k,
        top_n=FLAGS.top_n,
        show_progress=True,
    )

    return results, functools.partial(predict_timelines, model, source, config, batch_size=FLAGS.batch_size)


def _holdout_of(run):
    if FLAGS.eval_data_pattern:
        return run_flags.source_from_flags(FLAGS.eval_data_pattern, FLAGS.split)
    from yt8m.data.splits import split_sources

    _, holdout = split_sources(
        train_data_pattern=run.train_data_pattern,
        eval_data_pattern=run.eval_data_pattern,
        holdout_files=run.holdout_files,
        holdout_fraction=run.holdout_fraction,
        seed=run.train.seed,
    )
    if holdout is None:
        raise InputError(f"{FLAGS.train_dir} held nothing out: give --eval_data_pattern")
    return holdout


def _details(evaluation, names):
    from yt8m.ranking.evaluation import bootstrap_interval, evaluate_submission, paired_difference, write_per_class_csv

    details = {}
    wanted = (1000 if FLAGS.report else 0) if FLAGS.bootstrap is None else FLAGS.bootstrap
    draws = {"num_samples": wanted or 1000, "seed": FLAGS.seed or 0}
    if wanted:
        details["interval"] = list(bootstrap_interval(evaluation, **draws))
    if FLAGS.compare_with:
        other = evaluate_submission(
            FLAGS.compare_with, evaluation.labels, top_n=FLAGS.top_n, class_range=_class_range()
        )
        details["difference"] = paired_difference(evaluation, other, **draws)
    if FLAGS.calibrate:
        details["calibration"] = _calibrate(evaluation)
    if FLAGS.per_class_csv:
        write_per_class_csv(evaluation, FLAGS.per_class_csv, class_names=names)
    return details


def _calibrate(evaluation):
    """What was fitted, and the expected calibration error of the same pairs without and with it."""
    from yt8m.models.checkpoints import save_calibration
    from yt8m.ranking.calibration import fit_calibration
    from yt8m.ranking.diagnosis import calibration

    scores = evaluation.scores
    fitted = fit_calibration(scores, evaluation.labels.positive, method=FLAGS.calibrate)
    where = FLAGS.eval_data_pattern or "the run's holdout"
    path = save_calibration(FLAGS.train_dir, dataclasses.replace(fitted, fitted_on=where))
    errors = {"error_before": scores, "error_after": fitted(scores)}
    errors = {name: calibration(evaluation, scores=values)["expected_calibration_error"] for name, values in errors.items()}
    return {name: getattr(fitted, name) for name in ("method", "slope", "offset", "num_rated")} | errors | {"file": path}


def _report(results, evaluation, timelines, names):
    from yt8m.ranking.diagnosis import videos_by_mistakes
    from yt8m.report import write_evaluation_report

    learning, shown = {}, []
    if FLAGS.train_dir:
        from yt8m.models.checkpoints import read_metrics

        learning = {FLAGS.train_dir: read_metrics(FLAGS.train_dir)}
    if evaluation is not None and FLAGS.report_videos:
        videos = [video_id for video_id, _, _ in videos_by_mistakes(evaluation, limit=FLAGS.report_videos)]
        shown = timelines(video_ids=videos, class_ids=evaluation.class_ids.tolist())
    write_evaluation_report(
        FLAGS.report,
        title=FLAGS.submission or FLAGS.train_dir,
        results=results,
        evaluation=evaluation,
        learning=learning,
        class_names=names,
        timelines=shown,
    )


def run():
    """Entry point of the console script."""
    command_line.run(main)


if __name__ == "__main__":
    run()
