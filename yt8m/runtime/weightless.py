"""Models whose weights are described and take no memory, have a limit, or are about to be given."""

import concurrent.futures
import contextlib
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import keras

_ITEM_BYTES = 4
"""Of a weight: variables are float32 whatever the policy computes in."""


def bytes_of_weights(make: Callable[[], keras.Model]) -> int:
    """Bytes of the variables of the model that ``make`` makes and builds, none of which takes memory.

    0 with the torch backend, where variables cannot be put off.
    """
    if keras.backend.backend() == "torch":
        return 0
    return sum(math.prod(variable.shape) * _ITEM_BYTES for variable in without_memory(make).variables)


def without_memory(make: Callable[[], Any]) -> Any:
    """The model that ``make`` makes and builds: its variables have shapes, and no values and no memory.

    Not with the torch backend, where variables cannot be put off.
    """

    def describe():
        with keras.StatelessScope(initialize_variables=False):
            return make()

    # Initializers draw their seeds from Python's generator; the model that is made after this one has the same.
    drawn = random.getstate()
    try:
        # In a stateless scope Keras puts off what variables start with, and remembers that for the thread.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(describe).result()
    finally:
        random.setstate(drawn)


class Weights:
    """Weights that were made so far. described: their bytes, with those of the first that was not allowed."""

    def __init__(self):
        self.described = 0


@contextlib.contextmanager
def weights_within(most: int) -> Iterator[Weights]:
    """Layers built within it may add ``most`` bytes of weights, and raise MemoryError before they add any more."""
    weights, add = Weights(), keras.layers.Layer.add_weight

    def checked(layer, shape=None, *args, **settings):
        if weights.described <= most:
            weights.described += math.prod(shape or ()) * _ITEM_BYTES
        if weights.described > most:
            raise MemoryError(f"a model of more than {most:,} bytes of weights")
        return add(layer, shape, *args, **settings)

    keras.layers.Layer.add_weight = checked
    try:
        yield weights
    finally:
        keras.layers.Layer.add_weight = add


_DRAWING = ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling")


@contextlib.contextmanager
def nothing_drawn() -> Iterator[None]:
    """Weights made within it start from 0 where they would be drawn: of a model whose weights are given next.

    To draw 74 million takes a processor more than a second.
    """
    kinds = [getattr(keras.initializers, name) for name in _DRAWING]
    draws = [kind.__call__ for kind in kinds]
    for kind in kinds:
        kind.__call__ = _zeros
    try:
        yield
    finally:
        for kind, draw in zip(kinds, draws):
            kind.__call__ = draw


def _zeros(_, shape, dtype=None, **__):
    return keras.ops.zeros(shape, dtype=dtype)
