"""Convolution of clips over time and space, with batch normalisation of their real frames."""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.frame_norm import FrameBatchNormalization, masked_clip
from yt8m.types import Tensor

MOMENTUM, EPSILON = 0.9, 1e-5
"""Of batch normalisation in both papers' programs; what PyTorch calls a momentum of 0.1."""

_FEW_FILTERS = 32
"""Filters of a kernel over time and space, times its frames, up to which two dimensions are faster on a processor."""


@keras.saving.register_keras_serializable("yt8m")
class ConvNorm(Layer):
    """Convolution over time and space without bias, batch normalisation and, unless told not to, ReLU.

    filters: channels out. kernel_size, strides: (time, height, width), kernels of odd sizes. Half a kernel of zeros is
    on either side, as PyTorch pads, so that ceil(n / stride) values come out of n. Padding frames are zeros, like those
    around a clip: the output is that of the real frames alone.
    gamma_initializer: "zeros" lets a residual branch start as nothing (Goyal et al. 2017, section 5.1).
    Call: (B, T, H, W, C), frame_mask (B, T) bool -> (B, T', H', W', filters).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sequence[int],
        *,
        strides: Sequence[int] = (1, 1, 1),
        relu: bool = True,
        gamma_initializer: str = "ones",
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.filters = filters
        self.kernel_size = tuple(kernel_size)
        self.strides = tuple(strides)
        self.relu = relu
        self.gamma_initializer = gamma_initializer
        self.norm = FrameBatchNormalization(
            momentum=MOMENTUM,
            epsilon=EPSILON,
            gamma_initializer=gamma_initializer,
            dtype=self.dtype_policy,
            name="norm",
        )

    def build(self, clip_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        # He et al. 2015 by the outputs of a kernel, as in the papers' programs.
        deviation = math.sqrt(2 / (math.prod(self.kernel_size) * self.filters))
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*self.kernel_size, clip_shape[-1], self.filters),
            initializer=keras.initializers.RandomNormal(stddev=deviation),
            autocast=False,
        )
        self.norm.build((*clip_shape[:-1], self.filters))

    def call(self, clip: Tensor, *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        if self.kernel_size[0] > 1:
            clip = masked_clip(clip, frame_mask)
        if training and self.norm.trainable:
            outputs = convolve(clip, ops.cast(self.kernel, clip.dtype), strides=self.strides)
            outputs = self.norm(outputs, frame_mask=frame_mask[:, :: self.strides[0]], training=True)
        else:
            # One pass over the activations instead of three.
            norm = self.norm
            scale = norm.gamma * ops.rsqrt(norm.moving_variance + norm.epsilon)
            kernel = ops.cast(self.kernel * scale, clip.dtype)
            shift = ops.cast(norm.beta - norm.moving_mean * scale, clip.dtype)
            return convolve(clip, kernel, strides=self.strides, bias=shift, relu=self.relu)
        return ops.relu(outputs) if self.relu else outputs

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        names = ("filters", "kernel_size", "strides", "relu", "gamma_initializer")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def convolve(
    clip: Tensor, kernel: Tensor, *, strides: Sequence[int], bias: Tensor | None = None, relu: bool = False
) -> Tensor:
    """Convolution of clips (B, T, H, W, C) by a kernel (t, h, w, C, F) of odd sizes -> (B, T', H', W', F).

    Half a kernel of zeros is on either side. bias (F,) is added, and then relu taken, where there is one.
    A kernel of one frame, or of one pixel, is one in two dimensions, and one of both a matrix product, for which every
    backend has faster kernels, and takes bias and relu into them. One of few filters is, frame by frame, in two
    dimensions too: in three a processor leaves most of its width unused.
    """

    def finished(found):
        found = found if bias is None else found + bias
        return ops.relu(found) if relu else found

    time, *space = kernel.shape[:3]
    channels, filters = kernel.shape[3:]
    _, frames, height, width = ops.shape(clip)[:4]
    if time == 1 and space == [1, 1] and max(strides) == 1:
        flat = ops.matmul(ops.reshape(clip, (-1, channels)), ops.reshape(kernel, (channels, filters)))
        return ops.reshape(finished(flat), (-1, frames, height, width, filters))
    if time == 1 and strides[0] == 1:
        flat = ops.reshape(clip, (-1, height, width, channels))
        found = finished(_convolve(flat, ops.reshape(kernel, kernel.shape[1:]), strides[1:]))
        return ops.reshape(found, (-1, frames, *ops.shape(found)[1:3], filters))
    if space == [1, 1] and tuple(strides[1:]) == (1, 1):
        flat = ops.reshape(clip, (-1, frames, height * width, channels))
        found = finished(_convolve(flat, ops.reshape(kernel, (time, 1, channels, filters)), (strides[0], 1)))
        return ops.reshape(found, (-1, ops.shape(found)[1], height, width, filters))
    if strides[0] == 1 and time * filters <= _FEW_FILTERS:
        # What each frame of the kernel makes of each frame, as filters of their own, and the sum of these over time.
        flat = ops.reshape(clip, (-1, height, width, channels))
        wide = ops.reshape(ops.transpose(kernel, (1, 2, 3, 0, 4)), (*space, channels, time * filters))
        found = _convolve(flat, wide, strides[1:])
        below, across = ops.shape(found)[1:3]
        made = ops.reshape(found, (-1, frames, below * across, time * filters))
        around = ops.pad(made, [(0, 0), (time // 2, time // 2), (0, 0), (0, 0)])
        size = (ops.shape(made)[0], frames, below * across, filters)
        summed = sum(ops.slice(around, (0, place, 0, place * filters), size) for place in range(time))
        return ops.reshape(finished(summed), (-1, frames, below, across, filters))
    return finished(_convolve(clip, kernel, strides))


def _convolve(values, kernel, strides):
    sizes = kernel.shape[:-2]
    if max(strides) == 1:
        return ops.conv(values, kernel, strides=1, padding="same", data_format="channels_last")
    if max(sizes) > 1:
        # "same" pads the end more than the start where there is a stride.
        around = [(size // 2, size // 2) for size in sizes]
        # A Pad of the constant 0 TensorFlow joins to what follows, or fails to, aloud, in training in three dimensions.
        zero = ops.zeros((), values.dtype) if len(sizes) == 3 else 0
        values = ops.pad(values, [(0, 0), *around, (0, 0)], constant_values=zero)
    return ops.conv(values, kernel, strides=tuple(strides), padding="valid", data_format="channels_last")


def max_pool(clip: Tensor) -> Tensor:
    """Maximum over 3 x 3 pixels at a stride of 2, of clips (B, T, H, W, C) without negative values."""
    _, frames, height, width = ops.shape(clip)[:4]
    channels = clip.shape[-1]
    flat = ops.pad(ops.reshape(clip, (-1, height, width, channels)), [(0, 0), (1, 1), (1, 1), (0, 0)])
    found = ops.max_pool(flat, 3, strides=2, padding="valid", data_format="channels_last")
    return ops.reshape(found, (-1, frames, *ops.shape(found)[1:3], channels))
