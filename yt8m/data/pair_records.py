"""Batches of pairs of videos, whose records are read from where they lie in their files."""

import os
import warnings
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from yt8m.config import AugmentConfig, DataConfig
from yt8m.data import framing
from yt8m.data.pipeline import augmented, read_videos, tokenized
from yt8m.data.python_calls import python_call
from yt8m.data.record_checks import explain_errors, scan_records
from yt8m.data.record_dataset import as_parallel_as_cores, parallel_map, record_dataset
from yt8m.data.tfrecord import BLOCK, is_plain, parse_context
from yt8m.runtime.progress import Progress
from yt8m.text import counted
from yt8m.types import DataWarning, InputError


class Place(NamedTuple):
    """Where a record's data lie: number of the file, first byte, number of bytes; and their checksum, CRC-32."""

    file: int
    start: int
    size: int
    crc: int


def locate_videos(files: Sequence[str], wanted: Mapping[str, str], config: DataConfig) -> dict[str, Place]:
    """Dict of each video id of ``wanted`` to the Place of its first record in ``files``; one pass over all records.

    wanted: dict of id to the file that asks for it. config: of which skip_corrupt says whether bad records are passed
    over. Raises InputError for a video that is not there, for a bad record, and for files that are gzipped or not
    local, within which nothing can be looked up.
    """
    found: dict[str, Place] = {}
    with Progress("looking for the videos of pairs", total=len(files), unit="files") as progress:
        for number, file in enumerate(files):
            if not is_plain(file):
                raise InputError(f"{file}: pairs are read in any order, from local files that are not gzipped: copy it")
            records = _good_records(file, config) if config.skip_corrupt else _records(file)
            with explain_errors([file], None):
                for video_id, start, data in records:
                    if video_id in wanted and video_id not in found:
                        found[video_id] = Place(number, start, len(data), zlib.crc32(data))
            progress.update()
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        others = f" and {len(missing) - 1:,} other videos of pairs are" if len(missing) > 1 else " is"
        raise InputError(
            f"{wanted[missing[0]]}: video {missing[0]}{others} in none of the {len(files):,} files to train on"
        )
    return found


def _records(file):
    """Generator of (id, first byte, data) of the records of a file, by TensorFlow's reader, which checks each."""
    start = framing.HEADER_BYTES
    for block in record_dataset(file).batch(BLOCK):
        for video_id, data in zip(parse_context(block)[0].numpy().tolist(), block.numpy().tolist()):
            yield video_id.decode(), start, data
            start += len(data) + framing.FOOTER_BYTES + framing.HEADER_BYTES


def _good_records(file, config):
    """The same of the good records of a file that may have bad ones, which are counted."""
    bad = []
    with framing.mapped(file) as content:
        for stretch, found in zip(framing.stretches(content), scan_records(file, config, windows="video")):
            if found.problem:
                bad.append(f"record {found.number}: {found.problem}")
                continue
            (video_id,) = parse_context(tf.constant([found.serialized]))[0].numpy().tolist()
            yield video_id.decode(), stretch.start + framing.HEADER_BYTES, found.serialized
    if bad:
        text = f"{file}: {counted(len(bad), 'corrupt record')} skipped; the first, {bad[0]}"
        warnings.warn(text, DataWarning, stacklevel=2)


def make_pairs(
    files: Sequence[str],
    places: Sequence[tuple[Place, Place]],
    scores: np.ndarray,
    config: DataConfig,
    *,
    batch_size: int,
    training: bool = False,
    augment: AugmentConfig | None = None,
    seed: int = 0,
    epoch: int = 0,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """One pass over pairs as a tf.data.Dataset of (features, {"similarity": (B,) float32}).

    places: of both videos of each pair; scores: (N,), how similar they are. features: as make_dataset gives for
    windows="video", with an axis of 2 behind the first, the videos of a pair: (B, 2, T, size), "num_frames" (B, 2).
    training: pairs in an order, and frames from a draw, that depend on ``seed`` and ``epoch`` alone; else in order,
    and the same frames each time. augment: AugmentConfig for training, None changes nothing; each video of a pair is
    changed by itself.
    """
    random = np.random.default_rng([seed % 2**32, epoch])
    order = random.permutation(len(places))
    frame_seed, augment_seed = random.integers(1, 2**31, size=2).tolist()
    if not training:
        order = np.arange(len(places))
    width = len(Place._fields)
    table = np.array(places, np.int64).reshape(-1, 2 * width)
    paths = [os.fspath(file) for file in files]

    def read(rows):
        found = [read_record(paths, Place(*place)) for row in rows for place in row.reshape(2, width).tolist()]
        return np.array(found, object)

    def as_pairs(element, batch):
        features = {name: tf.reshape(values, [-1, 2, *values.shape[1:]]) for name, values in element[0].items()}
        return features, {"similarity": batch[1]}

    rows = tf.data.Dataset.from_tensor_slices((table[order], np.asarray(scores, np.float32)[order]))
    batches = as_parallel_as_cores(rows).batch(batch_size, drop_remainder=drop_remainder)
    records = parallel_map(batches, lambda rows, _: _as_strings(python_call(read, [rows], tf.string)))
    seeds = frame_seed if training else None
    videos = read_videos(records, [config], cache=None, share=(0, 1), seed=seeds, with_info=False)
    if augment is not None and augment.of_batches:
        videos = augmented(videos, augment, windows="video", seed=augment_seed)
    joined = tf.data.Dataset.zip(tokenized(videos, config), batches)
    return joined.map(as_pairs).prefetch(2)


def _as_strings(values: Any) -> Any:
    values.set_shape([None])
    return values


def read_record(files: Sequence[str], place: Place) -> bytes:
    """The serialized record at a Place of ``files``; InputError where it is not there any more as it was."""
    path = files[place.file]
    try:
        with open(path, "rb") as opened:
            opened.seek(place.start)
            data = opened.read(place.size)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if zlib.crc32(data) != place.crc:
        raise InputError(f"{path}: the record at byte {place.start:,} has changed since the pairs were looked up")
    return data
