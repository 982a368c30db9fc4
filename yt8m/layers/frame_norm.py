"""Batch normalisation of clips and frames by their real frames alone."""

import math

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
        shape = ops.shape(inputs)
        is_real = ops.ones(shape[:2], "bool") if frame_mask is None else frame_mask
        frames, is_real = as_frames(inputs), ops.reshape(is_real, (-1,))
        gamma, beta = (ops.cast(weight, "float32") for weight in (self.gamma, self.beta))
        if fused.computes_on_processor():
            found = fused.batch_norm(frames, is_real, gamma, beta, epsilon=self.epsilon, of_padded=normalised)
        else:
            found = normalised(frames, is_real, gamma, beta, epsilon=self.epsilon)
        outputs, mean, variance = found
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving * self.momentum + value * (1 - self.momentum))
        return ops.reshape(outputs, shape)


def normalised(
    frames: Tensor, is_real: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Frames (N, P, C) normalised by the mean and the variance of those that is_real (N,) has, and both, (C,) float32.

    gamma, beta: (C,) float32.
    """
    wide = ops.cast(frames, "float32")
    weights = ops.cast(is_real, "float32")
    weights = (weights / ops.maximum(ops.sum(weights), 1))[:, None]

    def mean_of(values):
        return ops.sum(ops.mean(values, axis=1) * weights, axis=0)

    mean = mean_of(wide)
    variance = mean_of(ops.square(wide - mean))
    outputs = ops.batch_normalization(wide, mean, variance, -1, beta, gamma, epsilon)
    return ops.cast(outputs, frames.dtype), mean, variance


def masked_clip(clip: Tensor, frame_mask: Tensor) -> Tensor:
    """(B, T, H, W, C) with zeros for the frames that frame_mask (B, T) has not."""
    if fused.computes_on_processor():
        return ops.reshape(fused.masked(as_frames(clip), ops.reshape(frame_mask, (-1,))), ops.shape(clip))
    return ops.where(frame_mask[:, :, None, None, None], clip, ops.zeros((), clip.dtype))


def as_frames(clip: Tensor) -> Tensor:
    """(B, T, ..., C) -> (B * T, pixels, C)."""
    batch, frames, *space = ops.shape(clip)[:-1]
    return ops.reshape(clip, (-1, math.prod(space), clip.shape[-1]))
