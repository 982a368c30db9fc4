"""Deep bag of frames: a learnt codebook, max-pooled."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.layers.netvlad import BATCH_NORM_EPSILON
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import Tensor


@MODELS.register("dbof")
@keras.saving.register_keras_serializable("yt8m")
class DbofModel(VideoModel):
    """Frames projected to a sparse code, max-pooled over time, one hidden layer (Abu-El-Haija et al. 2016).

    cluster_size: width of the frame code; hidden_size: width after pooling.
    head: one of HEADS; num_mixtures: experts a class of "moe".
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        cluster_size: int = 8192,
        hidden_size: int = 1024,
        head: str = "moe",
        num_mixtures: int = 5,
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
        self.cluster_size = cluster_size
        self.hidden_size = hidden_size
        self.head_name = head
        self.num_mixtures = num_mixtures
        self.input_norm = self._norm("input_norm")
        self.code = keras.layers.Dense(cluster_size, use_bias=False, dtype=self.dtype_policy, name="code")
        self.code_norm = self._norm("code_norm")
        self.hidden = keras.layers.Dense(hidden_size, use_bias=False, dtype=self.dtype_policy, name="hidden")
        self.hidden_norm = self._norm("hidden_norm")
        self.head = self.make_head(head, num_mixtures=num_mixtures)

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        frames, frame_mask = self.concatenated(inputs)
        code = self.code(self.input_norm(frames, training=training, mask=frame_mask))
        code = ops.relu6(self.code_norm(code, training=training, mask=frame_mask))
        # relu6 is never negative, so that zeros in the padding cannot win the maximum.
        code = ops.max(code * ops.cast(frame_mask, code.dtype)[..., None], axis=1)
        return ops.relu6(self.hidden_norm(self.hidden(code), training=training))

    def _norm(self, name):
        return keras.layers.BatchNormalization(epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name=name)

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """The layer on the pooled code, see VideoModel."""
        return [self.hidden]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            "cluster_size": self.cluster_size,
            "hidden_size": self.hidden_size,
            "head": self.head_name,
            "num_mixtures": self.num_mixtures,
        }
