"""Python within the graph, whose InputErrors come out of it as they are."""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from yt8m.types import InputError

_raised: collections.deque[InputError] = collections.deque(maxlen=32)
"""Several threads may raise one each before one of them is asked for."""


def python_call(function: Callable[..., Any], inputs: Sequence[Any], kinds: Any) -> Any:
    """tf.numpy_function of ``function``, which may raise InputErrors: input_error_of gives them back."""

    def call(*values: Any) -> Any:
        try:
            return function(*values)
        except InputError as error:
            _raised.append(error)
            raise

    return tf.numpy_function(call, inputs, kinds)


def input_error_of(error: tf.errors.OpError) -> InputError | None:
    """The InputError of a python_call that TensorFlow has made ``error`` of; None for another one."""
    return next((raised for raised in _raised if str(raised) in error.message), None)
