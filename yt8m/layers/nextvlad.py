"""NeXtVLAD: NetVLAD in groups of a widened input, with attention over the groups."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.netvlad import BATCH_NORM_EPSILON, unit_norm
from yt8m.types import InputError, Tensor


@keras.saving.register_keras_serializable("yt8m")
class NeXtVLAD(Layer):
    """Pools frames into one descriptor a video (Lin et al. 2018).

    The input is widened to E*D and cut into G groups of D' = E*D/G. With attention alpha_tg = sigmoid(U x_t) and
    assignment a_tgk = softmax_k(BN(W x_t)), V_dk = sum_tg alpha_tg a_tgk (x_tgd - c_dk), normalised over d,
    flattened and batch-normalised.

    num_clusters: K; groups: G; expansion: E. E*D must be a multiple of G.
    Call: frames (B, T, D), frame_mask (B, T) bool -> (B, D' * K), d-major.
    """

    def __init__(
        self, num_clusters: int, *, groups: int = 8, expansion: int = 2, name: str | None = None, dtype: Any = None
    ):
        super().__init__(name=name, dtype=dtype)
        self.num_clusters = num_clusters
        self.groups = groups
        self.expansion = expansion
        self.group_attention = keras.layers.Dense(
            groups, activation="sigmoid", dtype=self.dtype_policy, name="group_attention"
        )
        self.assignment = keras.layers.Dense(
            groups * num_clusters, use_bias=False, dtype=self.dtype_policy, name="assignment"
        )
        self.assignment_norm = keras.layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name="assignment_norm"
        )
        self.descriptor_norm = keras.layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name="descriptor_norm"
        )

    def build(self, frames_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        batch, frames, size = frames_shape
        wide = self.expansion * size
        if wide % self.groups:
            raise InputError(
                f"NeXtVLAD: expansion x feature size ({self.expansion} x {size}) is no multiple of groups "
                f"({self.groups})"
            )
        self.group_size = wide // self.groups
        self.widen = keras.layers.Dense(wide, dtype=self.dtype_policy, name="widen")
        self.widen.build(frames_shape)
        for layer in (self.group_attention, self.assignment):
            layer.build((batch, frames, wide))
        self.assignment_norm.build((batch, frames, self.groups * self.num_clusters))
        self.descriptor_norm.build((batch, self.group_size * self.num_clusters))
        self.centres = self.add_weight(
            name="centres",
            shape=(self.group_size, self.num_clusters),
            initializer=keras.initializers.RandomNormal(stddev=size**-0.5),
        )

    def call(self, frames: Tensor, *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        wide = self.widen(frames)
        attention = self.group_attention(wide) * ops.cast(frame_mask, wide.dtype)[..., None]
        logits = self.assignment_norm(self.assignment(wide), training=training, mask=frame_mask)
        # Groups of a frame are treated like further frames from here on.
        points = ops.shape(frames)[1] * self.groups
        logits = ops.reshape(logits, (-1, points, self.num_clusters))
        assigned = ops.softmax(logits, axis=-1) * ops.reshape(attention, (-1, points, 1))
        grouped = ops.reshape(wide, (-1, points, self.group_size))
        mass = ops.sum(assigned, axis=1)[:, None, :]
        descriptor = ops.matmul(ops.transpose(grouped, (0, 2, 1)), assigned) - mass * self.centres
        descriptor = unit_norm(descriptor, axis=1)
        flat = ops.reshape(descriptor, (-1, self.group_size * self.num_clusters))
        return self.descriptor_norm(flat, training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "groups": self.groups,
            "expansion": self.expansion,
        }
