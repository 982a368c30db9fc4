"""When a class is there in a video: how scores run over its segments, as intervals, chapters and terminal text."""

import dataclasses

import numpy as np

from yt8m.evaluation import UNLISTED, read_distinct
from yt8m.segment_lists import SegmentList
from yt8m.submission import Submission
from yt8m.types import SEGMENT_SECONDS


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """The segments of a video in time, and what each class has there.

    starts: (S,) int64 seconds, ascending. end: seconds, where the last one ends. class_ids: (C,) int64.
    scores: (C, S) float32 in [0, 1]. ranks: None where scores are a model's; else (C, S) int64 from 0, UNLISTED where
    the class does not list the segment, and scores fall from 1 at rank 0 to 0 with the logarithm of the rank.
    """

    video_id: str
    starts: np.ndarray
    end: int
    class_ids: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray | None = None

    def take(self, rows):
        """The Timeline of the classes at ``rows``, (R,) indices."""
        ranks = None if self.ranks is None else self.ranks[rows]
        return dataclasses.replace(self, class_ids=self.class_ids[rows], scores=self.scores[rows], ranks=ranks)

    def best_rows(self, count):
        """(R,) int64 rows of the ``count`` classes with the best segments, best first; those without any left out."""
        best = self.scores.max(axis=1, initial=0)
        order = np.argsort(-best, kind="stable")[:count]
        return order[best[order] > 0]

    def ends(self):
        """(S,) int64 seconds: where each segment ends."""
        return np.minimum(self.starts + SEGMENT_SECONDS, self.end)


def read_timelines(path, video_ids, *, class_ids, probabilities=False):
    """List of Timeline, one for each of ``video_ids``, as the submission at ``path`` ranks their segments.

    class_ids: the classes to look at. probabilities: whether the scores in the file are such, and to be shown.
    Memory is that of one class and of the segments of these videos.
    """
    found = {video_id: [] for video_id in video_ids}
    with Submission(path) as submission:
        for row, class_id in enumerate(class_ids):
            if class_id in submission:
                segments = read_distinct(submission, class_id)
                places = _rows_of(segments, video_ids)
                depth = np.log1p(len(segments))
                for rank, segment in zip(places.tolist(), segments.take(places)):
                    score = segments.scores[rank] if probabilities else 1 - np.log1p(rank) / depth
                    found[segment.video_id].append((row, segment.start_time, rank, score))
    return [_timeline(video_id, entries, class_ids, probabilities) for video_id, entries in found.items()]


def _timeline(video_id, entries, class_ids, probabilities):
    starts = np.array(sorted({start for _, start, _, _ in entries}), np.int64)
    columns = {start: column for column, start in enumerate(starts.tolist())}
    scores = np.zeros((len(class_ids), len(starts)), np.float32)
    ranks = np.full(scores.shape, UNLISTED)
    for row, start, rank, score in entries:
        scores[row, columns[start]], ranks[row, columns[start]] = score, rank
    end = int(starts[-1]) + SEGMENT_SECONDS if len(starts) else 0
    return Timeline(
        video_id=video_id, starts=starts, end=end, class_ids=np.asarray(class_ids, np.int64), scores=scores,
        ranks=None if probabilities else ranks,
    )  # fmt: skip


def _rows_of(segments, video_ids):
    """Rows of the segments of ``video_ids`` in a SegmentList, ascending."""
    texts = [video_id.encode() for video_id in video_ids]
    # No submission can hold an id with a blank.
    wanted = SegmentList.from_text(b" ".join(text for text in texts if text and min(text) > 32))
    digits, _, _ = segments.parse()
    ids = SegmentList(segments.buffer, segments.starts, segments.lengths - digits - 1)
    rows = np.flatnonzero(np.isin(ids.hashes(), wanted.hashes()))
    known = set(texts)
    return rows[np.array([text in known for text in ids.take(rows).byte_texts()], bool)]
