"""Ranks of rated segments in ranked lists, and the average precision of ranks."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission

UNLISTED = np.iinfo(np.int64).max
"""Rank of a rated segment that a submission does not list."""

_FILTER_BITS = 16


def read_distinct(submission: Submission, class_id: int) -> SegmentList:
    """The SegmentList of a class of a Submission, each segment at its first place only.

    Raises InputError where a segment of the class is malformed.
    """
    segments = submission[class_id]
    submission.check(class_id, segments)
    hashes = np.sort(segments.hashes())
    if not np.any(hashes[1:] == hashes[:-1]):
        return segments
    order, first = segments.group()
    return segments.take(np.sort(order[first]))


def find_ranks(segments: SegmentList, texts: Sequence[bytes]) -> np.ndarray:
    """(N,) int64 ranks from 0 of the segments ``texts`` (list of bytes) in a SegmentList, UNLISTED if absent."""
    if not len(segments) or not len(texts):
        return np.full(len(texts), UNLISTED)
    wanted = SegmentList.from_text(b" ".join(texts))
    # Few of the listed segments are rated: a table of hash bits leaves these and some more, to be looked up by name.
    shift = np.uint64(64 - _FILTER_BITS)
    table = np.zeros(1 << _FILTER_BITS, bool)
    table[wanted.hashes() >> shift] = True
    maybe = np.flatnonzero(table[segments.hashes() >> shift])
    places = dict(zip(segments.take(maybe).byte_texts(), maybe.tolist()))
    return np.array([places.get(text, UNLISTED) for text in texts], np.int64)


def average_precisions(
    ranks: np.ndarray, positive: np.ndarray, groups: np.ndarray, *, weights: np.ndarray | None = None
) -> np.ndarray:
    """Average precision of every group of ranked items.

    ranks: (N,) rank of an item in its group's list, from UNLISTED on if not in it, equal ones in the order given;
    positive: (N,) bool; groups: (N,) int64 in 0..G-1; weights: (..., N) floats, how often each item counts (1 if None),
    the copies of one item tying. Returns (..., G) float64; nan where the positives of a group weigh nothing.
    """
    order = np.lexsort((ranks, groups))
    groups = groups[order]
    begins = np.flatnonzero(np.diff(groups, prepend=-1))
    places = np.flatnonzero(positive[order])
    weights = np.ones(len(order)) if weights is None else weights
    # Items first, so that many weights are summed side by side; and only what stands at positives is divided.
    weights = np.moveaxis(weights, -1, 0)[order]
    seen = np.cumsum(weights, axis=0)
    before = seen[begins] - weights[begins]
    seen = seen[places] - before[groups[places]]
    hits = weights[places]
    values = np.full((len(begins), *hits.shape[1:]), np.nan)
    if len(places):
        first = np.diff(groups[places], prepend=-1) > 0
        starts = np.flatnonzero(first)
        found = np.cumsum(hits, axis=0)
        found -= (found[starts] - hits[starts])[np.cumsum(first) - 1]
        gains = hits * np.divide(found, seen, out=np.zeros_like(found), where=seen > 0)
        gains[ranks[order[places]] >= UNLISTED] = 0
        totals = np.add.reduceat(hits, starts, axis=0)
        sums = np.add.reduceat(gains, starts, axis=0)
        values[groups[places[starts]]] = np.divide(sums, totals, out=np.full_like(sums, np.nan), where=totals > 0)
    return np.moveaxis(values, 0, -1)


def mean_precision(values: Any) -> float:
    """Mean by fsum, which does not depend on the order, so that class ranges merge exactly; nan of nothing."""
    values = np.asarray(values, np.float64).tolist()
    return math.fsum(values) / len(values) if values else math.nan
