"""Diagnosis of a ranking of rated segments: curves, calibration, mistakes, confused classes.

Everything is made of the rated pairs of an Evaluation, whatever the number of segments that nobody rated.

A mistake is counted at break-even: with n positives among the rated segments of a class, the n ranked highest should be
those. A negative among them is a false alarm, a positive that is not is a miss.
"""

import collections
from collections.abc import Iterable
from typing import Any

import numpy as np

from yt8m.ranking.evaluation import Evaluation
from yt8m.ranking.f1 import ScoredPairs
from yt8m.ranking.ranks import UNLISTED
from yt8m.types import InputError

FALSE_ALARM, MISS = 1, -1
_CURVE_POINTS = 150


def scored_rows(evaluation: Evaluation) -> np.ndarray:
    """(N,) bool: the rated pairs of the classes that an Evaluation scores."""
    return np.isin(evaluation.labels.class_ids, evaluation.class_ids)


def scored_pairs(evaluation: Evaluation) -> ScoredPairs:
    """The rated pairs of the classes that an Evaluation scores. Raises InputError where it has no scores."""
    if evaluation.scores is None:
        raise InputError(
            f"{evaluation.path} has ranks and no scores: F1 needs scores, which a submission keeps as .parquet alone"
        )
    labels = evaluation.labels
    scores = np.where(np.isnan(evaluation.scores), -np.inf, evaluation.scores).astype(np.float64)
    return ScoredPairs(labels.class_ids, scores, labels.positive, labels.videos).take(scored_rows(evaluation))


def has_probabilities(evaluation: Evaluation) -> bool:
    """Whether there are scores and all of them lie in [0, 1]."""
    if evaluation.scores is None:
        return False
    scores = evaluation.scores[~np.isnan(evaluation.scores)]
    return bool(len(scores) and scores.min() >= 0 and scores.max() <= 1)


def class_curve(evaluation: Evaluation, class_id: int) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision), float64 (P,) each, of the rated segments of one class in the order of their ranks."""
    rows = evaluation.labels.rows(class_id)
    return _curve(evaluation.ranks[rows].astype(np.float64), evaluation.labels.positive[rows], evaluation.ranks[rows])


def micro_curve(evaluation: Evaluation) -> tuple[np.ndarray, np.ndarray]:
    """(recall, precision) of the rated pairs of all classes in one order: by score, or by rank where there is none."""
    rows = scored_rows(evaluation)
    ranks = evaluation.ranks[rows]
    keys = ranks.astype(np.float64) if evaluation.scores is None else -evaluation.scores[rows].astype(np.float64)
    return _curve(keys, evaluation.labels.positive[rows], ranks)


def calibration(
    evaluation: Evaluation, *, num_bins: int = 10, scores: np.ndarray | None = None
) -> dict[str, Any] | None:
    """Calibration of scores as probabilities, over the listed rated pairs; None without probabilities.

    scores: (N,) to judge instead of the evaluation's. Returns a JSON-able dict: "num_rated";
    "expected_calibration_error", the mean over the pairs of the distance between mean score and share of positives of
    their bin; "bins", a dict for each of the equally wide bins that is not empty: low, high, count, mean_score,
    share_positive.
    """
    if not has_probabilities(evaluation):
        return None
    rows = scored_rows(evaluation) & (evaluation.ranks < UNLISTED)
    scores = np.asarray(evaluation.scores if scores is None else scores)[rows].astype(np.float64)
    positive = evaluation.labels.positive[rows]
    places = np.minimum((scores * num_bins).astype(np.int64), num_bins - 1)
    bins = [
        {
            "low": place / num_bins,
            "high": (place + 1) / num_bins,
            "count": int(inside.sum()),
            "mean_score": float(scores[inside].mean()),
            "share_positive": float(positive[inside].mean()),
        }
        for place in range(num_bins)
        if (inside := places == place).any()
    ]
    error = sum(part["count"] * abs(part["mean_score"] - part["share_positive"]) for part in bins) / len(scores)
    return {"num_rated": len(scores), "expected_calibration_error": error, "bins": bins}


def mistakes(evaluation: Evaluation) -> np.ndarray:
    """(N,) int8 of the rated pairs: FALSE_ALARM, MISS or 0."""
    wrong = np.zeros(len(evaluation.labels), np.int8)
    for class_id in evaluation.class_ids.tolist():
        rows = evaluation.labels.rows(class_id)
        positive, ranks = evaluation.labels.positive[rows], evaluation.ranks[rows]
        found = np.zeros(len(positive), bool)
        found[np.argsort(ranks, kind="stable")[: positive.sum()]] = True
        found &= ranks < UNLISTED
        wrong[rows][found & ~positive] = FALSE_ALARM
        wrong[rows][positive & ~found] = MISS
    return wrong


def mixed_up_pairs(evaluation: Evaluation, *, limit: int = 20) -> dict[str, Any]:
    """Classes that are found where another one is: dict with "level" and "pairs".

    pairs: list of dict, most first: "found" and "there", class ids; "count", false alarms of the class found where the
    one that is there was rated positive; "of", all its false alarms. level: "segment" where both ratings are of one
    segment; "video" where no segment has a false alarm and a positive of another class, so that videos are compared.
    """
    labels = evaluation.labels
    scored = scored_rows(evaluation)
    alarms, positives = np.flatnonzero(mistakes(evaluation) == FALSE_ALARM), np.flatnonzero(labels.positive & scored)
    totals = collections.Counter(labels.class_ids[alarms].tolist())
    for level, places in (("segment", labels.texts), ("video", labels.videos.tolist())):
        there = collections.defaultdict(set)
        for row in positives.tolist():
            there[places[row]].add(int(labels.class_ids[row]))
        counts = collections.Counter()
        for row in alarms.tolist():
            found = int(labels.class_ids[row])
            counts.update((found, other) for other in there.get(places[row], ()) if other != found)
        if counts:
            break
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:limit]
    pairs = [{"found": a, "there": b, "count": count, "of": totals[a]} for (a, b), count in order]
    return {"level": level, "pairs": pairs}


def videos_by_mistakes(evaluation: Evaluation, *, limit: int | None) -> list[tuple[str, int, int]]:
    """List of (video id, mistakes, rated pairs) of up to ``limit`` videos, those with most mistakes first."""
    labels = evaluation.labels
    videos = labels.videos[scored_rows(evaluation)]
    wrong = np.bincount(labels.videos[mistakes(evaluation) != 0], minlength=len(labels.video_ids))
    rated = np.bincount(videos, minlength=len(labels.video_ids))
    order = [video for video in np.lexsort((np.arange(len(rated)), -wrong)).tolist() if rated[video]]
    return [(labels.video_ids[video], int(wrong[video]), int(rated[video])) for video in order[:limit]]


def video_ratings(
    evaluation: Evaluation, video_ids: Iterable[str]
) -> dict[str, dict[tuple[int, int], tuple[bool, int]]]:
    """Dict of video id to dict of (class id, start time) to (positive, mistake), of the pairs that are scored."""
    labels = evaluation.labels
    wanted = {labels.video_ids.index(video_id): video_id for video_id in video_ids}
    rows = np.flatnonzero(np.isin(labels.videos, list(wanted)) & scored_rows(evaluation))
    wrong = mistakes(evaluation)
    ratings = {video_id: {} for video_id in video_ids}
    for row in rows.tolist():
        start = int(labels.texts[row].rpartition(b":")[2])
        key = int(labels.class_ids[row]), start
        ratings[wanted[int(labels.videos[row])]][key] = bool(labels.positive[row]), int(wrong[row])
    return ratings


def _curve(keys, positive, ranks):
    """Recall and precision behind every group of equal ``keys``, lowest first; pairs without a rank are never found."""
    listed = ranks < UNLISTED
    order = np.flatnonzero(listed)[np.argsort(keys[listed], kind="stable")]
    if not len(order):
        return np.zeros(0), np.zeros(0)
    hits = np.cumsum(positive[order])
    last = np.flatnonzero(np.append(np.diff(keys[order]) != 0, True))
    recall, precision = hits[last] / positive.sum(), hits[last] / (last + 1)
    kept = np.unique(np.linspace(0, len(last) - 1, _CURVE_POINTS).round().astype(np.int64))
    return recall[kept], precision[kept]
