"""BasicVSR: a recurrent network over a clip, in both directions of time."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.super_resolution import RESOLVERS
from yt8m.super_resolution.base import SuperResolver, convolution, each_picture, pixel_shuffle
from yt8m.super_resolution.spynet import SpyNet
from yt8m.super_resolution.warping import warp
from yt8m.types import Tensor

_SLOPE = 0.1
"""Of the leaky ReLUs below 0."""

_SMALL_GAIN = 0.02
"""Of the weights of residual blocks at the start: He's, of gain 2, times 0.1."""


@RESOLVERS.register("basicvsr")
@keras.saving.register_keras_serializable("yt8m")
class BasicVSR(SuperResolver):
    """BasicVSR (Chan et al. 2021): features carried from picture to picture, backwards and forwards, along the flow.

    With x_i a picture, s_i the flow to its neighbour, h_i the features of a direction:
    h_i = F([x_i, warp(h_{i-+1}, s_i)]), F a convolution and ``blocks`` residual blocks; the picture is made of both
    directions' h_i by convolutions and pixel shuffles of factor 2, and bilinear interpolation is added.
    width: channels of h; flow_levels, flow_width: of SpyNet. Scale 2 has one pixel shuffle in place of two.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        width: int = 64,
        blocks: int = 15,
        flow_levels: int = 6,
        flow_width: int = 32,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(scale=scale, name=name, dtype=dtype)
        self.width, self.blocks = width, blocks
        self.flow_levels, self.flow_width = flow_levels, flow_width
        policy = self.dtype_policy
        # Places between pixels need more digits than bfloat16 has.
        self.flow = SpyNet(levels=flow_levels, width=flow_width, dtype="float32", name="flow")
        self.backward_trunk = ResidualTrunk(width, blocks=blocks, dtype=policy, name="backward")
        self.forward_trunk = ResidualTrunk(width, blocks=blocks, dtype=policy, name="forward")
        self.fusion = convolution(width, 1, dtype=policy, name="fusion")
        self.enlarging = [
            convolution(4 * width, 3, dtype=policy, name=f"enlarging{number}")
            for number in range(1 if scale == 2 else 2)
        ]
        self.smoothing = convolution(width, 3, dtype=policy, name="smoothing")
        self.last = convolution(3, 3, dtype=policy, name="last", gain=_SMALL_GAIN)

    def build_layers(self) -> None:
        """Builds the layers of the network."""
        self.flow.build()
        for trunk in (self.backward_trunk, self.forward_trunk):
            trunk.build((None, None, None, self.width + 3))
        self.fusion.build((None, None, None, 2 * self.width))
        for layer in (*self.enlarging, self.smoothing, self.last):
            layer.build((None, None, None, self.width))

    def enlarge(self, pictures: Tensor, *, training: bool | None = None) -> Tensor:
        """What is added to bilinear interpolation, see the class."""
        to_next, to_previous = self._flows(pictures)
        both = [
            self._carried(self.backward_trunk, pictures, to_next, reverse=True),
            self._carried(self.forward_trunk, pictures, to_previous, reverse=False),
        ]
        return each_picture(self._painted, ops.concatenate(both, axis=-1))

    def _flows(self, pictures):
        """Flows (B, T, H, W, 2) of each picture to the next and to the one before; zero where there is none."""
        batch, length, height, width, _ = ops.shape(pictures)
        if length == 1:
            none = ops.zeros((batch, 1, height, width, 2), "float32")
            return none, none
        earlier, later = (
            ops.reshape(ops.cast(part, "float32"), (-1, height, width, 3))
            for part in (pictures[:, :-1], pictures[:, 1:])
        )
        flows = [
            ops.reshape(self.flow(*pair), (-1, length - 1, height, width, 2))
            for pair in ((earlier, later), (later, earlier))
        ]
        none = ops.zeros_like(flows[0][:, :1])
        return ops.concatenate([flows[0], none], axis=1), ops.concatenate([none, flows[1]], axis=1)

    def _carried(self, trunk, pictures, flows, *, reverse):
        """Features (B, T, H, W, width) of one direction."""
        by_time = (1, 0, 2, 3, 4)

        def step(features, inputs):
            picture, flow = inputs
            features = trunk(ops.concatenate([picture, warp(features, flow)], axis=-1))
            return features, features

        none = ops.zeros_like(ops.repeat(pictures[:, 0, :, :, :1], self.width, axis=-1))
        inputs = ops.transpose(pictures, by_time), ops.transpose(flows, by_time)
        _, features = ops.scan(step, none, inputs, reverse=reverse)
        return ops.transpose(features, by_time)

    def _painted(self, features):
        features = _leaky(self.fusion(features))
        for layer in self.enlarging:
            features = _leaky(pixel_shuffle(layer(features), 2))
        return self.last(_leaky(self.smoothing(features)))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        names = ("width", "blocks", "flow_levels", "flow_width")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("yt8m")
class ResidualTrunk(Layer):
    """A convolution, then ``blocks`` of x + conv(relu(conv(x))), all of 3 x 3 and without batch norm.

    Call: (N, H, W, C) -> (N, H, W, width).
    """

    def __init__(self, width: int, *, blocks: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.width, self.blocks = width, blocks
        policy = self.dtype_policy
        self.first = convolution(width, 3, dtype=policy, name="first")
        self.pairs = [
            tuple(
                convolution(width, 3, dtype=policy, name=f"block{number}_{place}", gain=_SMALL_GAIN) for place in (1, 2)
            )
            for number in range(blocks)
        ]

    def build(self, inputs_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        self.first.build(inputs_shape)
        for pair in self.pairs:
            for layer in pair:
                layer.build((*inputs_shape[:-1], self.width))

    def call(self, inputs: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        outputs = _leaky(self.first(inputs))
        for one, other in self.pairs:
            outputs = outputs + other(ops.relu(one(outputs)))
        return outputs

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "width": self.width, "blocks": self.blocks}


def _leaky(inputs):
    return ops.leaky_relu(inputs, _SLOPE)
