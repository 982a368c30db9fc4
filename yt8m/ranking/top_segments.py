"""The best segments of every class out of a stream of any length."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from yt8m.ranking.segment_lists import SegmentList
from yt8m.runtime.parallel import map_in_threads, processors
from yt8m.text import printable
from yt8m.types import DataWarning

_BUFFERED_ROWS = 8192
_TRANSPOSED_ROWS = 128
_MANY_ENTRIES = 5_000_000
_NOTHING = np.finfo(np.float32).min
"""A floor that every finite score reaches, and minus infinity does not."""


class TopSegments:
    """Keeps the ``top_n`` best segments of each class; ties go to the smaller segment, by video id and then start.

    class_ids: the classes, in the order of the columns of scores. floors: (classes,) float32, scores below which a
    segment cannot count, as ``floors`` of another TopSegments gives them; None for none.
    What is kept does not depend on the order or the batches in which segments come. Memory: up to 1.5 x top_n x
    classes entries of 8 bytes, and the ids of the segments in them.
    """

    ARRAYS = ("videos", "starts", "counts", "scores", "rows")
    """Names of what ``to_arrays`` gives."""

    def __init__(self, class_ids: Sequence[int], *, top_n: int, floors: np.ndarray | None = None):
        self.class_ids = tuple(class_ids)
        self.top_n = top_n
        floors = np.full(len(self.class_ids), _NOTHING, np.float32) if floors is None else floors
        self._columns = [_Column(top_n, floor) for floor in floors]
        self._videos = np.empty(0, "S1")
        self._starts = np.empty(0, np.int32)
        self._compact_at = 4 * _BUFFERED_ROWS
        self._pending = []
        self._pending_rows = 0

    def add(self, video_ids: Sequence[bytes], start_times: np.ndarray, scores: np.ndarray) -> None:
        """video_ids: n bytes, UTF-8; start_times (n,) seconds; scores (n, classes) float32.

        Minus infinity is never listed.
        """
        if len(scores) == 0:
            return
        self._pending.append((np.asarray(video_ids, np.bytes_), np.asarray(start_times, np.int32), scores))
        self._pending_rows += len(scores)
        if self._pending_rows >= _BUFFERED_ROWS:
            self._flush()

    def floors(self) -> np.ndarray:
        """(classes,) float32: a segment with a score below its class's floor will not be among the best."""
        return np.array([column.floor for column in self._columns], np.float32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """All that is kept, as a dict of plain arrays that ``merge`` of another TopSegments takes.

        videos (n,) bytes and starts (n,) int32 are the segments; counts (classes,) says how many of the entries belong
        to each class in turn; an entry is a score (float32) and a row, the place of its segment.
        """
        self._flush()
        self._compact()
        listed = [column.listed() for column in self._columns]
        return {
            "videos": self._videos,
            "starts": self._starts,
            "counts": np.array([len(scores) for scores, _ in listed], np.int64),
            "scores": np.concatenate([scores for scores, _ in listed]),
            "rows": np.concatenate(
                [rows for _, rows in listed], dtype=np.min_scalar_type(len(self._videos)), casting="unsafe"
            ),
        }

    def merge(self, arrays: dict[str, np.ndarray]) -> None:
        """Adds what ``to_arrays`` of a TopSegments of the same classes gave: the best of both are kept, exactly."""
        first = self._add_segments([arrays["videos"]], [arrays["starts"]])
        bounds = np.cumsum(arrays["counts"])[:-1]
        columns = (np.split(arrays[name], bounds) for name in ("scores", "rows"))
        for column, scores, rows in zip(self._columns, *columns):
            column.add(scores, first + rows.astype(np.int32), self._segment)
        self._compact_sometimes()

    def __iter__(self) -> Iterator[tuple[int, SegmentList, np.ndarray]]:
        """Yields (class id, SegmentList, scores float32), best first, classes by ascending id, see ``each``."""
        return self.each(lambda *listed: listed)

    def each(self, task: Callable[[int, SegmentList, np.ndarray], Any]) -> Iterator[Any]:
        """Yields task(class id, SegmentList, scores float32) of each class, best first, classes by ascending id.

        Long lists are ranked, and ``task`` is called, by all processors. A segment that was added twice, because its
        video is in two records, is listed once, with its best score, and told as a DataWarning. Raises InputError where
        a video id cannot stand in a submission.
        """
        self._flush()
        self._compact()
        # Rows are in the order of segments from here on, so that ties of scores break by row.
        order = np.lexsort((self._starts, self._videos))
        rank = np.empty(len(order), np.uint64)
        rank[order] = np.arange(len(order), dtype=np.uint64)
        repeated = (self._videos[order[1:]] == self._videos[order[:-1]]) & (
            self._starts[order[1:]] == self._starts[order[:-1]]
        )
        if repeated.any():
            _tell_repeated(self._videos[order[1:]][repeated])
            # The rank of the first of those that are one segment.
            first = np.maximum.accumulate(np.where(np.concatenate([[True], ~repeated]), np.arange(len(order)), 0))
            rank[order] = first.astype(np.uint64)
        segments = SegmentList.from_segments(
            f"{video.decode()}:{start}"
            for video, start in zip(self._videos[order].tolist(), self._starts[order].tolist())
        )

        def listed(index):
            scores, rows = self._columns[index].listed()
            rows, scores = _ranked(scores, rank[rows])
            if repeated.any():
                once = np.sort(np.unique(rows, return_index=True)[1])
                rows, scores = rows[once], scores[once]
            rows, scores = rows[: self.top_n], scores[: self.top_n]
            return task(self.class_ids[index], segments.take(rows), scores)

        indices = np.argsort(self.class_ids, kind="stable")
        if sum(column.count for column in self._columns) < _MANY_ENTRIES:
            yield from map(listed, indices)
        else:
            yield from map_in_threads(listed, indices, threads=processors())

    def _flush(self):
        if not self._pending:
            return
        first = self._add_segments(*([part[place] for part in self._pending] for place in (0, 1)))
        scores = _by_class([batch for _, _, batch in self._pending])
        self._pending, self._pending_rows = [], 0
        rows = np.arange(first, len(self._videos), dtype=np.int32)
        for column, row_scores in zip(self._columns, scores):
            column.add(row_scores, rows, self._segment)
        self._compact_sometimes()

    def _add_segments(self, videos, starts):
        """Appends lists of arrays; returns the row of the first."""
        first = len(self._videos)
        self._videos = np.concatenate([self._videos, *videos])
        self._starts = np.concatenate([self._starts, *starts])
        return first

    def _segment(self, row):
        return self._videos[row], self._starts[row]

    def _compact_sometimes(self):
        if len(self._videos) > self._compact_at:
            self._compact()
            self._compact_at = 2 * len(self._videos) + 4 * _BUFFERED_ROWS

    def _compact(self):
        """Forgets the ids of segments that no class lists any more."""
        listed = np.zeros(len(self._videos), bool)
        for column in self._columns:
            listed[column.listed()[1]] = True
            if listed.all():
                return
        renumbered = np.cumsum(listed, dtype=np.int64).astype(np.int32) - 1
        for column in self._columns:
            rows = column.listed()[1]
            rows[:] = renumbered[rows]
        self._videos, self._starts = self._videos[listed], self._starts[listed]


def _by_class(batches):
    """Batches (n, classes) as one (classes, rows)."""
    scores = np.empty((batches[0].shape[1], sum(map(len, batches))), np.float32)
    first = 0
    for batch in batches:
        # Blocks whose columns stay in the processor's cache.
        for start in range(0, len(batch), _TRANSPOSED_ROWS):
            block = batch[start : start + _TRANSPOSED_ROWS]
            scores[:, first : first + len(block)] = block.T
            first += len(block)
    return scores


def _tell_repeated(videos):
    names = np.unique(videos)
    text = f"videos that are in more than one record: {len(names)}, {printable(names[0].decode())} the first"
    warnings.warn(f"{text}; each of their segments is listed once, with its best score", DataWarning, stacklevel=3)


def _ranked(scores, ranks):
    """(ranks int64, scores), by falling score, equal ones by ascending rank (uint64)."""
    # Score and rank in one integer, because integers sort ten times faster than pairs. Adding 0 makes -0 a 0.
    keys = np.sort((_falling((scores + np.float32(0)).view(np.uint32)).astype(np.uint64) << np.uint64(32)) | ranks)
    sorted_scores = _falling((keys >> np.uint64(32)).astype(np.uint32)).view(np.float32)
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64), sorted_scores


def _falling(bits):
    """Integers that fall as floats of these bits rise, uint32 both; what undoes it is itself."""
    return np.where(bits >> np.uint32(31) == 1, bits, ~bits & np.uint32(0x7FFFFFFF))


class _Column:
    """The candidates of one class: between cuts there may be half as many again as are wanted."""

    def __init__(self, top_n, floor):
        self.top_n = top_n
        self.limit = top_n + max(top_n // 2, 1)
        self.scores = np.empty(0, np.float32)
        self.rows = np.empty(0, np.int32)
        self.count = 0
        self.floor = floor

    def listed(self):
        """Views of the scores and rows held."""
        return self.scores[: self.count], self.rows[: self.count]

    def add(self, scores, rows, segment_of):
        accepted = scores >= self.floor
        if not accepted.all():
            scores, rows = scores[accepted], rows[accepted]
        end = self.count + len(scores)
        if end > len(self.scores):
            self._grow(max(end, min(2 * len(self.scores), self.limit)))
        self.scores[self.count : end] = scores
        self.rows[self.count : end] = rows
        self.count = end
        if self.count > self.limit:
            self._cut(segment_of)

    def _grow(self, capacity):
        held = self.listed()
        self.scores, self.rows = np.empty(capacity, np.float32), np.empty(capacity, np.int32)
        for array, values in zip(self.listed(), held):
            array[:] = values

    def _cut(self, segment_of):
        """Drops all but the best top_n, exactly: those at the threshold by their segment."""
        scores, rows = self.listed()
        threshold = np.partition(scores, len(scores) - self.top_n)[len(scores) - self.top_n]
        above = np.flatnonzero(scores > threshold)
        tied = np.flatnonzero(scores == threshold)
        room = self.top_n - len(above)
        if len(tied) > room:
            tied = np.array(sorted(tied, key=lambda i: segment_of(rows[i]))[:room], np.int64)
        kept = np.concatenate([above, tied])
        self.count = self.top_n
        self.scores[: self.count], self.rows[: self.count] = scores[kept], rows[kept]
        self.floor = threshold
