"""Updates for which TensorFlow has one kernel, where Keras would make a dozen passes over memory."""

from typing import Any

import keras

from yt8m.types import Tensor


def available() -> bool:
    """Whether the backend is TensorFlow. Other backends compile, and fuse, the whole step."""
    return keras.backend.backend() == "tensorflow"


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


def _handle(variable):
    return variable.value.handle if isinstance(variable, keras.Variable) else variable.handle
