"""The file format of packed examples: rated segments or whole videos of one record file, to be mapped into memory.

A file is the frames of all examples, a row each, example after example; then the index, a few NumPy arrays (.npy) about
the N examples and R records; then a header as JSON, the header's length in 8 bytes (little-endian) and 8 bytes that end
every such file. Nothing is pickled.

A row is a frame of each feature, uint8, side by side, and behind them a fingerprint of each, 8 bytes (FarmHash
Fingerprint64): a frame is checked whenever it is read, and nothing else has to be read for that. The header has a
checksum (CRC-32) of the index, which is checked when the file is opened. The index, in the order of the record file:

- ``ids`` uint8 and ``id_ends`` (R,): the ids of the records, joined, and where each ends;
- ``video_classes`` int32 and ``video_class_ends`` (R,): the classes of the videos of segments, as yt8m.models.targets
has them;
- ``example_ends`` (R,): the number of examples up to and with each record;
- ``frame_ends`` (N,): the number of rows up to and with each example;
- ``start_time`` (N,) int32;
- ``classes`` int32, ``scores`` float32 and ``class_ends`` (N,): the ratings of each segment, or the labels of each
video, as yt8m.models.targets has them;
- ``texts`` uint8 and ``text_ends`` (N * F,), where F fields of texts are read: the texts of each field of each example,
UTF-8, joined as an example has them.
"""

import dataclasses
import io
import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.runtime.files import atomic_path
from yt8m.types import StrPath

FINGERPRINT_BYTES = 8
_MAGIC = b"YT8Mrec1"
_LISTS = {"ids": ("id_ends", np.uint8), "video_classes": ("video_class_ends", np.int32)}
_TEXTS = {"texts": ("text_ends", np.uint8)}
_RATINGS = {"classes": np.int32, "scores": np.float32}
_COUNTS = {"examples": "example_ends", "num_frames": "frame_ends"}


@dataclasses.dataclass(frozen=True)
class CacheFile:
    """Contents of a cache file. header: dict; rows: (F, width) uint8, mapped; index: dict of arrays, see above."""

    header: dict
    rows: np.ndarray
    index: dict
    mapping: mmap.mmap | None

    def announce(self, rows: np.ndarray) -> None:
        """Has the system read some rows, of int numbers, from the disk: all at once, and nothing around them."""
        if self.mapping is None or not hasattr(mmap, "MADV_WILLNEED"):
            return
        rows, width = np.unique(rows), self.rows.shape[1]
        breaks = np.flatnonzero(np.diff(rows) != 1)
        first = rows[np.concatenate([[0], breaks + 1])] * width // mmap.PAGESIZE * mmap.PAGESIZE
        last = (rows[np.concatenate([breaks, [len(rows) - 1]])] + 1) * width
        for start, size in zip(first.tolist(), (last - first).tolist()):
            self.mapping.madvise(mmap.MADV_WILLNEED, start, size)


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheBlock:
    """Some records, and their n examples of f frames in all.

    frames: list of (f, size) uint8, one a feature. ids, video_classes: lists of an array a record; examples: (r,) of
    each. num_frames, start_time: (n,); classes, scores: lists of an array an example. texts: list of an array a field
    of an example, None where none are read.
    """

    frames: list
    ids: list
    video_classes: list
    examples: np.ndarray
    num_frames: np.ndarray
    start_time: np.ndarray
    classes: list
    scores: list
    texts: list | None = None


def row_width(sizes: Sequence[int]) -> int:
    """Bytes of a row, of features of ``sizes``."""
    return sum(sizes) + FINGERPRINT_BYTES * len(sizes)


def fingerprints(frames: np.ndarray) -> np.ndarray:
    """(f, 8) uint8 of (f, size) uint8."""
    return tf.raw_ops.Fingerprint(data=frames, method="farmhash64").numpy()


def write_cache_file(
    path: StrPath,
    blocks: Iterable[CacheBlock],
    header: dict[str, Any],
    *,
    sizes: Sequence[int],
    with_texts: bool = False,
) -> None:
    """Writes the CacheBlocks of an iterable to ``path``, atomically. header: dict of JSON values; sizes: of features;
    with_texts: whether blocks have texts.

    The header gets further entries, "records" with their number among them.
    """
    columns = {name: [] for name in (*_COUNTS, "start_time")}
    lists = {name: [] for name in (*_LISTS, *_RATINGS, *(_TEXTS if with_texts else ()))}
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for block in blocks:
            if len(block.num_frames):
                file.write(np.concatenate([*block.frames, *map(fingerprints, block.frames)], axis=1).data)
            for name, values in columns.items():
                values.append(getattr(block, name))
            for name, values in lists.items():
                values += getattr(block, name)
        index = _to_bytes(_joined(columns, lists))
        header = header | {"records": len(lists["ids"]), "width": row_width(sizes)}
        header |= {"index_bytes": len(index), "index_crc": zlib.crc32(index)}
        text = json.dumps(header).encode()
        file.write(index + text + struct.pack("<Q", len(text)) + _MAGIC)


def read_cache_file(path: StrPath) -> CacheFile:
    """The CacheFile of ``path``, of which header and index are read and checked.

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
    count, width = int(index["frame_ends"][-1]) if len(index["frame_ends"]) else 0, header["width"]
    if start != count * width:
        raise ValueError("its frames are not as many as its index says")
    if not count:
        return CacheFile(header, np.zeros((0, width), np.uint8), index, None)
    with open(path, "rb") as file:
        mapping = mmap.mmap(file.fileno(), start, access=mmap.ACCESS_READ)
    return CacheFile(header, np.frombuffer(mapping, np.uint8).reshape(count, width), index, mapping)


def _joined(columns, lists):
    """The index of a file from what its blocks hold."""
    index = {ends: np.cumsum(_concatenated(columns[name], np.int64), dtype=np.int64) for name, ends in _COUNTS.items()}
    index["start_time"] = _concatenated(columns["start_time"], np.int32)
    for name, (ends, kind) in (_LISTS | (_TEXTS if "texts" in lists else {})).items():
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
