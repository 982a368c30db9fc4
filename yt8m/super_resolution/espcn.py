"""ESPCN: each picture by itself, the cheap choice."""

from typing import Any

import keras
from keras import ops

from yt8m.super_resolution import RESOLVERS
from yt8m.super_resolution.base import SuperResolver, convolution, each_picture, pixel_shuffle
from yt8m.types import Tensor


@RESOLVERS.register("espcn")
@keras.saving.register_keras_serializable("yt8m")
class Espcn(SuperResolver):
    """Sub-pixel convolutional network (Shi et al. 2016), of three convolutions on each picture alone.

    5 x 5 to ``width`` channels, 3 x 3 to half of them, both with tanh, 3 x 3 to 3 scale^2 and a pixel shuffle. Unlike
    the paper's it sees all three colours, and adds to bilinear interpolation.
    """

    def __init__(self, *, scale: int = 4, width: int = 64, name: str | None = None, dtype: Any = None):
        super().__init__(scale=scale, name=name, dtype=dtype)
        self.width = width
        policy = self.dtype_policy
        self.first = convolution(width, 5, dtype=policy, name="first", gain=1.0)
        self.second = convolution(max(1, width // 2), 3, dtype=policy, name="second", gain=1.0)
        self.last = convolution(3 * scale**2, 3, dtype=policy, name="last", gain=0.02)

    def build_layers(self) -> None:
        """Builds the layers of the network."""
        channels = 3
        for layer in (self.first, self.second, self.last):
            layer.build((None, None, None, channels))
            channels = layer.filters

    def enlarge(self, pictures: Tensor, *, training: bool | None = None) -> Tensor:
        """What is added to bilinear interpolation, see the class."""
        return each_picture(self._painted, pictures)

    def _painted(self, pictures):
        hidden = ops.tanh(self.second(ops.tanh(self.first(pictures))))
        return pixel_shuffle(self.last(hidden), self.scale)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "width": self.width}
