"""Text of the user's files: UTF-8, with or without a byte order mark; and how text of others is shown."""

import os
from collections.abc import Iterator

from yt8m.types import InputError, StrPath

MAX_LINE_BYTES = 1 << 28
"""A longer line is taken for damage and not read into memory; 100,000 segments of 2,600 bytes fit."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read_text(path: StrPath) -> str:
    """The text of a file, without its byte order mark. InputError where it cannot be read, or is no UTF-8."""
    return "".join(read_lines(path))


def read_lines(path: StrPath) -> Iterator[str]:
    """Generator of the lines of a text file with their ends, LF, CR LF or CR, without the byte order mark.

    Raises InputError that names file and line, and the encoding where it can be told, for what is no UTF-8.
    """
    path, number = os.fspath(path), 0
    try:
        with open(path, "rb") as file:
            while data := file.readline(MAX_LINE_BYTES):
                if len(data) == MAX_LINE_BYTES:
                    raise InputError(f"{path}, line {number + 1}: more than {MAX_LINE_BYTES:,} bytes on one line")
                # Files of old spreadsheets end their lines in CR alone, which binary files do not split at.
                for line in data.splitlines(keepends=True) if b"\r" in data else (data,):
                    number += 1
                    yield _decode(line, path, number)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _decode(line, path, number):
    if number == 1:
        check_not_utf16(line, path)
        line = line.removeprefix(b"\xef\xbb\xbf")
    if 0 in line:
        raise InputError(f"{path}, line {number}: a zero byte, which no text has: the file is damaged, or no text")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        # Latin-1 has control characters, which nobody types, where Windows-1252 has quotes and dashes.
        guess = "Windows-1252" if any(0x80 <= byte < 0xA0 for byte in line) else "Latin-1"
        raise InputError(
            f"{path}, line {number}: byte 0x{line[error.start]:02x} is no UTF-8; the file may be {guess}: save it as "
            "UTF-8"
        ) from None


def printable(text: str, *, keep: str = "") -> str:
    """The text with what a terminal or a page should not get as its escape, as in backslash x1b: control characters,
    line ends, characters that turn the direction of writing, halves of characters. Those in ``keep`` stay.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in keep else character.encode("unicode_escape").decode()
        for character in text
    )


def counted(count: int, noun: str) -> str:
    """A number and what is counted: ``1 video``, ``2,000 videos``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def check_not_utf16(start: bytes, path: StrPath) -> None:
    """Raises InputError where ``start``, the first bytes of a file, are UTF-16."""
    if start.startswith(_UTF16_MARKS) or start[:64].count(0) >= len(start[:64]) // 3 > 0:
        raise InputError(f"{path} is UTF-16, or no text: save it as UTF-8")
