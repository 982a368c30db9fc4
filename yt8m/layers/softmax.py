"""Softmax classification head."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.dense_head import DenseHead
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class Softmax(DenseHead):
    """p_c = exp(w_c x + b_c) / sum_k exp(w_k x + b_k): of all classes, exactly one.

    num_classes: C. Biases start at 0, the same probability for each class.
    Call: (B, D) -> probabilities (B, C), float32, which add up to 1.
    """

    def __init__(self, num_classes: int, *, name: str | None = None, dtype: Any = None):
        super().__init__(num_classes, bias=0.0, name=name, dtype=dtype)

    def call(self, inputs: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        return ops.softmax(self.logits(inputs), axis=-1)
