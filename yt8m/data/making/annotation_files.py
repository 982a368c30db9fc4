"""Annotation files of published data sets and of annotation tools, each known by how it looks.

ActivityNet's JSON, which HACS, FineAction and OpenTAD use too; THUMOS's text files, one a class; AudioSet's CSV of
clips and its table of strong labels; VIA 3's CSV; ELAN's tab-delimited text. What is none of these is our own table.
"""

import dataclasses
import glob
import math
import os
import re
from collections.abc import Callable, Iterator

from yt8m.data.making.annotation_tools import is_elan, is_via, read_elan, read_via
from yt8m.data.making.timed_labels import BARE, UNCLEAR, Annotation, Tally
from yt8m.runtime.files import is_media_name, read_json
from yt8m.tables import Row, is_number, read_rows
from yt8m.text import read_lines
from yt8m.types import InputError, StrPath

_HEAD_BYTES = 1 << 16
_AMBIGUOUS = "Ambiguous"
_THUMOS_PART = re.compile(r"_(val|validation|test|train|training)$")
_ID_HEADERS = ("video_id", "id")


@dataclasses.dataclass(frozen=True)
class _Format:
    """How a format is read: (path, Tally, subset) -> Annotations. published: whether it has its own list of classes."""

    read: Callable[[str, Tally, str], Iterator[Annotation]]
    published: bool


class AnnotationFile:
    """The annotations in a file, in the files of a folder, or in those that a glob matches; iterates over Annotations.

    timed: whether a table of our own is ``video_id,start,end,class[,score]`` instead of ``video_id,class[,class...]``.
    subset: of ActivityNet's JSON, whose videos alone are read; "" for all.

    Attributes: path; published, whether the classes are those of a published data set, of which a vocabulary may leave
    some out; tally, what the last iteration left out. Raises InputError that names file and line or field.
    """

    def __init__(self, path: StrPath, *, timed: bool, subset: str = ""):
        self.path, self._subset = os.fspath(path), subset
        self._files = [(file, _recognised(file, timed)) for file in _expanded(self.path)]
        self.published = all(format_.published for _, format_ in self._files)
        self.tally = Tally()
        if subset and any(format_ is not _ACTIVITYNET for _, format_ in self._files):
            raise InputError(f"--subset={subset} is for ActivityNet's JSON: {self.path} has no subsets")

    def __iter__(self) -> Iterator[Annotation]:
        self.tally = Tally()
        for file, format_ in self._files:
            for found in format_.read(file, self.tally, self._subset):
                self.tally.total += 1
                # Lines are told apart by number alone where there is one file.
                yield found if len(self._files) == 1 else dataclasses.replace(found, line=0)

    def class_names(self) -> list[str]:
        """Sorted list of the names of all classes, whatever the subset."""
        return sorted({found.name for file, format_ in self._files for found in format_.read(file, Tally(), "")})


def videos_of_subset(path: StrPath, subset: str) -> set[str]:
    """Ids of the videos in a subset of ActivityNet's JSON, those without annotations among them."""
    return {video_id for video_id, _, _ in _activitynet_videos(os.fspath(path), subset)}


def _expanded(path):
    if os.path.isdir(path):
        names = sorted(name for name in os.listdir(path) if not name.startswith("."))
        files = [os.path.join(path, name) for name in names]
        found = [file for file in files if os.path.isfile(file)]
        if not found:
            raise InputError(f"the folder {path} has no annotation files")
        return found
    return [path] if os.path.exists(path) else sorted(glob.glob(path, recursive=True)) or [path]


def _recognised(path, timed):
    try:
        with open(path, "rb") as file:
            text = file.read(_HEAD_BYTES).decode(errors="replace").removeprefix("\ufeff")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    lines = [line for line in text.splitlines() if line.strip()]
    comments = [line for line in lines if line.startswith("#")]
    first = next((line for line in lines if not line.startswith(("#", '"#'))), "")
    if text.lstrip().startswith("{"):
        return _ACTIVITYNET
    if is_via(comments):
        return _VIA
    if any("YTID" in line for line in comments):
        return _AUDIOSET
    if first.startswith("segment_id\t"):
        return _STRONG
    if is_elan(first):
        return _ELAN
    fields = first.split()
    if len(fields) == 3 and "," not in first and all(map(is_number, fields[1:])):
        return _THUMOS
    return _OWN_INTERVALS if timed else _OWN_LABELS


def _activitynet(path, tally, subset):
    """``{"database": {id: {"subset": ..., "annotations": [{"segment": [start, end], "label": ...}]}}}``."""
    for video_id, items, where in _activitynet_videos(path, subset):
        if not items:
            tally.add(BARE, video_id)
        for number, item in enumerate(items):
            yield from _activitynet_item(video_id, item, f"{where}, annotation {number}", tally)


def _activitynet_videos(path, subset):
    """Yields (id, list of annotations, words on the place) of the videos of a subset, "" for all."""
    database = read_json(path, what="annotations as ActivityNet has them", fields={"database": dict})["database"]
    subsets = {str(video.get("subset")) for video in database.values() if isinstance(video, dict)}
    if subset and subset not in subsets:
        raise InputError(f"{path} has no subset {subset!r}; --subset can be {', '.join(sorted(subsets))}")
    for video_id, video in database.items():
        where = f"{path}, database, {video_id!r}"
        items = video.get("annotations") if isinstance(video, dict) else None
        if not isinstance(items, list):
            raise InputError(f"{where} has no list of annotations")
        if not subset or str(video.get("subset")) == subset:
            yield video_id, items, where


def _activitynet_item(video_id, item, where, tally):
    segment, label = (item.get("segment"), item.get("label")) if isinstance(item, dict) else (None, None)
    if not isinstance(label, str) or not label.strip():
        raise InputError(f"{where} has no label")
    if not isinstance(segment, list) or len(segment) != 2 or not all(map(_is_finite, segment)):
        raise InputError(f"{where}: segment must be [start, end] in seconds, not {str(segment)[:40]}")
    yield from tally.spanned(Annotation(video_id, label.strip(), where, *map(float, segment)))


def _is_finite(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _thumos(path, tally, subset):
    """A file named by its class, as in Diving_val.txt, of lines ``video_id start end``."""
    name = _THUMOS_PART.sub("", os.path.splitext(os.path.basename(path))[0])
    for number, line in enumerate(read_lines(path), 1):
        row = Row(path, number, line.split())
        if not row.fields:
            continue
        if len(row.fields) != 3:
            raise InputError(f"{row.where}: expected video_id start end, not {line.strip()[:80]!r}")
        start, end = row.number(1, "start"), row.number(2, "end")
        if name == _AMBIGUOUS:
            tally.total += 1
            tally.add(UNCLEAR, row.where)
        else:
            yield from tally.spanned(Annotation(row.fields[0], name, row.where, start, end, line=number))


def _audioset(path, tally, subset):
    """AudioSet's clips: ``YTID, start_seconds, end_seconds, "mid,mid"`` behind lines that begin with #."""
    for row in read_rows(path, comments="#"):
        row.expect("YTID, start_seconds, end_seconds, positive_labels", 4)
        start, end = row.number(1, "start_seconds"), row.number(2, "end_seconds")
        for name in filter(None, map(str.strip, row.fields[3].split(","))):
            yield from tally.spanned(Annotation(_id(row), name, row.where, start, end, line=row.line))


def _strong(path, tally, subset):
    """AudioSet's strong labels, tab-separated: segment_id, start_time_seconds, end_time_seconds, label; also its
    evaluation's, with a fifth column, PRESENT or NOT_PRESENT.
    """
    for number, row in enumerate(read_rows(path, delimiter="\t")):
        if not number:
            continue
        row.expect("segment_id, start_time_seconds, end_time_seconds, label, separated by tabs,", 4, 5)
        start, end = row.number(1, "start_time_seconds"), row.number(2, "end_time_seconds")
        score = 0.0 if row.fields[4:] == ["NOT_PRESENT"] else 1.0
        yield from tally.spanned(Annotation(_id(row), row.fields[3], row.where, start, end, score, line=row.line))


def _own_labels(path, tally, subset):
    """``video_id,class[,class...]``, or a path and ids between semicolons, ``clips/a.mp4,52;3;10``."""
    for row in _own_rows(path):
        # A spreadsheet makes all lines as long as the longest.
        named = [text for text in row.fields[1:] if text]
        if len(named) == 1 and re.fullmatch(r"\d+(;\d+)+;?", named[0]):
            named = named[0].rstrip(";").split(";")
        if not named:
            raise InputError(f"{row.where}: expected video_id,class, not {','.join(row.fields)[:80]!r}")
        for name in named:
            yield Annotation(_id(row), name, row.where, line=row.line)


def _own_intervals(path, tally, subset):
    """``video_id,start,end,class[,score]``; score 1 if absent."""
    for row in _own_rows(path):
        row.expect("video_id,start,end,class,score", 4, 5)
        start, end = row.number(1, "start"), row.number(2, "end")
        if not 0 <= start < end:
            raise InputError(f"{row.where}: start {start:g} and end {end:g} are no interval of seconds")
        score = row.number(4, "score", low=0, high=1) if len(row.fields) == 5 else 1.0
        yield Annotation(_id(row), row.fields[3], row.where, start, end, score, line=row.line)


def _own_rows(path):
    """Generator of the Rows of a table of videos, without its header."""
    for number, row in enumerate(read_rows(path)):
        if number or row.fields[0].lower() not in _ID_HEADERS:
            yield row


def _id(row):
    """The id of a video: the first field, or where that is the path of one its name without suffix."""
    name = row.fields[0]
    if not name:
        raise InputError(f"{row.where}: there is no video_id")
    return os.path.splitext(os.path.basename(name))[0] if is_media_name(name) else name


_ACTIVITYNET = _Format(_activitynet, published=True)
_THUMOS = _Format(_thumos, published=True)
_AUDIOSET = _Format(_audioset, published=True)
_STRONG = _Format(_strong, published=True)
_VIA = _Format(read_via, published=False)
_ELAN = _Format(read_elan, published=False)
_OWN_LABELS = _Format(_own_labels, published=False)
_OWN_INTERVALS = _Format(_own_intervals, published=False)
