"""Models whose weights are described and take no memory, or are about to be given."""

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
