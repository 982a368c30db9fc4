"""NeXtVLAD: NetVLAD in groups of a widened input, with attention over the groups."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.netvlad import BATCH_NORM_EPSILON, unit_norm
from yt8m.types import InputError, Tensor

_USUAL_BATCH = 128
"""Examples of a batch for which the cheaper way is chosen."""


@keras.saving.register_keras_serializable("yt8m")
class NeXtVLAD(Layer):
    """Pools frames into one descriptor a video (Lin et al. 2018).

    The input is widened to E*D and cut into G groups of D' = E*D/G. With attention alpha_tg = sigmoid(U x_t) and
    assignment a_tgk = softmax_k(BN(W x_t)), V_dk = sum_tg alpha_tg a_tgk (x_tgd - c_dk), normalised over d,
    flattened and batch-normalised.

    num_clusters: K; groups: G; expansion: E. E*D must be a multiple of G.
    Call: frames (B, T, D), frame_mask (B, T) bool -> (B, D' * K), d-major.

    What is linear is multiplied out where that takes fewer operations; but for rounding the result is the same. With
    x_t = V f_t + b for the input f_t, W x_t = (W V) f_t + W b, and likewise U, once a batch has more frames than the
    product W V is worth; and sum_t p_tgk x_tg = V_g (sum_t p_tgk f_t) + b_g sum_t p_tgk, once a video has so many
    frames that widening them all is dearer than widening their sums.
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
        composes, aggregates_first = self._cheapest(frames.shape)
        wide = None if aggregates_first else self.widen(frames)
        logits, attention = self._logits(frames) if composes else (self.assignment(wide), self.group_attention(wide))
        logits = self.assignment_norm(logits, training=training, mask=frame_mask)
        attention = attention * ops.cast(frame_mask, attention.dtype)[..., None]
        # Groups of a frame are treated like further frames from here on.
        points = ops.shape(frames)[1] * self.groups
        logits = ops.reshape(logits, (-1, points, self.num_clusters))
        assigned = ops.softmax(logits, axis=-1) * ops.reshape(attention, (-1, points, 1))
        mass = ops.sum(assigned, axis=1)[:, None, :]
        if aggregates_first:
            summed = self._widened_sums(frames, assigned)
        else:
            grouped = ops.reshape(wide, (-1, points, self.group_size))
            summed = ops.matmul(ops.transpose(grouped, (0, 2, 1)), assigned)
        descriptor = unit_norm(summed - mass * self.centres, axis=1)
        flat = ops.reshape(descriptor, (-1, self.group_size * self.num_clusters))
        return self.descriptor_norm(flat, training=training)

    def _cheapest(self, shape):
        """(whether to compose products with the widening, whether to aggregate before widening), by operations."""
        frames, size = shape[1], shape[-1]
        if frames is None or self.expansion == 1:
            return False, False
        wide, assigned = self.expansion * size, self.groups * self.num_clusters
        # Multiplications of a batch, of which the composed kernel's are once.
        direct = _USUAL_BATCH * frames * wide * assigned
        composed = _USUAL_BATCH * frames * size * assigned + size * wide * assigned
        first = frames * size * assigned + assigned * size * self.group_size
        behind = frames * wide * (size + self.num_clusters)
        return composed < direct, composed < direct and first < behind

    def _logits(self, frames):
        """Logits of the assignment (B, T, G K), before normalisation, and attention (B, T, G), without widening."""
        kernel = ops.concatenate([self.assignment.kernel, self.group_attention.kernel], axis=1)
        kernel, bias = (ops.cast(values, self.compute_dtype) for values in (kernel, self.widen.bias))
        both = ops.matmul(frames, ops.matmul(ops.cast(self.widen.kernel, self.compute_dtype), kernel))
        both = both + ops.matmul(bias[None], kernel)
        split = self.groups * self.num_clusters
        attention = ops.sigmoid(both[..., split:] + ops.cast(self.group_attention.bias, both.dtype))
        return both[..., :split], attention

    def _widened_sums(self, frames, assigned):
        """(B, D', K): sum over frames and groups of assigned (B, T G, K) times the widened frames."""
        length, size = ops.shape(frames)[1], frames.shape[-1]
        by_frame = ops.reshape(assigned, (-1, length, self.groups * self.num_clusters))
        summed = ops.matmul(ops.transpose(by_frame, (0, 2, 1)), frames)
        # (B, G, K, D) to rows of videos and clusters, each with the sums of all groups.
        rows = ops.transpose(ops.reshape(summed, (-1, self.groups, self.num_clusters, size)), (0, 2, 1, 3))
        kernel = ops.reshape(ops.cast(self.widen.kernel, frames.dtype), (size, self.groups, self.group_size))
        kernel = ops.reshape(ops.transpose(kernel, (1, 0, 2)), (self.groups * size, self.group_size))
        widened = ops.matmul(ops.reshape(rows, (-1, self.num_clusters, self.groups * size)), kernel)
        bias = ops.reshape(ops.cast(self.widen.bias, frames.dtype), (self.groups, self.group_size))
        masses = ops.reshape(ops.sum(by_frame, axis=1), (-1, self.groups, self.num_clusters))
        widened = widened + ops.matmul(ops.transpose(masses, (0, 2, 1)), bias)
        return ops.transpose(widened, (0, 2, 1))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "groups": self.groups,
            "expansion": self.expansion,
        }
