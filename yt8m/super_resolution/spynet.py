"""Optical flow by a pyramid of small networks."""

from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.layers.base import Layer
from yt8m.super_resolution.base import convolution
from yt8m.super_resolution.warping import double_flow, warp
from yt8m.types import Tensor

_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406], "float32"), np.array([0.229, 0.224, 0.225], "float32")
"""Of ImageNet's pixels, by which SPyNet's are normalised."""


@keras.saving.register_keras_serializable("yt8m")
class SpyNet(Layer):
    """Flow with which the second of two pictures, warped, looks like the first (Ranjan & Black 2017).

    From the coarsest of ``levels`` halvings to the finest, a network of five 7 x 7 convolutions sees the first picture,
    the second warped by the flow so far, and that flow, and adds to it. width: channels of its first convolution, from
    which the others' follow: width, 2 width, width, width / 2, 2.
    Call: two (N, H, W, 3) float in [0, 1] -> (N, H, W, 2), pixels to the right and down.
    """

    def __init__(self, *, levels: int = 6, width: int = 32, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.levels, self.width = levels, width
        channels = (width, 2 * width, width, max(1, width // 2), 2)
        # Before training nothing flows.
        gains = (2.0, 2.0, 2.0, 2.0, 0.0)
        self.networks = [
            [
                convolution(count, 7, name=f"level{level}_conv{number}", dtype=self.dtype_policy, gain=gain)
                for number, (count, gain) in enumerate(zip(channels, gains))
            ]
            for level in range(levels)
        ]

    def build(self, *shapes: Any) -> None:
        """Makes the weights; called by Keras."""
        for network in self.networks:
            channels = 8
            for layer in network:
                layer.build((None, None, None, channels))
                channels = layer.filters
        self.built = True

    def call(self, first: Tensor, second: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        _, height, width, _ = ops.shape(first)
        most = 2 ** (self.levels - 1)
        size = -(-height // most) * most, -(-width // most) * most
        pyramid = [tuple(self._prepared(pictures, size) for pictures in (first, second))]
        for _ in range(self.levels - 1):
            pyramid.append(tuple(ops.average_pool(pictures, 2, 2) for pictures in pyramid[-1]))
        flow = ops.zeros_like(pyramid[-1][0][..., :2])
        for level, (one, other) in enumerate(reversed(pyramid)):
            if level:
                flow = double_flow(flow)
            seen = ops.concatenate([one, warp(other, flow, outside="border"), flow], axis=-1)
            flow = flow + self._added(self.networks[level], seen)
        flow = ops.image.resize(flow, (height, width), interpolation="bilinear")
        return flow * ops.stack([ops.cast(width / size[1], flow.dtype), ops.cast(height / size[0], flow.dtype)])

    def _prepared(self, pictures, size):
        resized = ops.image.resize(pictures, size, interpolation="bilinear")
        return (resized - ops.convert_to_tensor(_MEAN, resized.dtype)) / ops.convert_to_tensor(
            _DEVIATION, resized.dtype
        )

    @staticmethod
    def _added(network, inputs):
        for layer in network[:-1]:
            inputs = ops.relu(layer(inputs))
        return network[-1](inputs)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "levels": self.levels, "width": self.width}
