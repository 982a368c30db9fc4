"""Networks of keras.applications: their functions by name, and files of their weights."""

import contextlib
import functools
import inspect
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from yt8m.types import InputError, StrPath

CLASSES = 1000
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, zipfile.BadZipFile)


@functools.cache
def keras_networks() -> dict[str, tuple[Callable[..., keras.Model], Callable[..., Any]]]:
    """Name of each network of keras.applications to (its function, that which prepares pixel values for it)."""
    functions = {name: value for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    return {name: (build, sys.modules[build.__module__].preprocess_input) for name, build in functions.items()}


@contextlib.contextmanager
def layers_of(policy: Any) -> Iterator[None]:
    """Context in which layers are made with a dtype policy, whatever the program's own is."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def problem_of_loading(network: keras.Model, path: StrPath) -> str:
    """Loads a file of weights; "" where all weights of the network came from it, else why they did not."""
    try:
        # Of a file that is another network's, Keras warns once for each layer.
        with warnings.catch_warnings(action="ignore"):
            network.load_weights(path)
    except _UNREADABLE as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    odd = (weight.path for weight in network.weights if not np.isfinite(keras.ops.convert_to_numpy(weight)).all())
    return next((f"{path} has values that are no finite numbers" for path in odd), "")


def load_trunk(trunk: keras.Model, path: StrPath, *, name: str) -> None:
    """Loads the weights of a network without its last layers from a file of it, or of the whole network.

    trunk: made by the function ``name`` with include_top=False. Raises InputError for a file of neither.
    """
    problem = problem_of_loading(trunk, path)
    if not problem:
        return
    build, _ = keras_networks()[name]
    with layers_of("float32"):
        whole = build(weights=None, classes=CLASSES)
    if problem_of_loading(whole, path):
        raise InputError(f"{path} is not weights of {name}: {problem}")
    for variable, given in zip(trunk.weights, whole.weights):
        variable.assign(given)
