"""What texts, and pre-training on hidden words and frames, are worth on the synthetic set, by the similarity of videos.

    nice .venv/bin/python -m benchmarks.text_pretraining --seeds=5 --results=runs/texts.jsonl

For each seed: the set of that seed, a tokenizer of its own texts, a small multimodal_bert pre-trained on the videos to
train on, then fine-tuned on their pairs by the squared error of the cosine, and scored by Spearman's correlation on the
pairs of all other videos. Frames alone and text alone are the same model with nothing else to see. Prints a Markdown
table: mean and standard deviation over seeds, and the difference to the row before, of the same seed, with its error.
What --results holds is not done again.
"""

import dataclasses
import json
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from yt8m.config import DataConfig, MaskedFramesConfig, MaskedTokensConfig, ModelConfig, TextConfig
from yt8m.data.making.synthetic import NAMES, write_demo
from yt8m.data.making.tokenizer_training import read_record_texts, train_tokenizer
from yt8m.data.pipeline import make_dataset
from yt8m.data.tfrecord import list_files
from yt8m.data.tokens import facts_of_tokenizer
from yt8m.models.base import build_model
from yt8m.models.learner import Learner
from yt8m.models.pair_learner import PairLearner
from yt8m.similarity.cosine import cosines
from yt8m.similarity.pairs import read_pairs, spearman

FLAGS = flags.FLAGS
flags.DEFINE_integer("seeds", 5, "Number of seeds.", lower_bound=1)
flags.DEFINE_integer("epochs", 20, "Passes of pre-training.", lower_bound=1)
flags.DEFINE_integer("pair_epochs", 5, "Passes over the pairs.", lower_bound=0)
flags.DEFINE_string("results", None, "File of JSON lines, a score each, to which this adds.", required=True)
flags.DEFINE_enum("size", "small", ["tiny", "small"], "Size of the set.")

FIELDS = ("title", "asr", "tags")
_BERT = {"num_layers": 2, "num_heads": 4, "hidden_size": 64, "feed_forward_size": 256, "dropout": 0.1}
_BATCH, _RATE, _PAIR_RATE = 64, 1e-3, 3e-4


@dataclasses.dataclass(frozen=True)
class Arm:
    """A row of the table: what the model sees, and the weights of what it is pre-trained on."""

    text: bool = True
    frames: bool = True
    labels: float = 1.0
    words: float = 0.0
    hidden_frames: float = 0.0


ARMS = {
    "not pre-trained": Arm(labels=0.0),
    "frames alone, tags": Arm(text=False),
    "text alone, tags": Arm(frames=False),
    "both, tags": Arm(),
    "both, tags and words": Arm(words=1.0),
    "both, tags, words and frames": Arm(words=1.0, hidden_frames=1.0),
}


class World:
    """The set of a seed, and its tokenizer."""

    def __init__(self, folder: str, seed: int, *, size: str):
        self.folder, self.seed = folder, seed
        write_demo(folder, seed=seed, size=size)
        path = os.path.join(folder, "tokenizer.json")
        train_tokenizer(read_record_texts(self._files("train")), path, kind="wordpiece", vocabulary_size=2000)
        text = TextConfig(fields=FIELDS, tokenizer=path, max_tokens=40, **facts_of_tokenizer(path))
        self.data = DataConfig(num_classes=len(NAMES), num_frames=8, sampling="uniform", text=text)

    def _files(self, split):
        return list_files(os.path.join(self.folder, split, "*.tfrecord"))

    def videos(self, splits: tuple[str, ...], arm: Arm) -> tuple[list[str], dict, dict]:
        """Ids, features and targets of all videos of ``splits``."""
        ids, parts = [], []
        for split in splits:
            batches = make_dataset(self._files(split), self.data, windows="video", batch_size=_BATCH, with_info=True)
            for features, targets, info in batches:
                ids += [name.decode() for name in info["id"].numpy().tolist()]
                parts.append((_seen(features, arm), targets))
        return ids, *(tf.nest.map_structure(lambda *rows: np.concatenate(rows), *part) for part in zip(*parts))

    def pairs(self, splits: tuple[str, ...], ids: list[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows of the first, rows of the second, scores) of the pairs of ``splits``."""
        place = {name: row for row, name in enumerate(ids)}
        found = [read_pairs(os.path.join(self.folder, f"{split}_pairs.csv")) for split in splits]
        first, second = ([place[name] for names in part for name in names] for part in zip(*[of[:2] for of in found]))
        return np.array(first), np.array(second), np.concatenate([of.scores for of in found])


def _seen(features, arm):
    features = dict(features)
    for name in () if arm.text else ("tokens", "token_sources", "token_words"):
        features[name] = tf.zeros_like(features[name])
    if not arm.frames:
        features["num_frames"] = tf.zeros_like(features["num_frames"])
    return features


def score(world: World, arm: Arm, *, epochs: int, pair_epochs: int) -> float:
    """Spearman's correlation on the pairs of the videos that are not trained on."""
    keras.utils.set_random_seed(world.seed)
    model = build_model(ModelConfig(name="multimodal_bert", hyperparameters=_BERT), world.data)
    ids, features, targets = world.videos(("train",), arm)
    if arm.labels or arm.words or arm.hidden_frames:
        learner = Learner(
            model,
            masked_tokens=MaskedTokensConfig(weight=arm.words),
            masked_frames=MaskedFramesConfig(weight=arm.hidden_frames),
            label_weight=arm.labels,
        )
        learner.compile(optimizer=keras.optimizers.Adam(_RATE), jit_compile=False)
        videos = tf.data.Dataset.from_tensor_slices((features, targets))
        videos = videos.shuffle(len(ids), seed=world.seed).batch(_BATCH, drop_remainder=True)
        learner.fit(videos, epochs=epochs, verbose=0, shuffle=False)
    first, second, scores = world.pairs(("train",), ids)
    pairs = tf.data.Dataset.from_tensor_slices((first, second, scores.astype(np.float32)))
    pairs = pairs.shuffle(len(scores), seed=world.seed).batch(_BATCH, drop_remainder=True)

    def taken(one, other, wanted):
        both = tf.stack([one, other], axis=1)
        return {name: tf.gather(values, both) for name, values in features.items()}, {"similarity": wanted}

    judge = PairLearner(model)
    judge.compile(optimizer=keras.optimizers.Adam(_PAIR_RATE), jit_compile=False)
    judge.fit(pairs.map(taken), epochs=pair_epochs, verbose=0, shuffle=False)
    others = ("validate", "test")
    ids, features, _ = world.videos(others, arm)
    first, second, scores = world.pairs(others, ids)
    embed = tf.function(lambda batch: model.embed(batch, training=False))
    slices = [slice(row, row + _BATCH) for row in range(0, len(ids), _BATCH)]
    vectors = np.concatenate([np.asarray(embed({name: v[part] for name, v in features.items()})) for part in slices])
    return spearman(cosines(vectors[first], vectors[second]), scores)


def main(_):
    found = _read()
    for seed in range(FLAGS.seeds):
        missing = [name for name in ARMS if (name, seed) not in found]
        with tempfile.TemporaryDirectory() as folder:
            world = World(folder, seed, size=FLAGS.size) if missing else None
            for name in missing:
                keras.backend.clear_session()
                scored = score(world, ARMS[name], epochs=FLAGS.epochs, pair_epochs=FLAGS.pair_epochs)
                with open(FLAGS.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"arm": name, "seed": seed, "spearman": scored}) + "\n")
    found = _read()
    print(f"| pre-trained on | Spearman, {FLAGS.seeds} seeds | above the row before |")
    print("| --- | ---: | ---: |")
    before = None
    for name in ARMS:
        scores = [found[name, seed] for seed in range(FLAGS.seeds)]
        gain = ""
        if before is not None:
            differences = np.subtract(scores, before)
            error = differences.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.nan
            gain = f"{differences.mean():+.4f} ± {error:.4f}"
        print(f"| {name} | {np.mean(scores):.4f} ± {np.std(scores):.4f} | {gain} |")
        before = scores


def _read():
    """Dict of (arm, seed) to the score that the file of results has."""
    if not os.path.exists(FLAGS.results):
        return {}
    with open(FLAGS.results, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return {(line["arm"], line["seed"]): line["spearman"] for line in lines}


if __name__ == "__main__":
    app.run(main)
