"""Ratings of segments."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from yt8m.ranking.metrics import POSITIVE
from yt8m.runtime.files import write_text
from yt8m.tables import is_number, read_rows
from yt8m.types import InputError, Segment, StrPath, id_problem


class RatedLabels:
    """Ratings: (Segment, class id) -> 0 or 1.

    Sorted by class id, video id and start time. Attributes, all of one length N: class_ids (int64), texts (list of
    bytes such as b"Eq0a:15"), positive (bool), videos (int64, index into video_ids). video_ids: list of str.
    """

    def __init__(self, segments: Iterable[Any], class_ids: Iterable[int], scores: Iterable[float]):
        """segments: N Segment or str; class_ids: (N,) ints; scores: (N,) in [0, 1], positive from 0.5 on.

        A pair that is rated more than once has the highest of its scores. Raises InputError where a segment is
        malformed, starts before 0 or has another score, and where nothing is rated.
        """
        ratings = {}
        for segment, class_id, score in zip(segments, class_ids, scores, strict=True):
            segment = Segment.parse(segment) if isinstance(segment, str) else segment
            key, score = (int(class_id), *segment), float(score)
            # The highest of scores would take nan for 0.
            if segment.start_time < 0 or not 0 <= score <= 1:
                raise InputError(
                    f"{segment} is rated {score:g} for class {class_id}: scores are in [0, 1], starts 0 or more"
                )
            ratings[key] = max(ratings.get(key, 0.0), score)
        if not ratings:
            raise InputError("the labels rate no segment")
        keys = sorted(ratings)
        self.class_ids = np.array([class_id for class_id, _, _ in keys], np.int64)
        self.texts = [f"{video_id}:{start}".encode() for _, video_id, start in keys]
        self.positive = np.array([ratings[key] >= POSITIVE for key in keys])
        self.video_ids = sorted({video_id for _, video_id, _ in keys})
        index = {video_id: position for position, video_id in enumerate(self.video_ids)}
        self.videos = np.array([index[video_id] for _, video_id, _ in keys], np.int64)
        self._slices = {}
        ids, begins = np.unique(self.class_ids, return_index=True)
        for class_id, begin, end in zip(ids.tolist(), begins.tolist(), [*begins[1:].tolist(), len(keys)]):
            self._slices[class_id] = slice(begin, end)

    @classmethod
    def from_csv(cls, path: StrPath) -> "RatedLabels":
        """Labels from lines ``vid:start,class,score``; a first line without numbers is taken for a header.

        Raises InputError naming the file and line of what is malformed.
        """
        segments, class_ids, scores = [], [], []
        for number, row in enumerate(read_rows(path)):
            if number == 0 and _is_header(row.fields):
                continue
            row.expect("vid:start,class,score", 3)
            segments.append(_segment(row))
            class_ids.append(row.class_id(1))
            scores.append(row.number(2, "score", low=0, high=1))
        if not segments:
            raise InputError(f"{path} rates no segment")
        return cls(segments, class_ids, scores)

    @property
    def classes(self) -> list[int]:
        """Ascending list of the class ids that have ratings."""
        return list(self._slices)

    def __len__(self) -> int:
        return len(self.class_ids)

    def __getitem__(self, key: tuple[Any, int]) -> int:
        segment, class_id = key
        rows = self._slices[class_id]
        return int(self.positive[rows][self.texts[rows].index(str(segment).encode())])

    def rows(self, class_id: int) -> slice:
        """Slice of the rows of one class; empty where nothing of it is rated."""
        return self._slices.get(class_id, slice(0, 0))

    def write_csv(self, path: StrPath) -> None:
        """Writes what from_csv reads."""
        rows = zip(self.texts, self.class_ids.tolist(), self.positive.tolist())
        write_text(path, "".join(f"{text.decode()},{class_id},{int(label)}\n" for text, class_id, label in rows))


def _is_header(fields):
    return len(fields) == 3 and not any(map(is_number, fields[1:]))


def _segment(row):
    try:
        segment = Segment.parse(row.fields[0])
        if problem := id_problem(segment.video_id):
            raise InputError(f"the id {segment.video_id!r} {problem}")
        return segment
    except InputError as error:
        raise InputError(f"{row.where}: {error}") from None
