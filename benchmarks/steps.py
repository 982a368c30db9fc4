"""Steps of training and inference as Keras takes them, on data that lie on the device already."""

import time
from collections.abc import Callable
from typing import Any

import keras

from benchmarks.roofline import wait


def on_device(arrays: Any) -> Any:
    """Arrays, in any structure, on the device."""
    return keras.tree.map_structure(keras.ops.convert_to_tensor, arrays)


def train_step(model: keras.Model, features: dict, targets: dict) -> Callable[[], Any]:
    """Function that takes a step of a compiled model, with its optimizer, and returns what is to be waited for."""
    data = (features, targets)
    model.make_train_function()
    if keras.backend.backend() != "jax":
        return lambda: model.train_function(iter([data]))
    model.optimizer.build(model.trainable_variables)
    held = [
        # Copies, because the step gives its state's memory away.
        [keras.ops.copy(variable.value) for variable in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    ]

    def step():
        nonlocal held
        logs, held = model.train_function(tuple(held), iter([data]))
        return logs

    return step


def inference_step(model: keras.Model, features: dict) -> Callable[[], Any]:
    """Function that scores a batch by a compiled model."""
    model.make_predict_function()
    if keras.backend.backend() != "jax":
        return lambda: model.predict_function([(features,)])
    held = [
        [keras.ops.copy(variable.value) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]

    def step():
        nonlocal held
        scores, held = model.predict_function(tuple(held), iter([(features,)]))
        return scores

    return step


def seconds_of(step: Callable[[], Any], *, inner: int) -> float:
    """Seconds of one of ``inner`` steps on end."""
    start = time.perf_counter()
    for _ in range(inner):
        result = step()
    wait(result)
    return (time.perf_counter() - start) / inner
