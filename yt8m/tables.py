"""The one reader of our CSV files: ratings, class ids and names, intervals, thresholds, predictions of videos, pairs.

Commas separate, quotes may enclose a field, blanks around a field and lines without any do not count, and the text is
as yt8m.text has it. Class ids are digits, numbers are finite. What is else is an InputError that names file and line.
"""

import csv
import math
from collections.abc import Iterator, Sequence

from yt8m.text import MAX_LINE_BYTES, read_lines
from yt8m.types import MAX_CLASS_ID, InputError, StrPath

# The csv module's own limit, 131,072, is less than the predictions of one video may have.
csv.field_size_limit(MAX_LINE_BYTES)


class Row:
    """A line of a table: its ``fields`` without the blanks around them; ``path`` and ``line``, where it stands."""

    __slots__ = ("fields", "line", "path")

    def __init__(self, path: StrPath, line: int, fields: list[str]):
        self.path, self.line, self.fields = path, line, fields

    @property
    def where(self) -> str:
        """File and line, as messages name them."""
        return f"{self.path}, line {self.line}"

    def expect(self, columns: str, *counts: int) -> None:
        """Raises InputError, "expected ``columns``", where the row has another number of fields than ``counts``."""
        if len(self.fields) in counts:
            return
        said = ",".join(self.fields)
        odd = next((mark for mark in ";\t" if mark in said), "") if len(self.fields) == 1 else ""
        hint = f": commas separate fields, not {odd!r}" if odd else ""
        raise InputError(f"{self.where}: expected {columns}, not {said[:80]!r}{hint}")

    def class_id(self, place: int) -> int:
        """The class id in a field; InputError where it is none."""
        return parse_class_id(self.fields[place], self.where)

    def number(self, place: int, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
        """The number in a field, from ``low`` to ``high``; InputError, which says ``name``, where it is none."""
        text = self.fields[place]
        if not is_number(text) or not low <= float(text) <= high:
            bounds = f" in [{low:g}, {high:g}]" if high < math.inf else f" from {low:g} on" if low > -math.inf else ""
            raise InputError(f"{self.where}: {name} {text[:40]!r} is not a finite number{bounds}")
        return float(text)


def read_rows(path: StrPath, *, delimiter: str = ",", comments: str | tuple[str, ...] = ()) -> Iterator[Row]:
    """Generator of the Rows of a CSV, a header among them.

    delimiter: between fields; quotes are text where it is a tab. comments: what lines begin with that are no rows.
    """
    # Lines that are none stay as empty ones, so that the numbers of the others are right.
    lines = ("\n" if comments and line.startswith(comments) else line for line in read_lines(path))
    reader = csv.reader(
        lines,
        strict=True,
        skipinitialspace=True,
        delimiter=delimiter,
        quoting=csv.QUOTE_NONE if delimiter == "\t" else csv.QUOTE_MINIMAL,
    )
    try:
        for row in reader:
            fields = [text.strip() for text in row]
            if any(fields):
                yield Row(path, reader.line_num, fields)
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}: is a quote closed, and nothing behind it?"
        ) from None


def read_columns(path: StrPath, names: Sequence[str], *, what: str) -> Iterator[Row]:
    """Generator of the Rows of a CSV whose first line names its columns: the fields of ``names``, in their order.

    what: words on what the file should hold, for the InputError where a column is missing.
    """
    rows = read_rows(path)
    header = next(rows, Row(path, 1, [])).fields
    missing = [name for name in names if name not in header]
    if missing:
        first = ",".join(header)[:80]
        raise InputError(f"{path} holds no {what}: it has no column {', '.join(missing)}; its first line is {first!r}")
    places = [header.index(name) for name in names]
    for row in rows:
        if len(row.fields) != len(header):
            raise InputError(f"{row.where}: {len(row.fields)} fields, and {len(header)} columns")
        row.fields = [row.fields[place] for place in places]
        yield row


def is_number(text: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return math.isfinite(float(text)) and text.isascii() and "_" not in text
    except ValueError:
        return False


def is_class_id(text: str) -> bool:
    """Whether a text is a class id: digits, up to MAX_CLASS_ID."""
    return text.isascii() and text.isdigit() and len(text.lstrip("0")) <= 10 and int(text) <= MAX_CLASS_ID


def parse_class_id(text: str, where: str) -> int:
    """The class id that a text is; raises InputError that begins with ``where``."""
    if not is_class_id(text):
        raise InputError(f"{where}: {text[:40]!r} is not a class id, a whole number from 0 to {MAX_CLASS_ID}")
    return int(text)
