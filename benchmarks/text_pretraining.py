"""What texts, and pre-training on hidden words and frames, are worth on the synthetic set, by the similarity of videos.

    nice .venv/bin/python -m benchmarks.text_pretraining --seed=0 --results=runs/texts0.jsonl

For each --seed: the set of that seed, a tokenizer of its own texts, a small multimodal_bert pre-trained on the videos
to train on, then fine-tuned on their pairs by the squared error of the cosine, and scored by Spearman's correlation on
the pairs of all other videos. Frames alone and text alone are the same model with nothing else to see. Prints a
Markdown table: mean and standard deviation over seeds, and the difference to the row before, of the same seed, with its
error; its last rows are what could be reached, the correlation of the true classes and topics of the videos.

What --results holds is not done again, so that a seed a process, each with results of its own, is as good: the table is
that of the results put into one file.
"""

import csv
import dataclasses
import json
import os
import tempfile

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from yt8m.config import DataConfig, MaskedFramesConfig, MaskedTokensConfig, ModelConfig, TextConfig
from yt8m.data.making.synthetic import NAMES, SIZES, write_demo
from yt8m.data.making.synthetic_texts import TOPICS
from yt8m.data.making.tokenizer_training import read_record_texts, train_tokenizer
from yt8m.data.pipeline import make_dataset
from yt8m.data.tfrecord import list_files
from yt8m.data.tokens import facts_of_tokenizer
from yt8m.inference.model_evaluation import PairScorer, evaluate_pairs
from yt8m.models.base import build_model
from yt8m.models.learner import Learner
from yt8m.models.pair_learner import PairLearner
from yt8m.runtime.devices import default_jit_compile
from yt8m.similarity.cosine import cosines
from yt8m.similarity.pairs import read_pairs, spearman

FLAGS = flags.FLAGS
FIELDS = ("title", "asr", "tags")
OTHERS = ("validate", "test")
"""Splits that nothing is trained on."""

_BERT = {
    **{"num_layers": 2, "num_heads": 4, "hidden_size": 64, "feed_forward_size": 256},
    **{"dropout": 0.1, "pooling": "mean"},
}
_BATCH, _RATE, _PAIR_RATE = 64, 2e-3, 1e-3
_WARM_UP = 0.1


@dataclasses.dataclass(frozen=True)
class Arm:
    """A row of the table: what the model sees, and the weights of what it is pre-trained on."""

    text: bool = True
    frames: bool = True
    labels: float = 1.0
    words: float = 0.0
    hidden_frames: float = 0.0


ARMS = {
    "frames alone, tags": Arm(text=False),
    "text alone, tags": Arm(frames=False),
    "both, tags": Arm(),
    "both, tags and words": Arm(words=1.0),
    "both, tags, words and frames": Arm(words=1.0, hidden_frames=1.0),
    "both, not pre-trained": Arm(labels=0.0),
}
CEILINGS = {"classes": (1, 0), "topics": (0, 1), "classes and topics": (1, 1)}
"""Of a ceiling, whether the true classes and the true topics of the videos are known."""


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
            batches = make_dataset(self._files(split), self.data, windows="video", batch_size=64, with_info=True)
            for features, targets, info in batches.as_numpy_iterator():
                ids += [name.decode() for name in info["id"].tolist()]
                parts.append((_seen(features, arm), targets))
        return ids, *(tf.nest.map_structure(lambda *rows: np.concatenate(rows), *part) for part in zip(*parts))

    def pairs(self, splits: tuple[str, ...], ids: list[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Rows (N, 2) of the videos of the pairs of ``splits``, and targets, their "similarity" (N,) float32."""
        place = {name: row for row, name in enumerate(ids)}
        found = [read_pairs(os.path.join(self.folder, f"{split}_pairs.csv")) for split in splits]
        rows = [[place[one], place[other]] for pairs in found for one, other in zip(pairs.first, pairs.second)]
        scores = np.concatenate([pairs.scores for pairs in found])
        return np.array(rows), {"similarity": scores.astype(np.float32)}

    def ceiling(self, shares: tuple[int, int]) -> float:
        """Spearman's correlation on the pairs of OTHERS of what is truly there; shares: of CEILINGS."""
        ids, parts = [], []
        for split in OTHERS:
            with open(os.path.join(self.folder, f"{split}_truth.csv"), encoding="utf-8", newline="") as file:
                for row in csv.DictReader(file):
                    ids.append(row["video_id"])
                    parts.append([row[name].split() for name in ("classes", "topics")])
        rows, targets = self.pairs(OTHERS, ids)
        similar = np.zeros(len(rows))
        for kind, (share, size) in enumerate(zip(shares, (len(NAMES), TOPICS))):
            there = np.array([np.isin(np.arange(size), np.array(part[kind], int)) for part in parts], float)
            similar += share * cosines(there[rows[:, 0]], there[rows[:, 1]])
        return spearman(similar, targets["similarity"])


def _seen(features, arm):
    features = dict(features)
    for name in () if arm.text else ("tokens", "token_sources", "token_words"):
        features[name] = np.zeros_like(features[name])
    if not arm.frames:
        features["num_frames"] = np.zeros_like(features["num_frames"])
    return features


def score(world: World, arm: Arm, *, epochs: int, pair_epochs: int, most_pairs: int = 0) -> float:
    """Spearman's correlation on the pairs of the videos that are not trained on.

    most_pairs: pairs to train on, drawn by the seed; 0 for all.
    """
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
        _fit(learner, features, np.arange(len(ids)), targets, epochs=epochs, rate=_RATE, seed=world.seed)
    judge = PairLearner(model)
    rows, wanted = world.pairs(("train",), ids)
    if most_pairs:
        kept = np.random.default_rng(world.seed).permutation(len(rows))[:most_pairs]
        rows, wanted = rows[kept], {"similarity": wanted["similarity"][kept]}
    _fit(judge, features, rows, wanted, epochs=pair_epochs, rate=_PAIR_RATE, seed=world.seed)
    ids, features, _ = world.videos(OTHERS, arm)
    pairs = _examples(features, *world.pairs(OTHERS, ids))
    return evaluate_pairs(PairScorer(judge), pairs)["spearman"]


def _examples(features, rows, targets, *, seed=None):
    """tf.data.Dataset of batches of the videos of ``rows``, (N,) or (N, 2), and targets; in order unless seeded."""
    kept = {name: tf.constant(values) for name, values in features.items()}
    examples = tf.data.Dataset.from_tensor_slices((rows, targets))
    if seed is not None:
        examples = examples.shuffle(len(rows), seed=seed)
    batches = examples.batch(_BATCH, drop_remainder=seed is not None)
    return batches.map(lambda part, wanted: ({name: tf.gather(v, part) for name, v in kept.items()}, wanted)).prefetch(
        2
    )


def _fit(learner, features, rows, targets, *, epochs, rate, seed):
    steps = epochs * (len(rows) // _BATCH)
    warm_up = round(_WARM_UP * steps)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=steps - warm_up, warmup_target=rate, warmup_steps=warm_up
    )
    learner.compile(optimizer=keras.optimizers.Adam(schedule), jit_compile=default_jit_compile())
    learner.fit(_examples(features, rows, targets, seed=seed), epochs=epochs, verbose=0, shuffle=False)


def main(_):
    arms = FLAGS.arm or list(ARMS)
    found = _read()
    for seed in FLAGS.seed:
        missing = [name for name in (*arms, *CEILINGS) if (name, seed) not in found]
        with tempfile.TemporaryDirectory() as folder:
            world = World(folder, seed, size=FLAGS.size) if missing else None
            for name in missing:
                keras.backend.clear_session()
                if name in CEILINGS:
                    scored = world.ceiling(CEILINGS[name])
                else:
                    lengths = {"epochs": FLAGS.epochs, "pair_epochs": FLAGS.pair_epochs, "most_pairs": FLAGS.pairs}
                    scored = score(world, ARMS[name], **lengths)
                with open(FLAGS.results, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"arm": name, "seed": seed, "spearman": scored}) + "\n")
    _print_table(_read(), arms)


def _print_table(found, arms):
    print(f"| pre-trained on | Spearman, {len(FLAGS.seed)} seeds | above the row before |")
    print("| --- | ---: | ---: |")
    before = None
    for name in (*arms, *CEILINGS):
        scores = [found[name, seed] for seed in FLAGS.seed]
        gain = ""
        if before is not None and name in ARMS:
            differences = np.subtract(scores, before)
            error = differences.std(ddof=1) / np.sqrt(len(scores)) if len(scores) > 1 else np.nan
            gain = f"{differences.mean():+.4f} ± {error:.4f}"
        title = f"the true {name}" if name in CEILINGS else name
        print(f"| {title} | {np.mean(scores):.4f} ± {np.std(scores):.4f} | {gain} |")
        before = scores


def _read():
    """Dict of (arm or ceiling, seed) to the score that the file of results has."""
    if not os.path.exists(FLAGS.results):
        return {}
    with open(FLAGS.results, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return {(line["arm"], line["seed"]): line["spearman"] for line in lines}


if __name__ == "__main__":
    flags.DEFINE_multi_integer("seed", [0, 1, 2, 3, 4], "A seed; may be given several times.", lower_bound=0)
    flags.DEFINE_multi_string("arm", None, "A row of the table, all unless given; may be given several times.")
    flags.DEFINE_integer("epochs", 10, "Passes of pre-training.", lower_bound=1)
    flags.DEFINE_integer("pair_epochs", 3, "Passes over the pairs.", lower_bound=1)
    flags.DEFINE_integer("pairs", 0, "Pairs to train on, 0 for all.", lower_bound=0)
    flags.DEFINE_string("results", None, "File of JSON lines, a score each, to which this adds.", required=True)
    flags.DEFINE_enum("size", "large", list(SIZES), "Size of the set.")
    app.run(main)
