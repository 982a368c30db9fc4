"""The bias that heads start from, -4.6 against 0, for BERT with YouTube-8M's 3862 classes.

    .venv/bin/python -m benchmarks.head_bias --videos='yt8m_video/*.tfrecord' [--steps=100,300,1000] [--seeds=2]

The real records here are of whole videos, so that a video is one frame, its mean, quantised again. A fifth of the files
is held out. Prints a Markdown table of GAP@20 on them after each number of steps, mean over the seeds.
"""

import os
import pathlib
from unittest import mock

import numpy as np
import tensorflow as tf
from absl import app, flags

from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.tfrecord import FrameRecord, list_files, quantize, write_records
from yt8m.models.checkpoints import read_metrics
from yt8m.runtime.progress import progress_style
from yt8m.training.train import train

FLAGS = flags.FLAGS
flags.DEFINE_string("videos", None, "Video-level records, mean_rgb and mean_audio.", required=True)
flags.DEFINE_string("output_dir", "runs/head_bias", "Folder for records and runs.")
flags.DEFINE_list("steps", ["100", "300", "1000"], "Steps after which the holdout is scored; the last ends a run.")
flags.DEFINE_integer("seeds", 2, "Seeds, from 0.", lower_bound=1)

_BERT = {"num_layers": 2, "num_heads": 4, "hidden_size": 256, "feed_forward_size": 512, "num_mixtures": 2}


def main(_):
    pattern = write_frames(list_files(FLAGS.videos), pathlib.Path(FLAGS.output_dir, "records"))
    steps = sorted(map(int, FLAGS.steps))
    print(f"| bias | {' | '.join(f'GAP@20 after {step} steps' for step in steps)} |")
    print("| --- " * (1 + len(steps)) + "|")
    for bias in (-4.6, 0.0):
        found = []
        for seed in range(FLAGS.seeds):
            folder = os.path.join(FLAGS.output_dir, f"bias{bias}-{seed}")
            with mock.patch("yt8m.layers.mixture_of_experts.PRIOR_LOGIT", bias), progress_style("quiet"):
                train(config(pattern, steps, seed), train_dir=folder)
            scores = {entry["step"]: entry["gap_at_20"] for entry in read_metrics(folder)}
            found.append([scores[step] for step in steps])
        print(f"| {bias:g} | {' | '.join(f'{score:.4f}' for score in np.mean(found, axis=0))} |", flush=True)


def write_frames(files, folder):
    """The records of ``files`` as records of a single frame each, one file for one; their pattern."""
    for file in files:
        path = folder / os.path.basename(file)
        if not path.exists():
            write_records(path, map(as_frame, tf.data.TFRecordDataset(file).as_numpy_iterator()))
    return str(folder / "*.tfrecord")


def as_frame(serialized):
    features = tf.train.Example.FromString(serialized).features.feature
    frames = {name: np.array([features[f"mean_{name}"].float_list.value], np.float32) for name in ("rgb", "audio")}
    return FrameRecord(
        video_id=features["id"].bytes_list.value[0].decode(),
        features={name: quantize(values) for name, values in frames.items()},
        labels=tuple(features["labels"].int64_list.value),
    )


def config(pattern, steps, seed):
    return RunConfig(
        data=DataConfig(num_frames=1),
        model=ModelConfig(name="frame_bert", hyperparameters=_BERT),
        train=TrainConfig(
            base_learning_rate=1e-3,
            seed=seed,
            num_epochs=None,
            max_steps=steps[-1],
            # Every step that is asked for is a multiple of this.
            evaluate_steps=int(np.gcd.reduce(steps)),
        ),
        train_data_pattern=pattern,
        holdout_files=max(1, len(list_files(pattern)) // 5),
    )


if __name__ == "__main__":
    app.run(main)
