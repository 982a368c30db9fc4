"""Optimizers from a TrainConfig."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from yt8m.config import TrainConfig
from yt8m.runtime import fused
from yt8m.training.optimizer_wrappers import (
    ExponentialMovingAverage,
    LayerDecay,
    Lookahead,
    StochasticWeightAveraging,
)
from yt8m.training.schedules import learning_rate_schedule
from yt8m.types import Tensor


class _Moments(keras.optimizers.Optimizer):
    """Base of optimizers that keep the first two moments of the gradients of each variable."""

    def __init__(self, learning_rate, *, beta_1, beta_2, epsilon, name, **settings):
        super().__init__(learning_rate, name=name, **settings)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def build(self, variables):
        """Makes the moments; called by Keras."""
        if not self.built:
            super().build(variables)
            self.momenta, self.velocities = self.add_optimizer_variables(variables, ["momentum", "velocity"])

    def moments_of(self, variable):
        """(momentum, velocity) of a variable."""
        # The lookup that Keras's guide to optimizers of one's own shows; it has no public name.
        index = self._get_variable_index(variable)
        return self.momenta[index], self.velocities[index]

    def get_config(self):
        return {**super().get_config(), **{name: getattr(self, name) for name in ("beta_1", "beta_2", "epsilon")}}


@keras.saving.register_keras_serializable("yt8m")
class Adam(_Moments):
    """Adam with each variable's gradient clipped on its own, in one pass over memory under TensorFlow.

    Kingma & Ba (2015), the form with epsilon outside the bias correction, as in keras.optimizers.Adam.
    clip_variable_norm: largest L2 norm of one variable's gradient, None for no limit; with several devices it is the
    norm of the whole batch's gradient. Other arguments as in keras.optimizers.Adam.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        clip_variable_norm: float | None = None,
        name: str = "adam",
        **settings: Any,
    ):
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **settings)
        self.clip_variable_norm = clip_variable_norm

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        if self.clip_variable_norm is not None:
            gradient = self._clipped(gradient)
        gradient = ops.cast(gradient, variable.dtype)
        momentum, velocity = self.moments_of(variable)
        if fused.has_kernels():
            fused.adam_step(
                variable,
                gradient,
                momentum=momentum,
                velocity=velocity,
                step=self.iterations + 1,
                learning_rate=learning_rate,
                beta_1=self.beta_1,
                beta_2=self.beta_2,
                epsilon=self.epsilon,
            )
            return
        step, rate = ops.cast(self.iterations + 1, variable.dtype), ops.cast(learning_rate, variable.dtype)
        power_1, power_2 = (ops.power(ops.cast(beta, variable.dtype), step) for beta in (self.beta_1, self.beta_2))
        self.assign_add(momentum, (gradient - momentum) * (1 - self.beta_1))
        self.assign_add(velocity, (ops.square(gradient) - velocity) * (1 - self.beta_2))
        rate = rate * ops.sqrt(1 - power_2) / (1 - power_1)
        self.assign_sub(variable, momentum * rate / (ops.sqrt(velocity) + self.epsilon))

    def _clipped(self, gradient):
        if fused.has_kernels():
            return fused.clip_norm(gradient, self.clip_variable_norm)
        norm = ops.sqrt(ops.sum(ops.square(gradient)))
        return gradient * (self.clip_variable_norm / ops.maximum(norm, self.clip_variable_norm))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "clip_variable_norm": self.clip_variable_norm}


@keras.saving.register_keras_serializable("yt8m")
class RectifiedAdam(_Moments):
    """Adam whose adaptive rate sets in when its variance is small enough to be trusted (Liu et al. 2020).

    With rho_inf = 2 / (1 - beta_2) - 1 and rho_t = rho_inf - 2 t beta_2^t / (1 - beta_2^t), a step is
    r_t m / (sqrt(v) + epsilon) where rho_t >= ``sma_threshold``, and m elsewhere, m and v being corrected for bias and
    r_t^2 = (rho_t - 4)(rho_t - 2) rho_inf / ((rho_inf - 4)(rho_inf - 2) rho_t).
    Gives the steps of tensorflow-addons' RectifiedAdam.
    """

    def __init__(
        self,
        learning_rate: Any = 1e-3,
        *,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        sma_threshold: float = 5.0,
        name: str = "rectified_adam",
        **settings: Any,
    ):
        super().__init__(learning_rate, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon, name=name, **settings)
        self.sma_threshold = sma_threshold

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        momentum, velocity = self.moments_of(variable)
        gradient, rate = ops.cast(gradient, variable.dtype), ops.cast(learning_rate, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        # As tensors, because 1 - beta_2 differs between Python's precision and theirs, and lengths are sensitive to it.
        beta_1, beta_2 = (ops.convert_to_tensor(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        power_1, power_2 = ops.power(beta_1, step), ops.power(beta_2, step)
        self.assign(momentum, beta_1 * momentum + (1 - beta_1) * gradient)
        self.assign(velocity, beta_2 * velocity + (1 - beta_2) * ops.square(gradient))
        longest = 2 / (1 - beta_2) - 1
        length = longest - 2 * step * power_2 / (1 - power_2)
        trusted = length >= self.sma_threshold
        # The square root needs a length of over 4 also where it is not used.
        safe = ops.where(trusted, length, longest)
        rectifier = ops.sqrt((safe - 4) / (longest - 4) * (safe - 2) / (longest - 2) * longest / safe)
        mean = momentum / (1 - power_1)
        adaptive = rectifier * mean / (ops.sqrt(velocity / (1 - power_2)) + self.epsilon)
        self.assign_sub(variable, rate * ops.where(trusted, adaptive, mean))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "sma_threshold": self.sma_threshold}


def make_optimizer(config: TrainConfig, *, factors: Sequence[float] | None = None) -> keras.optimizers.Optimizer:
    """The optimizer that ``config``, a TrainConfig, names, with Lookahead and averaging around it where asked for.

    factors: on the learning rates of the trainable variables, see LayerDecay; None where all have the same.

    By default the paper's: Adam, 1e-4, x0.9 every 2M examples, each variable's gradient clipped to norm 1, as in the
    YouTube-8M starter program. Weight decay is decoupled.
    """
    settings = {"weight_decay": config.weight_decay or None, "learning_rate": learning_rate_schedule(config)}
    if config.optimizer == "adam":
        optimizer = Adam(clip_variable_norm=config.clip_gradient_norm, **settings)
    else:
        make = {"rectified_adam": RectifiedAdam, "lamb": keras.optimizers.Lamb, "sgd": _momentum}[config.optimizer]
        optimizer = make(clipnorm=config.clip_gradient_norm, **settings)
    if factors is not None:
        optimizer = LayerDecay(optimizer, factors=factors)
    if config.lookahead:
        optimizer = Lookahead(optimizer)
    if config.averaging == "ema":
        optimizer = ExponentialMovingAverage(optimizer, momentum=config.ema_momentum)
    elif config.averaging == "swa":
        settings = {"start_averaging": config.swa_start_step, "average_period": config.swa_period}
        optimizer = StochasticWeightAveraging(optimizer, **settings)
    if config.rate.accumulate_batches > 1:
        optimizer.gradient_accumulation_steps = config.rate.accumulate_batches
    return optimizer


def _momentum(**settings):
    return keras.optimizers.SGD(momentum=0.9, **settings)
