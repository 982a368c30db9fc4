"""Optimizers from a TrainConfig."""

import keras
from keras import ops

from yt8m import fused
from yt8m.schedules import exponential_decay


@keras.saving.register_keras_serializable("yt8m")
class Adam(keras.optimizers.Adam):
    """Keras's Adam with each variable's gradient clipped on its own, in one pass over memory under TensorFlow.

    clip_variable_norm: largest L2 norm of one variable's gradient, None for no limit; with several devices it is the
    norm of the whole batch's gradient. Other arguments as in keras.optimizers.Adam.
    """

    def __init__(self, learning_rate=1e-3, *, clip_variable_norm=None, name="adam", **settings):
        super().__init__(learning_rate, name=name, **settings)
        self.clip_variable_norm = clip_variable_norm

    def update_step(self, gradient, variable, learning_rate):
        """One update of ``variable``; called by Keras."""
        if self.clip_variable_norm is not None:
            gradient = self._clipped(gradient)
        if not fused.available() or self.amsgrad:
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        fused.adam_step(
            variable,
            ops.cast(gradient, variable.dtype),
            momentum=self._momentums[index],
            velocity=self._velocities[index],
            step=self.iterations + 1,
            learning_rate=learning_rate,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
        )

    def _clipped(self, gradient):
        if fused.available():
            return fused.clip_norm(gradient, self.clip_variable_norm)
        norm = ops.sqrt(ops.sum(ops.square(gradient)))
        return gradient * (self.clip_variable_norm / ops.maximum(norm, self.clip_variable_norm))

    def get_config(self):
        return {**super().get_config(), "clip_variable_norm": self.clip_variable_norm}


def make_optimizer(config):
    """Adam as the paper has it: 1e-4, x0.9 every 2M examples, each gradient clipped to norm 1.

    config: TrainConfig. The norm is clipped a variable at a time, as in the YouTube-8M starter program. Weight decay,
    where asked for, is decoupled (AdamW).
    """
    return Adam(
        exponential_decay(config),
        clip_variable_norm=config.clip_gradient_norm,
        weight_decay=config.weight_decay or None,
    )
