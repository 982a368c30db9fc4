"""How fast make_dataset reads, beside the fastest and the plainest way to read the same files.

    .venv/bin/python -m benchmarks.reader [--input_data_pattern=...] [--videos=600 --frames=300]

Prints records per second of: iterating over the raw records; make_dataset, from records and from a cache of rated
segments or whole videos; and parsing record by record and decoding all frames to float. All in turn within one run,
best of --repeats, from memory, without the time in which a dataset is made. "Drawn" has --drawn_frames random frames of
each video.
"""

import functools
import os
import tempfile
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from yt8m.config import DataConfig
from yt8m.data import cache, pipeline, tfrecord
from yt8m.data.record_dataset import record_dataset

FLAGS = flags.FLAGS
flags.DEFINE_string("input_data_pattern", "", "Frame-level files with ratings; empty writes random ones.")
flags.DEFINE_integer("videos", 600, "Videos to write.", lower_bound=1)
flags.DEFINE_integer("frames", 300, "Frames of the longest video written; the shortest has a third.", lower_bound=15)
flags.DEFINE_integer("ratings", 5, "Rated segments of a video written.", lower_bound=1)
flags.DEFINE_integer("files", 4, "Files written.", lower_bound=1)
flags.DEFINE_integer(
    "passes",
    6,
    "Times that the files are read on end, to drown the start; from a cache ten times as many.",
    lower_bound=1,
)
flags.DEFINE_integer("batch_size", 128, "Examples in a batch.", lower_bound=1)
flags.DEFINE_integer("num_frames", 300, "Frames of a whole-video example.", lower_bound=1)
flags.DEFINE_integer("drawn_frames", 5, "Frames of an example of which few are drawn at random.", lower_bound=1)
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
        files = tfrecord.list_files(FLAGS.input_data_pattern or write_random(directory, config))
        records = pipeline.count_records(files, config)
        caches, opening = {}, {}
        for windows in ("rated", "video"):
            open_cache = functools.partial(cache.open_cache, directory, files, config, windows=windows)
            caches[windows] = open_cache()
            opening[windows] = min(_seconds(open_cache) for _ in range(FLAGS.repeats))
        rates = dict.fromkeys(ways := _ways(files, config, caches), 0.0)
        for _ in range(FLAGS.repeats):
            for name, (passes, make) in ways.items():
                dataset = make(files * passes)
                rates[name] = max(rates[name], passes * records / _seconds(lambda dataset=dataset: consume(dataset)))
    print(f"{records} records in {len(files)} files, batch {FLAGS.batch_size}")
    for name, rate in rates.items():
        beside = {"raw": "raw records", "record by record": "record by record to float"}
        if name.endswith(", cached"):
            beside["records"] = name.removesuffix(", cached")
        told = "  ".join(f"{rate / rates[other]:6.2f} x {text}" for text, other in beside.items())
        print(f"{name:26} {rate:9.0f} records/s  {told}")
    for windows, spent in opening.items():
        epoch = records / rates[f"{windows}, training, cached"]
        print(f"opening the cache, {windows}, takes {spent / epoch:.2f} x an epoch of it, once a run")


def _ways(files, config, caches):
    """Dict of name to (passes over the files, function of files on end that gives a dataset)."""
    passes = FLAGS.passes
    ways = {"raw records": (passes, raw), "record by record to float": (passes, lambda files: _naive(files, config))}
    few = config.replace(num_frames=FLAGS.drawn_frames, sampling="random")
    examples = {"rated": ("rated", config), "video": ("video", config), "drawn": ("video", few)}
    for name, (windows, settings) in examples.items():
        for training in (True,) if name == "drawn" else (False, True):
            shown = f"{name}{', training' if training else ''}"
            make = functools.partial(
                pipeline.make_dataset,
                config=settings,
                windows=windows,
                batch_size=FLAGS.batch_size,
                training=training,
            )
            ways[shown] = passes, make
            ways[f"{shown}, cached"] = 10 * passes, functools.partial(make, cache=caches[windows])
    make = functools.partial(pipeline.make_dataset, config=config, windows="all", batch_size=FLAGS.batch_size)
    return ways | {"all segments": (passes, make)}


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


def _seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
