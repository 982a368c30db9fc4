"""Classes whose fused list can be longer than K, so that unrated segments decide which positives are listed.

They are looked at only for positives that could fall behind the cut for some weights, and then only as far down as they
could rank before it. Distances are ranks from 0, or scores times -1; infinite where a file does not list a segment.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.objective import fused_sums
from yt8m.ranking.ranks import UNLISTED
from yt8m.ranking.segment_lists import SegmentList, gather

_BLOCK = 1 << 15
_TINY = 1e-30
"""Sums below it may have lost digits in single precision."""


@dataclasses.dataclass(frozen=True)
class CutClass:
    """A class whose fused list can be longer than K, with positives that can fall behind the cut.

    distances: (F, M) float32 memory map, of the segments that can rank before one of these positives, by ascending
    least distance; best: (M,) float32, that least distance; places: (M,) int32, the order of their segments, which
    breaks ties. rows: (U,) int64 the positives among the rated pairs; own: (U,) int64 their columns.
    """

    distances: np.ndarray
    best: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    own: np.ndarray

    def are_cut(
        self, columns: np.ndarray, sums: np.ndarray, *, fusion: Fusion, longest: float, top_n: int
    ) -> np.ndarray:
        """(n,) bool, whether ``top_n`` segments or more rank before those at ``columns``, whose sums are ``sums``."""
        # No sum is greater than if all files listed a segment where the best of them does.
        reaches = np.searchsorted(self.best, fusion.farthest(sums, longest=longest), side="right")
        reach = reaches.max()
        if reach <= top_n:
            return np.zeros(len(columns), bool)
        # Single precision is three times as fast; what it leaves in doubt, next to nothing, is summed again in double.
        rough = _rough_sums(self.distances[:, :reach], fusion, longest)
        slack = len(self.distances) * 2e-7 + 1e-6
        lows = (sums * (1 - slack) - _TINY).astype(np.float32)
        highs = (sums * (1 + slack) + _TINY).astype(np.float32)
        # Of most of many positives the sum at the cut alone tells on which side they are.
        at_cut = np.partition(rough, reach - top_n)[reach - top_n]
        are_cut = (reaches > top_n) & (highs < at_cut)
        used = np.asarray(fusion.weights) > 0
        for index in np.flatnonzero((reaches > top_n) & (lows <= at_cut) & (highs >= at_cut)):
            own, column = sums[index], columns[index]
            above = rough > highs[index]
            near = np.flatnonzero((rough >= lows[index]) > above)
            near = near[np.isfinite(self.distances[:, near][used]).any(axis=0)]
            exact = fused_sums(self.distances[:, near], fusion, longest=longest)
            before = (exact > own) | ((exact == own) & (self.places[near] < self.places[column]))
            are_cut[index] = np.count_nonzero(above) + np.count_nonzero(before) >= top_n
        return are_cut

    def restrict(self, kept: np.ndarray, index: np.ndarray) -> "CutClass | None":
        """Its positives among the rated pairs where ``kept`` (P,) bool, whose new rows are ``index``; None of none."""
        chosen = kept[self.rows]
        if not chosen.any():
            return None
        return dataclasses.replace(self, rows=index[self.rows[chosen]], own=self.own[chosen])


def _rough_sums(distances, fusion, longest):
    """fused_sums, for reciprocal ranks in float32, in blocks that stay in the processor's cache."""
    if fusion.method != "reciprocal_rank":
        return fused_sums(distances, fusion, longest=longest)
    w0 = fusion.w0_of(longest)
    sums = np.zeros(distances.shape[1], np.float32)
    share = np.empty(_BLOCK, np.float32)
    for begin in range(0, len(sums), _BLOCK):
        total = sums[begin : begin + _BLOCK]
        part = share[: len(total)]
        for row, weight in zip(distances, fusion.weights):
            if weight:
                np.add(row[begin : begin + _BLOCK], np.float32(w0), out=part)
                np.divide(np.float32(weight * w0), part, out=part)
                total += part
    return sums


def uncertain_positives(
    lists: Sequence[SegmentList],
    own: Sequence[np.ndarray],
    found: np.ndarray,
    *,
    positive: np.ndarray,
    top_n: int,
) -> Any:
    """(table (F + 2, M) of distances, least distance and place, rated rows, columns) of positives that may be cut.

    lists: of a class, F; own: the distances of each list's segments; found: (F, R) int64, where in the lists the rated
    pairs stand, UNLISTED if not; positive: (R,) bool. None where no positive can be cut.
    """
    everything = SegmentList.concatenate(lists)
    order, first = everything.group()
    count = int(first.sum())
    if count <= top_n:
        return None
    counts = np.array([len(part) for part in lists])
    offsets = np.cumsum(counts) - counts
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(first) - 1
    table = np.full((len(lists), count), np.inf, np.float32)
    for row, offset, size, of_list in zip(table, offsets, counts, own):
        row[groups[offset : offset + size]] = of_list
    rows, columns = [], []
    before: np.ndarray = np.zeros(count, bool)
    for rated in np.flatnonzero(positive & (found < UNLISTED).any(axis=0)):
        file = int(np.argmin(found[:, rated]))
        column = groups[offsets[file] + found[file, rated]]
        # A segment that no file has as close as the positive cannot come before it, whatever the weights.
        can_lead = np.any((table <= table[:, column : column + 1]) & np.isfinite(table), axis=0)
        can_lead[column] = False
        if np.count_nonzero(can_lead) >= top_n:
            rows.append(rated)
            columns.append(column)
            before |= can_lead
    if not rows:
        return None
    before[columns] = True
    kept = np.flatnonzero(before)
    best = table[:, kept].min(axis=0)
    by_best = np.argsort(best, kind="stable")
    kept, best = kept[by_best], best[by_best]
    places = np.empty(len(kept), np.int32)
    places[everything.take(gather(order, np.flatnonzero(first)[kept])).order()] = np.arange(len(kept))
    position = np.empty(count, np.int64)
    position[kept] = np.arange(len(kept))
    stored = np.concatenate([table[:, kept], best[None], places.view(np.float32)[None]])
    return stored, np.array(rows), position[columns]


def read_cut_classes(storage: Any, stored: Sequence[tuple]) -> list[CutClass]:
    """The classes, on one memory map of the tables in ``storage``, an open file; stored: (shape, rows, columns)."""
    if not stored:
        return []
    storage.flush()
    everything = np.memmap(storage, np.float32, mode="r")
    cuts, start = [], 0
    for shape, rows, columns in stored:
        table = everything[start : start + shape[0] * shape[1]].reshape(shape)
        start += table.size
        cuts.append(CutClass(table[:-2], table[-2], table[-1].view(np.int32), rows, columns))
    return cuts
