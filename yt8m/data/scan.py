"""Records of a file one by one, past those that are damaged.

TensorFlow's reader ends at the first record whose checksum is wrong. Here it is given what stands behind it, too, in
small pieces: each byte is read a few times at most, however many records are damaged.
"""

import contextlib
import itertools
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf

from yt8m.data import framing
from yt8m.data.record_dataset import record_dataset
from yt8m.data.tfrecord import READ_BYTES, Probe, describe, is_gzip, is_plain
from yt8m.types import InputError

DAMAGED = "it is truncated or corrupt"
_LARGEST_EXAMPLE = 64 << 20
_GROUP = 256
"""Most records that are given to TensorFlow together behind a damaged one."""


class Scanned(NamedTuple):
    """Record ``number`` of a file, from 0: ``serialized``, or None and a ``problem``, half a sentence; "" for none.

    lost: bytes of the file that hold no whole record, for those that count as one.
    """

    number: int
    serialized: bytes | None
    problem: str = ""
    lost: int = 0


def scan(file: str) -> Iterator[Scanned]:
    """Generator of the records of ``file``, good or damaged.

    Bytes that hold no whole record count as one. Raises InputError where the file cannot be read.
    """
    index = 0
    try:
        for serialized in record_dataset(file).as_numpy_iterator():
            yield Scanned(index, serialized)
            index += 1
        return
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError, InputError):
        pass
    except tf.errors.OpError as error:
        raise InputError(f"cannot read {file}: {short_message(error)}") from error
    with tempfile.TemporaryDirectory() as folder:
        path, cut = _plain_copy(file, folder)
        with framing.mapped(path) as data:
            pieces = itertools.islice(framing.stretches(data), index, None)
            for found in _read(data, pieces, os.path.join(folder, "records")):
                if not index and found[0] is None:
                    found = (None, what_it_is(file) or found[1], *found[2:])
                yield Scanned(index, *found)
                index += 1
    if cut:
        yield Scanned(index, None, cut if index else what_it_is(file) or cut)


def _plain_copy(file, folder):
    """(path of the file or of a plain, local copy; a problem where the copy ends before the file, else "")."""
    if is_plain(file):
        return file, ""
    path, cut = os.path.join(folder, "copy"), ""
    with tf.io.gfile.GFile(file, "rb") as source, open(path, "wb") as target:
        if is_gzip(file):
            cut = _unpack(source, target)
        else:
            shutil.copyfileobj(source, target, READ_BYTES)
    return path, cut


def _unpack(source, target):
    """Unpacks as much as can be; returns a problem where something was left, else ""."""
    packing = zlib.decompressobj(zlib.MAX_WBITS | 16)
    with contextlib.suppress(zlib.error):
        while block := packing.unused_data or source.read(1 << 16):
            if packing.eof:
                if not block.startswith(b"\x1f"):
                    return "it is no record: bytes that are not gzipped stand behind the end of those that are"
                packing = zlib.decompressobj(zlib.MAX_WBITS | 16)
            target.write(packing.decompress(block))
        if packing.eof:
            return ""
    return f"{DAMAGED}, with all that is packed behind it"


def _read(data, pieces, path):
    """Yields what follows ``number`` in a Scanned, for each of the Stretches ``pieces``; path: of a file to use."""
    for is_record, group in itertools.groupby(pieces, key=lambda piece: piece.is_record):
        if not is_record:
            for piece in group:
                yield None, f"{DAMAGED}, with {piece.size:,} bytes that hold no whole record", piece.size
            continue
        # Many at a time where few are damaged, and few where many are.
        size, waiting = 1, []
        while part := waiting[:size] + list(itertools.islice(group, max(0, size - len(waiting)))):
            waiting = waiting[size:]
            good = _read_group(data, part, path)
            yield from ((serialized,) for serialized in good)
            if len(good) < len(part):
                yield None, DAMAGED
                waiting = part[len(good) + 1 :] + waiting
                size = max(1, size // 2)
            else:
                size = min(2 * size, _GROUP)


def _read_group(data, pieces, path):
    """List of the serialized records of consecutive Stretches, up to the first that is damaged."""
    with open(path, "wb") as file:
        file.write(data[pieces[0].start : pieces[-1].start + pieces[-1].size])
    found = []
    with contextlib.suppress(tf.errors.DataLossError):
        # One by one: what stands before the damage is kept.
        for serialized in tf.data.TFRecordDataset(path).as_numpy_iterator():
            found.append(serialized)  # noqa: PERF402
    return found


def short_message(error: tf.errors.OpError) -> str:
    """TensorFlow's message, without the name of the graph node."""
    return error.message.rpartition("}} ")[2].partition(" [Op:")[0]


def probe(files: Sequence[str], *, num_records: int = 16) -> Probe:
    """Looks at the first ``num_records`` records of the first of ``files``: a Probe of what any of them holds.

    Looks past bad records, because it is the reader that reports or skips them. Raises InputError naming the file
    where none of its records is readable.
    """
    scanned = list(itertools.islice(scan(files[0]), num_records))
    records = [found.serialized for found in scanned if found.serialized is not None]
    if scanned and not records:
        raise InputError(f"{files[0]}, record 0: {scanned[0].problem}")
    found = describe(records)
    if found is None:
        raise InputError(f"{files[0]} holds no SequenceExamples or Examples")
    return found


_BEGINNINGS = {
    b"PAR1": "a parquet file",
    b"PK\x03\x04": "a zip archive, as .npz and .keras files are",
    b"\x93NUMPY": "a NumPy array",
    b"\x1aE\xdf\xa3": "a video",
    b"RIFF": "a video or sound",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "gzipped, but its name does not end in .gz",
}


def what_it_is(file: str) -> str:
    """Half a sentence on a file that begins with no record: what it is instead; "" where that is not known."""
    with tf.io.gfile.GFile(file, "rb") as source:
        content = source.read(_LARGEST_EXAMPLE)
    if is_gzip(file):
        return "" if content.startswith(b"\x1f\x8b") else "the file is not gzipped, but its name ends in .gz"
    for beginning, name in _BEGINNINGS.items():
        if content.startswith(beginning):
            return f"the file is {name}, not a TFRecord file"
    if content[4:8] == b"ftyp":
        return "the file is a video, not a TFRecord file"
    if all(byte in b"\t\r\n" or 0x20 <= byte < 0x7F for byte in content[:512]):
        return "the file is text, not a TFRecord file"
    found = describe([content])
    if found is not None and found.floats:
        return f"the file is a bare SequenceExample; {floats_hint(found)}"
    if found is not None and (found.features or found.id_key):
        return "the file is a bare SequenceExample or Example; a TFRecord file has a length and checksums around each"
    return ""


def floats_hint(found: Probe) -> str:
    """Words on the feature lists of floats that ``found`` has, which no reader takes."""
    return (
        f"{', '.join(found.floats)} are lists of floats, as MediaPipe writes them, and not of a bytes value a frame: "
        "yt8m-pack --input_data_pattern='*.pb' makes records of them"
    )
