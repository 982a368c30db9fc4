"""Pairs of videos of a run, to train on and held out."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from yt8m.config import RunConfig
from yt8m.data.augment import check_augment
from yt8m.data.pair_records import Place, locate_videos, make_pairs
from yt8m.data.record_checks import explain_errors
from yt8m.data.splits import Source
from yt8m.inference.model_evaluation import PairScorer, evaluate_pairs
from yt8m.similarity.pair_split import check_disjoint_pairs, split_pairs
from yt8m.similarity.pairs import read_pairs
from yt8m.training.training_data import TrainingData
from yt8m.types import InputError


class LocatedPairs(NamedTuple):
    """N pairs: places of both videos' records; scores (N,) float64."""

    places: list[tuple[Place, Place]]
    scores: np.ndarray


def open_pairs(run: RunConfig, source: Source) -> tuple[LocatedPairs, LocatedPairs | None, set[str]]:
    """(pairs to train on, pairs held out or None, ids of the videos of the first) of a run, looked up in ``source``.

    Raises InputError where a file, a score or a video is not as it must be, or where nothing can be held out.
    """
    check_augment(run.train.augment, run.data, windows="video")
    train, held_out = _read(run, run.pairs), None
    if run.eval_pairs:
        held_out = _read(run, run.eval_pairs)
        check_disjoint_pairs(train, held_out, name=run.eval_pairs)
    elif run.holdout_fraction:
        train, held_out = split_pairs(train, fraction=run.holdout_fraction, seed=run.train.seed, name=run.pairs)
    if held_out is not None and not np.ptp(held_out.scores):
        raise InputError(f"{run.eval_pairs or run.pairs}: all scores that are held out are equal, and rank nothing")
    ids = {*train.first, *train.second}
    wanted = dict.fromkeys(ids, run.pairs)
    if held_out is not None:
        wanted |= dict.fromkeys([*held_out.first, *held_out.second], run.eval_pairs or run.pairs)
    places = locate_videos(source.files, wanted, run.data)
    return _located(train, places), held_out and _located(held_out, places), ids


def _read(run, path):
    pairs = read_pairs(path)
    if run.train.similarity.loss == "mse" and np.abs(pairs.scores).max() > 1:
        place = int(np.abs(pairs.scores).argmax())
        raise InputError(
            f"{path}: the score of {pairs.first[place]} and {pairs.second[place]} is {pairs.scores[place]:g}, and a "
            "cosine is from -1 to 1: scale the scores, or set similarity_loss to cosent, which goes by their order"
        )
    return pairs


def _located(pairs, places):
    located = [(places[first], places[second]) for first, second in zip(pairs.first, pairs.second)]
    return LocatedPairs(located, pairs.scores)


def evaluate_held_out(scorer: PairScorer, run: RunConfig, source: Source, pairs: LocatedPairs) -> dict[str, Any]:
    """What yt8m.inference.model_evaluation.evaluate_pairs gives of pairs of the videos of ``source``."""
    batches = make_pairs(source.files, pairs.places, pairs.scores, run.data, batch_size=run.train.batch_size)
    with explain_errors(source.files, run.data):
        return evaluate_pairs(scorer, batches)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairData(TrainingData):
    """The pairs of a run, epoch by epoch. pairs: those to train on; held_out: those to evaluate on, or None."""

    pairs: LocatedPairs
    held_out: LocatedPairs | None

    def epoch(self, number: int) -> Any:
        """tf.data.Dataset of the batches (features, targets) of an epoch; the same for the same number."""
        return make_pairs(
            self.source.files,
            self.pairs.places,
            self.pairs.scores,
            self.run.data,
            batch_size=self.run.train.batch_size,
            training=True,
            augment=self.run.train.augment,
            seed=self.run.train.seed,
            epoch=number,
            drop_remainder=self.placement.num_devices > 1,
        )

    def estimated_steps(self) -> int | None:
        """How many steps all epochs have, None without end."""
        epochs = self.run.train.num_epochs
        return epochs and epochs * -(-len(self.pairs.scores) // self.run.train.batch_size)

    def check_not_empty(self, steps: int) -> None:
        """Raises InputError where an epoch had no ``steps``."""
        if not steps:
            raise InputError(f"{self.run.pairs} has fewer pairs to train on than a batch: lower batch_size")
