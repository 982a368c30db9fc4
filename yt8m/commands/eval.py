"""Scores of a model on rated segments or whole videos, or of a file: a submission, or predictions of whole videos.

  eval.py --train_dir=runs/finetuned                                  the run's own holdout
  eval.py --train_dir=runs/finetuned --eval_data_pattern='validate/*.tfrecord'
  eval.py --submission=submission.csv --labels=labels.csv             prints {"map_at_k": ...}
  eval.py --submission=holdout.csv --labels='validate/*.tfrecord' --holdout_files=300 --split=holdout
  eval.py --submission=videos.csv --labels='validate/*.tfrecord'      predictions of whole videos
  eval.py --train_dir=runs/finetuned --fit_thresholds=thresholds.csv  the threshold of best F1 of each class
  eval.py --submission=submission.parquet --labels=labels.csv --thresholds=thresholds.csv
  eval.py --train_dir=runs/finetuned --report=report.html --vocabulary=vocabulary.csv

The last line on standard output is one JSON object. Segments: map_at_k. Videos: gap_at_20, hit_at_one, perr, map, f1.
"""

import dataclasses
import functools
import json

from yt8m.commands import command_line
from yt8m.commands.groups import (
    CLIP_BATCH,
    LABELS_HELP,
    SIDES,
    VIDEO_LABELS_HELP,
    VOCABULARY_HELP,
    BackendOptions,
    ClipViewOptions,
    RunCheckOptions,
    SplitOptions,
)
from yt8m.config import PATTERN_HELP, DataConfig
from yt8m.options import option
from yt8m.ranking.calibration import METHODS
from yt8m.runtime.files import check_writable
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError
from yt8m.vocabulary import read_class_names


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalOptions(ClipViewOptions, RunCheckOptions, SplitOptions, BackendOptions):
    """Options of evaluation."""

    configs = {DataConfig: ("max_frames", "skip_corrupt")}

    train_dir: str = option("", "Folder of the run whose best model is scored.")
    eval_data_pattern: str = option("", f"Files to score on. {PATTERN_HELP}", defaults_to="the run's own holdout")
    split: str = option(
        "all",
        "Side of the split of --eval_data_pattern, or of --labels that are TFRecord files, to read.",
        choices=SIDES,
    )
    segment_labels: bool | None = option(
        None, "Scoring of rated segments, or with --nosegment_labels of whole videos.", defaults_to="as in training"
    )
    batch_size: int | None = option(
        None, "Examples in a step.", unit="examples", low=1, high=1 << 20, defaults_to=f"128, of clips {CLIP_BATCH}"
    )
    top_k: int = option(20, "Classes of a video that count, as in GAP@20.", unit="classes", low=1)
    submission: str = option(
        "",
        "File to score instead of a model: a submission, as CSV, .gz or .parquet, or a CSV of whole videos' classes.",
    )
    labels: str = option("", f"{LABELS_HELP} {VIDEO_LABELS_HELP} For --submission.")
    top_n: int = option(MAX_SEGMENTS_PER_CLASS, "K of MAP@K: segments of a class that count.", unit="segments", low=1)
    compare_with: str = option("", "Another submission: adds the difference of MAP@K and its interval.")
    bootstrap: int | None = option(
        None,
        "Draws of videos for a 95% interval of MAP@K; 0 for none.",
        unit="draws",
        low=0,
        high=1_000_000,
        defaults_to="none, with --report 1000",
    )
    threshold: float | None = option(
        None,
        "Score from which a class counts as found: adds F1, micro and macro, with precision and recall. For segments "
        "known by their ranks alone there is no F1: write them as .parquet.",
        low=0,
        defaults_to="0.5 for whole videos and with --thresholds; else no F1",
    )
    thresholds: str = option(
        "",
        "CSV of a threshold for each class, as --fit_thresholds writes it: adds F1. --threshold replaces the file's "
        "own for classes that it lacks.",
    )
    fit_thresholds: str = option(
        "",
        "CSV to write: for each class the threshold of its best F1 on what is scored here. Fit on the holdout, then "
        "give it as --thresholds for other data.",
    )
    classes: str = option("", "Range of class ids to score, first:end without end, as in 0:250.", defaults_to="all")
    per_class_csv: str = option("", "CSV to write: average precision and counts of every class.")
    merge_per_class: tuple[str, ...] = option(
        (), "Tables of --per_class_csv, of ranges of --classes, to merge to one score."
    )
    vocabulary: str = option("", f"{VOCABULARY_HELP} For --per_class_csv and --report.")
    report: str = option(
        "", "HTML page to write: numbers, learning curves, classes, calibration, confused classes, timelines."
    )
    report_videos: int = option(
        20, "Videos with a timeline in --report, those with most mistakes.", unit="videos", low=0, high=10_000
    )
    calibrate: str = option(
        "",
        "Calibration of the model's scores on the segments scored here, kept in --train_dir for inference.py "
        "--intervals: a temperature, or Platt's slope and offset.",
        choices=("", *METHODS),
    )


def main(options: EvalOptions) -> None:
    """Scores a model or a submission and prints one JSON object."""
    if options.merge_per_class:
        from yt8m.ranking.evaluation import merge_per_class

        print(json.dumps(merge_per_class(list(options.merge_per_class))))
        return
    if bool(options.submission) == bool(options.train_dir):
        raise InputError("give --train_dir to score a model, or --submission and --labels to score a file")
    if options.calibrate and options.submission:
        raise InputError("--calibrate is for a model: give --train_dir")
    if options.report:
        from yt8m.report.svg import import_matplotlib

        check_writable(options.report)
        import_matplotlib()
    if options.fit_thresholds:
        check_writable(options.fit_thresholds)
    names = read_class_names(options.vocabulary) if options.vocabulary else {}
    results, timelines = _score_submission(options) if options.submission else _score_model(options)
    evaluation, pairs = results.pop("evaluation", None), results.pop("pairs", None)
    for_segments = ("per_class_csv", "bootstrap", "calibrate", "compare_with", "classes")
    if evaluation is None and any(getattr(options, name) for name in for_segments):
        flags = ", ".join(f"--{name}" for name in for_segments)
        raise InputError(f"{flags} are for segments, and whole videos were scored")
    if evaluation is not None:
        results |= _details(options, evaluation, names)
    results |= _f1(options, evaluation, pairs)
    if options.report:
        _report(options, results, evaluation, timelines, names)
    print(json.dumps(results))


def _score_submission(options):
    """(results, function of video_ids and class_ids that gives Timelines)."""
    from yt8m.data.seen_videos import warn_of_notes
    from yt8m.ranking.diagnosis import has_probabilities
    from yt8m.ranking.evaluation import evaluate_submission
    from yt8m.ranking.timelines import read_timelines
    from yt8m.ranking.video_evaluation import evaluate_videos
    from yt8m.ranking.video_predictions import is_video_predictions

    if not options.labels:
        raise InputError("--submission needs --labels: a CSV of vid:start,class,score, or TFRecord files")
    warn_of_notes([options.submission])
    if is_video_predictions(options.submission):
        metrics = evaluate_videos(options.submission, options.video_labels(options.labels), top_k=options.top_k)
        return metrics.result() | {"pairs": metrics.pairs()}, None
    labels = options.rated_labels(options.labels)
    evaluation = evaluate_submission(options.submission, labels, top_n=options.top_n, class_range=_class_range(options))
    timelines = functools.partial(read_timelines, options.submission, probabilities=has_probabilities(evaluation))
    return evaluation.summary() | {"evaluation": evaluation}, timelines


def _class_range(options):
    from yt8m.ensemble.fusion import parse_class_range

    return parse_class_range(options.classes)


def _score_model(options):
    from yt8m.data.feature_origins import check_origins
    from yt8m.inference.model_evaluation import evaluate_model
    from yt8m.inference.prediction import predict_timelines
    from yt8m.inference.scorer import Scorer
    from yt8m.models.checkpoints import load_model, overlap_with, read_run_config

    run = read_run_config(options.train_dir)
    options.check_run(run)
    if run.pairs:
        return _score_pairs(options, run), None
    overlap = overlap_with(options.train_dir)
    source = _holdout_of(options, run)
    check_origins(options.train_dir, source.files)
    model, _ = load_model(options.train_dir)
    config = options.reading(run.replace(data=run.data.replace(skip_corrupt=False)))
    batch_size = options.batch_size or (CLIP_BATCH if config.level == "clip" else 128)
    results = evaluate_model(
        Scorer(model, batch_size=batch_size),
        source,
        config,
        segment_labels=run.train.segment_labels if options.segment_labels is None else options.segment_labels,
        top_k=options.top_k,
        top_n=options.top_n,
        show_progress=True,
        with_pairs=True,
        overlap=overlap,
    )
    if overlap is not None:
        overlap.warn()
    return results, functools.partial(predict_timelines, model, source, config, batch_size=batch_size)


def _score_pairs(options, run):
    """Scores of a run that was trained on pairs, on those it held out."""
    from yt8m.data.splits import sources_of
    from yt8m.inference.model_evaluation import PairScorer
    from yt8m.models.checkpoints import load_model
    from yt8m.models.pair_learner import PairLearner
    from yt8m.training.pair_data import evaluate_held_out, open_pairs

    for name in ("eval_data_pattern", "threshold", "thresholds", "fit_thresholds", "report"):
        if getattr(options, name):
            raise InputError(f"--{name} is of labels, and {options.train_dir} was trained on the similarity of pairs")
    source, _ = sources_of(run)
    _, held_out, _ = open_pairs(run, source)
    if held_out is None:
        raise InputError(
            f"{options.train_dir} held no pairs out: write its --embeddings with inference.py, for yt8m-similar --pairs"
        )
    model, _ = load_model(options.train_dir)
    return evaluate_held_out(PairScorer(PairLearner(model)), run, source, held_out)


def _holdout_of(options, run):
    if options.eval_data_pattern:
        return options.source(options.eval_data_pattern)
    from yt8m.data.splits import sources_of

    _, holdout = sources_of(run)
    if holdout is None:
        raise InputError(f"{options.train_dir} held nothing out: give --eval_data_pattern")
    return holdout


def _details(options, evaluation, names):
    from yt8m.ranking.bootstrap import bootstrap_interval, paired_difference
    from yt8m.ranking.evaluation import evaluate_submission, write_per_class_csv

    details = {}
    wanted = (1000 if options.report else 0) if options.bootstrap is None else options.bootstrap
    draws = {"num_samples": wanted or 1000, "seed": options.seed}
    if wanted:
        details["interval"] = list(bootstrap_interval(evaluation, **draws))
    if options.compare_with:
        other = evaluate_submission(
            options.compare_with, evaluation.labels, top_n=options.top_n, class_range=_class_range(options)
        )
        details["difference"] = paired_difference(evaluation, other, **draws)
    if options.calibrate:
        details["calibration"] = _calibrate(options, evaluation)
    if options.per_class_csv:
        write_per_class_csv(evaluation, options.per_class_csv, class_names=names)
    return details


def _f1(options, evaluation, pairs):
    """F1 by the thresholds asked for, and of those that are fitted here."""
    from yt8m.ranking.diagnosis import scored_pairs
    from yt8m.ranking.f1 import Thresholds, cross_validated_f1, f1_scores, fit_thresholds

    if pairs is None:
        if options.threshold is None and not options.thresholds and not options.fit_thresholds:
            return {}
        pairs = scored_pairs(evaluation)
    found = {}
    if options.thresholds:
        thresholds = Thresholds.read(options.thresholds, common=options.threshold)
        found["f1"] = f1_scores(pairs, thresholds) | {"thresholds": options.thresholds}
    elif options.threshold is not None or evaluation is None:
        threshold = 0.5 if options.threshold is None else options.threshold
        found["f1"] = f1_scores(pairs, Thresholds(threshold)) | {"threshold": threshold}
    if options.fit_thresholds:
        fitted = fit_thresholds(pairs)
        fitted.write(options.fit_thresholds)
        common = Thresholds(fitted.common)
        found["best_f1"] = {
            "file": options.fit_thresholds,
            "one_threshold": f1_scores(pairs, common) | {"threshold": fitted.common},
            "one_threshold_out_of_fold": cross_validated_f1(pairs, by_class=False, seed=options.seed),
            "by_class": f1_scores(pairs, fitted),
            "by_class_out_of_fold": cross_validated_f1(pairs, seed=options.seed),
        }
    return found


def _calibrate(options, evaluation):
    """The fitted calibration, and the expected calibration error of the same pairs without and with it."""
    from yt8m.models.checkpoints import save_calibration
    from yt8m.ranking.calibration import fit_calibration
    from yt8m.ranking.diagnosis import calibration

    scores = evaluation.scores
    fitted = fit_calibration(scores, evaluation.labels.positive, method=options.calibrate)
    where = options.eval_data_pattern or "the run's holdout"
    path = save_calibration(options.train_dir, dataclasses.replace(fitted, fitted_on=where))
    errors = {"error_before": scores, "error_after": fitted(scores)}
    errors = {
        name: calibration(evaluation, scores=values)["expected_calibration_error"] for name, values in errors.items()
    }
    return (
        {name: getattr(fitted, name) for name in ("method", "slope", "offset", "num_rated")} | errors | {"file": path}
    )


def _report(options, results, evaluation, timelines, names):
    from yt8m.ranking.diagnosis import videos_by_mistakes
    from yt8m.report import write_evaluation_report

    learning, shown = {}, []
    if options.train_dir:
        from yt8m.models.checkpoints import read_metrics

        learning = {options.train_dir: read_metrics(options.train_dir)}
    if evaluation is not None and options.report_videos:
        videos = [video_id for video_id, _, _ in videos_by_mistakes(evaluation, limit=options.report_videos)]
        shown = timelines(video_ids=videos, class_ids=evaluation.class_ids.tolist())
    write_evaluation_report(
        options.report,
        title=options.submission or options.train_dir,
        results=results,
        evaluation=evaluation,
        learning=learning,
        class_names=names,
        timelines=shown,
    )


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, EvalOptions)


if __name__ == "__main__":
    run()
