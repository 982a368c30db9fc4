"""Datasets of many lists of files, one after another, that are read in one way."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_dataset import names_of


def part_reader(config: DataConfig, **options: Any) -> Callable[[Sequence[str]], tf.data.Dataset]:
    """A function of a list of files: ``make_dataset`` of them with ``config`` and ``options``, not for training.

    The functions of the dataset are traced at its first call alone, so that a later one takes milliseconds instead of
    a quarter of a second in which no other thread runs Python. Several threads may call it.
    """
    make = tf.function(
        functools.partial(make_dataset, config=config, **options),
        input_signature=[tf.TensorSpec([None], tf.string)],
        autograph=False,
    )
    return lambda files: make(names_of(files))
