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
        self._limit = top_n + max(top_n // 2, 1)
        self._scores = [np.empty(0, np.float32) for _ in self.class_ids]
        self._rows = [np.empty(0, np.int32) for _ in self.class_ids]
        self._floors = np.full(len(self.class_ids), -np.inf, np.float32)
        self._videos = np.empty(0, object)
        self._starts = np.empty(0, np.int64)
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
        for column in np.argsort(self.class_ids, kind="stable"):
            scores, ranks = self._scores[column], rank[self._rows[column]]
            best = np.lexsort((ranks, -scores))[: self.top_n]
            yield self.class_ids[column], [names[i] for i in ranks[best]], scores[best]

    def _flush(self):
        if not self._pending:
            return
        first = len(self._videos)
        self._videos = np.concatenate([self._videos, *(videos for videos, _, _ in self._pending)])
        self._starts = np.concatenate([self._starts, *(starts for _, starts, _ in self._pending)])
        scores = np.ascontiguousarray(np.concatenate([batch for _, _, batch in self._pending]).T)
        self._pending, self._pending_rows = [], 0
        for column, row_scores in enumerate(scores):
            floor = self._floors[column]
            accepted = np.flatnonzero((row_scores >= floor) & (row_scores > -np.inf))
            self._scores[column] = np.concatenate([self._scores[column], row_scores[accepted]])
            self._rows[column] = np.concatenate([self._rows[column], (first + accepted).astype(np.int32)])
            if len(self._scores[column]) > self._limit:
                self._cut(column)
        if len(self._videos) > 4 * max(self._limit, _BUFFERED_ROWS):
            self._compact()

    def _cut(self, column):
        """Drops all but the best top_n of a class, exactly: those at the threshold by their segment."""
        scores, rows = self._scores[column], self._rows[column]
        threshold = np.partition(scores, len(scores) - self.top_n)[len(scores) - self.top_n]
        above = np.flatnonzero(scores > threshold)
        tied = np.flatnonzero(scores == threshold)
        room = self.top_n - len(above)
        if len(tied) > room:
            tied = np.array(sorted(tied, key=lambda i: (self._videos[rows[i]], self._starts[rows[i]]))[:room], np.int64)
        kept = np.sort(np.concatenate([above, tied]))
        self._scores[column], self._rows[column] = scores[kept], rows[kept]
        self._floors[column] = threshold

    def _compact(self):
        """Forgets the ids of segments that no class lists any more."""
        listed = np.zeros(len(self._videos), bool)
        for rows in self._rows:
            listed[rows] = True
        renumbered = np.cumsum(listed, dtype=np.int64).astype(np.int32) - 1
        self._rows = [renumbered[rows] for rows in self._rows]
        self._videos, self._starts = self._videos[listed], self._starts[listed]
