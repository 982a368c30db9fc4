"""Mixture of experts on the mean of the frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import Tensor


@MODELS.register("moe")
@keras.saving.register_keras_serializable("yt8m")
class MoeModel(VideoModel):
    """A mixture-of-experts head on the mean frame, or on video-level features, with hidden layers if wanted.

    num_mixtures: experts a class.
    hidden_sizes: widths of dense layers (batch norm, ReLU, dropout) before the head; none is the plain mixture.
    dropout: rate after every hidden layer.
    """

    levels = ("frame", "video")

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        num_mixtures: int = 5,
        hidden_sizes: Sequence[int] = (),
        dropout: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            feature_sizes=feature_sizes,
            num_classes=num_classes,
            level=level,
            l2_normalize=l2_normalize,
            name=name,
            dtype=dtype,
        )
        self.num_mixtures = num_mixtures
        self.hidden_sizes = tuple(hidden_sizes)
        self.dropout = dropout
        self.head = self.make_head("moe", num_mixtures=num_mixtures)
        self.hidden = [
            keras.layers.Dense(size, use_bias=False, dtype=self.dtype_policy, name=f"hidden_{i}")
            for i, size in enumerate(self.hidden_sizes)
        ]
        self.norms = [
            keras.layers.BatchNormalization(epsilon=1e-3, dtype=self.dtype_policy, name=f"norm_{i}")
            for i in range(len(self.hidden_sizes))
        ]
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        vector = self.video_vector(inputs)
        for dense, norm in zip(self.hidden, self.norms):
            vector = self.drop(ops.relu(norm(dense(vector), training=training)), training=training)
        return vector

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """The dense layers, see VideoModel."""
        return list(self.hidden)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            "num_mixtures": self.num_mixtures,
            "hidden_sizes": list(self.hidden_sizes),
            "dropout": self.dropout,
        }
