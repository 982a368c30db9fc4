"""How fast make_dataset reads, beside the fastest and the plainest way to read the same files.

    .venv/bin/python -m benchmarks.reader [--input_data_pattern=...] [--videos=600 --frames=300]

Prints records per second of: iterating over the raw records; make_dataset, from records and from packed segments; and
parsing record by record and decoding all frames to float, all in turn within the same run, best of --repeats.
"""

import os
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from yt8m.config import DataConfig
from yt8m.data import cache, labels, pipeline, tfrecord
from yt8m.data.record_dataset import record_dataset

FLAGS = flags.FLAGS
flags.DEFINE_string("input_data_pattern", "", "Frame-level files with ratings; empty writes random ones.")
flags.DEFINE_integer("videos", 600, "Videos to write.", lower_bound=1)
flags.DEFINE_integer("frames", 300, "Frames of the longest video written; the shortest has a third.", lower_bound=15)
flags.DEFINE_integer("ratings", 5, "Rated segments of a video written.", lower_bound=1)
flags.DEFINE_integer("files", 4, "Files written.", lower_bound=1)
flags.DEFINE_integer("passes", 6, "Times that the files are read on end, to drown the start.", lower_bound=1)
flags.DEFINE_integer("batch_size", 128, "Examples in a batch.", lower_bound=1)
flags.DEFINE_integer("num_frames", 300, "Frames of a whole-video example.", lower_bound=1)
flags.DEFINE_list("feature_names", ["rgb", "audio"], "Features.")
flags.DEFINE_list("feature_sizes", ["1024", "128"], "Their sizes.")
flags.DEFINE_integer("repeats", 3, "Runs of each, of which the fastest counts.", lower_bound=1)


def main(_):
    config = DataConfig(
        feature_names=tuple(FLAGS.feature_names),
        feature_sizes=tuple(int(size) for size in FLAGS.feature_sizes),
        num_frames=FLAGS.num_frames,
    )
    with tempfile.TemporaryDirectory() as directory:
        files = tfrecord.list_files(FLAGS.input_data_pattern or write_random(directory, config)) * FLAGS.passes
        records = labels.count_records(files, config)
        ways = {"raw records": lambda: raw(files), "record by record to float": lambda: _naive(files, config)}
        for windows in ("rated", "video", "all"):
            for training in (False, True)[: 1 if windows == "all" else 2]:
                name = f"make_dataset {windows}{', training' if training else ''}"
                ways[name] = lambda windows=windows, training=training: pipeline.make_dataset(
                    files, config, windows=windows, batch_size=FLAGS.batch_size, training=training
                )
        packed = cache.open_cache(os.path.join(directory, "cache"), files, config)
        opening = min(_time_opening(directory, files, config) for _ in range(FLAGS.repeats))
        for training in (False, True):
            ways[f"cached rated{', training' if training else ''}"] = lambda training=training: pipeline.make_dataset(
                files, config, windows="rated", batch_size=FLAGS.batch_size, training=training, cache=packed
            )
        seconds = {name: float("inf") for name in ways}
        for _ in range(FLAGS.repeats):
            for name, make in ways.items():
                seconds[name] = min(seconds[name], _time(make()))
    print(f"{records} records in {len(files)} files, batch {FLAGS.batch_size}")
    for name, spent in seconds.items():
        of_raw = seconds["raw records"] / spent
        naive = seconds["record by record to float"] / spent
        print(f"{name:30} {records / spent:9.0f} records/s  {of_raw:5.2f} x raw  {naive:5.2f} x record by record")
    # The cached files are opened once, and read in each of the passes.
    epoch = seconds["cached rated, training"] / FLAGS.passes
    print(f"opening and verifying the cache takes {opening / epoch:.2f} x an epoch of it, once a run")


def write_random(directory, config):
    """Writes what the flags ask for; returns the pattern of the files."""
    rng = np.random.default_rng(0)

    def video(name):
        frames = int(rng.integers(FLAGS.frames // 3, FLAGS.frames + 1))
        starts = 5 * rng.choice(frames // 5, size=min(FLAGS.ratings, frames // 5), replace=False)
        return tfrecord.FrameRecord(
            video_id=name,
            features={key: rng.integers(0, 256, (frames, size), np.uint8) for key, size in config.features.items()},
            labels=tuple(rng.integers(0, config.num_classes, 3).tolist()),
            segments=tuple((int(start), int(rng.integers(config.num_classes)), 1.0) for start in starts),
        )

    for number in range(FLAGS.files):
        videos = (video(f"v{number}_{index}") for index in range(FLAGS.videos // FLAGS.files))
        tfrecord.write_records(os.path.join(directory, f"{number:04d}.tfrecord"), videos)
    return os.path.join(directory, "*.tfrecord")


def raw(files):
    """tf.data.Dataset of the serialized records."""
    return tf.data.Dataset.from_tensor_slices(files).flat_map(record_dataset)


def _naive(files, config):
    schema = {name: tf.io.FixedLenSequenceFeature([], tf.string) for name in config.feature_names}

    def parse(serialized):
        _, frames = tf.io.parse_single_sequence_example(serialized, sequence_features=schema)
        decoded = {name: tf.io.decode_raw(frames[name], tf.uint8) for name in schema}
        return {name: tf.cast(values, tf.float32) * (4 / 255) + (4 / 512 - 2) for name, values in decoded.items()}

    return raw(files).map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def consume(dataset):
    """Reads all of ``dataset``, of which nothing reaches Python."""
    dataset.reduce(np.int64(0), lambda count, *_: count + 1)


def _time_opening(directory, files, config):
    start = time.perf_counter()
    cache.open_cache(os.path.join(directory, "cache"), files, config)
    return time.perf_counter() - start


def _time(dataset):
    start = time.perf_counter()
    consume(dataset)
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
