"""The report on a model or submission that was scored: how good, where it errs, and how its scores run in time."""

import numpy as np

from yt8m.ranking import diagnosis
from yt8m.ranking.timelines import class_name
from yt8m.report.charts import line_chart, reliability_chart
from yt8m.report.page import cards, embed_json, paragraph, section, table, write_page
from yt8m.report.timelines import timeline_part

_SHOWN = {
    "num_classes": "classes with positives", "num_rated": "rated pairs", "num_positive": "positives",
    "num_listed": "positives listed", "num_missing_classes": "classes missing", "num_videos": "videos",
    "loss": "loss an example", "hit_at_one": "Hit@1", "perr": "PERR", "map": "MAP",
}  # fmt: skip


def write_evaluation_report(
    path, *, title, results, evaluation=None, learning=None, class_names=None, timelines=(), probabilities=None, extra=()
):
    """Writes the page.

    results: the dict of numbers that eval.py prints, which the page holds as it is, as JSON in the element "results".
    evaluation: the Evaluation, None where whole videos were scored. learning: dict of a run's name to its evaluations
    in training, as checkpoints.read_metrics gives them. class_names: dict of class id to name. timelines: list of
    Timeline of the videos to show. probabilities: (name, Evaluation with scores) whose calibration is shown, by
    default that of ``evaluation``. extra: sections of HTML that stand behind the headline.
    """
    names = {} if class_names is None else class_names
    parts = [_headline(results), *extra, *_learning(learning or {})]
    if evaluation is not None:
        parts += [_per_class(evaluation, names), _curves(evaluation, names)]
        parts.append(_calibration(*(probabilities or ("", evaluation)), fitted=results.get("calibration")))
        parts.append(_mixed_up(evaluation, names))
        if timelines:
            parts.append(_timelines(evaluation, timelines, names))
    write_page(path, title=title, parts=[*parts, embed_json("results", results)])


def _headline(results):
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
    shown += [(name.upper().replace("_AT_", "@"), f"{results[name]:.5f}") for name in results if name.startswith("gap_at_")]
    for name, label in _SHOWN.items():
        if name in results:
            shown.append((label, f"{results[name]:,}" if isinstance(results[name], int) else f"{results[name]:.5f}"))
    return cards(shown)


def _learning(learning):
    learning = {name: entries for name, entries in learning.items() if entries}
    if not learning:
        return
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
    yield section("Learning curves", f'<div class="charts">{"".join(charts)}</div>')


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


def _per_class(evaluation, names):
    columns = ("Class", "Id", "AP", "Rated", "Positive", "Listed")
    counts = zip(*(part.tolist() for part in (evaluation.num_rated, evaluation.num_positive, evaluation.num_listed)))
    rows = [
        (class_name(class_id, names), str(class_id), (f"{value:.4f}", value), *map(str, numbers))
        for class_id, value, numbers in zip(evaluation.class_ids.tolist(), evaluation.average_precision.tolist(), counts)
    ]
    rows.sort(key=lambda row: row[2][1])
    text = (
        "Average precision of every class with positives among the rated segments. Listed: positives that are within "
        f"the best {evaluation.top_n:,} of the class. A click on a column's name sorts."
    )
    return section("Classes", paragraph(text), table(columns, rows, sortable=True, identifier="classes"))


def _curves(evaluation, names):
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
    charts = line_chart(f"All classes, by {by}", micro, **limits)
    charts += line_chart("Best, median and worst class", series, **limits)
    text = "Over the rated pairs of segment and class; to the left, all pairs in one order, equal ones at once."
    return section("Precision and recall", paragraph(text), f'<div class="charts">{charts}</div>')


def _calibration(name, evaluation, *, fitted):
    found = diagnosis.calibration(evaluation)
    if found is None:
        return section("Calibration", paragraph("There are no scores between 0 and 1 to be read as probabilities."))
    whose = f" of {name}" if name else ""
    text = (
        f"Scores{whose} as probabilities, over {found['num_rated']:,} rated pairs: where they are true, the bars reach the "
        f"dashed line. Expected calibration error {found['expected_calibration_error']:.4f}. Pairs were chosen to be rated, "
        "so that positives may be more frequent among them than elsewhere."
    )
    rows = [
        (f"{part['low']:.1f} to {part['high']:.1f}", f"{part['count']:,}", f"{part['mean_score']:.4f}",
         f"{part['share_positive']:.4f}")
        for part in found["bins"]
    ]  # fmt: skip
    if fitted:
        text += (
            f" The {fitted['method'].capitalize()} scaling fitted on these pairs (slope {fitted['slope']:.4f}, offset "
            f"{fitted['offset']:+.4f}) brings it to {fitted['error_after']:.4f}."
        )
    counts = table(("Score", "Pairs", "Mean score", "Share positive"), rows, identifier="calibration")
    chart = reliability_chart("Reliability", found["bins"])
    return section("Calibration", paragraph(text), f'<div class="beside">{chart}{counts}</div>')


def _mixed_up(evaluation, names):
    found = diagnosis.mixed_up_pairs(evaluation)
    place = found["level"]
    text = (
        "A class with n positives should have them as the n highest of its rated segments; a negative among these is a "
        f"false alarm. Counted here: false alarms of one class in a {place} that was rated positive for another."
    )
    if place == "video":
        text += " Whole videos are compared, because no segment has a false alarm and a positive of another class."
    if not found["pairs"]:
        return section("Classes mixed up", paragraph(text), paragraph("There is none."))
    rows = [
        (class_name(pair["found"], names), class_name(pair["there"], names), str(pair["count"]), str(pair["of"]))
        for pair in found["pairs"]
    ]
    columns = ("Found", "Where there was", "False alarms", "of all of the class found")
    return section("Classes mixed up", paragraph(text), table(columns, rows, num_texts=2, identifier="mixed"))


def _timelines(evaluation, timelines, names):
    mistakes = {video: (wrong, rated) for video, wrong, rated in diagnosis.videos_by_mistakes(evaluation, limit=None)}
    ratings = diagnosis.video_ratings(evaluation, [timeline.video_id for timeline in timelines])
    by_rank = timelines[0].ranks is not None
    text = (
        "Videos with most mistakes first. A row is a class with positives, "
        + ("fuller in colour where the segment ranks higher in its list, on a logarithmic scale. " if by_rank else
           "fuller in colour where its score is higher. ")
        + "+ was rated positive and − negative; dotted is a mistake, a false alarm or a miss as above. Point at or touch a "
        f"segment for its {'rank' if by_rank else 'score'}."
    )  # fmt: skip
    shown = []
    for timeline in timelines:
        wrong, rated = mistakes[timeline.video_id]
        note = f"{wrong} of {rated} rated pairs wrong"
        shown.append(timeline_part(timeline, ratings[timeline.video_id], note=note, class_names=names))
    return section("Timelines", paragraph(text), *shown)
