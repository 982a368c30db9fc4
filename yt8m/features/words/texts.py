"""Texts of a video with the time at which they are seen or heard, and the table that they are written to."""

import csv
import io
import math
from collections.abc import Iterable, Mapping

from yt8m.runtime.files import write_text
from yt8m.tables import Row, read_columns, read_rows
from yt8m.types import MAX_START_DIGITS, InputError, StrPath, TimedText, field_problem

SCREEN, SPEECH, TITLE = "screen", "speech", "title"
FIELDS = (SCREEN, SPEECH, TITLE)
"""Where a text that is read here is from: off pictures, spoken, or the video's id and the title its file carries."""

COLUMNS = ("video_id", "start", "end", "field", "text")
_TIMES = COLUMNS[1:3]
_LATEST = 10**MAX_START_DIGITS - 1
"""Second, as of a segment; records hold times as float32, of which greater ones are not whole."""


def write_texts(path: StrPath, texts: Mapping[str, Iterable[TimedText]]) -> None:
    """Writes dict of video id to its TimedTexts as a CSV of COLUMNS, times in hundredths of a second."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for video_id, items in texts.items():
        for item in items:
            times = (f"{item.start:.2f}", f"{item.end:.2f}") if item.is_timed else ("", "")
            writer.writerow((video_id, *times, item.field, item.text))
    write_text(path, table.getvalue())


def read_texts(path: StrPath) -> dict[str, list[TimedText]]:
    """Dict of video id to the TimedTexts of a CSV, by field and start, otherwise in the order of the file.

    Its header names the columns video_id, field and text, and may name start and end, in seconds, which are blank
    where a text is of the whole video. Runs of blanks are one. Raises InputError naming file and line of a fault.
    """
    header = next(read_rows(path), Row(path, 1, [])).fields
    timed = [name for name in _TIMES if name in header]
    if len(timed) == 1:
        raise InputError(f"{path} has a column {timed[0]}, and times have two: start and end")
    columns = COLUMNS if timed else tuple(name for name in COLUMNS if name not in _TIMES)
    found: dict[str, list[TimedText]] = {}
    for row in read_columns(path, columns, what="texts of videos"):
        video_id, *times, field, text = row.fields
        if not video_id:
            raise InputError(f"{row.where}: there is no video_id")
        if problem := field_problem(field):
            raise InputError(f"{row.where}: field {field[:40]!r} {problem}")
        start, end = _times(row) if any(times) else (0.0, math.inf)
        found.setdefault(video_id, []).append(TimedText(start, end, field, " ".join(text.split())))
    # Texts of one time stay as they came.
    return {video_id: sorted(texts, key=lambda text: (text.field, text.start)) for video_id, texts in found.items()}


def _times(row):
    start, end = (row.number(place, name, low=0, high=_LATEST) for place, name in enumerate(_TIMES, 1))
    if start > end:
        raise InputError(f"{row.where}: start {start:g} is behind end {end:g}")
    return start, end
