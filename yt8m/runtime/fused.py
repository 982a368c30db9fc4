"""What TensorFlow has one kernel for, where Keras would make a dozen passes over memory."""

from typing import Any

import keras
from keras import ops

from yt8m.runtime.devices import has_accelerator
from yt8m.types import Tensor

_BFLOAT16_CHANNELS = 16
"""What channels have to be a multiple of for batch normalisation to be fast in bfloat16."""


def has_kernels() -> bool:
    """Whether the backend is TensorFlow. Other backends compile, and fuse, the whole step."""
    return keras.backend.backend() == "tensorflow"


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
    import tensorflow as tf

    norm = tf.sqrt(2 * tf.nn.l2_loss(gradient))
    return tf.cond(norm > limit, lambda: gradient * (limit / norm), lambda: gradient)


def batch_norm(values: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalisation in training (Ioffe & Szegedy 2015).

    values: (..., C), normalised over all axes but the last; gamma, beta: (C,). Returns the output, of the shape and
    dtype of values, and the batch's mean and variance, (C,) float32.
    """
    import tensorflow as tf

    shape, channels = ops.shape(values), values.shape[-1]
    taken = values if channels % _BFLOAT16_CHANNELS == 0 else ops.cast(values, "float32")
    none = tf.zeros([0])
    found = tf.raw_ops.FusedBatchNormV3(
        x=ops.reshape(taken, (-1, 1, 1, channels)),
        scale=ops.cast(gamma, "float32"),
        offset=ops.cast(beta, "float32"),
        mean=none,
        variance=none,
        epsilon=epsilon,
        is_training=True,
    )
    # The kernel's variance is divided by n - 1.
    count = tf.cast(tf.size(values) // channels, "float32")
    output = ops.cast(ops.reshape(found.y, shape), values.dtype)
    return output, found.batch_mean, found.batch_variance * ((count - 1) / count)


def _handle(variable):
    return variable.value.handle if isinstance(variable, keras.Variable) else variable.handle
