"""NetVLAD: soft-assigned residuals to learnt cluster centres."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.types import Tensor

BATCH_NORM_EPSILON = 1e-3
L2_EPSILON = 1e-6
"""Floor of a norm (not of its square), so that empty clusters give 0 and not 0/0."""


@keras.saving.register_keras_serializable("yt8m")
class NetVLAD(Layer):
    """Pools frames into one descriptor a video (Arandjelovic et al. 2016; for YouTube-8M, Miech et al. 2017).

    With assignment a_tk = softmax_k(BN(W x_t)), the descriptor is V_dk = sum_t a_tk (x_td - c_dk), normalised to
    unit length over d for each cluster (intra-normalisation) and then as a whole.

    num_clusters: K.
    Call: frames (B, T, D), frame_mask (B, T) bool -> (B, D * K), d-major.
    """

    def __init__(self, num_clusters: int, *, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.num_clusters = num_clusters
        self.assignment = keras.layers.Dense(
            num_clusters,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "untruncated_normal"),
            dtype=self.dtype_policy,
            name="assignment",
        )
        self.assignment_norm = keras.layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name="assignment_norm"
        )

    def build(self, frames_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        batch, frames, size = frames_shape
        self.assignment.build(frames_shape)
        self.assignment_norm.build((batch, frames, self.num_clusters))
        self.centres = self.add_weight(
            name="centres",
            shape=(size, self.num_clusters),
            initializer=keras.initializers.RandomNormal(stddev=size**-0.5),
        )

    def call(self, frames: Tensor, *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        logits = self.assignment_norm(self.assignment(frames), training=training, mask=frame_mask)
        assigned = ops.softmax(logits, axis=-1) * ops.cast(frame_mask, logits.dtype)[..., None]
        mass = ops.sum(assigned, axis=1)[:, None, :]
        descriptor = ops.matmul(ops.transpose(frames, (0, 2, 1)), assigned)
        descriptor = _normalized(descriptor - mass * self.centres)
        return ops.reshape(descriptor, (-1, frames.shape[-1] * self.num_clusters))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "num_clusters": self.num_clusters}


def _normalized(descriptor):
    """(B, D, K) of unit length over D for each cluster, and then as a whole; of the dtype that came.

    Both lengths are known before anything is divided, so that the descriptor passes through memory once.
    """
    wide = ops.cast(descriptor, "float32")
    squares = ops.sum(ops.square(wide), axis=1, keepdims=True)
    floored = ops.maximum(squares, L2_EPSILON**2)
    # A cluster's square length is 1 after intra-normalisation, or less where it is nearly empty.
    whole = ops.maximum(ops.sum(squares / floored, axis=2, keepdims=True), L2_EPSILON**2)
    return ops.cast(wide * ops.rsqrt(floored * whole), descriptor.dtype)


def unit_norm(values: Tensor, *, axis: Any) -> Tensor:
    """``values`` divided by their L2 norm over ``axis``; computed in float32, returned in the dtype that came."""
    wide = ops.cast(values, "float32")
    norm = ops.sqrt(ops.maximum(ops.sum(ops.square(wide), axis=axis, keepdims=True), L2_EPSILON**2))
    return ops.cast(wide / norm, values.dtype)
