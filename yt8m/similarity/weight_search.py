"""Search of the weights of a joint projection on annotated pairs, held to what it gains on pairs that it has not seen.

A pattern search (Hooke & Jeeves 1961) of Spearman's correlation over the logarithms of the weights: from equal ones,
each is doubled or halved while that helps, then steps become smaller. Weights chosen on a few pairs flatter themselves,
so the pairs are also divided into parts by their first video, and each part is scored by the weights that the others
find; where these do not gain more than a standard error over equal weights, equal weights stay.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from yt8m.runtime.progress import Progress
from yt8m.similarity.cosine import cosines
from yt8m.similarity.embedding_files import EmbeddingFile
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.similarity.pairs import Pairs, pair_vectors, spearman
from yt8m.similarity.projection import JointProjection, project_gram, sum_gram
from yt8m.types import InputError

FOLDS = 5
_STEPS = (1.0, 0.5, 0.25, 0.125)
"""Steps of the logarithm to base 2 of a weight, in turn."""

_LEAST = 1 / 64
"""Weight, beside 1 of the largest, below which a file counts for nothing."""

Weights = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class FoundWeights:
    """Result of a search.

    weights: chosen ones, the largest 1; spearman: of these on all pairs; spearman_equal: of equal weights; gain and
    gain_error: mean over parts of the pairs of what weights found on the others gain there, and its standard error.
    """

    weights: Weights
    spearman: float
    spearman_equal: float
    gain: float
    gain_error: float


class WeightedCosines:
    """Cosines of ``pairs`` under any weights of ``files``; called with a weight a file, gives (N,) float64.

    dim: of the truncated SVD, fitted anew on all rows for each weights, None for none. The files are read once. Raises
    InputError where a row of a pair is missing, or where there are fewer columns or rows than ``dim``.
    """

    def __init__(self, files: Sequence[EmbeddingFile], pairs: Pairs, *, dim: int | None):
        self.plain = JointProjection((1.0,) * len(files), tuple(file.size for file in files))
        self.dim = dim
        self._left, self._right = pair_vectors(EmbeddingSet(files, self.plain), pairs)
        self._gram = np.empty(0)
        if dim is not None:
            with Progress("reading", total=files[0].num_rows, unit="rows") as progress:
                self._gram = sum_gram(files, dim=dim, progress=progress)
        self._known: dict[Weights, np.ndarray] = {}

    def __call__(self, weights: Weights) -> np.ndarray:
        """The cosines, see the class."""
        if weights not in self._known:
            left, right = self._left * self._columns(weights), self._right * self._columns(weights)
            if self.dim is not None:
                components = project_gram(self._gram, self.plain.sizes, weights, dim=self.dim).components
                left, right = left @ components, right @ components
            self._known[weights] = cosines(left, right)
        return self._known[weights]

    def _columns(self, weights):
        return np.repeat(np.asarray(weights, np.float32), self.plain.sizes)


def search_weights(
    similar: WeightedCosines, pairs: Pairs, *, seed: int, progress: Progress | None = None
) -> FoundWeights:
    """The FoundWeights of ``pairs``, whose cosines ``similar`` gives; deterministic for a seed, which divides them.

    progress: is told of evaluations. Raises InputError where the pairs cannot be divided into parts that rank.
    """

    def score_of(chosen):
        def score(weights):
            if progress is not None:
                progress.update()
            return spearman(similar(weights)[chosen], pairs.scores[chosen])

        return score

    count = len(similar.plain.weights)
    equal = (1.0,) * count
    parts = _parts(pairs, seed)
    gains = []
    for part in range(FOLDS):
        inside, outside = score_of(parts == part), score_of(parts != part)
        gains.append(inside(_climb(outside, equal)) - inside(equal))
    gain, error = float(np.mean(gains)), float(np.std(gains, ddof=1) / FOLDS**0.5)
    score = score_of(np.ones(len(parts), bool))
    weights = _climb(score, equal) if gain > error else equal
    return FoundWeights(weights, score(weights), score(equal), gain, error)


def _parts(pairs, seed):
    """(N,) int, 0 to FOLDS - 1: the part of each pair, that of its first video."""
    videos = sorted(set(pairs.first))
    drawn = np.random.default_rng(seed).permutation(len(videos)) % FOLDS
    part_of = dict(zip(videos, drawn.tolist()))
    parts = np.array([part_of[video] for video in pairs.first])
    for part in range(FOLDS):
        scores = pairs.scores[parts == part]
        if not len(scores) or not np.ptp(scores):
            reason = InputError(
                f"--search divides the pairs into {FOLDS} parts by their first video, and a part of these "
                f"{len(parts):,} pairs has no scores that differ: give more pairs"
            )
            raise pairs.error(reason)
    return parts


def _climb(score: Callable[[Weights], float], start: Weights) -> Weights:
    """The best weights that a pattern search from ``start`` finds."""
    best, value = start, score(start)
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for place in range(len(best)):
                for factor in (2**step, 2**-step):
                    moved = _scaled((*best[:place], best[place] * factor, *best[place + 1 :]))
                    if min(moved) >= _LEAST and (found := score(moved)) > value:
                        best, value, improved = moved, found, True
    return best


def _scaled(weights):
    """Weights whose largest is 1, rounded so that the same ones are known as such."""
    return tuple(round(weight / max(weights), 9) for weight in weights)
