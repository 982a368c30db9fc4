"""Real texts against real features: the names of a video's classes find the video, by recall at 10 against chance.

    nice .venv/bin/python -m benchmarks.label_names --records='yt8m_video/*.tfrecord' --vocabulary=vocabulary.csv

Video-level records of YouTube-8M get the names of their classes as texts, as yt8m-pack --records does it. A small
multimodal_bert sees the texts alone and the features alone, and learns by the contrast of a batch which belong together
(Radford et al. 2021, CLIP). Scored on files that are held out: for the names of each of --queries videos, whether that
video is among the ten nearest of all of these. Others may have the very same names, and then chance decides: the best
that can be had is printed beside.
"""

import collections
import csv
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from keras import ops

from yt8m.config import DataConfig, ModelConfig, TextConfig
from yt8m.data.labels import read_video_labels
from yt8m.data.making.text_adder import add_texts
from yt8m.data.making.text_tables import read_text_tables
from yt8m.data.making.tokenizer_training import read_record_texts, train_tokenizer
from yt8m.data.pipeline import make_dataset
from yt8m.data.scan import probe
from yt8m.data.tfrecord import list_files
from yt8m.data.tokens import facts_of_tokenizer
from yt8m.models.base import build_model
from yt8m.vocabulary import read_class_names

FLAGS = flags.FLAGS
flags.DEFINE_string("records", None, "Video-level records with labels.", required=True)
flags.DEFINE_string("vocabulary", None, "CSV with the columns Index and Name.", required=True)
flags.DEFINE_integer("held_out", 8, "Files to score on.", lower_bound=1)
flags.DEFINE_integer("epochs", 10, "Passes over the others.", lower_bound=1)
flags.DEFINE_integer("queries", 2000, "Videos to tell apart.", lower_bound=20)
flags.DEFINE_integer("seed", 0, "Seed of everything random.")

_BERT = {"num_layers": 1, "num_heads": 4, "hidden_size": 128, "feed_forward_size": 256, "dropout": 0.1}
_BATCH, _RATE, _TEMPERATURE, _TOP = 256, 1e-3, 0.07, 10


class Contrast(keras.Model):
    """The vectors of texts and of features of a batch, and how well each finds its own among the others."""

    def __init__(self, model: keras.Model):
        super().__init__()
        self.model = model

    def vectors(self, inputs: dict, *, of: str, training: bool | None = None):
        """Unit vectors (B, E), of "texts" or of "features" alone."""
        hidden = [name for name in inputs if name.startswith("token") == (of == "features")]
        seen = inputs | {name: ops.zeros_like(inputs[name]) for name in hidden}
        return ops.normalize(ops.cast(self.model.embed(seen, training=training), "float32"), axis=-1)

    def call(self, inputs: dict, training: bool | None = None):
        """Cosines over the temperature, (B, B), of texts against features."""
        texts, features = (self.vectors(inputs, of=of, training=training) for of in ("texts", "features"))
        return ops.matmul(texts, ops.transpose(features)) / _TEMPERATURE

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Cross-entropy in both directions."""
        right = ops.arange(ops.shape(y_pred)[0])
        both = [
            keras.losses.sparse_categorical_crossentropy(right, way, from_logits=True)
            for way in (y_pred, ops.transpose(y_pred))
        ]
        return (ops.mean(both[0]) + ops.mean(both[1])) / 2


def write_names(files: list[str], path: str) -> None:
    """Writes the table of the names of the classes of videos."""
    names = read_class_names(FLAGS.vocabulary)
    config = DataConfig(level="video", num_classes=max(names) + 1)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("video_id", "field", "text"))
        for video_id, labels in zip(*read_video_labels(files, config)):
            writer.writerows((video_id, "tags", names[label]) for label in labels if names.get(label))


def retrieve(contrast: Contrast, files: list[str], data: DataConfig) -> tuple[float, float, int]:
    """(recall, the best that can be had, number of videos)."""
    texts, features, keys = [], [], []
    embed = tf.function(
        lambda inputs: [contrast.vectors(inputs, of=of, training=False) for of in ("texts", "features")],
        reduce_retracing=True,
    )
    for inputs, _ in make_dataset(files, data, windows="video", batch_size=_BATCH):
        found = embed(inputs)
        texts.append(found[0].numpy())
        features.append(found[1].numpy())
        keys += [tuple(row) for row in inputs["tokens"].numpy().tolist()]
        if len(keys) >= FLAGS.queries:
            break
    count = min(len(keys), FLAGS.queries)
    cosines = np.concatenate(texts)[:count] @ np.concatenate(features)[:count].T
    better = (cosines > np.diagonal(cosines)[:, None]).sum(axis=1)
    alike = collections.Counter(keys[:count])
    best = np.mean([min(1, _TOP / alike[key]) for key in keys[:count]])
    return float(np.mean(better < _TOP)), float(best), count


def main(_):
    files = list_files(FLAGS.records)
    keras.utils.set_random_seed(FLAGS.seed)
    with tempfile.TemporaryDirectory() as folder:
        table, tokenizer = (os.path.join(folder, name) for name in ("names.csv", "tokenizer.json"))
        write_names(files, table)
        add_texts(files, read_text_tables([table]), os.path.join(folder, "records"), paths=[table])
        files = list_files(os.path.join(folder, "records", "*.tfrecord"))
        train, held_out = files[: -FLAGS.held_out], files[-FLAGS.held_out :]
        train_tokenizer(read_record_texts(train), tokenizer, kind="unigram", vocabulary_size=4000)
        found = probe(train)
        text = TextConfig(fields=("tags",), tokenizer=tokenizer, max_tokens=24, **facts_of_tokenizer(tokenizer))
        data = DataConfig(
            level="video", feature_names=tuple(found.features), feature_sizes=tuple(found.features.values()), text=text
        )
        contrast = Contrast(build_model(ModelConfig(name="multimodal_bert", hyperparameters=_BERT), data))
        contrast.compile(optimizer=keras.optimizers.Adam(_RATE), jit_compile=False)
        print("| passes | recall@10 | best possible | chance |\n| --- | ---: | ---: | ---: |")
        for epoch in range(FLAGS.epochs + 1):
            if epoch % 2 == 0 or epoch == FLAGS.epochs:
                recall, best, count = retrieve(contrast, held_out, data)
                print(f"| {epoch} | {recall:.3f} | {best:.3f} | {_TOP / count:.3f} of {count:,} |", flush=True)
            if epoch < FLAGS.epochs:
                batches = make_dataset(
                    train,
                    data,
                    windows="video",
                    batch_size=_BATCH,
                    training=True,
                    seed=FLAGS.seed,
                    epoch=epoch,
                    drop_remainder=True,
                )
                contrast.fit(batches.map(lambda features, targets: (features, targets["unrated"])), verbose=0)


if __name__ == "__main__":
    app.run(main)
