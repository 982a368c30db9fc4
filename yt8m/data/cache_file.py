"""The file format of packed segments: the rated segments of one record file, to be mapped into memory.

A file is the frames of all segments, (N, width) uint8, then the index, a few NumPy arrays (.npy) about the N segments
and R records, then a header as JSON, then the header's length in 8 bytes (little-endian) and 8 bytes that end every
such file. Nothing is pickled. The header has a checksum (CRC-32) of the frames and one of the index. The index, in the
order of the record file:

- ``ids`` uint8 and ``id_ends`` (R,): the ids of the records, joined, and where each ends;
- ``video_classes`` int32 and ``video_class_ends`` (R,): the classes of each video, as yt8m.models.targets has them;
- ``segment_ends`` (R,): the number of segments up to and with each record;
- ``start_time`` (N,) int32, ``num_frames`` (N,) uint8;
- ``classes`` int32, ``scores`` float32 and ``class_ends`` (N,): the ratings of each segment, as yt8m.models.targets
has them.
"""

import dataclasses
import io
import json
import os
import struct
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from yt8m.runtime.files import atomic_path
from yt8m.types import StrPath

_MAGIC = b"YT8Mseg1"
_CHECKED = 1 << 23
"""Bytes that are read and checked at a time."""
_LISTS = {"ids": ("id_ends", np.uint8), "video_classes": ("video_class_ends", np.int32)}
_RATINGS = {"classes": np.int32, "scores": np.float32}
_COLUMNS = {"start_time": np.int32, "num_frames": np.uint8}


@dataclasses.dataclass(frozen=True)
class CacheFile:
    """Contents of a cache file. header: dict; frames: (N, width) uint8, mapped; index: dict of arrays, see above."""

    header: dict
    frames: np.ndarray
    index: dict


@dataclasses.dataclass(frozen=True)
class CacheBlock:
    """Some records: frames (n, width) uint8, and of the index what its name says; the lists one array a row."""

    frames: np.ndarray
    ids: list
    video_classes: list
    segments: np.ndarray
    start_time: np.ndarray
    num_frames: np.ndarray
    classes: list
    scores: list


def write_cache_file(path: StrPath, blocks: Iterable[CacheBlock], header: dict[str, Any], *, width: int) -> None:
    """Writes the PackedBlocks of an iterable to ``path``, atomically. header: dict of JSON values; width: of frames.

    The header gets further entries, "records" with their number among them.
    """
    parts = {name: [] for name in ("segments", *_COLUMNS)}
    lists = {name: [] for name in (*_LISTS, *_RATINGS)}
    checksum = 0
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for block in blocks:
            frames = block.frames.tobytes()
            file.write(frames)
            checksum = zlib.crc32(frames, checksum)
            for name, values in parts.items():
                values.append(getattr(block, name))
            for name, values in lists.items():
                values += getattr(block, name)
        index = _to_bytes(_joined(parts, lists))
        header = header | {"records": len(lists["ids"]), "width": width, "frames_crc": checksum}
        header |= {"index_bytes": len(index), "index_crc": zlib.crc32(index)}
        text = json.dumps(header).encode()
        file.write(index + text + struct.pack("<Q", len(text)) + _MAGIC)


def read_cache_file(path: StrPath) -> CacheFile:
    """The CacheFile of ``path``, all of which is read once for its checksums: 1 to 3 GB a second from memory.

    Raises OSError where it cannot be read, and ValueError where it is damaged.
    """
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 16))
        tail = file.read()
        if len(tail) != 16 or tail[8:] != _MAGIC:
            raise ValueError("its end is missing")
        length = struct.unpack("<Q", tail[:8])[0]
        if length > size - 16:
            raise ValueError("its header is longer than the file")
        file.seek(size - 16 - length)
        header = json.loads(file.read(length))
        start = size - 16 - length - header["index_bytes"]
        if start < 0:
            raise ValueError("its index is longer than the file")
        file.seek(start)
        data = file.read(header["index_bytes"])
    if zlib.crc32(data) != header["index_crc"]:
        raise ValueError("its index is damaged")
    index = _from_bytes(data)
    count, width = len(index["start_time"]), header["width"]
    if start != count * width:
        raise ValueError("its frames are not as many as its segments")
    if _checksum(path, start) != header["frames_crc"]:
        raise ValueError("its frames are damaged")
    frames = np.memmap(path, np.uint8, "r", shape=(count, width)) if count else np.zeros((0, width), np.uint8)
    return CacheFile(header, np.asarray(frames), index)


def _checksum(path, size):
    """CRC-32 of the first ``size`` bytes."""
    value = 0
    with open(path, "rb") as file:
        for start in range(0, size, _CHECKED):
            value = zlib.crc32(file.read(min(_CHECKED, size - start)), value)
    return value


def _joined(parts, lists):
    """The index of a file from what its blocks hold."""
    index = {name: _concatenated(parts[name], kind) for name, kind in _COLUMNS.items()}
    index["segment_ends"] = np.cumsum(_concatenated(parts["segments"], np.int64), dtype=np.int64)
    for name, (ends, kind) in _LISTS.items():
        index[name], index[ends] = _concatenated(lists[name], kind), _ends(lists[name])
    for name, kind in _RATINGS.items():
        index[name] = _concatenated(lists[name], kind)
    index["class_ends"] = _ends(lists["classes"])
    return index


def _concatenated(arrays, kind):
    return np.concatenate(arrays).astype(kind) if arrays else np.zeros(0, kind)


def _ends(arrays):
    return np.cumsum([len(values) for values in arrays], dtype=np.int64)


def _to_bytes(index):
    buffer = io.BytesIO()
    np.savez(buffer, **index)
    return buffer.getvalue()


def _from_bytes(data):
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return dict(arrays)
