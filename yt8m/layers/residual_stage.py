"""Residual networks of clips: bottleneck blocks, and the stages that they make."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.convolution import ConvNorm
from yt8m.layers.temporal_adaptive import TemporalAdaptiveModule
from yt8m.types import InputError, Tensor

BLOCKS = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Depth, in layers, to the blocks of the four stages: those of He et al. 2016, and two smaller ones."""

EXPANSION = 4
"""Channels that a block gives over those within it."""


def blocks_of(depth: int) -> tuple[int, ...]:
    """Blocks of the four stages of a network; raises InputError for a depth that is none of BLOCKS."""
    if depth not in BLOCKS:
        raise InputError(f"depth is {depth!r}; valid: {', '.join(map(str, BLOCKS))}")
    return BLOCKS[depth]


@keras.saving.register_keras_serializable("yt8m")
class Bottleneck(Layer):
    """Residual block of three convolutions: (t, 1, 1), (1, 3, 3) and (1, 1, 1) (He et al. 2016).

    width: channels of the first two; 4 * width come out. kernel_frames: t. stride: of the second, in space.
    adaptive_frames: T, where a temporal adaptive module follows the first one; None for none.
    Call: (B, T, H, W, C), frame_mask (B, T) bool -> (B, T, H / stride, W / stride, 4 * width).
    """

    def __init__(
        self,
        width: int,
        *,
        kernel_frames: int = 1,
        stride: int = 1,
        adaptive_frames: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.width = width
        self.kernel_frames = kernel_frames
        self.stride = stride
        self.adaptive_frames = adaptive_frames
        shared = {"dtype": self.dtype_policy}
        self.first = ConvNorm(width, (kernel_frames, 1, 1), name="first", **shared)
        self.adaptive = None
        if adaptive_frames:
            self.adaptive = TemporalAdaptiveModule(adaptive_frames, name="adaptive", **shared)
        self.second = ConvNorm(width, (1, 3, 3), strides=(1, stride, stride), name="second", **shared)
        self.third = ConvNorm(
            EXPANSION * width, (1, 1, 1), relu=False, gamma_initializer="zeros", name="third", **shared
        )
        self.shortcut: ConvNorm | None = None

    def build(self, clip_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        inner, outer = (*clip_shape[:-1], self.width), EXPANSION * self.width
        if clip_shape[-1] != outer or self.stride > 1:
            strides = (1, self.stride, self.stride)
            self.shortcut = ConvNorm(
                outer, (1, 1, 1), strides=strides, relu=False, dtype=self.dtype_policy, name="shortcut"
            )
            self.shortcut.build(clip_shape)
        self.first.build(clip_shape)
        for layer in filter(None, (self.adaptive, self.second, self.third)):
            layer.build(inner)

    def call(self, clip: Tensor, *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        known = {"frame_mask": frame_mask, "training": training}
        inner = self.first(clip, **known)
        if self.adaptive is not None:
            inner = self.adaptive(inner, **known)
        branch = self.third(self.second(inner, **known), **known)
        return ops.relu(branch + (clip if self.shortcut is None else self.shortcut(clip, **known)))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        names = ("width", "kernel_frames", "stride", "adaptive_frames")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("yt8m")
class ResidualStage(Layer):
    """Bottleneck blocks one after another, of which the first has the stride.

    num_blocks: how many. temporal_blocks: of how many, from the first, the kernels span kernel_frames; None for all.
    Other arguments and the call are those of Bottleneck.
    """

    def __init__(
        self,
        num_blocks: int,
        *,
        width: int,
        kernel_frames: int = 1,
        temporal_blocks: int | None = None,
        stride: int = 1,
        adaptive_frames: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.num_blocks = num_blocks
        self.width = width
        self.kernel_frames = kernel_frames
        self.temporal_blocks = temporal_blocks
        self.stride = stride
        self.adaptive_frames = adaptive_frames
        spanning = num_blocks if temporal_blocks is None else temporal_blocks
        self.blocks = [
            Bottleneck(
                width,
                kernel_frames=kernel_frames if number < spanning else 1,
                stride=1 if number else stride,
                adaptive_frames=adaptive_frames,
                dtype=self.dtype_policy,
                name=f"block{number}",
            )
            for number in range(num_blocks)
        ]

    @property
    def filters(self) -> int:
        """Channels that come out."""
        return EXPANSION * self.width

    def build(self, clip_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        for block in self.blocks:
            block.build(clip_shape)
            clip_shape = (*clip_shape[:-1], self.filters)

    def call(self, clip: Tensor, *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        for block in self.blocks:
            clip = block(clip, frame_mask=frame_mask, training=training)
        return clip

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        names = ("num_blocks", "width", "kernel_frames", "temporal_blocks", "stride", "adaptive_frames")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
