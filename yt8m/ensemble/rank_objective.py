"""MAP@K of fused submissions as a function of weights, fast enough to be searched, and exact.

Only rated pairs (segment, class) move MAP, so their ranks in every file are read once. A fused list that is longer than
K is cut, and then unrated segments matter too: how many rank before a positive decides whether it is listed. They are
looked at only for positives that could fall behind the cut for some weights, and then only as far down as they could
rank before it.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.ranking.ranks import UNLISTED, average_precisions, find_ranks, mean_precision, read_distinct
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.segment_lists import SegmentList, gather
from yt8m.ranking.submission import Submission
from yt8m.runtime.parallel import map_in_order
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError, StrPath

_BLOCK = 1 << 15
_TINY = 1e-30
"""Sums below it may have lost digits in single precision."""


@dataclasses.dataclass(frozen=True)
class CutClass:
    """A class whose fused list can be longer than K, with positives that can fall behind the cut.

    ranks: (F, M) float32 memory map, ranks from 0 of the segments that can rank before one of these positives, infinite
    where a file does not list them, by ascending best rank; best: (M,) float32, that best rank; places: (M,) int32,
    the order of their segments, which breaks ties. rows: (U,) int64 the positives among the rated pairs; own: (U,)
    int64 their columns.
    """

    ranks: np.ndarray
    best: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    own: np.ndarray

    def are_cut(
        self, columns: np.ndarray, scores: np.ndarray, *, weights: np.ndarray, w0: float, top_n: int
    ) -> np.ndarray:
        """(n,) bool, whether ``top_n`` segments or more rank before those at ``columns``, which score ``scores``."""
        # Nothing scores more than if all files ranked it as the best of them does.
        reaches = np.searchsorted(self.best, _worst_rank(scores, weights, w0), side="right")
        reach = reaches.max()
        if reach <= top_n:
            return np.zeros(len(columns), bool)
        # Single precision is three times as fast; what it leaves in doubt, next to nothing, is summed again in double.
        rough = _rough_sums(self.ranks[:, :reach], weights, w0)
        slack = len(weights) * 2e-7 + 1e-6
        counts = np.zeros(len(columns), np.int64)
        for index, (column, score) in enumerate(zip(columns, scores)):
            if reaches[index] <= top_n:
                continue
            low, high = np.float32(score * (1 - slack) - _TINY), np.float32(score * (1 + slack) + _TINY)
            above = rough > high
            counts[index] = np.count_nonzero(above)
            near = np.flatnonzero((rough >= low) > above)
            exact = reciprocal_rank_sums(self.ranks[:, near], weights=weights, w0=w0)
            before = (exact > score) | ((exact == score) & (self.places[near] < self.places[column]))
            counts[index] += np.count_nonzero(before)
        return counts >= top_n


class RankObjective:
    """MAP@K of reciprocal-rank fusion (eq. 20 with w0), called with weights and w0.

    Attributes: ranks (F, P) float64, from 0, infinite where a file does not list a pair; class_ids, positive, videos
    (P,) of the rated pairs of classes with positives, sorted by class and segment; cut_classes, list of CutClass;
    single_maps, list of each file's own MAP@K.
    """

    def __init__(
        self,
        ranks: np.ndarray,
        class_ids: np.ndarray,
        positive: np.ndarray,
        videos: np.ndarray,
        *,
        cut_classes: Sequence[CutClass] = (),
        top_n: int = MAX_SEGMENTS_PER_CLASS,
    ):
        self.ranks = ranks
        self.class_ids = class_ids
        self.positive = positive
        self.videos = videos
        self.cut_classes = list(cut_classes)
        self.top_n = top_n
        self._groups = np.unique(class_ids, return_inverse=True)[1]
        self.single_maps = [self(np.eye(len(ranks))[index]) for index in range(len(ranks))]

    @classmethod
    def from_submissions(
        cls,
        paths: Sequence[StrPath],
        labels: RatedLabels,
        *,
        top_n: int = MAX_SEGMENTS_PER_CLASS,
        class_range: tuple[int, int] | None = None,
        workers: int = 1,
        progress: Any = None,
    ) -> "RankObjective":
        """Reads the ranks of all rated pairs in submission files.

        labels: RatedLabels; class_range: (first, end) of class ids; workers: processes; progress: a Progress. Ranks of
        cut classes go to an unnamed temporary file in $TMPDIR. Raises InputError where a file is bad or no class has
        positives.
        """
        first, end = class_range or (0, np.inf)
        class_ids = [c for c in labels.classes if first <= c < end and labels.positive[labels.rows(c)].any()]
        if not class_ids:
            raise InputError("no class has a positive label, so that there is no MAP to search weights for")
        submissions = []
        try:
            for path in paths:
                submissions.append(Submission(path))
            if progress is not None:
                progress.total = len(class_ids)
            ranks, stored = [], []
            storage = tempfile.TemporaryFile(prefix="yt8m-ranks-")
            offset = 0
            task = functools.partial(_read_class, submissions=submissions, labels=labels, top_n=top_n)
            for class_ranks, cut in map_in_order(task, class_ids, workers=workers):
                ranks.append(class_ranks)
                if cut is not None:
                    cut[0].tofile(storage)
                    stored.append((cut[0].shape, cut[1] + offset, cut[2]))
                offset += class_ranks.shape[1]
                if progress is not None:
                    progress.update()
        except OSError as error:
            raise InputError(f"cannot keep ranks in {tempfile.gettempdir()} (see $TMPDIR): {error}") from error
        finally:
            for submission in submissions:
                submission.close()
        kept = np.isin(labels.class_ids, class_ids)
        return cls(
            np.concatenate(ranks, axis=1),
            labels.class_ids[kept],
            labels.positive[kept],
            labels.videos[kept],
            cut_classes=_cut_classes(storage, stored),
            top_n=top_n,
        )

    @property
    def num_files(self) -> int:
        """Number of submissions."""
        return len(self.ranks)

    def __call__(self, weights: Any, w0: float = 1.0) -> float:
        """MAP@K as a float. weights: (F,), at least 0 and not all 0; w0: over 0."""
        scores = reciprocal_rank_sums(self.ranks, weights=weights, w0=w0)
        keys = np.where(scores > 0, -scores, np.inf)
        in_doubt = (scores > 0) & self._may_be_cut(scores, weights, w0)
        for cut in self.cut_classes:
            doubtful = in_doubt[cut.rows]
            if doubtful.any():
                rows, columns = cut.rows[doubtful], cut.own[doubtful]
                keys[rows[cut.are_cut(columns, scores[rows], weights=weights, w0=w0, top_n=self.top_n)]] = np.inf
        precisions = average_precisions(keys, self.positive, self._groups)
        return mean_precision(precisions[~np.isnan(precisions)])

    def restrict(self, kept: np.ndarray) -> "RankObjective":
        """The objective of the rated pairs where ``kept`` (P,) bool alone, and of the classes with positives in it."""
        kept = kept & np.isin(self.class_ids, self.class_ids[kept & self.positive])
        if not kept.any():
            raise InputError("a part of the labels has no positives: use fewer folds")
        index = np.cumsum(kept) - 1
        cuts = []
        for cut in self.cut_classes:
            chosen = kept[cut.rows]
            if chosen.any():
                cuts.append(dataclasses.replace(cut, rows=index[cut.rows[chosen]], own=cut.own[chosen]))
        return RankObjective(
            self.ranks[:, kept],
            self.class_ids[kept],
            self.positive[kept],
            self.videos[kept],
            cut_classes=cuts,
            top_n=self.top_n,
        )

    def _may_be_cut(self, scores, weights, w0):
        """(P,) bool, False where fewer segments than fit have ranks that could add up to as much."""
        return np.count_nonzero(weights) * (_worst_rank(scores, weights, w0) + 1) >= self.top_n


def reciprocal_rank_sums(ranks: np.ndarray, *, weights: np.ndarray, w0: float) -> np.ndarray:
    """(P,) float64 sums over files of weight * w0 / (rank + w0), added in file order. ranks: (F, P) floats from 0."""
    sums = np.zeros(ranks.shape[1])
    for row, weight in zip(ranks, weights):
        if weight:
            sums += float(weight) * w0 / (row.astype(np.float64) + w0)
    return sums


def _worst_rank(scores, weights, w0):
    """The rank that gives ``scores`` if all files give it, and a little more; some file must rank as well."""
    with np.errstate(divide="ignore"):
        return w0 * np.sum(weights) / scores * (1 + 1e-9) - w0 + 1e-6


def _rough_sums(ranks, weights, w0):
    """reciprocal_rank_sums in float32, in blocks that stay in the processor's cache."""
    sums = np.zeros(ranks.shape[1], np.float32)
    share = np.empty(_BLOCK, np.float32)
    for begin in range(0, len(sums), _BLOCK):
        total = sums[begin : begin + _BLOCK]
        part = share[: len(total)]
        for row, weight in zip(ranks, weights):
            if weight:
                np.add(row[begin : begin + _BLOCK], np.float32(w0), out=part)
                np.divide(np.float32(weight * w0), part, out=part)
                total += part
    return sums


def _read_class(class_id, *, submissions, labels, top_n):
    """((F, R) ranks of the rated pairs of a class, what _uncertain returns); runs in a worker."""
    rows = labels.rows(class_id)
    texts = labels.texts[rows]
    lists = [
        read_distinct(submission, class_id) if class_id in submission else SegmentList.from_text(b"")
        for submission in submissions
    ]
    found = np.stack([find_ranks(segments, texts) for segments in lists])
    ranks = np.where(found == UNLISTED, np.inf, found.astype(np.float64))
    if sum(map(len, lists)) <= top_n:
        return ranks, None
    return ranks, _uncertain(lists, found, ranks, labels.positive[rows], top_n)


def _uncertain(lists, found, ranks, positive, top_n):
    """(table (F + 2, M) of ranks, best rank and place, rated rows, columns) of positives that may be cut, or None."""
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
    for row, offset, size in zip(table, offsets, counts):
        row[groups[offset : offset + size]] = np.arange(size)
    rows, columns = [], []
    before = np.zeros(count, bool)
    for row in np.flatnonzero(positive & np.isfinite(ranks).any(axis=0)):
        file = int(np.argmin(ranks[:, row]))
        column = groups[offsets[file] + found[file, row]]
        # A segment that no file ranks before the positive cannot come before it, whatever the weights.
        can_lead = (table < table[:, column : column + 1]).any(axis=0)
        if np.count_nonzero(can_lead) >= top_n:
            rows.append(row)
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


def _cut_classes(storage, stored):
    """List of CutClass on one memory map of the tables in ``storage``, an open file; stored: (shape, rows, columns)."""
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
