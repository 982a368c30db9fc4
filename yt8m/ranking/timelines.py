"""Timelines of videos, the scores of classes over segments; intervals and chapters made of them."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.ranking.ranks import UNLISTED, read_distinct
from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission
from yt8m.runtime.files import write_text
from yt8m.text import printable
from yt8m.types import SEGMENT_SECONDS, StrPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class Timeline:
    """Segments of a video in time, with a score for each class.

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

    def replace(self, **changes: Any) -> "Timeline":
        """A copy with other values in some fields."""
        return dataclasses.replace(self, **changes)

    def take(self, rows: np.ndarray) -> "Timeline":
        """The Timeline of the classes at ``rows``, (R,) indices."""
        ranks = None if self.ranks is None else self.ranks[rows]
        return dataclasses.replace(self, class_ids=self.class_ids[rows], scores=self.scores[rows], ranks=ranks)

    def best_rows(self, count: int) -> np.ndarray:
        """(R,) int64 rows of the ``count`` classes with the best segments, best first; those without any left out."""
        best = self.scores.max(axis=1, initial=0)
        order = np.argsort(-best, kind="stable")[:count]
        return order[best[order] > 0]

    def ends(self) -> np.ndarray:
        """(S,) int64 seconds: where each segment ends."""
        return np.minimum(self.starts + SEGMENT_SECONDS, self.end)


def class_name(class_id: int, names: dict[int, str]) -> str:
    """The name of a class; ``names``: dict of class id to name, which may lack it."""
    return names.get(class_id) or f"class {class_id}"


def find_intervals(timeline: Timeline, *, threshold: float) -> list[dict[str, Any]]:
    """Intervals in which each class is present: list of dict, by start, then class.

    Neighbouring segments whose scores reach ``threshold`` are one interval: "start" and "end", seconds; "class_id";
    "score", the mean of theirs.
    """
    found = []
    for class_id, scores in zip(timeline.class_ids.tolist(), timeline.scores):
        for first, last in _runs(timeline, np.where(scores >= threshold, 1, 0)):
            found.append(_interval(timeline, class_id, scores, first, last))
    return sorted(found, key=lambda interval: (interval["start"], interval["class_id"]))


def find_chapters(timeline: Timeline, *, threshold: float) -> list[dict[str, Any]]:
    """Chapters, one class at a time: intervals as of find_intervals that do not overlap.

    A segment belongs to the class with its highest score, to none where that does not reach ``threshold``.
    """
    if not timeline.scores.size:
        return []
    best = timeline.scores.argmax(axis=0)
    rows = np.where(timeline.scores.max(axis=0) >= threshold, best + 1, 0)
    return [
        _interval(timeline, int(timeline.class_ids[best[first]]), timeline.scores[best[first]], first, last)
        for first, last in _runs(timeline, rows)
    ]


def write_intervals(
    path: StrPath, timeline: Timeline, *, threshold: float, names: dict[int, str], scores: str
) -> list[dict[str, Any]]:
    """Writes find_intervals as JSON, with the names of the classes. scores: words on what the scores are."""
    intervals = find_intervals(timeline, threshold=threshold)
    named = [
        {"start": item["start"], "end": item["end"], "class_id": item["class_id"], "name": names.get(item["class_id"]),
         "score": item["score"]}
        for item in intervals
    ]  # fmt: skip
    content = {"video_id": timeline.video_id, "seconds": timeline.end, "threshold": threshold, "scores": scores}
    write_text(path, json.dumps(content | {"intervals": named}, indent=1) + "\n")
    return intervals


def write_chapters(
    path: StrPath, timeline: Timeline, *, threshold: float, names: dict[int, str]
) -> list[dict[str, Any]]:
    """Writes find_chapters as WebVTT, the names of the classes as text; returns them."""
    chapters = find_chapters(timeline, threshold=threshold)
    cues = [
        f"{_clock(item['start'])} --> {_clock(item['end'])}\n{_cue_text(class_name(item['class_id'], names))}\n"
        for item in chapters
    ]
    write_text(path, "\n".join(["WEBVTT\n", *cues]))
    return chapters


def _runs(timeline, values):
    """(first, last) columns of the runs of equal ``values`` (S,) over 0 of segments without a gap between them."""
    runs = []
    for column, value in enumerate(values.tolist()):
        joins = column and value == values[column - 1] and timeline.starts[column] <= timeline.ends()[column - 1]
        if value and joins:
            runs[-1][1] = column
        elif value:
            runs.append([column, column])
    return runs


def _interval(timeline, class_id, scores, first, last):
    score = float(scores[first : last + 1].astype(np.float64).mean())
    start, end = int(timeline.starts[first]), int(timeline.ends()[last])
    return {"start": start, "end": end, "class_id": class_id, "score": score}


def _clock(seconds):
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.000"


def _cue_text(name):
    # A line break would end the cue.
    text = printable(" ".join(name.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def read_timelines(
    path: StrPath, video_ids: Sequence[str], *, class_ids: Sequence[int], probabilities: bool = False
) -> list[Timeline]:
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
