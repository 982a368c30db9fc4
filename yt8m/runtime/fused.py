"""What TensorFlow has one kernel for, where Keras would make a dozen passes over memory."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from yt8m.runtime.devices import has_accelerator
from yt8m.types import Tensor

_BFLOAT16_CHANNELS = 16
"""What channels have to be a multiple of for batch normalisation to be fast in bfloat16."""

_is_for_others = contextvars.ContextVar("graph for another runtime", default=False)


@contextlib.contextmanager
def graph_for_another_runtime() -> Iterator[None]:
    """Graphs made within it have none of these kernels and branches: ONNX and LiteRT hold them not, or badly."""
    earlier = _is_for_others.set(True)
    try:
        yield
    finally:
        _is_for_others.reset(earlier)


def has_kernels() -> bool:
    """Whether TensorFlow computes. Other backends compile, and fuse, the whole step."""
    return keras.backend.backend() == "tensorflow" and not _is_for_others.get()


def computes_on_processor() -> bool:
    """Whether that is on a processor, where passes over activations are the dearest; XLA fuses them elsewhere."""
    return has_kernels() and not has_accelerator()


def adam_step(
    variable: Any,
    gradient: Tensor,
    *,
    momentum: Any,
    velocity: Any,
    step: Tensor,
    learning_rate: Any,
    beta_1: float,
    beta_2: float,
    epsilon: float,
) -> None:
    """One update of ``variable`` by Adam, in place (Kingma & Ba 2015, the form with epsilon outside the correction).

    variable, momentum, velocity: variables of one shape; gradient: tensor of it. step: number of the update, from 1.
    """
    import tensorflow as tf

    dtype = gradient.dtype
    step = tf.cast(step, dtype)
    tf.raw_ops.ResourceApplyAdam(
        var=_handle(variable),
        m=_handle(momentum),
        v=_handle(velocity),
        beta1_power=tf.pow(tf.cast(beta_1, dtype), step),
        beta2_power=tf.pow(tf.cast(beta_2, dtype), step),
        lr=tf.cast(learning_rate, dtype),
        beta1=tf.cast(beta_1, dtype),
        beta2=tf.cast(beta_2, dtype),
        epsilon=tf.cast(epsilon, dtype),
        grad=gradient,
    )


def clip_norm(gradient: Tensor, limit: float) -> Tensor:
    """``gradient`` scaled to an L2 norm of ``limit`` where it is longer; where it is not, no pass over it is made."""
    return ops.reshape(_clip_norm(_name_of(gradient.dtype), limit)(gradient), ops.shape(gradient))


def batch_norm(
    frames: Tensor,
    is_real: Tensor,
    gamma: Tensor,
    beta: Tensor,
    *,
    epsilon: float,
    of_padded: Callable[..., tuple[Tensor, Tensor, Tensor]],
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation in training (Ioffe & Szegedy 2015), by the statistics of real frames.

    frames: (N, P, C), P pixels of N frames; is_real: (N,) bool; gamma, beta: (C,) float32. of_padded: function of the
    same arguments and results, by operations of Keras, which batches with padding take. Returns the output, of the
    shape and dtype of frames, and mean and variance, (C,) float32.
    """
    function = _batch_norm(frames.shape[-1], _name_of(frames.dtype), epsilon, of_padded)
    return function(frames, is_real, gamma, beta)


def masked(frames: Tensor, is_real: Tensor) -> Tensor:
    """Frames (N, P, C) with zeros for those that ``is_real`` (N,) has not; as they are where it has all."""
    return _masked(frames.shape[-1], _name_of(frames.dtype))(frames, is_real)


# Each is one function of all gradients, and of all layers of as many channels: a graph of as many branches as these are
# takes half a minute to make.
@functools.cache
def _clip_norm(dtype, limit):
    import tensorflow as tf

    def function(gradient):
        norm = tf.sqrt(2 * tf.nn.l2_loss(gradient))
        return tf.cond(norm > limit, lambda: gradient * (limit / norm), lambda: gradient)

    return tf.function(function, input_signature=[tf.TensorSpec(None, dtype)], autograph=False)


@functools.cache
def _batch_norm(channels, dtype, epsilon, of_padded):
    import tensorflow as tf

    def by_kernel(frames, gamma, beta):
        taken = frames if channels % _BFLOAT16_CHANNELS == 0 else tf.cast(frames, "float32")
        none = tf.zeros([0])
        found = tf.raw_ops.FusedBatchNormV3(
            x=tf.expand_dims(taken, 1),
            scale=gamma,
            offset=beta,
            mean=none,
            variance=none,
            epsilon=epsilon,
            is_training=True,
        )
        # Its variance is divided by n - 1.
        count = tf.cast(tf.size(frames) // channels, "float32")
        variance = found.batch_variance * ((count - 1) / count)
        return tf.cast(tf.squeeze(found.y, 1), dtype), found.batch_mean, variance

    def function(frames, is_real, gamma, beta):
        return tf.cond(
            tf.reduce_all(is_real),
            lambda: by_kernel(frames, gamma, beta),
            lambda: of_padded(frames, is_real, gamma, beta, epsilon=epsilon),
        )

    weights = tf.TensorSpec([channels], "float32")
    return tf.function(
        function, input_signature=[*_frames_and_mask(channels, dtype), weights, weights], autograph=False
    )


@functools.cache
def _masked(channels, dtype):
    import tensorflow as tf

    def function(frames, is_real):
        zeros = functools.partial(tf.where, is_real[:, None, None], frames, tf.zeros([], dtype))
        return tf.cond(tf.reduce_all(is_real), lambda: frames, zeros)

    return tf.function(function, input_signature=_frames_and_mask(channels, dtype), autograph=False)


def _frames_and_mask(channels, dtype):
    import tensorflow as tf

    return [tf.TensorSpec([None, None, channels], dtype), tf.TensorSpec([None], "bool")]


def _name_of(dtype):
    return keras.backend.standardize_dtype(dtype)


def _handle(variable):
    return variable.value.handle if isinstance(variable, keras.Variable) else variable.handle
