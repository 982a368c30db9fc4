"""Some classes of a model whose classes depend on each other."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.types import Tensor


class ClassColumns(keras.Model):
    """The columns ``class_ids`` of a model whose classes depend on each other, so that all are computed."""

    def __init__(self, model: keras.Model, class_ids: Sequence[int]):
        super().__init__(name=model.name)
        self.model = model
        self.class_ids = tuple(class_ids)
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        return ops.take(self.model(inputs, training=training), np.asarray(self.class_ids, np.int32), axis=1)
