"""Context gating: every unit scaled by a gate that sees all units."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from yt8m.layers.base import Layer
from yt8m.layers.netvlad import BATCH_NORM_EPSILON
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class ContextGating(Layer):
    """y = sigmoid(BN(W x)) * x (Miech et al. 2017), or its squeeze-and-excitation form.

    reduction: None for the full square W; r for the bottleneck W2 relu(BN(W1 x)) of size D/r, as NeXtVLAD has it.
    columns: the units that are scaled and given, each by a gate that sees all; None for all. Not with a reduction.
    Call: (B, D) -> (B, D), or (B, number of columns).
    """

    def __init__(
        self,
        *,
        reduction: int | None = None,
        columns: Sequence[int] | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.reduction = reduction
        self.columns = None if columns is None else np.asarray(columns, np.int32)
        self.norm = keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name="norm")

    def build(self, inputs_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        batch, size = inputs_shape
        given = size if self.columns is None else len(self.columns)
        squeezed = given if self.reduction is None else max(1, size // self.reduction)
        self.squeeze = keras.layers.Dense(squeezed, use_bias=False, dtype=self.dtype_policy, name="squeeze")
        self.squeeze.build(inputs_shape)
        self.norm.build((batch, squeezed))
        if self.reduction is not None:
            self.excite = keras.layers.Dense(size, use_bias=False, dtype=self.dtype_policy, name="excite")
            self.excite.build((batch, squeezed))

    def call(self, inputs: Tensor, *, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        gates = self.norm(self.squeeze(inputs), training=training)
        if self.reduction is not None:
            gates = self.excite(keras.ops.relu(gates))
        return keras.ops.sigmoid(gates) * self._given(inputs)

    def _given(self, values):
        return values if self.columns is None else keras.ops.take(values, self.columns, axis=-1)

    def for_columns(self, columns: Sequence[int]) -> "ContextGating":
        """A layer of these weights that gives some of its units alone."""
        layer = ContextGating(columns=columns, name=self.name, dtype=self.dtype_policy)
        layer.build((None, self.squeeze.kernel.shape[0]))
        for variable, given in zip(layer.variables, self.variables, strict=True):
            variable.assign(layer._given(given))
        return layer

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        columns = None if self.columns is None else self.columns.tolist()
        return {**super().get_config(), "reduction": self.reduction, "columns": columns}
