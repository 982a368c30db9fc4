"""Batch normalisation of real frames: the kernel for batches without padding against the equations."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yt8m.layers.convolution import convolve
from yt8m.layers.frame_norm import FrameBatchNormalization
from yt8m.runtime import fused


def _layer(clip, dtype="float32"):
    layer = FrameBatchNormalization(momentum=0.9, epsilon=1e-5, dtype=dtype)
    layer.build(clip.shape)
    return layer


def _normalised(clip, mask, dtype):
    """Output, gradients of clip, gamma and beta of a weighted sum of it, and both moving statistics."""
    layer = _layer(clip, dtype)
    layer.gamma.assign(np.linspace(0.5, 2, clip.shape[-1]))
    layer.beta.assign(np.linspace(-1, 1, clip.shape[-1]))
    values = tf.constant(clip)
    weights = np.random.default_rng(1).normal(size=clip.shape).astype(np.float32)
    with tf.GradientTape() as tape:
        tape.watch(values)
        output = tf.cast(layer(values, frame_mask=mask, training=True), "float32")
        total = tf.reduce_sum(output * weights * np.reshape(mask, (*mask.shape, *[1] * (clip.ndim - 2))))
    gradients = tape.gradient(total, [values, layer.gamma.value, layer.beta.value])
    return [np.asarray(found, "float32") for found in (output, *gradients, layer.moving_mean, layer.moving_variance)]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="the kernel is TensorFlow's")
@pytest.mark.parametrize("shape", [(3, 4, 5, 6, 16), (3, 4, 5, 6, 3), (3, 4, 7), (1, 1, 1, 1, 16)], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-4), ("mixed_bfloat16", 0.1)])
def test_the_kernel_gives_what_the_equations_give(shape, dtype, tolerance, monkeypatch):
    """A batch without padding, by both ways: outputs, gradients and moving statistics."""
    clip = np.random.default_rng(0).normal(1, 2, shape).astype(np.float32)
    mask = np.ones(shape[:2], bool)
    by_kernel = _normalised(clip, mask, dtype)
    monkeypatch.setattr(fused, "has_accelerator", lambda: True)
    by_equations = _normalised(clip, mask, dtype)
    for found, expected in zip(by_kernel, by_equations):
        np.testing.assert_allclose(found, expected, atol=tolerance, rtol=tolerance)


def test_moving_statistics_are_those_of_real_frames():
    """The variance is divided by n, and padding counts for nothing."""
    clip = np.random.default_rng(0).normal(1, 2, (2, 3, 4, 4, 5)).astype(np.float32)
    padded = np.array([[True, True, False], [True, False, False]])
    for mask in (padded, np.ones_like(padded)):
        layer = _layer(clip)
        layer(keras.ops.convert_to_tensor(clip), frame_mask=keras.ops.convert_to_tensor(mask), training=True)
        np.testing.assert_allclose(layer.moving_mean, 0.1 * clip[mask].mean((0, 1, 2)), rtol=1e-4)
        np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * clip[mask].var((0, 1, 2)), rtol=1e-4)


@pytest.mark.parametrize("strides", [(1, 1, 1), (1, 2, 2), (2, 1, 1)], ids=str)
@pytest.mark.parametrize("kernel", [(1, 1, 1), (1, 3, 3), (3, 1, 1), (3, 3, 3)], ids=str)
@pytest.mark.parametrize("filters", [8, 16])
def test_a_convolution_of_fewer_dimensions_is_that_of_three(kernel, strides, filters):
    """Kernels of one frame or pixel, few filters and more, bias and ReLU, against Keras's Conv3D with zeros around."""
    random = np.random.default_rng(0)
    clip = random.normal(size=(2, 5, 6, 7, 4)).astype(np.float32)
    weights = random.normal(size=(*kernel, 4, filters)).astype(np.float32)
    bias = random.normal(size=filters).astype(np.float32)
    around = [(size // 2, size // 2) for size in kernel]
    layer = keras.layers.Conv3D(filters, kernel, strides=strides, activation="relu")
    padded = np.pad(clip, [(0, 0), *around, (0, 0)])
    layer.build(padded.shape)
    layer.set_weights([weights, bias])
    given, kernel, added = map(keras.ops.convert_to_tensor, (clip, weights, bias))
    found = convolve(given, kernel, strides=strides, bias=added, relu=True)
    np.testing.assert_allclose(found, layer(padded), atol=1e-4)
