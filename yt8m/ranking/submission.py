"""Submission files: for every class, its ranked segments, best first.

Text: an optional header ``Class,Segments``, then ``class_id,vid:start vid:start ...`` a line; ``.gz`` is compressed.
Parquet: columns Class (int32), Segment (string), Score (float32) and Rank (int32, from 1), a row group per class.

Files of any size: one pass finds where the classes stand, then they are read one at a time, in any order.
"""

import collections.abc
import contextlib
import gzip
import os
import stat
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.top_segments import TopSegments
from yt8m.runtime.files import atomic_path, temporary_folder
from yt8m.runtime.parquet import open_parquet, parquet_writer, read_groups
from yt8m.tables import parse_class_id
from yt8m.text import MAX_LINE_BYTES, check_not_utf16
from yt8m.types import InputError, Segment, StrPath

HEADER = "Class,Segments"

_BLOCK = 1 << 23
_MAX_CLASS_BYTES = 32
_PARQUET_KINDS = {"Class": "whole numbers", "Segment": "text", "Score": "numbers", "Rank": "whole numbers"}
_PARQUET_COLUMNS = {"Class": "int32", "Segment": "string", "Score": "float32", "Rank": "int32"}


class Submission(collections.abc.Mapping):
    """A submission file as a mapping of class id to SegmentList, which is read when it is asked for.

    Iterates over the class ids in ascending order. Attributes: path; has_header; ends_whole, False where the last line
    has no line end, so that the file may have been cut; lines, dict of class id to line number (None for parquet);
    blank_lines, list of their numbers.

    ``.gz`` files and pipes are first unpacked to a temporary file in $TMPDIR, because they cannot be read in places.
    Can be pickled, to be read by several processes; the process that opened it closes it.

    Raises InputError naming file and line of what cannot be read, also where the file changes in the meantime.
    """

    def __init__(self, path: StrPath):
        self.path = os.fspath(path)
        self.has_header = False
        self.ends_whole = True
        self.lines = None
        self.blank_lines = []
        # What is unpacked, which only the process that opened it removes.
        self._kept = contextlib.ExitStack()
        self._unpacked = None
        self._file = None
        self._is_parquet = self.path.endswith(".parquet")
        try:
            with self._reading():
                self._index()
        except BaseException:
            self.close()
            raise

    @property
    def class_ids(self) -> list[int]:
        """Ascending list of the class ids."""
        return list(self._places)

    @property
    def has_scores(self) -> bool:
        """Whether the lists carry scores, which only the parquet form does."""
        return self._is_parquet

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, class_id):
        return class_id in self._places

    def __getitem__(self, class_id: int) -> SegmentList:
        return self.read(class_id)

    def read(self, class_id: int, *, depth: int | None = None) -> SegmentList:
        """The SegmentList of a class, or of its best ``depth`` segments. KeyError where the file has no such class.

        Its segments are not checked: SegmentList.check does that.
        """
        place = self._places[class_id]
        with self._reading():
            file = self._opened()
            if self._identify() != self._identity:
                raise InputError(f"{self.path} was changed while it was read")
            if self._is_parquet:
                return _read_parquet(file, self.path, class_id, place, depth)
            position, size = place
            text = os.pread(file.fileno(), size if depth is None else min(size, _depth_bytes(depth)), position)
            if len(text) < size and depth is not None:
                segments = self._parse(text, class_id)
                if len(segments) > depth:
                    return segments.take(slice(depth))
                text = os.pread(file.fileno(), size, position)
            if len(text) < size:
                raise InputError(f"{self.path} was changed while it was read")
            return self._parse(text, class_id).take(slice(depth))

    def where(self, class_id: int) -> str:
        """Words that name the place of a class for an error message."""
        return (
            f"{self.path}, class {class_id}"
            if self.lines is None
            else (f"{self.path}, line {self.lines[class_id]} (class {class_id})")
        )

    def check(self, class_id: int, segments: SegmentList) -> None:
        """Raises InputError naming file, line and class where one of ``segments`` is malformed."""
        try:
            segments.check()
        except InputError as error:
            raise InputError(f"{self.where(class_id)}: {error}") from None

    def close(self) -> None:
        """Closes what is open."""
        if self._file is not None:
            self._file.close()
            self._file = None
        self._kept.close()
        self._unpacked = None

    def __enter__(self) -> "Submission":
        return self

    def __exit__(self, *exception):
        self.close()

    def __getstate__(self):
        return self.__dict__ | {"_file": None, "_kept": contextlib.ExitStack()}

    def _index(self):
        self._unpack()
        file = self._opened()
        if self._is_parquet:
            self._places = _parquet_places(file, self.path)
        else:
            index = _text_index(file, self.path)
            self._places, self.lines, self.blank_lines, self.has_header, self.ends_whole = index
        self._identity = self._identify()
        self._places = dict(sorted(self._places.items()))
        if not self._places:
            raise InputError(f"{self.path} holds no classes")

    def _parse(self, text, class_id):
        try:
            return SegmentList.from_text(text)
        except InputError as error:
            raise InputError(f"{self.where(class_id)}: {error}") from None

    def _opened(self):
        if self._file is None:
            path = self._unpacked or self.path
            self._file = open_parquet(path, _PARQUET_KINDS) if self._is_parquet else open(path, "rb")
        return self._file

    def _unpack(self):
        compressed = self.path.endswith(".gz")
        if not compressed and (os.path.isdir(self.path) or stat.S_ISREG(os.stat(self.path).st_mode)):
            return
        with (gzip.open if compressed else open)(self.path, "rb") as source:
            directory = self._kept.enter_context(temporary_folder(tempfile.gettempdir()))
            self._unpacked = os.path.join(directory, "submission")
            with open(self._unpacked, "wb") as target:
                while block := source.read(_BLOCK):
                    try:
                        target.write(block)
                    except OSError as error:
                        raise InputError(
                            f"cannot unpack {self.path} in {tempfile.gettempdir()} (see $TMPDIR): {error.strerror}"
                        ) from error

    def _identify(self):
        status = os.stat(self._unpacked or self.path)
        return status.st_size, status.st_mtime_ns, status.st_ino

    @contextlib.contextmanager
    def _reading(self):
        try:
            yield
        except (InputError, KeyError):
            raise
        except (OSError, EOFError, zlib.error, ValueError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise InputError(f"cannot read {self.path}: {reason}") from error


class SubmissionWriter:
    """Context manager that writes a submission a class at a time; the file is there, whole, when the block ends well.

    The suffix of ``path`` chooses the form: ``.parquet``, ``.gz``, or text.
    """

    def __init__(self, path: StrPath):
        self.path = os.fspath(path)
        self._stack = contextlib.ExitStack()
        self._last = -1

    def __enter__(self) -> "SubmissionWriter":
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(atomic_path(self.path))
            if self.path.endswith(".parquet"):
                self._file = stack.enter_context(parquet_writer(temporary, _parquet_schema()))
                self._formatted, self._append = _parquet_columns, self._append_parquet
            else:
                self._file = stack.enter_context(open(temporary, "wb"))
                if self.path.endswith(".gz"):
                    # Neither name nor time in the header: the same content gives the same bytes.
                    packer = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._file, mtime=0)
                    self._file = stack.enter_context(packer)
                self._formatted, self._append = _text, self._append_text
                self._file.write(f"{HEADER}\n".encode())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        return self._stack.__exit__(*exception)

    def write(self, class_id: int, segments: Any, *, scores: Any = None) -> None:
        """Appends a class. Ids must ascend.

        segments: SegmentList, or iterable of Segment or str, best first. scores: (N,) floats, best first; the parquet
        form needs them, the text form leaves them out; those of a SegmentList serve if None.
        """
        self.append(class_id, self.formatted(segments, scores))

    def formatted(self, segments: Any, scores: Any = None) -> Any:
        """A class as ``append`` takes it, see ``write``; the larger part of the work, and may be done in any thread."""
        if not isinstance(segments, SegmentList):
            segments = SegmentList.from_segments(segments)
        return self._formatted(segments, segments.scores if scores is None else np.asarray(scores))

    def append(self, class_id: int, formatted: Any) -> None:
        """Appends a class that ``formatted`` gave. Ids must ascend."""
        if class_id <= self._last:
            raise ValueError(f"class {class_id} comes after class {self._last}: class ids must ascend")
        self._last = class_id
        self._append(int(class_id), formatted)

    def write_line(self, line: bytes) -> None:
        """Appends a whole line of text, as bytes without line end, whose class id must ascend. Not for parquet."""
        self._file.write(line + b"\n")

    def _append_text(self, class_id, text):
        self.write_line(b"%d,%s" % (class_id, text))

    def _append_parquet(self, class_id, columns):
        import pyarrow

        classes = pyarrow.array(np.full(len(columns[0]), class_id, np.int32))
        if len(classes):
            table = pyarrow.Table.from_arrays([classes, *columns], schema=_parquet_schema())
            self._file.write_table(table, row_group_size=len(classes))


def _text(segments, scores):
    return segments.to_text()


def _parquet_columns(segments, scores):
    if scores is None or len(scores) != len(segments):
        raise ValueError("the parquet form needs a score for every segment")
    import pyarrow

    ranks = np.arange(1, len(segments) + 1, dtype=np.int32)
    return [segments.to_arrow(), pyarrow.array(np.asarray(scores, np.float32)), pyarrow.array(ranks)]


def read_submission(path: StrPath) -> Iterator[tuple[int, list[Segment]]]:
    """Yields (class id, list of Segment, best first) of a submission file, class ids ascending."""
    with Submission(path) as submission:
        for class_id, segments in submission.items():
            submission.check(class_id, segments)
            yield class_id, list(segments)


def write_submission(path: StrPath, rankings: Mapping[int, Any], *, scores: Mapping[int, Any] | None = None) -> None:
    """Writes a submission at once.

    rankings: dict of class id to segments (SegmentList, or Segment or str, best first).
    scores: dict of class id to (N,) floats, for the parquet form.
    """
    with SubmissionWriter(path) as writer:
        for class_id in sorted(rankings):
            writer.write(class_id, rankings[class_id], scores=scores and scores[class_id])


def write_lists(path: StrPath, top: TopSegments) -> None:
    """Writes a submission of what ``top`` keeps; scores below 0, of what a filter has put behind, as 0."""
    with SubmissionWriter(path) as writer:

        def formatted(class_id, segments, scores):
            return class_id, writer.formatted(segments, scores.clip(min=0))

        for class_id, content in top.each(formatted):
            writer.append(class_id, content)


def _text_index(file, path):
    """({class id: (position, size)}, {class id: line}, blank lines, has header, ends whole) of a text file."""
    places, lines, blank_lines = {}, {}, []
    has_header, ends_whole = False, True
    for number, start, end, ends_whole in _line_bounds(file, path):
        class_id, begin, end = _parse_line(file, path, number, start, end)
        if begin is None:
            blank_lines.append(number)
        elif class_id is None:
            has_header = True
        elif class_id in places:
            raise InputError(f"{path}, line {number}: class {class_id} stands on line {lines[class_id]} already")
        else:
            places[class_id], lines[class_id] = (begin, end - begin), number
    return places, lines, blank_lines, has_header, ends_whole


def _line_bounds(file, path):
    """Yields (number, start, end, whether there is a line end) of every line, in little memory."""
    number, start, position = 0, 0, 0
    while block := file.read(_BLOCK):
        begin = 0
        while (end := block.find(b"\n", begin)) >= 0:
            number += 1
            yield number, start, position + end, True
            begin = end + 1
            start = position + begin
        position += len(block)
        # One endless line is refused before all of it is read.
        if position - start > MAX_LINE_BYTES:
            raise InputError(f"{path}, line {number + 1}: more than {MAX_LINE_BYTES:,} bytes on one line")
    if position > start:
        yield number + 1, start, position, False


def _parse_line(file, path, number, start, end):
    """(class id, begin and end of the segments) of a line; class id None for the header, all None for a blank line."""
    if end > start and os.pread(file.fileno(), 1, end - 1) == b"\r":
        end -= 1
    head = os.pread(file.fileno(), min(_MAX_CLASS_BYTES, end - start), start)
    if number == 1:
        check_not_utf16(head, path)
    skipped = 3 if number == 1 and head.startswith(b"\xef\xbb\xbf") else 0
    if not head[skipped:].strip():
        return None, None, None
    name, comma, _ = head[skipped:].partition(b",")
    if number == 1 and name.strip().lower() == b"class":
        if b"\r" in head:
            raise InputError(f"{path}: its lines end in CR alone: save it with LF or CR LF")
        return None, start, end
    if not (comma and name.strip().isdigit()):
        shown = head[skipped:].decode(errors="replace")
        raise InputError(f"{path}, line {number}: expected class_id,vid:start vid:start ..., not {shown!r}")
    class_id = parse_class_id(name.decode().strip(), f"{path}, line {number}")
    return class_id, start + skipped + len(name) + 1, end


def _depth_bytes(depth):
    return depth * 24 + 4096


def _parquet_schema():
    import pyarrow

    return pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in _PARQUET_COLUMNS.items()])


def _parquet_places(file, path):
    """{class id: [row groups that hold it]} of an open ParquetFile."""
    places = {}
    for group in range(file.num_row_groups):
        for class_id in np.unique(read_groups(file, path, [group], ["Class"])["Class"].to_numpy()).tolist():
            places.setdefault(parse_class_id(str(class_id), f"{path}, column Class"), []).append(group)
    return places


def _read_parquet(file, path, class_id, groups, depth):
    """SegmentList with scores, by rank, of one class of an open ParquetFile."""
    import pyarrow

    table = read_groups(file, path, groups, list(_PARQUET_COLUMNS))
    rows = np.flatnonzero(table["Class"].to_numpy() == class_id)
    rows = rows[np.argsort(table["Rank"].to_numpy()[rows], kind="stable")][:depth]
    table = table.take(rows)
    texts = table["Segment"].cast(pyarrow.large_string()).combine_chunks()
    return SegmentList.from_arrow(texts, scores=table["Score"].to_numpy())
