"""Batch normalisation of clips and frames by their real frames alone."""

from typing import Any

import keras
from keras import ops

from yt8m.runtime import fused
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class FrameBatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation whose statistics are those of real frames (Ioffe & Szegedy 2015).

    Call: (B, T, ..., C), frame_mask (B, T) bool, or None where all frames are real -> the same shape. Batches without
    padding take one kernel where TensorFlow computes on a processor; in others frames are reduced before they are
    weighted, which costs less than Keras's own mask of every value.
    """

    def call(self, inputs: Tensor, *, frame_mask: Tensor | None = None, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        if not training or not self.trainable:
            return super().call(inputs, training=training)
        outputs, mean, variance = unless_padded(
            frame_mask,
            lambda: fused.batch_norm(inputs, self.gamma, self.beta, epsilon=self.epsilon),
            lambda: self._of_real(inputs, frame_mask),
        )
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return outputs

    def _of_real(self, inputs, frame_mask):
        """(outputs, mean, variance) of the frames of a mask, None for all."""
        wide = ops.cast(inputs, "float32")
        space = list(range(2, len(inputs.shape) - 1))
        weights = ops.ones(ops.shape(inputs)[:2]) if frame_mask is None else ops.cast(frame_mask, "float32")
        weights = (weights / ops.maximum(ops.sum(weights), 1))[..., None]

        def mean_of(values):
            frames = ops.mean(values, axis=space) if space else values
            return ops.sum(frames * weights, axis=(0, 1))

        mean = mean_of(wide)
        variance = mean_of(ops.square(wide - mean))
        outputs = ops.batch_normalization(wide, mean, variance, -1, self.beta, self.gamma, self.epsilon)
        return ops.cast(outputs, self.compute_dtype), mean, variance


def unless_padded(frame_mask: Tensor | None, of_all: Any, of_real: Any) -> Any:
    """What ``of_all()`` gives where TensorFlow computes on a processor and frame_mask (B, T), or None, has all frames,
    and ``of_real()`` elsewhere, which is the same, in more passes over memory. Other backends compile those to one.
    """
    if not fused.computes_on_processor():
        return of_real()
    if frame_mask is None:
        return of_all()
    return ops.cond(ops.all(frame_mask), of_all, of_real)
