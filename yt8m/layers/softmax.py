"""Softmax classification head."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class Softmax(Layer):
    """p_c = exp(w_c x + b_c) / sum_k exp(w_k x + b_k): of all classes, exactly one.

    num_classes: C. Biases start at 0, the same probability for each class.
    Call: (B, D) -> probabilities (B, C), float32, which add up to 1.
    """

    def __init__(self, num_classes: int, *, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.dense = keras.layers.Dense(num_classes, dtype=self.dtype_policy, name="dense")

    def build(self, inputs_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        self.dense.build(inputs_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        return ops.softmax(ops.cast(self.dense(inputs), "float32"), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "num_classes": self.num_classes}
