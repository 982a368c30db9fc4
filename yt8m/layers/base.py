"""Base of the layers."""

from collections.abc import Iterator
from typing import Any

import keras


class Layer(keras.layers.Layer):
    """A Keras layer whose constructor need not take ``trainable``, which its saved configuration has."""

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Layer":
        """The object that ``get_config`` describes."""
        config = dict(config)
        trainable = config.pop("trainable", True)
        layer = super().from_config(config)
        layer.trainable = trainable
        return layer


def layers_within(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """The layers that a layer or model holds in its attributes, alone or in lists, tuples and dicts, at any depth."""
    seen = {id(layer)}
    waiting = list(vars(layer).values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, (list, tuple)):
            waiting += value
        elif isinstance(value, keras.layers.Layer) and id(value) not in seen:
            seen.add(id(value))
            waiting += vars(value).values()
            yield value
