"""Labels and rated intervals of videos from annotation files, and the 5-second segments that the intervals rate."""

import dataclasses
import difflib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from yt8m.data.making.annotation_files import AnnotationFile
from yt8m.data.making.left_out import BEHIND, LABEL, PAST, SHORT, LeftOut
from yt8m.data.making.timed_labels import UNKNOWN
from yt8m.ranking.metrics import POSITIVE
from yt8m.tables import parse_class_id
from yt8m.types import SEGMENT_SECONDS, InputError, StrPath

_ROUNDING = 1e-6
"""Seconds by which sums of decimal fractions may fall short of what they would be on paper."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """Seconds [start, end) of a video were rated ``score`` for a class, on a ``line`` of a file."""

    start: float
    end: float
    class_id: int
    score: float
    line: int = dataclasses.field(default=0, compare=False)


class UnknownClassError(InputError):
    """A class that the vocabulary does not have."""


class ClassIds:
    """Reads a class from text: digits are its id, everything else its name or its code.

    names: dict of id to name, also an attribute. codes: dict of id to code, such as AudioSet's /m/09x0r.
    """

    def __init__(self, names: dict[int, str] | None = None, codes: dict[int, str] | None = None):
        self.names = names
        self._ids = {code: class_id for class_id, code in (codes or {}).items()}
        for class_id, name in (names or {}).items():
            if name and self._ids.get(name, class_id) != class_id:
                raise InputError(f"the vocabulary calls both {self._ids[name]} and {class_id} {name!r}")
            self._ids[name] = class_id

    def size(
        self, labels: Mapping[str, Iterable[int]] | None, intervals: Mapping[str, list[Interval]] | None
    ) -> int | None:
        """Number of classes: of the vocabulary, or else up to the highest id; None where no class is named."""
        if self.names:
            return max(self.names) + 1
        found = [class_id for ids in (labels or {}).values() for class_id in ids]
        found += [interval.class_id for items in (intervals or {}).values() for interval in items]
        return max(found) + 1 if found else None

    def read(self, text: str, where: str) -> int:
        """The class id that ``text`` means; raises InputError, an UnknownClassError, that begins with ``where``."""
        if text.isdecimal():
            class_id = parse_class_id(text, where)
            if self.names is not None and class_id not in self.names:
                raise UnknownClassError(f"{where}: class {class_id} is not in the vocabulary")
            return class_id
        if self.names is None:
            raise InputError(f"{where}: {text!r} is not a class id; names need --vocabulary")
        if text not in self._ids:
            near = difflib.get_close_matches(text, [name for name in self._ids if name], n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UnknownClassError(f"{where}: the vocabulary has no class {text!r}{hint}")
        return self._ids[text]


def read_labels(path: StrPath, classes: ClassIds, *, subset: str = "") -> dict[str, tuple[int, ...]]:
    """Dict of video id to ascending tuple of class ids, from an AnnotationFile.

    A table of our own is ``video_id,class[,class...]``, its first line a header if it begins with video_id or id; a
    video may stand on several lines. What is left out is told in a DataWarning. Raises InputError for an unknown
    class, unless those of a published data set have others that are known.
    """
    labels: dict[str, set[int]] = {}
    for found, class_id in _known(AnnotationFile(path, timed=False, subset=subset), classes):
        if found.score >= POSITIVE:
            labels.setdefault(found.video_id, set()).add(class_id)
    return {video_id: tuple(sorted(found)) for video_id, found in labels.items()}


def read_intervals(path: StrPath, classes: ClassIds, *, subset: str = "") -> dict[str, list[Interval]]:
    """Dict of video id to list of Interval, from an AnnotationFile.

    A table of our own is ``video_id,start,end,class[,score]``; score 1 if absent. Otherwise as read_labels.
    """
    intervals: dict[str, list[Interval]] = {}
    for found, class_id in _known(AnnotationFile(path, timed=True, subset=subset), classes):
        interval = Interval(found.start, found.end, class_id, found.score, line=found.line)
        intervals.setdefault(found.video_id, []).append(interval)
    return intervals


def _known(annotations, classes):
    """Yields (Annotation, class id); counts and tells those that the vocabulary does not have."""
    ids: dict[str, int | InputError] = {}
    for found in annotations:
        if found.name not in ids:
            try:
                ids[found.name] = classes.read(found.name, found.where)
            except UnknownClassError as error:
                if not annotations.published:
                    raise
                ids[found.name] = error
        class_id = ids[found.name]
        if isinstance(class_id, InputError):
            annotations.tally.add(UNKNOWN, f"{found.name!r} in {found.where}")
        else:
            yield found, class_id
    unknown = [error for error in ids.values() if isinstance(error, InputError)]
    if unknown and len(unknown) == len(ids):
        raise unknown[0]
    annotations.tally.warn(annotations.path)


class Labelling:
    """Labels and ratings of the videos that are packed.

    labels: dict of video id to class ids; intervals: dict of video id to list of Interval; None where there are none.
    Without labels, a video has those classes that are rated positive in it. min_overlap, rest: as of PackSettings.
    """

    def __init__(
        self,
        labels: dict[str, tuple[int, ...]] | None,
        intervals: dict[str, list[Interval]] | None,
        *,
        min_overlap: float,
        rest: bool,
    ):
        self._labels, self._intervals, self._min_overlap = labels, intervals, min_overlap
        classes = sorted({item.class_id for items in (intervals or {}).values() for item in items})
        self._rest = classes if rest else []

    def __call__(self, video_id: str, seconds: int, left_out: LeftOut) -> tuple[tuple, tuple | None]:
        """(labels, segments) of a video of ``seconds``, as records have them; adds to ``left_out`` what is in none."""
        labels = (self._labels or {}).get(video_id, ())
        if self._intervals is None:
            return labels, None
        intervals, min_overlap = self._intervals.get(video_id, ()), self._min_overlap
        segments = rate_segments(intervals, seconds, min_overlap=min_overlap, rest_classes=self._rest)
        for kind, item in unused_intervals(intervals, seconds, min_overlap=min_overlap):
            left_out.add(kind, item.line, f"{item.start:g}-{item.end:g} s of {video_id}, which has {seconds} s")
        if self._labels is None:
            labels = tuple(sorted({class_id for _, class_id, score in segments if score >= POSITIVE}))
            for item in intervals:
                if item.score >= POSITIVE and item.class_id not in labels:
                    left_out.add(LABEL, item.line, f"class {item.class_id} of {video_id}")
        return labels, segments

    def num_intervals(self, ids: Collection[str]) -> int:
        """Intervals of some videos."""
        return sum(len((self._intervals or {}).get(video_id, ())) for video_id in ids)

    def described(self) -> tuple[Any, Any]:
        """What there is of labels and intervals, as JSON values."""
        described = {
            key: [(item.start, item.end, item.class_id, item.score) for item in items]
            for key, items in (self._intervals or {}).items()
        }
        return self._labels, self._intervals and described


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
    overlaps = _overlaps(intervals, num_frames)
    ratings = {}
    for (first, class_id, score), overlap in overlaps.items():
        if overlap >= min_overlap - _ROUNDING:
            ratings[first, class_id] = max(ratings.get((first, class_id), 0.0), score)
    touched = {(first, class_id) for first, class_id, score in overlaps if score >= POSITIVE}
    for class_id in rest_classes:
        for first in range(0, num_frames, SEGMENT_SECONDS):
            if (first, class_id) not in touched:
                ratings.setdefault((first, class_id), 0.0)
    return tuple((first, class_id, score) for (first, class_id), score in sorted(ratings.items()))


def unused_intervals(
    intervals: Iterable[Interval], num_frames: int, *, min_overlap: float = SEGMENT_SECONDS / 2
) -> Iterator[tuple[str, Interval]]:
    """Yields what rate_segments makes nothing of: (BEHIND, SHORT or PAST of yt8m.data.making.left_out, Interval)."""
    intervals = list(intervals)
    overlaps = _overlaps(intervals, num_frames)
    for item in intervals:
        touched = (overlaps[first, item.class_id, item.score] for first in _segments(item.start, item.end, num_frames))
        if max(touched, default=0) < min_overlap - _ROUNDING:
            yield BEHIND if item.start >= num_frames else SHORT, item
        elif item.end - math.ceil(num_frames / SEGMENT_SECONDS) * SEGMENT_SECONDS >= min_overlap:
            yield PAST, item


def _overlaps(intervals, num_frames):
    """Dict of (start of a segment, class id, score) to the seconds of it that intervals cover."""
    overlaps = {}
    for (class_id, score), spans in _by_class_and_score(intervals).items():
        for start, end in _merged(spans):
            for first in _segments(start, end, num_frames):
                key = (first, class_id, score)
                overlaps[key] = overlaps.get(key, 0.0) + min(end, first + SEGMENT_SECONDS) - max(start, first)
    return overlaps


def _segments(start, end, num_frames):
    """Starts of the segments that an interval touches."""
    first = int(start // SEGMENT_SECONDS) * SEGMENT_SECONDS
    return range(first, min(math.ceil(end), num_frames), SEGMENT_SECONDS)


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
