"""Resampling of examples with several classes each to a distribution of classes, with replacement."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse

_ITERATIONS = 500
_TOLD = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampling:
    """How near a resampling came to a distribution of classes.

    before, after: L1 distance, in [0, 2], of the candidates' classes and of the drawn ones' from it.
    without_candidates: dict of class id to its count in the distribution, for the classes that no candidate has.
    out_of_reach: the L1 distance that these alone make. distinct: examples that were drawn at all; most_repeats: draws
    of the one that was drawn most.
    """

    before: float
    after: float
    without_candidates: dict[int, int]
    out_of_reach: float
    distinct: int
    most_repeats: int

    def told(self) -> str:
        """One sentence part on what was reached, and why not more."""
        text = f"L1 distance to the rated classes {self.after:.3f}, before resampling {self.before:.3f}"
        if self.without_candidates:
            missing = list(self.without_candidates)
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            classes = "1 class" if len(missing) == 1 else f"{len(missing)} classes"
            text += f"; {self.out_of_reach:.3f} of it is {classes} without a candidate ({shown})"
        if (rest := self.after - self.out_of_reach) >= _TOLD:
            text += f"; {rest:.3f} is classes that only come together with others, and rounding"
        return text

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dict of all fields."""
        return dataclasses.asdict(self)


def resample(
    candidates: Mapping[int, Sequence[int]], *, class_counts: Mapping[int, int], total: int, seed: Sequence[int]
) -> tuple[dict[int, int], Resampling]:
    """Draws ``total`` examples with replacement so that their classes are distributed as ``class_counts``.

    candidates: dict of class id to the examples (ints) that have it; an example may have several classes, and counts
    for each. class_counts: dict of class id to its count in the distribution. seed: ints, of the draw. Returns (dict of
    example to the times that it was drawn, Resampling).

    The rates at which examples are drawn bring their classes nearest to the distribution in Kullback-Leibler
    divergence, by multiplicative updates from equal rates (expectation maximisation of mixture weights). The draw is
    systematic, stratified by each example's rarest class: an example is drawn as often as its rate says, rounded up or
    down by chance.
    """
    class_ids = [class_id for class_id, count in class_counts.items() if count and len(candidates.get(class_id, ()))]
    wanted = np.array([class_counts[class_id] for class_id in class_ids], np.float64)
    all_wanted = sum(class_counts.values())
    examples, rows = np.unique(np.concatenate([candidates[c] for c in class_ids]), return_inverse=True)
    sizes = np.array([len(candidates[class_id]) for class_id in class_ids])
    columns = np.repeat(np.arange(len(class_ids)), sizes)
    has = scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(examples), len(class_ids)))
    rarest = np.full(len(examples), len(class_ids))
    np.minimum.at(rarest, rows, np.argsort(np.argsort(sizes, kind="stable"))[columns])
    random = np.random.default_rng(list(seed))
    order = np.lexsort((random.random(len(examples)), rarest))
    reached = np.floor(np.cumsum(_rates(has, wanted / wanted.sum())[order]) * total + random.random())
    # The sum of the rates is 1 but for its last digits.
    reached[-1] = total
    times = np.zeros(len(examples), np.int64)
    times[order] = np.diff(reached, prepend=0)
    # Mass of classes without candidates is missing there, and too much elsewhere.
    lacking = 1 - wanted.sum() / all_wanted
    distances = [
        float(np.abs(found / max(1.0, found.sum()) - wanted / all_wanted).sum() + lacking)
        for found in (has.T @ np.ones(len(examples)), has.T @ times)
    ]
    without = {c: int(count) for c, count in sorted(class_counts.items()) if count and c not in set(class_ids)}
    resampling = Resampling(
        before=distances[0],
        after=distances[1],
        without_candidates=without,
        out_of_reach=float(2 * lacking),
        distinct=int(np.count_nonzero(times)),
        most_repeats=int(times.max()),
    )
    drawn = np.flatnonzero(times)
    return dict(zip(examples[drawn].tolist(), times[drawn].tolist())), resampling


def _rates(has, wanted):
    """Rates (N,) of sum 1 at which examples are drawn; has: (N, C) sparse 0 and 1; wanted: (C,) of sum 1."""
    classes = np.asarray(has.sum(axis=1)).ravel()
    rates = np.full(has.shape[0], 1 / has.shape[0])
    for _ in range(_ITERATIONS):
        rates *= has @ (wanted / (has.T @ rates)) / classes
        rates /= rates.sum()
    return rates
