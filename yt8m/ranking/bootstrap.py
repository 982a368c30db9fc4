"""Intervals of MAP@K, and of differences of it, by drawing videos with replacement."""

import numpy as np

from yt8m.ranking.evaluation import Evaluation
from yt8m.ranking.ranks import average_precisions
from yt8m.types import InputError

_REPLICATES_AT_ONCE = 50


def bootstrap_interval(
    evaluation: Evaluation, *, num_samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> tuple[float, float]:
    """(low, high) of MAP@K: percentiles of its deviations over videos drawn with replacement, around its value.

    Deviations from the mean of the draws, because a draw has fewer different videos, and its average precisions are
    higher for that alone. Classes without positives in a draw are left out of it.
    """
    return _percentiles(_centred(_replicates(evaluation, num_samples, seed), evaluation.map_at_k), confidence)


def paired_difference(
    evaluation: Evaluation, other: Evaluation, *, num_samples: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[str, float]:
    """Difference of MAP@K of ``evaluation`` and ``other``, with an interval: the same draws of videos score both.

    Both must come from the same labels and classes, or InputError. Returns dict: difference (of map_at_k), low and high
    as bootstrap_interval has them, and share_above, the share of the draws, so centred, where ``evaluation`` is better.
    """
    same = evaluation.labels.texts == other.labels.texts and np.array_equal(
        evaluation.labels.positive, other.labels.positive
    )
    if not same or not np.array_equal(evaluation.class_ids, other.class_ids):
        raise InputError(f"{evaluation.path} and {other.path} were scored on different labels or classes")
    difference = evaluation.map_at_k - other.map_at_k
    draws = _replicates(evaluation, num_samples, seed) - _replicates(other, num_samples, seed)
    draws = _centred(draws, difference)
    low, high = _percentiles(draws, confidence)
    return {
        "difference": difference,
        "low": low,
        "high": high,
        "share_above": float(np.mean(draws > 0)),
    }


def _replicates(evaluation, num_samples, seed):
    """(num_samples,) MAP@K, each over as many videos as there are, drawn with replacement."""
    labels = evaluation.labels
    rows = np.flatnonzero(np.isin(labels.class_ids, evaluation.class_ids))
    groups = np.searchsorted(evaluation.class_ids, labels.class_ids[rows])
    videos, codes = np.unique(labels.videos[rows], return_inverse=True)
    values = []
    generator = np.random.default_rng(seed)
    for begin in range(0, num_samples, _REPLICATES_AT_ONCE):
        size = min(_REPLICATES_AT_ONCE, num_samples - begin)
        draws = generator.integers(len(videos), size=(size, len(videos)))
        draws += np.arange(size)[:, None] * len(videos)
        weights = np.bincount(draws.ravel(), minlength=size * len(videos)).reshape(size, -1)[:, codes]
        precisions = average_precisions(
            evaluation.ranks[rows], labels.positive[rows], groups, weights=weights.astype(np.float64)
        )
        found = ~np.isnan(precisions)
        sums = np.where(found, precisions, 0.0).sum(axis=-1)
        with np.errstate(invalid="ignore"):
            values.append(sums / found.sum(axis=-1))
    return np.concatenate(values)


def _centred(draws, value):
    # A draw without any positive has no MAP.
    draws = draws[~np.isnan(draws)]
    return draws - draws.mean() + value


def _percentiles(values, confidence):
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)
