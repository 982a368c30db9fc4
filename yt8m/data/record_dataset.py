"""Serialized records of files as tf.data, up to the end that each file tells of."""

import contextlib
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from yt8m.data import framing
from yt8m.data.tfrecord import BLOCK, READ_BYTES, checked, is_gzip, is_plain
from yt8m.types import InputError, Tensor


def names_of(files: Sequence[str] | Tensor) -> Tensor:
    """(N,) string, the names of ``files``, which need not be UTF-8; a tensor is returned as it is."""
    return files if tf.is_tensor(files) else tf.constant([os.fsencode(file) for file in files], tf.string)


def record_dataset(file: Tensor) -> tf.data.Dataset:
    """tf.data.Dataset of the serialized records of one ``file``, a scalar string tensor or a str.

    A local file whose lengths go beyond its end raises tf.errors.InvalidArgumentError at its first record, because
    TensorFlow's reader would end the process; a gzipped file that ends early raises it behind its last record, where
    TensorFlow's reader would see an end.
    """
    files = tf.reshape(file, [1]) if tf.is_tensor(file) else names_of([file])
    packed = tf.strings.regex_full_match(files, r".*\.gz")
    lengths_checked = tf.numpy_function(_with_checked_lengths, [files[0]], tf.string)
    plain = tf.data.TFRecordDataset(tf.boolean_mask([lengths_checked], ~packed), buffer_size=READ_BYTES)
    if isinstance(file, str) and not is_gzip(file):
        return plain
    return plain.concatenate(_unpacked(tf.boolean_mask(files, packed)))


def _with_checked_lengths(file):
    path = os.fsdecode(np.asarray(file, object).item())
    if is_plain(path):
        # TensorFlow says what it cannot open.
        with contextlib.suppress(OSError):
            framing.check_lengths(path)
    return file


def _unpacked(files):
    """Dataset of the serialized records of gzipped ``files``, one or none of them, up to the end that they tell of."""
    records = tf.data.TFRecordDataset(files, compression_type="GZIP", buffer_size=READ_BYTES)
    # In blocks, because a call a record would take longer than the record.
    blocks = records.batch(BLOCK).map(lambda block: (block, ""))
    ends = tf.data.Dataset.from_tensor_slices(files).map(lambda file: (tf.zeros([0], tf.string), file))
    counted = blocks.concatenate(ends).scan(tf.zeros([], tf.int64), _count_bytes)
    return counted.flat_map(tf.data.Dataset.from_tensor_slices)


def _count_bytes(size, element):
    block, file = element
    lengths = tf.cast(tf.strings.length(block), tf.int64) + framing.HEADER_BYTES + framing.FOOTER_BYTES
    whole = tf.cond(
        file == "", lambda: tf.constant(True), lambda: tf.numpy_function(_check_unpacked_size, [file, size], tf.bool)
    )
    return size + tf.reduce_sum(lengths), checked(block, whole, "a gzipped file ends early")


def _check_unpacked_size(file, size):
    path = os.fsdecode(np.asarray(file, object).item())
    with tf.io.gfile.GFile(path, "rb") as packed:
        packed.seek(max(0, packed.size() - 4))
        # The last four bytes are the size of what is packed, modulo 2 ** 32. Source: RFC 1952.
        told = int.from_bytes(packed.read(4), "little")
    if told != int(size) % 2**32:
        raise InputError(f"{path}: it is truncated or corrupt")
    return True


def interleave_blocks(files: tf.data.Dataset, read_blocks: Callable, *, cycle_length: int) -> tf.data.Dataset:
    """The blocks of several files, in turn: a tf.data.Dataset of what ``read_blocks`` gives, in an order of its own.

    files: Dataset of what names a file; read_blocks: function of one of its elements that gives a Dataset of blocks.
    The order depends on the number of blocks of each file and on cycle_length alone.
    """
    blocks = files.interleave(
        read_blocks,
        cycle_length=cycle_length,
        block_length=1,
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    return as_parallel_as_cores(blocks)


def as_parallel_as_cores(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """``dataset``, whose parallel maps, and those of what is made of it, use all cores, 16 at most, from start to end.

    They do at the start anyhow, until TensorFlow's tuner finds another number. Its thread is not always told that an
    iterator ends: then to end one, as at the end of each part of a prediction, takes up to half a second of waiting.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)


def parallel_map(dataset: tf.data.Dataset, function: Callable) -> tf.data.Dataset:
    """dataset.map on all cores, in order."""
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
