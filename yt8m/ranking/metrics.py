"""Metrics on arrays of scores and labels: GAP, Hit@1, PERR, MAP, F1 of videos, and MAP@K of rated segments.

NumPy only. Everywhere a label counts as positive from 0.5 on, and equal scores rank in the order given: videos (rows)
first to last, then classes (columns) in ascending order.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.ranking.f1 import ScoredPairs
from yt8m.types import MAX_SEGMENTS_PER_CLASS

POSITIVE = 0.5


def average_precision(hits: np.ndarray, *, num_positives: int) -> float:
    """Mean over all positives of the precision at each hit (0 for one that is not in the list).

    hits: (N,) bool, best first; num_positives: positives that exist, in the list or not. 0.0 where there is none.
    """
    hits = np.asarray(hits, bool)
    if not num_positives:
        return 0.0
    ranks = np.flatnonzero(hits) + 1.0
    return float(np.sum(np.arange(1, len(ranks) + 1) / ranks) / num_positives)


def gap(scores: np.ndarray, labels: np.ndarray, *, top_k: int = 20) -> float:
    """Global average precision: the best ``top_k`` classes of every video in one list, ranked by score.

    scores, labels: (N, C). Recall is over all labels, those outside the best ``top_k`` included, as in the
    YouTube-8M starter program.
    """
    scores, labels = _checked(scores, labels)
    columns = _top_columns(scores, top_k)
    hits = np.take_along_axis(labels, columns, axis=1).ravel()
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1).ravel(), kind="stable")
    return average_precision(hits[order], num_positives=labels.sum())


def hit_at_one(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of the videos whose best-scored class is one of their labels. scores, labels: (N, C)."""
    scores, labels = _checked(scores, labels)
    return float(np.mean(labels[np.arange(len(labels)), scores.argmax(axis=1)])) if len(labels) else 0.0


def perr(scores: np.ndarray, labels: np.ndarray) -> float:
    """Precision at equal recall rate: of a video with n labels, the share of its n best classes that are labels.

    scores, labels: (N, C). Mean over the videos with labels; 0.0 where there is none.
    """
    scores, labels = _checked(scores, labels)
    per_video = _perr_per_video(scores, labels, labels)
    return _mean_of_numbers(per_video)


def mean_average_precision(scores: np.ndarray, labels: np.ndarray, *, top_k: int | None = None) -> float:
    """Mean over the classes with positives of the average precision of the videos ranked by score.

    scores, labels: (N, C). top_k: a class sees only videos that have it among their best ``top_k`` (the starter
    program's definition, and that of VideoMetrics); None ranks all videos.
    """
    scores, labels = _checked(scores, labels)
    if top_k is None:
        order = np.argsort(-scores, axis=0, kind="stable")
        hits = np.take_along_axis(labels, order, axis=0)
        values = [average_precision(hits[:, c], num_positives=labels[:, c].sum()) for c in _with_positives(labels)]
        return _mean(values)
    columns = _top_columns(scores, top_k)
    top_scores = np.take_along_axis(scores, columns, axis=1)
    top_hits = np.take_along_axis(labels, columns, axis=1)
    return _mean(_class_precisions(columns.ravel(), top_scores.ravel(), top_hits.ravel(), labels.sum(axis=0)))


def f1(scores: np.ndarray, labels: np.ndarray, *, threshold: float = 0.5) -> float:
    """Micro-averaged F1 of the pairs (video, class) with a score of ``threshold`` or more. scores, labels: (N, C)."""
    scores, labels = _checked(scores, labels)
    predicted = scores >= threshold
    total = predicted.sum() + labels.sum()
    return float(2 * np.sum(predicted & labels) / total) if total else 0.0


class VideoMetrics:
    """The video metrics over batches, in memory of ``top_k`` entries a video and not of all classes.

    ``result`` equals gap, hit_at_one, perr and mean_average_precision (the last with the same top_k) on all batches
    joined. class_ids: (num_classes,) ids of the columns, 0..C-1 if None.
    """

    def __init__(self, num_classes: int, *, top_k: int = 20, class_ids: np.ndarray | None = None):
        self.num_classes = num_classes
        self._class_ids = np.arange(num_classes) if class_ids is None else class_ids
        self.top_k = top_k
        self._batches: list[dict[str, np.ndarray]] = []
        self.update(np.zeros((0, num_classes), np.float32), np.zeros((0, num_classes)))

    def update(self, scores: np.ndarray, labels: np.ndarray, *, listed: np.ndarray | None = None) -> None:
        """Adds videos: scores, labels (N, num_classes).

        listed: (N, num_classes) bool, False where a class is not found, whatever its score; None for all True.
        """
        scores, labels = _checked(scores, labels)
        found = labels if listed is None else labels & listed
        if scores.shape[1] != self.num_classes:
            raise ValueError(f"scores have {scores.shape[1]} classes, expected {self.num_classes}")
        columns = _top_columns(scores, self.top_k)
        top_scores = np.take_along_axis(scores, columns, axis=1)
        hits = np.take_along_axis(found, columns, axis=1)
        if listed is not None:
            top_scores = np.where(np.take_along_axis(listed, columns, axis=1), top_scores, -np.inf)
        missed = labels.copy()
        np.put_along_axis(missed, columns, np.take_along_axis(labels, columns, axis=1) & ~hits, axis=1)
        rows, classes = np.nonzero(missed)
        self._batches.append(
            {
                "columns": columns.astype(np.int32),
                "scores": top_scores,
                "hits": hits,
                "first_hits": found[np.arange(len(found)), scores.argmax(axis=1)],
                "perr": _perr_per_video(scores, labels, found),
                "missed_rows": rows,
                "missed_classes": classes,
            }
        )

    def arrays(self) -> dict[str, np.ndarray]:
        """What has been added, as arrays, a row a video and for labels that are not among its best an entry each."""
        joined = {name: np.concatenate([batch[name] for batch in self._batches]) for name in self._batches[0]}
        before = np.cumsum([0, *(len(batch["columns"]) for batch in self._batches[:-1])])
        joined["missed_rows"] += np.repeat(before, [len(batch["missed_rows"]) for batch in self._batches])
        return joined

    def add_arrays(self, arrays: dict[str, np.ndarray], kept: np.ndarray) -> None:
        """Adds the ``arrays`` of other VideoMetrics alike; kept: (N,) bool, of their videos those to add."""
        entries = kept[arrays["missed_rows"]]
        rows = np.cumsum(kept) - 1
        batch = {name: values[kept] for name, values in arrays.items() if not name.startswith("missed")}
        batch["missed_rows"] = rows[arrays["missed_rows"][entries]]
        batch["missed_classes"] = arrays["missed_classes"][entries]
        self._batches.append(batch)

    def pairs(self) -> ScoredPairs:
        """The ScoredPairs of the ``top_k`` best classes of every video, and of its labels that are not among them."""
        found = self.arrays()
        columns, classes = found["columns"], found["missed_classes"]
        return ScoredPairs(
            class_ids=self._class_ids[np.concatenate([columns.ravel(), classes])].astype(np.int64),
            scores=np.concatenate([found["scores"].ravel().astype(np.float64), np.full(len(classes), -np.inf)]),
            positive=np.concatenate([found["hits"].ravel(), np.ones(len(classes), bool)]),
            videos=np.concatenate([np.repeat(np.arange(len(columns)), columns.shape[1]), found["missed_rows"]]),
        )

    def result(self) -> dict[str, Any]:
        """Dict of gap_at_<top_k>, hit_at_one, perr, map (floats) and num_videos (int) of what has been added."""
        found = self.arrays()
        columns, scores, hits = (found[name].ravel() for name in ("columns", "scores", "hits"))
        with_label = np.concatenate([columns[hits], found["missed_classes"]])
        positives = np.bincount(with_label, minlength=self.num_classes)
        order = np.argsort(-scores, kind="stable")
        count = len(found["columns"])
        return {
            f"gap_at_{self.top_k}": average_precision(hits[order], num_positives=positives.sum()),
            "hit_at_one": int(found["first_hits"].sum()) / count if count else 0.0,
            "perr": _mean_of_numbers(found["perr"]),
            "map": _mean(_class_precisions(columns, scores, hits, positives)),
            "num_videos": count,
        }


def segment_map(
    scores: np.ndarray,
    labels: np.ndarray,
    rated: np.ndarray,
    *,
    class_ids: Sequence[int] | None = None,
    top_n: int = MAX_SEGMENTS_PER_CLASS,
) -> dict[str, Any]:
    """MAP@K of segments: per class, rank all rows, keep ``top_n``, drop the unrated, take the average precision.

    scores, labels, rated: (N, C); rated > 0 marks pairs that count. class_ids: (C,) names of the columns, 0..C-1 if
    None. Returns dict: "map_at_k", the mean over classes with rated positives (0.0 where there are none), and
    "average_precision", a dict of class id to float for these classes.
    """
    scores, labels = _checked(scores, labels)
    rated = np.asarray(rated) > 0
    if rated.shape != scores.shape:
        raise ValueError(f"rated has shape {rated.shape}, expected {scores.shape}")
    class_ids = range(scores.shape[1]) if class_ids is None else class_ids
    values = {}
    for column in _with_positives(labels & rated):
        # Without a cut the unrated rows cannot matter, and need no sorting.
        rows = slice(None) if len(scores) > top_n else np.flatnonzero(rated[:, column])
        order = np.argsort(-scores[rows, column], kind="stable")[:top_n]
        kept = rated[rows, column][order]
        hits = labels[rows, column][order][kept]
        positives = np.sum(labels[:, column] & rated[:, column])
        values[int(class_ids[column])] = average_precision(hits, num_positives=int(positives))
    return {"map_at_k": _mean(values.values()), "average_precision": values}


def _checked(scores, labels):
    scores, labels = np.asarray(scores), np.asarray(labels)
    if scores.ndim != 2 or scores.shape != labels.shape:
        raise ValueError(f"scores {scores.shape} and labels {labels.shape} must both have the shape (N, C)")
    if not np.isfinite(scores).all():
        raise ValueError("scores hold NaN or infinity")
    return scores, labels >= POSITIVE


def _top_columns(scores, top_k):
    """(N, min(top_k, C)) columns of the best scores of every row, best first, ties by column."""
    num_columns = scores.shape[1]
    if top_k >= num_columns:
        return np.argsort(-scores, axis=1, kind="stable")
    last = -np.partition(-scores, top_k - 1, axis=1)[:, top_k - 1 : top_k]
    # Of the scores equal to the last one that fits, the first columns fit.
    above = scores > last
    room = top_k - above.sum(axis=1, keepdims=True)
    equal = scores == last
    chosen = above | (equal & (np.cumsum(equal, axis=1) <= room))
    columns = np.nonzero(chosen)[1].reshape(len(scores), top_k)
    order = np.argsort(-np.take_along_axis(scores, columns, axis=1), axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1)


def _perr_per_video(scores, labels, found):
    """(N,) float64, NaN for videos without labels."""
    counts = labels.sum(axis=1)
    per_video = np.full(len(counts), np.nan)
    kept = counts > 0
    if kept.any():
        scores, found, counts = scores[kept], found[kept], counts[kept]
        columns = _top_columns(scores, int(counts.max()))
        hits = np.take_along_axis(found, columns, axis=1) & (np.arange(columns.shape[1]) < counts[:, None])
        per_video[kept] = hits.sum(axis=1) / counts
    return per_video


def _class_precisions(columns, scores, hits, positives):
    """Average precision of every class with positives, from flat entries (class, score, hit) in video order."""
    order = np.lexsort((-scores, columns))
    bounds = np.searchsorted(columns[order], np.arange(len(positives) + 1))
    hits = hits[order]
    return [
        average_precision(hits[bounds[c] : bounds[c + 1]], num_positives=positives[c])
        for c in np.flatnonzero(positives)
    ]


def _mean_of_numbers(values):
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else 0.0


def _with_positives(labels):
    return np.flatnonzero(labels.any(axis=0))


def _mean(values):
    # fsum: the mean does not depend on the order of the classes, so that parts merge exactly.
    values = list(values)
    return math.fsum(values) / len(values) if values else 0.0
