"""F1 of what scores at or above a threshold, micro and macro, and the thresholds where it is highest.

Micro pools the pairs of all classes; macro is the mean over the classes with positives. A class's F1 is
2 * hits / (found + positives), 0 where nothing is found.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping

import numpy as np

from yt8m.runtime.files import write_text
from yt8m.tables import read_columns
from yt8m.types import InputError, StrPath

_HEADER = ("Class", "Threshold")
_COMMON = "others"


@dataclasses.dataclass(frozen=True)
class ScoredPairs:
    """Pairs of an item and a class that are known to be positive or negative, N of them.

    class_ids (N,) int64; scores (N,) float64, minus infinity where a pair is not listed; positive (N,) bool; videos
    (N,) int64, of which video each is.
    """

    class_ids: np.ndarray
    scores: np.ndarray
    positive: np.ndarray
    videos: np.ndarray

    def take(self, rows: np.ndarray) -> "ScoredPairs":
        """The pairs at ``rows``."""
        return ScoredPairs(self.class_ids[rows], self.scores[rows], self.positive[rows], self.videos[rows])


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Scores from which on a class counts as found: by_class, dict of class id; common, that of all others."""

    common: float
    by_class: Mapping[int, float] = dataclasses.field(default_factory=dict)

    def of(self, class_ids: np.ndarray) -> np.ndarray:
        """(N,) float64, the thresholds of (N,) classes."""
        known, places = np.unique(class_ids, return_inverse=True)
        return np.array([self.by_class.get(class_id, self.common) for class_id in known.tolist()])[places]

    @classmethod
    def read(cls, path: StrPath, *, common: float | None = None) -> "Thresholds":
        """Of a CSV that ``write`` has written; common: in place of the file's. InputError where it is malformed."""
        values: dict[str, float] = {}
        for row in read_columns(path, _HEADER, what="thresholds"):
            name = row.fields[0] if row.fields[0] == _COMMON else str(row.class_id(0))
            if name in values:
                raise InputError(f"{row.where}: class {name} stands in the file twice")
            values[name] = row.number(1, "threshold")
        fallback = values.pop(_COMMON, 0.5)
        return cls(fallback if common is None else common, {int(name): value for name, value in values.items()})

    def write(self, path: StrPath) -> None:
        """Writes a CSV: Class,Threshold, a line for each class and one of ``others``."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_HEADER)
        writer.writerow([_COMMON, repr(self.common)])
        writer.writerows([class_id, repr(value)] for class_id, value in sorted(self.by_class.items()))
        write_text(path, text.getvalue())


def f1_scores(pairs: ScoredPairs, thresholds: Thresholds) -> dict[str, float]:
    """Dict of micro, macro, and the precision and recall of all pairs in one."""
    return _f1_of(pairs, pairs.scores >= thresholds.of(pairs.class_ids))


def fit_thresholds(pairs: ScoredPairs) -> Thresholds:
    """The thresholds of the best F1 of each class with positives; of all pairs together for the others.

    A threshold lies half way between the last score that counts and the next one. Raises InputError where no pair is
    positive, or none of these is listed.
    """
    common = _best_threshold(pairs.scores, pairs.positive)
    if not math.isfinite(common):
        raise InputError("thresholds need positives with scores, and there are none")
    by_class = {}
    for class_id in np.unique(pairs.class_ids[pairs.positive]).tolist():
        rows = pairs.class_ids == class_id
        found = _best_threshold(pairs.scores[rows], pairs.positive[rows])
        if math.isfinite(found):
            by_class[class_id] = found
    return Thresholds(common, by_class)


def cross_validated_f1(
    pairs: ScoredPairs, *, by_class: bool = True, num_folds: int = 5, seed: int = 0
) -> dict[str, float]:
    """f1_scores of all pairs, each found or not by thresholds that were fitted on the videos of the other folds.

    by_class: a threshold for each class; False for one for all. Of fewer videos than folds each is a fold. Where the
    others have no positives nothing is found.
    """
    videos, codes = np.unique(pairs.videos, return_inverse=True)
    num_folds = min(num_folds, len(videos))
    parts = np.empty(len(videos), np.int64)
    parts[np.random.default_rng(seed).permutation(len(videos))] = np.arange(len(videos)) % num_folds
    found = np.zeros(len(codes), bool)
    for fold in range(num_folds):
        outside = parts[codes] == fold
        inside = pairs.take(~outside)
        if not (inside.positive & (inside.scores > -np.inf)).any():
            continue
        thresholds = fit_thresholds(inside)
        if not by_class:
            thresholds = Thresholds(thresholds.common)
        found[outside] = pairs.scores[outside] >= thresholds.of(pairs.class_ids[outside])
    return _f1_of(pairs, found)


def _f1_of(pairs: ScoredPairs, found: np.ndarray) -> dict[str, float]:
    hits = found & pairs.positive
    classes, places = np.unique(pairs.class_ids, return_inverse=True)
    counts = [np.bincount(places, weights=which, minlength=len(classes)) for which in (hits, found, pairs.positive)]
    rated = counts[2] > 0
    of_classes = 2 * counts[0][rated] / (counts[1] + counts[2])[rated]
    num_hits, num_found, num_positive = (int(which.sum()) for which in (hits, found, pairs.positive))
    return {
        "micro": 2 * num_hits / (num_found + num_positive) if num_found + num_positive else 0.0,
        "macro": float(of_classes.mean()) if len(of_classes) else 0.0,
        "precision": num_hits / num_found if num_found else 0.0,
        "recall": num_hits / num_positive if num_positive else 0.0,
    }


def _best_threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """Of the best F1, the highest of equals; minus infinity where no positive is listed."""
    listed = scores > -np.inf
    order = np.flatnonzero(listed)[np.argsort(-scores[listed], kind="stable")]
    hits = np.cumsum(positive[order])
    if not len(hits) or not hits[-1]:
        return -math.inf
    ranked = scores[order]
    values = 2 * hits / (np.arange(1, len(order) + 1) + positive.sum())
    values[:-1][ranked[:-1] == ranked[1:]] = 0
    last = int(np.argmax(values))
    return float(ranked[last] if last + 1 == len(ranked) else (ranked[last] + ranked[last + 1]) / 2)
