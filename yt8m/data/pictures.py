"""Pictures of clips in the graph: decoded, cropped, scaled, brightened, and in training changed by draws of a seed."""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from yt8m.config import AugmentConfig
from yt8m.train_parts import CHANNELS
from yt8m.types import Tensor

_ASPECTS = 3 / 4, 4 / 3
"""Bounds of the width to height of a random crop. Source: Szegedy et al. 2015, GoogLeNet."""

_SHRUNK = 1.5
"""Pixels of a part to one of the square from which on aliases are filtered out."""

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue. Source: ITU-R BT.601."""

_USUAL = 0.25
"""Median brightness to which dark clips are lifted, as in yt8m.features.enhancement."""


class Draws(NamedTuple):
    """What is drawn for a clip, the same for all of its pictures: float32 in [0, 1).

    area, aspect, top, left: scalars, of the crop. flip: scalar, mirrored below 0.5. jitter: (3,), of brightness,
    contrast and saturation.
    """

    area: Tensor
    aspect: Tensor
    top: Tensor
    left: Tensor
    flip: Tensor
    jitter: Tensor


def draw(seed: Tensor) -> Draws:
    """The Draws of one clip. seed: (2,) int tensor, on which alone they depend."""
    numbers = tf.random.stateless_uniform([8], seed)
    area, aspect, top, left, flip = tf.unstack(numbers[:5])
    return Draws(area, aspect, top, left, flip, jitter=numbers[5:])


def decode_pictures(
    encoded: Tensor, *, size: int | Tensor, crops: int = 1, least_area: float = 1.0, draws: Draws | None = None
) -> Tensor:
    """Decodes N pictures (N,) string, JPEG or PNG, of any sizes: uint8 (N, crops, size, size, 3), RGB.

    size: int, or scalar int32 tensor; the shape is not known beforehand then.
    The largest square, in the middle or, of three crops, along the longer side: middle, left or top, right or bottom.
    With ``draws`` and a least_area below 1 a random crop of at least that share of the picture's area instead, as far
    as its aspect lets it. Scaled bilinearly, with a filter against aliases where that is to less than two thirds. Grey
    pictures become RGB. Raises tf.errors.InvalidArgumentError where one is broken.
    """
    make = functools.partial(_cropped, size=size, crops=crops, least_area=least_area, draws=draws)
    side = size if isinstance(size, int) else None
    return tf.map_fn(make, encoded, fn_output_signature=tf.TensorSpec([crops, side, side, CHANNELS], tf.uint8))


def decode_picture(encoded: Tensor) -> Tensor:
    """uint8 (H, W, 3) of a scalar string, as libjpeg and libpng decode it."""
    picture = tf.io.decode_jpeg(encoded, channels=CHANNELS, dct_method="INTEGER_ACCURATE")
    return tf.ensure_shape(picture, [None, None, CHANNELS])


def _cropped(encoded, *, size, crops, least_area, draws):
    picture = decode_picture(encoded)
    shape = tf.shape(picture)[:2]
    if draws is not None and least_area < 1:
        boxes = [_random_box(shape, least_area, draws)]
    else:
        boxes = [_square(shape, place) for place in ((0.5,) if crops == 1 else (0.5, 0.0, 1.0))]
    parts = [picture[top : top + height, left : left + width] for (top, left), (height, width) in boxes]
    return _as_bytes(tf.stack([_scaled(part, size) for part in parts]))


def _scaled(part, size):
    def scaled(antialias):
        return tf.image.resize(part, [size, size], method="bilinear", antialias=antialias)

    # The filter takes three times as long as all else.
    small = tf.cast(tf.reduce_max(tf.shape(part)[:2]), tf.float32) > _SHRUNK * tf.cast(size, tf.float32)
    return tf.cond(small, lambda: scaled(True), lambda: scaled(False))


def _square(shape, place):
    """((top, left), (height, width)) of the largest square; place: from 0 to 1 along the longer side."""
    side = tf.reduce_min(shape)
    spare = tf.cast(tf.cast(shape - side, tf.float32) * place, tf.int32)
    return tf.unstack(spare), (side, side)


def _random_box(shape, least_area, draws):
    """The same of a random crop."""
    sides = tf.cast(shape, tf.float32)
    area = (least_area + (1 - least_area) * draws.area) * tf.reduce_prod(sides)
    low, high = _ASPECTS
    aspect = low * (high / low) ** draws.aspect
    wanted = tf.sqrt(tf.stack([area / aspect, area * aspect]))
    box = tf.clip_by_value(tf.cast(tf.round(wanted), tf.int32), 1, shape)
    spare = tf.cast(shape - box + 1, tf.float32) * tf.stack([draws.top, draws.left])
    return tf.unstack(tf.minimum(tf.cast(spare, tf.int32), shape - box)), tf.unstack(box)


def brightened(pictures: Tensor, gamma: str) -> Tensor:
    """255 (p / 255)^gamma of each value p of a clip's pictures, uint8 (..., H, W, 3), rounded.

    gamma: "off", a number as text, or "auto": 0.25 to 1, by which the median brightness of the clip becomes a quarter
    of white; 1 where it is brighter.
    """
    if gamma == "off":
        return pictures
    exponent = _automatic_gamma(pictures) if gamma == "auto" else tf.constant(float(gamma), tf.float32)
    table = _as_bytes(255 * tf.constant(np.arange(256) / 255, tf.float32) ** exponent)
    return tf.gather(table, tf.cast(pictures, tf.int32))


def _automatic_gamma(pictures):
    luma = tf.cast(tf.round(tf.tensordot(tf.cast(pictures, tf.float32), tf.constant(_LUMA), 1)), tf.int32)
    below = tf.cumsum(tf.math.bincount(tf.reshape(luma, [-1]), minlength=256, maxlength=256))
    median = tf.reduce_sum(tf.cast(2 * below < tf.size(luma), tf.float32)) / 255
    lifted = np.log(_USUAL).astype(np.float32) / tf.math.log(tf.clip_by_value(median, 1 / 255, _USUAL))
    return tf.where(median < _USUAL, lifted, 1.0)


def changed(pictures: Tensor, augment: AugmentConfig, draws: Draws) -> Tensor:
    """A clip's pictures, uint8 (..., H, W, 3), with the mirror image and colours that ``augment`` asks for."""
    if augment.flip:
        pictures = tf.cond(draws.flip < 0.5, lambda: tf.reverse(pictures, [-2]), lambda: pictures)
    if not augment.colour_jitter:
        return pictures
    brightness, contrast, saturation = tf.unstack(1 + augment.colour_jitter * (2 * draws.jitter - 1))
    # One after the other they are one linear map of the colours of each pixel, and a constant of each picture.
    values, luma = tf.cast(pictures, tf.float32), tf.constant(_LUMA)
    mixed = saturation * tf.eye(CHANNELS) + (1 - saturation) * luma[:, None]
    mean = brightness * tf.tensordot(tf.reduce_mean(values, axis=(-3, -2), keepdims=True), luma, 1)
    coloured = tf.tensordot(values, brightness * contrast * mixed, 1)
    return _as_bytes(coloured + (1 - contrast) * mean[..., None])


def _as_bytes(values):
    return tf.cast(tf.clip_by_value(tf.round(values), 0, 255), tf.uint8)
