"""Clip-level sound: models in several ways against a plain MLP with dropout, by mAP on a file that none was trained on.

    .venv/bin/python -m benchmarks.sound --audioset='audioset/*.tfrecord' [--epochs=8,16,24] [--seeds=2]

Clips are frame-level records of sound features, 10 a clip, with the clips' tags. The last file is scored, the others
are trained on; a run is scored after each number of epochs. Prints a Markdown table of means over the seeds. The MLP is
written as a newcomer to Keras writes it, on the mean frame: two layers of 1024, dropout, a sigmoid a class.
"""

import os

import keras
import numpy as np
from absl import app, flags

from yt8m.config import AugmentConfig, DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.pipeline import make_dataset
from yt8m.data.scan import probe
from yt8m.data.splits import Source
from yt8m.data.tfrecord import list_files
from yt8m.inference.scorer import Scorer
from yt8m.models.checkpoints import load_model
from yt8m.models.targets import rated_pairs
from yt8m.ranking.metrics import mean_average_precision
from yt8m.runtime.progress import progress_style
from yt8m.training.train import train

FLAGS = flags.FLAGS
flags.DEFINE_string("audioset", None, "Frame-level records of clips with tags.", required=True)
flags.DEFINE_integer("num_classes", 527, "Size of the vocabulary.")
flags.DEFINE_list("epochs", ["8", "16", "24"], "Numbers of epochs after which a run is scored.")
flags.DEFINE_multi_string("mode", None, "One of the ways; once for each. Default: all.")
flags.DEFINE_integer("seeds", 2, "Seeds, from 0.", lower_bound=1)
flags.DEFINE_string("output_dir", "runs/sound", "Folder of the runs.")

_MIXED = {"augment": AugmentConfig(mixup=0.4), "averaging": "ema"}
_HIDDEN = {"num_mixtures": 1, "hidden_sizes": [1024, 1024]}
_FRAMES = {
    "hidden_size": 128,
    "num_heads": 4,
    "num_layers": 2,
    "feed_forward_size": 512,
    "pooling": "attention",
    "num_mixtures": 1,
}
MODES = {
    "moe": ("moe", {"num_mixtures": 2}, {}),
    "moe, hidden layer": ("moe", {"num_mixtures": 2, "hidden_sizes": [1024]}, {}),
    "moe, two hidden layers": ("moe", _HIDDEN, {}),
    "the same, weight decay 0.1": ("moe", _HIDDEN, {"weight_decay": 0.1}),
    "the same, hidden L2 1e-4": ("moe", _HIDDEN, {"hidden_l2": 1e-4}),
    "the same, mixup 0.4": ("moe", _HIDDEN, {"augment": AugmentConfig(mixup=0.4)}),
    "the same, mixup 0.4, EMA": ("moe", _HIDDEN, _MIXED),
    "frame_bert, mixup 0.4, EMA": ("frame_bert", _FRAMES, _MIXED),
    "frame_bert, dropout 0.3, mixup 0.4, EMA": ("frame_bert", {**_FRAMES, "dropout": 0.3}, _MIXED),
}


def main(_):
    files = list_files(FLAGS.audioset)
    epochs = sorted(map(int, FLAGS.epochs))
    features = probe(files).features
    data = DataConfig(
        feature_names=tuple(features),
        feature_sizes=tuple(features.values()),
        num_classes=FLAGS.num_classes,
        num_frames=10,
    )
    trained_on, scored = (read(part, data) for part in (files[:-1], files[-1:]))
    print(f"{len(trained_on[0]):,} clips to train on, {len(scored[0]):,} to score")
    print(f"| model | {' | '.join(f'mAP, {count} epochs' for count in epochs)} |")
    print("| --- " * (1 + len(epochs)) + "|")
    show("MLP with dropout", [mlp_scores(trained_on, scored, epochs, seed) for seed in range(FLAGS.seeds)])
    for number, (name, (architecture, hyperparameters, settings)) in enumerate(MODES.items()):
        if FLAGS.mode and name not in FLAGS.mode:
            continue
        model = ModelConfig(name=architecture, hyperparameters=hyperparameters)
        runs = [run_scores(files, data, model, settings, epochs, number, seed) for seed in range(FLAGS.seeds)]
        show(name, runs)


def show(name, runs):
    print(f"| {name} | {' | '.join(f'{score:.4f}' for score in np.mean(runs, axis=0))} |", flush=True)


def read(files, data):
    """(mean frames (N, size) float32, labels (N, C) float32) of all clips."""
    means, labels = [], []
    for features, targets in make_dataset(files, data, windows="video", batch_size=256).as_numpy_iterator():
        frames = np.concatenate([features[name] for name in data.feature_names], axis=-1)
        real = np.arange(frames.shape[1]) < features["num_frames"][:, None]
        frames = (frames * (4 / 255) + (4 / 512 - 2)) * real[..., None]
        means.append(frames.sum(axis=1) / features["num_frames"][:, None])
        labels.append(dense_labels(targets, data.num_classes))
    return np.concatenate(means).astype(np.float32), np.concatenate(labels)


def dense_labels(targets, num_classes):
    rows, classes, values = rated_pairs(targets)
    dense = np.zeros((len(targets["unrated"]), num_classes), np.float32)
    dense[rows, classes] = values
    return dense


def mlp_scores(trained_on, scored, epochs, seed):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(trained_on[0].shape[1:]),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(1024, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(trained_on[1].shape[1], activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    found, done = [], 0
    for count in epochs:
        model.fit(*trained_on, batch_size=128, epochs=count - done, verbose=0)
        done = count
        found.append(mean_average_precision(model.predict(scored[0], batch_size=512, verbose=0), scored[1]))
    return found


def run_scores(files, data, model, settings, epochs, number, seed):
    folder = os.path.join(FLAGS.output_dir, f"{number}-{seed}")
    found = []
    for count in epochs:
        # The run goes on where the last number of epochs ended.
        config = TrainConfig(base_learning_rate=1e-3, num_epochs=count, seed=seed, **settings)
        run = RunConfig(data=data, model=model, train=config, train_data_pattern=FLAGS.audioset)
        with progress_style("quiet"):
            train(run, source=Source(tuple(files[:-1])), train_dir=folder)
        scorer, scores, labels = Scorer(load_model(folder)[0], batch_size=256), [], []
        for features, targets in make_dataset(files[-1:], data, windows="video", batch_size=256).as_numpy_iterator():
            scores.append(scorer(features))
            labels.append(dense_labels(targets, data.num_classes))
        found.append(mean_average_precision(np.concatenate(scores), np.concatenate(labels)))
    return found


if __name__ == "__main__":
    app.run(main)
