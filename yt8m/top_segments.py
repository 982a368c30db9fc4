"""The best segments of every class out of a stream of any length."""

import numpy as np

_BUFFERED_ROWS = 8192


class TopSegments:
    """Keeps the ``top_n`` best segments of each class; ties go to the smaller segment, by video id and then start.

    class_ids: the classes, in the order of the columns of scores.
    What is kept does not depend on the order or the batches in which segments come. Memory: up to 1.5 x top_n x
    classes entries of 8 bytes, and the ids of the segments in them.
    """

    def __init__(self, class_ids, *, top_n):
        self.class_ids = tuple(class_ids)
        self.top_n = top_n
        self._columns = [_Column(top_n) for _ in self.class_ids]
        self._videos = np.empty(0, object)
        self._starts = np.empty(0, np.int64)
        self._compact_at = 4 * _BUFFERED_ROWS
        self._pending = []
        self._pending_rows = 0

    def add(self, video_ids, start_times, scores):
        """video_ids: n str; start_times (n,) seconds; scores (n, classes) float32. Minus infinity is never listed."""
        if len(scores) == 0:
            return
        self._pending.append((np.asarray(video_ids, object), np.asarray(start_times, np.int64), scores))
        self._pending_rows += len(scores)
        if self._pending_rows >= _BUFFERED_ROWS:
            self._flush()

    def __iter__(self):
        """Yields (class id, list of "video_id:start", scores float32), best first, classes by ascending id."""
        self._flush()
        self._compact()
        # Rows are in the order of segments from here on, so that a stable sort by score breaks ties by segment.
        order = np.lexsort((self._starts, self._videos.astype(str)))
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        names = [f"{self._videos[row]}:{self._starts[row]}" for row in order]
        for index in np.argsort(self.class_ids, kind="stable"):
            scores, rows = self._columns[index].listed()
            best = np.lexsort((rank[rows], -scores))[: self.top_n]
            yield self.class_ids[index], [names[i] for i in rank[rows[best]]], scores[best]

    def _flush(self):
        if not self._pending:
            return
        first = len(self._videos)
        self._videos = np.concatenate([self._videos, *(videos for videos, _, _ in self._pending)])
        self._starts = np.concatenate([self._starts, *(starts for _, starts, _ in self._pending)])
        scores = np.ascontiguousarray(np.concatenate([batch for _, _, batch in self._pending]).T)
        self._pending, self._pending_rows = [], 0
        for column, row_scores in zip(self._columns, scores):
            column.add(row_scores, first, self._segment)
        if len(self._videos) > self._compact_at:
            self._compact()
            self._compact_at = 2 * len(self._videos) + 4 * _BUFFERED_ROWS

    def _segment(self, row):
        return self._videos[row], self._starts[row]

    def _compact(self):
        """Forgets the ids of segments that no class lists any more."""
        listed = np.zeros(len(self._videos), bool)
        for column in self._columns:
            listed[column.listed()[1]] = True
        renumbered = np.cumsum(listed, dtype=np.int64).astype(np.int32) - 1
        for column in self._columns:
            rows = column.listed()[1]
            rows[:] = renumbered[rows]
        self._videos, self._starts = self._videos[listed], self._starts[listed]


class _Column:
    """The candidates of one class: between cuts there may be half as many again as are wanted."""

    def __init__(self, top_n):
        self.top_n = top_n
        self.limit = top_n + max(top_n // 2, 1)
        self.scores = np.empty(0, np.float32)
        self.rows = np.empty(0, np.int32)
        self.count = 0
        self.floor = -np.inf

    def listed(self):
        """Views of the scores and rows held."""
        return self.scores[: self.count], self.rows[: self.count]

    def add(self, scores, first_row, segment_of):
        accepted = np.flatnonzero((scores >= self.floor) & (scores > -np.inf))
        end = self.count + len(accepted)
        if end > len(self.scores):
            capacity = max(end, min(2 * len(self.scores), self.limit))
            self.scores = np.resize(self.scores, capacity) if self.count else np.empty(capacity, np.float32)
            self.rows = np.resize(self.rows, capacity) if self.count else np.empty(capacity, np.int32)
        self.scores[self.count : end] = scores[accepted]
        self.rows[self.count : end] = first_row + accepted
        self.count = end
        if self.count > self.limit:
            self._cut(segment_of)

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
