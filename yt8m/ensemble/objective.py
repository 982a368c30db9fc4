"""The score of a fusion on labels as a function of its settings, fast enough to be searched.

What is searched is scored under thousands of settings and, for each, on many subsets of the videos. The order of the
rated pairs costs most of an evaluation and does not depend on the subset, so the two are apart: ``keys`` for a fusion,
``scores`` for any number of weights of the videos.
"""

import abc
from typing import Any, Self

import numpy as np

from yt8m.ensemble.fusion import Fusion
from yt8m.ranking.ranks import average_precisions, mean_precision

_ENTRIES_AT_ONCE = 1 << 22


class Objective(abc.ABC):
    """Mean over groups of the average precision of pairs (item, class) in the order of a fusion; called with a Fusion.

    Attributes: metric, name of the score; distances (F, P) float64, ranks from 0 or scores times -1, infinite where a
    file does not list a pair; positive (P,) bool; groups (P,) int64, 0 to G - 1 in ascending order, those of the
    classes for MAP, all 0 for GAP; videos (P,) int64, indices of their videos, 0 to num_videos - 1; num_videos.
    """

    metric: str

    def __init__(self, distances: np.ndarray, positive: np.ndarray, groups: np.ndarray, videos: np.ndarray):
        self.distances = distances
        self.positive = positive
        self.groups = np.unique(groups, return_inverse=True)[1]
        found, self.videos = np.unique(videos, return_inverse=True)
        self.num_videos = len(found)

    @property
    def num_files(self) -> int:
        """Number of files that are fused."""
        return len(self.distances)

    @abc.abstractmethod
    def keys(self, fusion: Fusion) -> np.ndarray:
        """(P,) float64, ascending in the order of the fused lists, infinite for what they do not list."""

    @abc.abstractmethod
    def restrict(self, kept: np.ndarray) -> Self:
        """The objective of the pairs where ``kept`` (P,) bool alone; InputError where none of them is positive."""

    def __call__(self, fusion: Fusion) -> float:
        """The score of a Fusion with a weight for each file."""
        precisions = average_precisions(self.keys(fusion), self.positive, self.groups)
        return mean_precision(precisions[~np.isnan(precisions)])

    def scores(self, keys: np.ndarray, video_weights: np.ndarray) -> np.ndarray:
        """(R,) scores of one order of the pairs with each of R weightings of the videos; nan without positives.

        keys: as ``keys`` gives them. video_weights: (R, num_videos) floats, how often each video counts; groups without
        positives in it are left out of a mean.
        """
        size = max(1, _ENTRIES_AT_ONCE // max(1, len(keys)))
        parts = [video_weights[begin : begin + size] for begin in range(0, len(video_weights), size)]
        # In memory the pairs come first, as average_precisions goes through them.
        return np.concatenate([self._scores(keys, np.ascontiguousarray(part.T)[self.videos].T) for part in parts])

    def _scores(self, keys, weights):
        precisions = average_precisions(keys, self.positive, self.groups, weights=weights)
        counts = np.count_nonzero(~np.isnan(precisions), axis=-1)
        sums = np.nansum(precisions, axis=-1, dtype=np.float64)
        return np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)


def fused_sums(distances: np.ndarray, fusion: Fusion, *, longest: Any) -> np.ndarray:
    """(P,) float64 sums over files of what they add, in file order. distances: (F, P), longest: as of Fusion.share."""
    sums = np.zeros(distances.shape[1])
    for index, row in enumerate(distances):
        if fusion.weights[index]:
            sums += fusion.share(index, row, longest=longest)
    return sums
