"""Framing of damaged files: against a slow search, and with all records found that are still whole."""

import contextlib
import gzip
import random

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.bad_records import with_length, write_raw
from yt8m.data import framing
from yt8m.data.record_dataset import record_dataset
from yt8m.data.scan import scan
from yt8m.types import InputError


def write(path, records):
    """The bytes of a file of ``records``."""
    write_raw(str(path), *records)
    return path.read_bytes()


def random_records(rng, number=9):
    return [rng.randbytes(rng.choice([0, 1, 30, 4000])) for _ in range(number)]


def scanned(path):
    return [(found.serialized, found.lost) for found in scan(str(path))]


@pytest.mark.parametrize("seed", range(40))
def test_every_record_that_is_whole_is_found(tmp_path, seed):
    rng = random.Random(seed)
    records = random_records(rng)
    path = tmp_path / "a.tfrecord"
    data = bytearray(write(path, records))
    bounds = np.cumsum([0, *(len(record) + 16 for record in records)]).tolist()
    damaged = set()
    for _ in range(rng.randrange(1, 4)):
        place = rng.randrange(len(data))
        data[place] ^= 1 << rng.randrange(8)
        damaged.add(next(i for i, end in enumerate(bounds[1:]) if place < end))
    # Flips may undo each other.
    damaged = {
        i for i in damaged if bytes(data[bounds[i] : bounds[i + 1]]) != path.read_bytes()[bounds[i] : bounds[i + 1]]
    }
    path.write_bytes(data)
    found = [serialized for serialized, _ in scanned(path) if serialized is not None]
    assert found == [record for i, record in enumerate(records) if i not in damaged], f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_stretches_cover_the_file(tmp_path, seed):
    rng = random.Random(seed)
    data = bytearray(write(tmp_path / "a", random_records(rng)))
    first, last = sorted(rng.sample(range(len(data)), 2))
    del data[first:last]
    found = list(framing.stretches(bytes(data)))
    assert [piece.start for piece in found] == np.cumsum([0, *(piece.size for piece in found)]).tolist()[:-1]
    assert sum(piece.size for piece in found) == len(data)


def test_a_cut_file_says_what_it_lost(tmp_path):
    path = tmp_path / "a.tfrecord"
    data = write(path, [b"x" * 100] * 8)
    path.write_bytes(data[:500])
    assert scanned(path) == [(b"x" * 100, 0)] * 4 + [(None, 500 - 4 * 116)]


def test_a_length_of_a_terabyte_is_no_crash(tmp_path):
    path = tmp_path / "a.tfrecord"
    data = write(path, [b"one", b"two", b"three"])
    path.write_bytes(with_length(data, 19, 2**40))
    with pytest.raises((InputError, tf.errors.InvalidArgumentError), match="a.tfrecord, record 1: it is truncated"):
        list(record_dataset(str(path)))
    files = tf.data.Dataset.from_tensors(str(path)).flat_map(record_dataset)
    with pytest.raises(tf.errors.InvalidArgumentError, match="record 1"):
        list(files)
    assert [serialized for serialized, _ in scanned(path)] == [b"one", None, b"three"]


def test_many_damaged_records_are_read_in_linear_time(tmp_path, monkeypatch):
    path = tmp_path / "a.tfrecord"
    data = bytearray(write(path, [bytes(1000)] * 200))
    for number in range(0, 200, 4):
        data[number * 1016 + 500] ^= 1
    path.write_bytes(data)
    written = []
    read_group = scan.__globals__["_read_group"]

    def counted(data, pieces, path):
        written.append(sum(piece.size for piece in pieces))
        return read_group(data, pieces, path)

    monkeypatch.setitem(scan.__globals__, "_read_group", counted)
    assert sum(serialized is not None for serialized, _ in scanned(path)) == 150
    assert sum(written) <= 2 * len(data)


def test_packed_files_are_read_as_far_as_they_go(tmp_path):
    path = tmp_path / "a.tfrecord.gz"
    data = bytearray(write(tmp_path / "plain", [b"x" * 50] * 6))
    data[66 * 2 + 30] ^= 1
    path.write_bytes(gzip.compress(bytes(data)))
    assert [serialized for serialized, _ in scanned(path)] == [b"x" * 50] * 2 + [None] + [b"x" * 50] * 3
    packed = gzip.compress(random.Random(0).randbytes(50) + bytes(data))
    path.write_bytes(packed[: len(packed) // 2])
    assert all(serialized is None for serialized, _ in scanned(path))


@pytest.mark.parametrize("left", [1, 5, 11])
def test_a_few_bytes_of_a_header_are_no_end(tmp_path, left):
    path = tmp_path / "a.tfrecord"
    data = write(path, [b"one", b"two"])
    path.write_bytes(data[: 19 + left])
    with pytest.raises((InputError, tf.errors.InvalidArgumentError), match="record 1: it is truncated"):
        list(record_dataset(str(path)))
    assert scanned(path) == [(b"one", 0), (None, left)]


@pytest.mark.slow
def test_a_packed_file_that_is_cut_anywhere_is_told(tmp_path):
    """Also where what is left of it unpacks to whole records, which TensorFlow takes for the end."""
    path = tmp_path / "a.tfrecord.gz"
    records = [random.Random(number).randbytes(40) for number in range(3)]
    packed = gzip.compress(write(tmp_path / "plain", records))
    silent = []
    for size in range(1, len(packed)):
        path.write_bytes(packed[:size])
        with contextlib.suppress(tf.errors.DataLossError):
            list(tf.data.TFRecordDataset(str(path), "GZIP"))
            silent.append(size)
    assert silent[-8:] == list(range(len(packed) - 8, len(packed)))
    for size in [*silent[::4], *range(20, len(packed), 30)]:
        path.write_bytes(packed[:size])
        with pytest.raises((tf.errors.DataLossError, tf.errors.InvalidArgumentError)):
            list(record_dataset(str(path)))
        assert scanned(path)[-1][0] is None
    path.write_bytes(packed)
    assert list(record_dataset(str(path)).as_numpy_iterator()) == records
