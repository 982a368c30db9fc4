"""Base of the super-resolution networks, what they share, and what they are trained and measured by."""

from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.super_resolution.config import SCALES
from yt8m.types import InputError, Tensor

_CHARBONNIER_EPSILON = 1e-8


class SuperResolver(keras.Model):
    """Base of the networks that enlarge the pictures of clips.

    scale: 2 or 4, by how much height and width grow.
    Call: (B, T, H, W, 3) RGB, uint8 or float in [0, 1] -> (B, T, scale H, scale W, 3) float32, about [0, 1].

    A subclass implements ``enlarge``, what is added to bilinear interpolation.
    """

    def __init__(self, *, scale: int = 4, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        if scale not in SCALES:
            raise InputError(f"scale is {scale!r}; valid: {', '.join(map(str, SCALES))}")
        self.scale = scale

    def enlarge(self, pictures: Tensor, *, training: bool | None = None) -> Tensor:
        """(B, T, H, W, 3) in [0, 1] -> (B, T, scale H, scale W, 3), the difference to bilinear interpolation."""
        raise NotImplementedError

    def call(self, pictures: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        if keras.backend.standardize_dtype(pictures.dtype) == "uint8":
            pictures = ops.cast(pictures, "float32") / 255
        detail = self.enlarge(ops.cast(pictures, self.compute_dtype), training=training)
        return ops.cast(each_picture(self._interpolated, pictures), "float32") + ops.cast(detail, "float32")

    def resolve(self, pictures: Any) -> np.ndarray:
        """Clips (B, T, H, W, 3), as for ``call``, enlarged: uint8.

        Operation by operation: videos have many sizes and lengths, each of which would be compiled by itself.
        """
        return as_pictures(ops.convert_to_numpy(self(pictures, training=False)))

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights, which depend on no size of pictures; any given shape is ignored."""
        self.build_layers()
        self.built = True

    def build_layers(self) -> None:
        """Builds the layers of the network."""
        raise NotImplementedError

    def get_build_config(self) -> dict[str, Any]:
        """Saved with the model, so that loading builds it."""
        return {"input_shape": None}

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Charbonnier loss, mean of sqrt((y - y')^2 + 1e-16) (Chan et al. 2021, section 4); y: as ``call`` gives."""
        difference = ops.cast(y, "float32") - y_pred
        return ops.mean(ops.sqrt(ops.square(difference) + _CHARBONNIER_EPSILON**2))

    def _interpolated(self, pictures):
        _, height, width, _ = ops.shape(pictures)
        return ops.image.resize(pictures, (height * self.scale, width * self.scale), interpolation="bilinear")

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        policy = keras.saving.serialize_keras_object(self.dtype_policy)
        return {"name": self.name, "dtype": policy, "scale": self.scale}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SuperResolver":
        """The object that ``get_config`` describes."""
        config = dict(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(config["dtype"])
        return cls(**config)


def convolution(filters: int, size: int, *, name: str, dtype: Any, gain: float = 2.0) -> keras.layers.Conv2D:
    """Convolution of stride 1 that keeps height and width.

    gain: of the variance of the initial weights over their inputs; 2 before a ReLU (He et al. 2015), 0 for zeros.
    """
    initializer = keras.initializers.VarianceScaling(gain) if gain else "zeros"
    return keras.layers.Conv2D(filters, size, padding="same", kernel_initializer=initializer, dtype=dtype, name=name)


def pixel_shuffle(inputs: Tensor, scale: int) -> Tensor:
    """(N, H, W, C scale^2) -> (N, scale H, scale W, C): channel c scale^2 + a scale + b goes to row a, column b.

    Sub-pixel convolution's rearrangement (Shi et al. 2016, equation 4), channels in PyTorch's order.
    """
    _, height, width, channels = ops.shape(inputs)
    kept = channels // scale**2
    split = ops.reshape(inputs, (-1, height, width, kept, scale, scale))
    return ops.reshape(ops.transpose(split, (0, 1, 4, 2, 5, 3)), (-1, height * scale, width * scale, kept))


def each_picture(function: Any, clips: Tensor) -> Tensor:
    """(B, T, H, W, C) through a function of (N, H, W, C)."""
    batch, length, height, width, channels = ops.shape(clips)
    outputs = function(ops.reshape(clips, (-1, height, width, channels)))
    return ops.reshape(outputs, (-1, length, *ops.shape(outputs)[1:]))


def as_pictures(outputs: np.ndarray) -> np.ndarray:
    """What a network gives, as uint8 pictures: rounded, and cut to 0 to 255."""
    return np.rint(np.clip(np.asarray(outputs, np.float32), 0, 1) * 255).astype(np.uint8)
