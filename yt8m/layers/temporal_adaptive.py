"""Temporal adaptive module: each channel of each clip is filtered over time by a kernel of its own."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.convolution import EPSILON, MOMENTUM
from yt8m.layers.frame_norm import FrameBatchNormalization, masked_clip
from yt8m.types import Tensor

KERNEL = 3
"""K of the paper: frames of the kernels of both branches."""

EXPANSION, REDUCTION = 2, 4
"""alpha and beta of the paper: the width of the global branch over T, and C over that of the local one."""


@keras.saving.register_keras_serializable("yt8m")
class TemporalAdaptiveModule(Layer):
    """Temporal adaptive module, TAM (Liu et al. 2020, section 3.2).

    With p (T, C) the mean of a clip over space, the kernel of channel c is
    k_c = softmax(W_2 relu(BN(W_1 p_c))), W_1 of (alpha T, T), W_2 of (K, alpha T): the global branch. The importance of
    frame t is a_t = sigmoid(V_2 relu(BN((V_1 * p)_t))), V_1 a convolution over K frames to C / beta channels: the local
    branch. The output is y_tc = sum_j k_cj (a x)_{t + j - 1, c}. K is 3, alpha 2, beta 4.

    num_frames: T, of which the global branch has weights. Padding frames are zeros in both branches.
    Call: clip (B, T, H, W, C), frame_mask (B, T) bool -> the same shape.
    """

    def __init__(self, num_frames: int, *, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.num_frames = num_frames

    def build(self, clip_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        channels = clip_shape[-1]
        narrow, wide = max(1, channels // REDUCTION), EXPANSION * self.num_frames
        self.widen = self._dense(wide, "widen")
        self.global_norm = self._norm("global_norm")
        self.kernels = self._dense(KERNEL, "kernels")
        self.squeeze = keras.layers.Conv1D(
            narrow, KERNEL, padding="same", use_bias=False, dtype=self.dtype_policy, name="squeeze"
        )
        self.local_norm = self._norm("local_norm")
        self.excite = self._dense(channels, "excite")
        self.widen.build((None, channels, self.num_frames))
        self.global_norm.build((None, channels, wide))
        self.kernels.build((None, channels, wide))
        self.squeeze.build((None, self.num_frames, channels))
        self.local_norm.build((None, self.num_frames, narrow))
        self.excite.build((None, self.num_frames, narrow))

    def _dense(self, units, name):
        return keras.layers.Dense(units, use_bias=False, dtype=self.dtype_policy, name=name)

    def _norm(self, name):
        return FrameBatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, dtype=self.dtype_policy, name=name)

    def call(self, clip: Tensor, *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        shape = ops.shape(clip)
        frames = ops.reshape(masked_clip(clip, frame_mask), (-1, self.num_frames, shape[2] * shape[3], shape[4]))
        pooled = ops.mean(frames, axis=2)
        wide = self.global_norm(self.widen(ops.transpose(pooled, (0, 2, 1))), training=training)
        kernels = ops.softmax(self.kernels(ops.relu(wide)), axis=-1)
        narrow = self.local_norm(self.squeeze(pooled), frame_mask=frame_mask, training=training)
        importance = ops.sigmoid(self.excite(ops.relu(narrow)))
        frames = frames * importance[:, :, None, :]
        half = KERNEL // 2
        around = ops.pad(frames, [(0, 0), (half, half), (0, 0), (0, 0)])
        # Not by an index, whose gradient takes TensorFlow as long as a convolution.
        shifted = (ops.slice(around, (0, place, 0, 0), ops.shape(frames)) for place in range(KERNEL))
        filtered = sum(values * kernels[:, None, None, :, place] for place, values in enumerate(shifted))
        return ops.reshape(filtered, shape)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "num_frames": self.num_frames}
