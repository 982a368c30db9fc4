"""Batches of pairs of videos, whose records are read from where they lie in their files."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data import framing
from yt8m.data.pipeline import read_videos, tokenized
from yt8m.data.record_dataset import parallel_map
from yt8m.data.tfrecord import BLOCK, is_plain, parse_context
from yt8m.runtime.progress import Progress
from yt8m.types import InputError


class Place(NamedTuple):
    """Where a record's data lie: number of the file, first byte, number of bytes."""

    file: int
    start: int
    size: int


def locate_videos(files: Sequence[str], wanted: set[str], *, asked_by: str) -> dict[str, Place]:
    """Dict of each video id of ``wanted`` to the Place of its first record in ``files``; one pass over all ids.

    asked_by: file that names the videos. Raises InputError for a video that is not there, and for files that are
    gzipped or not local, within which nothing can be looked up.
    """
    found: dict[str, Place] = {}
    with Progress("looking for the videos of pairs", total=len(files), unit="files") as progress:
        for number, file in enumerate(files):
            if not is_plain(file):
                raise InputError(f"{file}: pairs are read in any order, from local files that are not gzipped: copy it")
            for video_id, place in _records(file, number):
                if video_id in wanted:
                    found.setdefault(video_id, place)
            progress.update()
    missing = sorted(wanted - found.keys())
    if missing:
        others = f" and {len(missing) - 1:,} more of its videos are" if len(missing) > 1 else " is"
        raise InputError(f"{asked_by}: video {missing[0]}{others} in none of the {len(files):,} files to train on")
    return found


def _records(file, number):
    """Generator of (id, Place) of the whole records of a file."""
    with framing.mapped(file) as data:
        waiting: list[Place] = []
        for stretch in framing.stretches(data):
            if stretch.is_record:
                size = stretch.size - framing.HEADER_BYTES - framing.FOOTER_BYTES
                waiting.append(Place(number, stretch.start + framing.HEADER_BYTES, size))
            if len(waiting) == BLOCK:
                yield from _with_ids(data, waiting)
                waiting = []
        if waiting:
            yield from _with_ids(data, waiting)


def _with_ids(data, places):
    ids, _ = parse_context(tf.constant([data[place.start : place.start + place.size] for place in places]))
    return zip((video_id.decode() for video_id in ids.numpy().tolist()), places)


def make_pairs(
    files: Sequence[str],
    places: Sequence[tuple[Place, Place]],
    scores: np.ndarray,
    config: DataConfig,
    *,
    batch_size: int,
    training: bool = False,
    seed: int = 0,
    epoch: int = 0,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """One pass over pairs as a tf.data.Dataset of (features, {"similarity": (B,) float32}).

    places: of both videos of each pair; scores: (N,), how similar they are. features: as make_dataset gives for
    windows="video", with an axis of 2 behind the first, the videos of a pair: (B, 2, T, size), "num_frames" (B, 2).
    training: pairs in an order, and frames from a draw, that depend on ``seed`` and ``epoch`` alone; else in order,
    and the same frames each time.
    """
    random = np.random.default_rng([seed % 2**32, epoch])
    order, frame_seed = random.permutation(len(places)), int(random.integers(1, 2**31))
    if not training:
        order = np.arange(len(places))
    table = np.array(places, np.int64).reshape(-1, 6)
    paths = [os.fspath(file) for file in files]

    def read(rows):
        return np.array([_read(paths, *row[3 * side : 3 * side + 3]) for row in rows for side in (0, 1)], object)

    def as_pairs(element, batch):
        features = {name: tf.reshape(values, [-1, 2, *values.shape[1:]]) for name, values in element[0].items()}
        return features, {"similarity": batch[1]}

    rows = tf.data.Dataset.from_tensor_slices((table[order], np.asarray(scores, np.float32)[order]))
    batches = rows.batch(batch_size, drop_remainder=drop_remainder)
    records = parallel_map(batches, lambda rows, _: _as_strings(tf.numpy_function(read, [rows], tf.string)))
    seeds = frame_seed if training else None
    videos = read_videos(records, [config], cache=None, share=(0, 1), seed=seeds, with_info=False)
    joined = tf.data.Dataset.zip(tokenized(videos, config), batches)
    return joined.map(as_pairs).prefetch(2)


def _as_strings(values: Any) -> Any:
    values.set_shape([None])
    return values


def _read(paths, file, start, size):
    with open(paths[file], "rb") as opened:
        opened.seek(start)
        return opened.read(size)
