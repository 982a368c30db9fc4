"""Annotations that people make with VIA, the VGG Image Annotator, and with ELAN."""

import json
import os
import posixpath
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from yt8m.data.making.timed_labels import UNTIMED, Annotation, Tally
from yt8m.tables import is_number, read_rows
from yt8m.text import read_lines
from yt8m.types import InputError

_VIA_COLUMNS = "metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata"
_VIA_TEXT = 1
"""Type of an attribute in VIA whose value is text and no key of its options."""

_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
_BEGIN, _END = "Begin Time - ", "End Time - "
_NO_TIER = (_BEGIN, _END, "Duration - ", "File", "Linked", "Media")
_UNITS = {"ss.msec": 1.0, "msec": 1e-3}


def is_via(comments: list[str]) -> bool:
    """Whether the comments of a file, lines that begin with #, are those of VIA 3's CSV."""
    return any("CSV_HEADER" in line and "temporal_coordinates" in line for line in comments)


def read_via(path: str, tally: Tally, subset: str = "") -> Iterator[Annotation]:
    """Annotations of VIA 3's CSV: rows of _VIA_COLUMNS, the last of which gives attributes values, as JSON.

    Each value is a class: text, or the name of the option that it is the key of, as the comment ATTRIBUTE lists them.
    """
    options = _via_options(path)
    for row in read_rows(path, comments="#"):
        row.expect(_VIA_COLUMNS, 6)
        files, times, values = (_json(row, place, kind) for place, kind in ((1, list), (3, list), (5, dict)))
        names = [name for key, value in values.items() for name in _via_names(value, options.get(key))]
        if not files or not all(isinstance(name, str) for name in files):
            raise InputError(f"{row.where}: file_list names no file")
        if len(times) != 2 or not names:
            tally.total += 1
            tally.add(UNTIMED, row.where)
            continue
        start, end = times
        if not all(isinstance(time, (int, float)) for time in times):
            raise InputError(f"{row.where}: temporal_coordinates must be [start, end] in seconds")
        for name in names:
            yield from tally.spanned(Annotation(_stem(files[0]), name, row.where, start, end, line=row.line))


def _via_options(path):
    """Dict of an attribute's id to its options, dict of key to name, empty where values are text."""
    for line in read_lines(path):
        if not line.startswith("#"):
            break
        key, equals, text = line[1:].partition("=")
        if equals and key.strip() == "ATTRIBUTE":
            try:
                found = json.loads(text)
                return {key: {} if item["type"] == _VIA_TEXT else dict(item["options"]) for key, item in found.items()}
            except (ValueError, KeyError, TypeError, AttributeError):
                raise InputError(f"{path}: the comment ATTRIBUTE is none of VIA 3's lists of attributes") from None
    return {}


def _via_names(value, options):
    """Names of the classes that a value of an attribute is; a checkbox joins several keys by commas."""
    if not isinstance(value, str):
        return []
    keys = value.split(",") if options else [value]
    return [name for key in keys if (name := str((options or {}).get(key, key)).strip())]


def _json(row, place, kind):
    try:
        found: Any = json.loads(row.fields[place])
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, kind):
        name = _VIA_COLUMNS.split(",")[place]
        raise InputError(f"{row.where}: {name} is not the JSON that VIA writes: {row.fields[place][:60]!r}")
    return found


def _stem(name):
    if "://" in name:
        name = unquote(urlsplit(name).path)
    return os.path.splitext(posixpath.basename(name.replace("\\", "/")))[0]


def is_elan(line: str) -> bool:
    """Whether the first line of a file, but for comments, is one of ELAN's tab-delimited export."""
    fields = line.split("\t")
    if any(field.startswith(_BEGIN) for field in fields):
        return True
    return len(fields) >= 5 and len(_times(fields)) >= 2


def read_elan(path: str, tally: Tally, subset: str = "") -> Iterator[Annotation]:
    """Annotations of ELAN's tab-delimited export, of the video that the file is named by.

    With a header, as ELAN writes with a column for each tier, each text in the column of a tier is a class. Without,
    lines are tier, participant, times, annotation: begin, end and, by default, duration, each in one format or several.
    """
    video_id, header = os.path.splitext(os.path.basename(path))[0], None
    for row in read_rows(path, delimiter="\t", comments=("#", '"#')):
        if header is None and any(field.startswith(_BEGIN) for field in row.fields):
            header = row.fields
            continue
        if header is None:
            start, end, names = _bare_line(row)
        else:
            start, end, names = _line_with_header(row, header)
        if not any(names):
            tally.total += 1
            tally.add(UNTIMED, row.where)
        for name in filter(None, names):
            yield from tally.spanned(Annotation(video_id, name, row.where, start, end, line=row.line))


def _line_with_header(row, header):
    if len(row.fields) != len(header):
        raise InputError(f"{row.where}: {len(row.fields)} fields, and {len(header)} columns")
    times = []
    for edge in (_BEGIN, _END):
        found = [(name.removeprefix(edge), text) for name, text in zip(header, row.fields) if name.startswith(edge)]
        seconds = [_seconds(text, _UNITS.get(unit, 0.0)) for unit, text in found]
        time = next((time for time in seconds if time is not None), None)
        if time is None:
            raise InputError(f"{row.where}: there is no time in a column {edge}ss.msec")
        times.append(time)
    names = [text for name, text in zip(header, row.fields) if name and not name.startswith(_NO_TIER)]
    return *times, names


def _bare_line(row):
    times = _times(row.fields)
    groups = 3 if len(times) % 3 == 0 else 2
    if len(times) < 2 or len(times) % groups:
        raise InputError(
            f"{row.where}: expected tier, participant, begin, end, duration, annotation, separated by tabs, not "
            f"{' '.join(row.fields)[:80]!r}"
        )
    each = len(times) // groups
    decimal = next((place for place in range(each) if not times[place].isdigit()), None)
    # Whole numbers alone are ELAN's milliseconds.
    unit, place = (1.0, decimal) if decimal is not None else (1e-3, 0)
    return _seconds(times[place], unit), _seconds(times[each + place], unit), row.fields[2 + len(times) :]


def _times(fields):
    """The fields behind tier and participant that are times."""
    found = []
    for text in fields[2:-1]:
        if not (is_number(text) or _CLOCK.fullmatch(text)):
            break
        found.append(text)
    return found


def _seconds(text, unit):
    clock = _CLOCK.fullmatch(text)
    if clock:
        return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])
    return float(text) * unit if unit and is_number(text) else None
