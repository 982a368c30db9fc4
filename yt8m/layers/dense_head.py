"""Base of the heads of one dense layer."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.types import Tensor


class DenseHead(Layer):
    """One dense layer from a vector to a logit a class; a subclass makes probabilities of the logits.

    num_classes: C; bias: of all classes, to start from.
    """

    def __init__(self, num_classes: int, *, bias: float, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.dense = keras.layers.Dense(
            num_classes,
            bias_initializer=keras.initializers.Constant(bias),
            dtype=self.dtype_policy,
            name="dense",
        )

    def build(self, inputs_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        self.dense.build(inputs_shape)

    def logits(self, inputs: Tensor) -> Tensor:
        """Logits (..., C), float32."""
        return ops.cast(self.dense(inputs), "float32")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "num_classes": self.num_classes}
