"""The report on a scored model or submission: its scores, its mistakes, and its timelines."""

import os
from collections.abc import Iterable, Sequence

import numpy as np
from markupsafe import Markup

from yt8m.ranking import diagnosis
from yt8m.ranking.evaluation import Evaluation
from yt8m.ranking.timelines import Timeline, class_name
from yt8m.report.charts import line_chart, reliability_chart
from yt8m.report.page import render, write_page
from yt8m.report.timelines import timeline_part

_SHOWN = {
    "num_classes": "classes with positives", "num_rated": "rated pairs", "num_positive": "positives",
    "num_listed": "positives listed", "num_missing_classes": "classes missing", "num_videos": "videos",
    "loss": "loss an example", "hit_at_one": "Hit@1", "perr": "PERR", "map": "MAP",
}  # fmt: skip


def write_evaluation_report(
    path: str | os.PathLike,
    *,
    title: str,
    results: dict,
    evaluation: Evaluation | None = None,
    learning: dict[str, list[dict]] | None = None,
    class_names: dict[int, str] | None = None,
    timelines: Sequence[Timeline] = (),
    probabilities: tuple[str, Evaluation] | None = None,
    extra: Iterable[Markup] = (),
) -> None:
    """Writes the page.

    results: the dict of numbers that eval.py prints, which the page holds as it is, as JSON in the element "results".
    evaluation: the Evaluation, None where whole videos were scored. learning: dict of a run's name to its evaluations
    in training, as checkpoints.read_metrics gives them. class_names: dict of class id to name. timelines: list of
    Timeline of the videos to show. probabilities: (name, Evaluation with scores) whose calibration is shown, by
    default that of ``evaluation``. extra: sections of HTML that stand behind the headline.
    """
    rated = None
    if evaluation is not None:
        names = class_names or {}
        name, scored = probabilities or ("", evaluation)
        rated = {
            "top_n": evaluation.top_n,
            "classes": _class_rows(evaluation, names),
            "curves": _curves(evaluation, names),
            "calibration": _calibration(name, scored, fitted=results.get("calibration")),
            "confusions": _confusions(evaluation, names),
            "by_rank": bool(timelines) and timelines[0].ranks is not None,
            "timelines": _timelines(evaluation, timelines, names),
        }
    part = render(
        "evaluation.html", headline=_headline(results), extra=extra, learning=_learning(learning or {}), rated=rated
    )
    write_page(path, title=title, parts=[part], results=results)


def _headline(results):
    """(label, number) of the cards at the top."""
    shown = []
    if "map_at_k" in results:
        shown.append((f"MAP@{results['top_n']:,}", f"{results['map_at_k']:.5f}"))
    if "interval" in results:
        low, high = results["interval"]
        shown.append(("95% interval, bootstrap over videos", f"{low:.4f}–{high:.4f}"))
    if "difference" in results:
        difference = results["difference"]
        said = f"better than the other, 95% from {difference['low']:+.4f} to {difference['high']:+.4f}"
        shown.append((said, f"{difference['difference']:+.5f}"))
    gaps = [name for name in results if name.startswith("gap_at_")]
    shown += [(name.upper().replace("_AT_", "@"), f"{results[name]:.5f}") for name in gaps]
    if "f1" in results:
        shown += [(f"F1, {name}", f"{results['f1'][name]:.5f}") for name in ("micro", "macro")]
    for name, label in _SHOWN.items():
        if name in results:
            shown.append((label, f"{results[name]:,}" if isinstance(results[name], int) else f"{results[name]:.5f}"))
    return shown


def _learning(learning):
    """Charts of what was measured in training."""
    learning = {name: entries for name, entries in learning.items() if entries}
    keys = {key: label for entries in learning.values() for key, label in _curve_keys(entries[-1])}
    charts = []
    for key, label in keys.items():
        series = _curve_series(learning, key)
        title = f"Holdout {label}"
        if key == "loss" and (trained := _curve_series(learning, "train_loss")):
            title = "Loss in training and on the holdout"
            series = [(f"{name}, training", *points) for name, *points in trained] + [
                (f"{name}, holdout", *points) for name, *points in series
            ]
        charts.append(line_chart(title, series, x_label="step", y_label=label))
    return charts


def _curve_series(learning, key):
    """List of (run, steps, values) for the runs that have ``key``."""
    points = {
        name: [(entry["step"], entry[key]) for entry in entries if key in entry] for name, entries in learning.items()
    }
    return [(name, *zip(*pairs)) for name, pairs in points.items() if pairs]


def _curve_keys(entry):
    for key in entry:
        if key == "loss" or key == "map_at_k" or key.startswith("gap_at_"):
            yield key, {"loss": "loss", "map_at_k": "MAP@K"}.get(key) or key.upper().replace("_AT_", "@")


def _class_rows(evaluation, names):
    """A row of text for each class, the worst first."""
    columns = ("class_ids", "average_precision", "num_rated", "num_positive", "num_listed")
    rows = [
        (class_name(class_id, names), str(class_id), (f"{value:.4f}", value), *map(str, numbers))
        for class_id, value, *numbers in zip(*(getattr(evaluation, name).tolist() for name in columns))
    ]
    return sorted(rows, key=lambda row: row[2][1])


def _curves(evaluation, names):
    """Charts of precision over recall: of all classes, and of the best, median and worst one."""
    order = np.argsort(evaluation.average_precision, kind="stable")
    chosen = dict.fromkeys(int(order[place]) for place in (-1, len(order) // 2, 0))
    series = [
        (f"{class_name(int(evaluation.class_ids[index]), names)}, AP {evaluation.average_precision[index]:.3f}",
         *diagnosis.class_curve(evaluation, evaluation.class_ids[index]))
        for index in chosen
    ]  # fmt: skip
    limits = {"x_label": "recall", "y_label": "precision", "x_range": (0, 1), "y_range": (0, 1)}
    by = "rank" if evaluation.scores is None else "score"
    micro = [("all classes", *diagnosis.micro_curve(evaluation))]
    return [
        line_chart(f"All classes, by {by}", micro, **limits),
        line_chart("Best, median and worst class", series, **limits),
    ]


def _calibration(name, evaluation, *, fitted):
    """What the template says of scores as probabilities; None where there are none."""
    found = diagnosis.calibration(evaluation)
    if found is None:
        return None
    rows = [
        (f"{part['low']:.1f} to {part['high']:.1f}", f"{part['count']:,}", f"{part['mean_score']:.4f}",
         f"{part['share_positive']:.4f}")
        for part in found["bins"]
    ]  # fmt: skip
    chart = reliability_chart("Reliability", found["bins"])
    return {"name": name, "found": found, "fitted": fitted, "rows": rows, "chart": chart}


def _confusions(evaluation, names):
    """Rows of class pairs, and the "level" at which they were compared: segment or video."""
    found = diagnosis.mixed_up_pairs(evaluation)
    rows = [
        (class_name(pair["found"], names), class_name(pair["there"], names), str(pair["count"]), str(pair["of"]))
        for pair in found["pairs"]
    ]
    return {"level": found["level"], "rows": rows}


def _timelines(evaluation, timelines, names):
    mistakes = {video: (wrong, rated) for video, wrong, rated in diagnosis.videos_by_mistakes(evaluation, limit=None)}
    ratings = diagnosis.video_ratings(evaluation, [timeline.video_id for timeline in timelines])
    shown = []
    for timeline in timelines:
        wrong, rated = mistakes[timeline.video_id]
        note = f"{wrong} of {rated} rated pairs wrong"
        shown.append(timeline_part(timeline, ratings[timeline.video_id], note=note, class_names=names))
    return shown
