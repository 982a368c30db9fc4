"""Mixture-of-experts classification head."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.logistic import PRIOR_LOGIT
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class MixtureOfExperts(Layer):
    """For every class, M logistic experts mixed by a softmax gate with one dummy expert that always says 0.

    p_c = sum_{m<M} softmax_m(G_c x)_m sigmoid(E_cm x + b_cm), the softmax over M + 1 gates (Jordan & Jacobs 1994;
    for YouTube-8M, Abu-El-Haija et al. 2016).

    num_classes: C; num_mixtures: M.
    Call: (B, D) -> probabilities (B, C), float32.
    Kernels are mixture-major (column m*C + c): so mixing adds long rows of classes, not pairs of neighbours.
    """

    def __init__(self, num_classes: int, *, num_mixtures: int = 5, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.num_classes = num_classes
        self.num_mixtures = num_mixtures
        self.gates = keras.layers.Dense(
            num_classes * (num_mixtures + 1), use_bias=False, dtype=self.dtype_policy, name="gates"
        )
        self.experts = keras.layers.Dense(
            num_classes * num_mixtures,
            bias_initializer=keras.initializers.Constant(PRIOR_LOGIT),
            dtype=self.dtype_policy,
            name="experts",
        )

    def build(self, inputs_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        self.gates.build(inputs_shape)
        self.experts.build(inputs_shape)

    def take_classes(self, other: "MixtureOfExperts", class_ids: Sequence[int]) -> None:
        """Takes the weights of ``class_ids`` from ``other``, a built layer of more classes and as many mixtures."""
        for variable, given in zip(self.variables, other.variables, strict=True):
            by_class = ops.reshape(given, (*given.shape[:-1], -1, other.num_classes))
            variable.assign(ops.reshape(ops.take(by_class, np.asarray(class_ids, np.int32), axis=-1), variable.shape))

    def call(self, inputs: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        logits = ops.reshape(self.gates(inputs), (-1, self.num_mixtures + 1, self.num_classes))
        # Cut while they are in the layer's dtype, which may be half as wide.
        logits, dummy = ops.cast(logits[:, :-1], "float32"), ops.cast(logits[:, -1], "float32")
        experts = ops.reshape(self.experts(inputs), (-1, self.num_mixtures, self.num_classes))
        experts = ops.sigmoid(ops.cast(experts, "float32"))
        highest = ops.maximum(ops.max(logits, axis=1), dummy)
        gates = ops.exp(logits - highest[:, None])
        return ops.sum(gates * experts, axis=1) / (ops.sum(gates, axis=1) + ops.exp(dummy - highest))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "num_classes": self.num_classes, "num_mixtures": self.num_mixtures}
