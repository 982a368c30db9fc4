"""Framing of TFRecord files: where the records of a file lie, found by their lengths and without reading them.

A record is its length (8 bytes, little-endian), a checksum of these, the data, and a checksum of the data. TensorFlow's
reader believes a length whose checksum is right, so that one of a terabyte ends the process, and gives up at one whose
checksum is wrong. Source: tensorflow.org/tutorials/load_data/tfrecord.
"""

import contextlib
import functools
import mmap
import os
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from yt8m.types import InputError

HEADER_BYTES, FOOTER_BYTES = 12, 4
_LENGTH = struct.Struct("<Q")
_BLOCK = 1 << 20

_LOOKING_SECONDS = 0.25
"""Time for a look at the lengths of a file before it is read: on a disk that turns each of them is a movement."""


class Stretch(NamedTuple):
    """``size`` bytes of a file from ``start`` on: a whole record with its checksums, or what is none."""

    start: int
    size: int
    is_record: bool


def stretches(data: bytes | mmap.mmap) -> Iterator[Stretch]:
    """Generator of the Stretches that a file's bytes consist of.

    Where a length is damaged it goes on with the next record: the next place at which a length that ends within the
    file has the right checksum.
    """
    position = 0
    while position < len(data):
        end = _end_of_record(data, position)
        if end is None:
            following = _next_record(data, position + 1)
            yield Stretch(position, following - position, False)
            position = following
        else:
            yield Stretch(position, end - position, True)
            position = end


def _end_of_record(data, position):
    """Where the record at ``position`` ends; None where its length is damaged or goes beyond the end."""
    if len(data) - position < HEADER_BYTES + FOOTER_BYTES:
        return None
    (length,) = _LENGTH.unpack_from(data, position)
    end = position + HEADER_BYTES + length + FOOTER_BYTES
    if end > len(data):
        return None
    header = np.frombuffer(data[position : position + HEADER_BYTES], np.uint8)
    return end if _is_header(header[:, None]).all() else None


def _next_record(data, position):
    """The first place from ``position`` on where a record may begin, or the end."""
    for first in range(position, len(data), _BLOCK):
        block = np.frombuffer(data[first : first + _BLOCK + HEADER_BYTES - 1], np.uint8)
        count = max(0, len(block) - HEADER_BYTES + 1)
        header = np.stack([block[place : place + count] for place in range(HEADER_BYTES)])
        # The upper half of a length below 4 GB is zero, which few places of features are.
        likely = np.flatnonzero(~header[4:8].any(axis=0))
        for place in likely[_is_header(header[:, likely])].tolist():
            if _end_of_record(data, first + place) is not None:
                return first + place
    return len(data)


def _is_header(header):
    """(N,) bool: whether each of the headers, (12, N) uint8, is a length with its checksum.

    The checksum is CRC-32C, rotated and with a constant added.
    """
    crc = np.full(header.shape[1], 0xFFFFFFFF, np.uint32)
    for byte in header[:8]:
        crc = crc >> 8 ^ _crc_table()[(crc ^ byte) & 0xFF]
    crc = ~crc
    masked = (crc >> 15 | crc << 17) + np.uint32(0xA282EAD8)
    return masked == np.ascontiguousarray(header[8:].T).view("<u4")[:, 0]


@functools.cache
def _crc_table():
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, np.uint32(0x82F63B78), np.uint32(0))
    return table


@contextlib.contextmanager
def mapped(path: str) -> Iterator[bytes | mmap.mmap]:
    """Context of the bytes of a local file, mapped into memory."""
    with open(path, "rb") as file:
        if not os.path.getsize(path):
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


def check_lengths(path: str) -> None:
    """Raises InputError where a record of a local file that is not gzipped goes beyond the file's end.

    Follows the lengths, without their checksums, for a quarter of a second at most: some 100,000 records of a file that
    is in memory or on an SSD. Each state of a file is looked at once in a process.
    """
    status = os.stat(path)
    _check_lengths(path, status.st_size, status.st_mtime_ns)


@functools.lru_cache(1 << 16)
def _check_lengths(path, size, _):
    until = time.monotonic() + _LOOKING_SECONDS
    with mapped(path) as data:
        position = number = 0
        while position < size and (number % 64 or time.monotonic() < until):
            # TensorFlow takes a few bytes at the end, less than a header, for no record.
            whole = position + HEADER_BYTES <= size
            position += HEADER_BYTES + FOOTER_BYTES + (_LENGTH.unpack_from(data, position)[0] if whole else 0)
            if not whole or position > size:
                raise InputError(f"{path}, record {number}: it is truncated or corrupt")
            number += 1
