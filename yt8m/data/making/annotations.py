"""Labels and rated intervals of videos from CSV files, and the 5-second segments that the intervals rate."""

import csv
import dataclasses
import difflib
import math
from collections.abc import Iterable, Mapping

from yt8m.ranking.metrics import POSITIVE
from yt8m.types import SEGMENT_SECONDS, InputError, StrPath

_ID_HEADERS = ("video_id", "id")


@dataclasses.dataclass(frozen=True)
class Interval:
    """Seconds [start, end) of a video were rated ``score`` for a class."""

    start: float
    end: float
    class_id: int
    score: float


class ClassIds:
    """Reads a class from text: digits are its id, everything else its name, as in ``names``, a dict of id to name."""

    def __init__(self, names: dict[int, str] | None = None):
        self._names = names
        self._ids = {}
        for class_id, name in (names or {}).items():
            if name and name in self._ids:
                raise InputError(f"the vocabulary calls both {self._ids[name]} and {class_id} {name!r}")
            self._ids[name] = class_id

    def size(
        self, labels: Mapping[str, Iterable[int]] | None, intervals: Mapping[str, list[Interval]] | None
    ) -> int | None:
        """Number of classes: of the vocabulary, or else up to the highest id; None where no class is named."""
        if self._names:
            return max(self._names) + 1
        found = [class_id for ids in (labels or {}).values() for class_id in ids]
        found += [interval.class_id for items in (intervals or {}).values() for interval in items]
        return max(found) + 1 if found else None

    def read(self, text: str, where: str) -> int:
        """The class id that ``text`` means; raises InputError that begins with ``where``."""
        text = text.strip()
        if text.isdecimal():
            class_id = int(text)
            if self._names is not None and class_id not in self._names:
                raise InputError(f"{where}: class {class_id} is not in the vocabulary")
            return class_id
        if self._names is None:
            raise InputError(f"{where}: {text!r} is not a class id; names need --vocabulary")
        if text not in self._ids:
            near = difflib.get_close_matches(text, [name for name in self._ids if name], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"{where}: the vocabulary has no class {text!r}{hint}")
        return self._ids[text]


def read_labels(path: StrPath, classes: ClassIds) -> dict[str, tuple[int, ...]]:
    """Dict of video id to ascending tuple of class ids, from a CSV of ``video_id,class[,class...]``.

    The first line is a header if it begins with video_id or id. A video may stand on several lines. classes: ClassIds.
    """
    labels = {}
    for where, row in _rows(path):
        if len(row) < 2:
            raise InputError(f"{where}: expected video_id,class, not {row[0]!r}")
        found = labels.setdefault(row[0], set())
        found.update(classes.read(text, where) for text in row[1:] if text.strip())
    return {video_id: tuple(sorted(found)) for video_id, found in labels.items()}


def read_intervals(path: StrPath, classes: ClassIds) -> dict[str, list[Interval]]:
    """Dict of video id to list of Interval, from a CSV of ``video_id,start,end,class[,score]``; score 1 if absent.

    Otherwise as read_labels.
    """
    intervals = {}
    for where, row in _rows(path):
        if len(row) not in (4, 5):
            raise InputError(f"{where}: expected video_id,start,end,class,score, not {len(row)} fields")
        start, end = (_number(text, where, name) for text, name in zip(row[1:3], ("start", "end")))
        score = _number(row[4], where, "score") if len(row) == 5 else 1.0
        if not 0 <= start < end:
            raise InputError(f"{where}: start {start:g} and end {end:g} are no interval of seconds")
        if not 0 <= score <= 1:
            raise InputError(f"{where}: score {score:g} is not in [0, 1]")
        intervals.setdefault(row[0], []).append(Interval(start, end, classes.read(row[3], where), score))
    return intervals


def rate_segments(
    intervals: Iterable[Interval],
    num_frames: int,
    *,
    min_overlap: float = SEGMENT_SECONDS / 2,
    rest_classes: Iterable[int] = (),
) -> tuple[tuple[int, int, float], ...]:
    """Ratings of the segments 0-5, 5-10, ... of a video of ``num_frames`` seconds: sorted (start, class id, score)s.

    A segment has the score of an interval that overlaps it by ``min_overlap`` seconds or more; parts of several with
    one class and score add up, and the highest score that reaches it counts. What overlaps less rates nothing.
    rest_classes: class ids for which every segment that no interval with a score of 0.5 or more touches is rated 0.
    """
    overlaps = {}
    for (class_id, score), spans in _by_class_and_score(intervals).items():
        for start, end in _merged(spans):
            for first in range(
                int(start // SEGMENT_SECONDS) * SEGMENT_SECONDS, min(math.ceil(end), num_frames), SEGMENT_SECONDS
            ):
                overlap = min(end, first + SEGMENT_SECONDS) - max(start, first)
                key = (first, class_id, score)
                overlaps[key] = overlaps.get(key, 0.0) + overlap
    ratings = {}
    for (first, class_id, score), overlap in overlaps.items():
        # Sums of decimal fractions fall short of what they would be on paper.
        if overlap >= min_overlap - 1e-6:
            ratings[first, class_id] = max(ratings.get((first, class_id), 0.0), score)
    touched = {(first, class_id) for first, class_id, score in overlaps if score >= POSITIVE}
    for class_id in rest_classes:
        for first in range(0, num_frames, SEGMENT_SECONDS):
            if (first, class_id) not in touched:
                ratings.setdefault((first, class_id), 0.0)
    return tuple((first, class_id, score) for (first, class_id), score in sorted(ratings.items()))


def _by_class_and_score(intervals):
    spans = {}
    for interval in intervals:
        spans.setdefault((interval.class_id, interval.score), []).append((interval.start, interval.end))
    return spans


def _merged(spans):
    """Spans without overlaps among them."""
    merged = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged


def _rows(path):
    """Generator of (where, list of str) of the lines that hold something."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for row in reader:
                if not any(text.strip() for text in row):
                    continue
                if reader.line_num == 1 and row[0].strip().lower() in _ID_HEADERS:
                    continue
                yield f"{path}, line {reader.line_num}", row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error


def _number(text, where, name):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{where}: {name} {text!r} is not a number")
    return number
