"""Logistic classification head."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.layers.dense_head import DenseHead
from yt8m.types import Tensor

PRIOR_LOGIT = -4.6
"""Bias that heads start from, a prior probability of 0.01: labels are rare, and from a bias of 0 learning that alone
takes Adam thousands of steps (Lin et al. 2017, focal loss, section 3.3)."""


@keras.saving.register_keras_serializable("yt8m")
class Logistic(DenseHead):
    """p_c = sigmoid(w_c x + b_c), independent for every class.

    num_classes: C.
    Call: (B, D) -> probabilities (B, C), float32; ``logits`` gives them before the sigmoid.
    """

    def __init__(self, num_classes: int, *, name: str | None = None, dtype: Any = None):
        super().__init__(num_classes, bias=PRIOR_LOGIT, name=name, dtype=dtype)

    def take_classes(self, other: "Logistic", class_ids: Sequence[int]) -> None:
        """Takes the weights of ``class_ids`` from ``other``, a built layer of more classes."""
        for variable, given in zip(self.variables, other.variables, strict=True):
            variable.assign(ops.take(given, np.asarray(class_ids, np.int32), axis=-1))

    def call(self, inputs: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        return ops.sigmoid(self.logits(inputs))
