"""Texts of a video with the time at which they are seen or heard, and the table that they are written to."""

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping

from yt8m.runtime.files import write_text
from yt8m.tables import read_columns
from yt8m.types import InputError, StrPath

SCREEN, SPEECH, TITLE = "screen", "speech", "title"
FIELDS = (SCREEN, SPEECH, TITLE)
"""Where a text is from: read off pictures, spoken, or the id of the video and the title that its file carries."""

COLUMNS = ("video_id", "start", "end", "field", "text")


@dataclasses.dataclass(frozen=True, order=True)
class TimedText:
    """A text from ``start`` to ``end``, seconds from the first picture on; field: one of FIELDS."""

    start: float
    end: float
    field: str
    text: str


def write_texts(path: StrPath, texts: Mapping[str, Iterable[TimedText]]) -> None:
    """Writes dict of video id to its TimedTexts as a CSV of COLUMNS, times in hundredths of a second."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for video_id, items in texts.items():
        for item in items:
            writer.writerow((video_id, f"{item.start:.2f}", f"{item.end:.2f}", item.field, item.text))
    write_text(path, table.getvalue())


def read_texts(path: StrPath) -> dict[str, list[TimedText]]:
    """What write_texts has written, or somebody after it. Raises InputError naming file and line of a fault."""
    found: dict[str, list[TimedText]] = {}
    for row in read_columns(path, COLUMNS, what="texts of videos"):
        video_id, _, _, field, text = row.fields
        start, end = row.number(1, "start", low=0), row.number(2, "end", low=0)
        if start > end:
            raise InputError(f"{row.where}: start {start:g} is behind end {end:g}")
        if field not in FIELDS:
            raise InputError(f"{row.where}: field {field[:40]!r} is none of {', '.join(FIELDS)}")
        if not video_id:
            raise InputError(f"{row.where}: there is no video_id")
        found.setdefault(video_id, []).append(TimedText(start, end, field, text))
    return found
