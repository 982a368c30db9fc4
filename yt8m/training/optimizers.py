"""Optimizers from a TrainConfig."""

from typing import Any

import keras
from keras import ops

from yt8m.config import TrainConfig
from yt8m.training import fused
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
        if fused.available():
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
        if fused.available():
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


class _Wrapper(keras.optimizers.Optimizer):
    """An optimizer that takes the steps of ``inner`` and does something of its own after each."""

    def __init__(self, inner, *, name):
        super().__init__(_rate_of(inner), name=name, weight_decay=inner.weight_decay, clipnorm=inner.clipnorm)
        # Behind a function, or Keras would save it a second time.
        self._get_inner = lambda: inner

    @property
    def inner(self):
        """The optimizer whose steps are taken."""
        return self._get_inner()

    def build(self, variables):
        """Makes the variables of both; called by Keras."""
        if self.built:
            return
        super().build(variables)
        shared = {id(variable) for variable in self.inner.variables}
        self.inner.build(variables)
        # Keras tracks what is assigned: these are saved with this one's variables, whose step and rate both share.
        self.inner_moments = [variable for variable in self.inner.variables if id(variable) not in shared]

    def apply(self, grads, trainable_variables=None):
        """One update of all variables; called by Keras."""
        self.inner.iterations.assign(self.iterations)
        return super().apply(grads, trainable_variables)

    def _copies(self, variables, name):
        # By an initializer: where Keras builds in a trace, as on several devices, it drops or repeats an assignment.
        return [
            self.add_variable_from_reference(variable, name=name, initializer=_value_of(variable))
            for variable in variables
        ]

    def get_config(self):
        return {"name": self.name, "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("inner"), custom_objects=custom_objects), **config)


def _value_of(variable):
    """Initializer that gives what ``variable`` holds."""
    # A copy, because JAX gives the buffers of all variables away at each step, each once.
    return lambda shape, dtype: ops.copy(variable)


def _rate_of(optimizer):
    """The learning rate that an optimizer was made with: a number or a schedule."""
    if isinstance(optimizer, _Wrapper):
        return _rate_of(optimizer.inner)
    rate = optimizer.get_config()["learning_rate"]
    return keras.optimizers.schedules.deserialize(rate) if isinstance(rate, dict) else rate


@keras.saving.register_keras_serializable("yt8m")
class Lookahead(_Wrapper):
    """k steps of another optimizer, then one of ``slow_step_size`` from where they began to where they ended.

    inner: the optimizer; sync_period: k (Zhang et al. 2019). Gives the steps of tensorflow-addons' Lookahead.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        *,
        sync_period: int = 6,
        slow_step_size: float = 0.5,
        name: str = "lookahead",
    ):
        super().__init__(inner, name=name)
        self.sync_period = sync_period
        self.slow_step_size = slow_step_size

    def build(self, variables: Any) -> None:
        """Makes the slow variables, which start where the others do; called by Keras."""
        if not self.built:
            super().build(variables)
            self._slow = self._copies(variables, "slow")

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        self.inner.update_step(gradient, variable, learning_rate)
        slow = self._slow[self._get_variable_index(variable)]
        ends = ops.equal((self.iterations + 1) % self.sync_period, 0)
        reached = slow + (variable - slow) * self.slow_step_size
        self.assign(slow, ops.where(ends, reached, ops.convert_to_tensor(slow)))
        self.assign(variable, ops.where(ends, reached, ops.convert_to_tensor(variable)))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "sync_period": self.sync_period, "slow_step_size": self.slow_step_size}


class _Averaging(_Wrapper):
    """Keeps averages of the variables, which take their place where a model is scored or used."""

    def build(self, variables):
        """Makes the averages, which start where the variables do; called by Keras."""
        if not self.built:
            super().build(variables)
            averaged = list(variables)
            # Behind a function, or Keras would take the model's variables for this one's.
            self._get_averaged = lambda: averaged
            self.averages = self._copies(variables, "average")

    def swap(self):
        """Exchanges the variables and their averages; twice is as before."""
        for variable, average in zip(self._get_averaged(), self.averages):
            value = ops.copy(variable)
            variable.assign(average)
            average.assign(value)


@keras.saving.register_keras_serializable("yt8m")
class StochasticWeightAveraging(_Averaging):
    """Mean of the variables every ``average_period`` steps from step ``start_averaging`` on (Izmailov et al. 2018).

    inner: the optimizer. Gives the averages of tensorflow-addons' SWA; before the first, the average is the start.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        *,
        start_averaging: int = 0,
        average_period: int = 10,
        name: str = "swa",
    ):
        super().__init__(inner, name=name)
        self.start_averaging = start_averaging
        self.average_period = average_period

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        self.inner.update_step(gradient, variable, learning_rate)
        average = self.averages[self._get_variable_index(variable)]
        since = self.iterations - self.start_averaging
        due = ops.logical_and(since >= 0, ops.equal(since % self.average_period, 0))
        count = ops.cast(ops.maximum(since // self.average_period, 0), variable.dtype)
        self.assign(average, ops.where(due, (average * count + variable) / (count + 1), ops.convert_to_tensor(average)))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        settings = {"start_averaging": self.start_averaging, "average_period": self.average_period}
        return {**super().get_config(), **settings}


@keras.saving.register_keras_serializable("yt8m")
class ExponentialMovingAverage(_Averaging):
    """Average of the variables that forgets: a <- d a + (1 - d) w after every step, d = min(momentum, t / (t + 9)).

    inner: the optimizer. The bound lets the average follow from the start, as in TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, inner: keras.optimizers.Optimizer, *, momentum: float = 0.999, name: str = "ema"):
        super().__init__(inner, name=name)
        self.momentum = momentum

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        self.inner.update_step(gradient, variable, learning_rate)
        average = self.averages[self._get_variable_index(variable)]
        step = ops.cast(self.iterations + 1, variable.dtype)
        kept = ops.minimum(self.momentum, step / (step + 9))
        self.assign_add(average, (1 - kept) * (variable - average))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "momentum": self.momentum}


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """The optimizer that ``config``, a TrainConfig, names, with Lookahead and averaging around it where asked for.

    By default the paper's: Adam, 1e-4, x0.9 every 2M examples, each variable's gradient clipped to norm 1, as in the
    YouTube-8M starter program. Weight decay is decoupled.
    """
    settings = {"weight_decay": config.weight_decay or None, "learning_rate": exponential_decay(config)}
    if config.optimizer == "adam":
        optimizer = Adam(clip_variable_norm=config.clip_gradient_norm, **settings)
    else:
        make = {"rectified_adam": RectifiedAdam, "lamb": keras.optimizers.Lamb, "sgd": _momentum}[config.optimizer]
        optimizer = make(clipnorm=config.clip_gradient_norm, **settings)
    if config.lookahead:
        optimizer = Lookahead(optimizer)
    if config.averaging == "ema":
        optimizer = ExponentialMovingAverage(optimizer, momentum=config.ema_momentum)
    elif config.averaging == "swa":
        settings = {"start_averaging": config.swa_start_step, "average_period": config.swa_period}
        optimizer = StochasticWeightAveraging(optimizer, **settings)
    return optimizer


def _momentum(**settings):
    return keras.optimizers.SGD(momentum=0.9, **settings)


def exponential_decay(config: TrainConfig) -> Any:
    """Learning rate multiplied by ``learning_rate_decay`` after every ``learning_rate_decay_examples`` examples.

    config: TrainConfig. A LearningRateSchedule, in steps, not smoothly, as in the YouTube-8M starter program. With
    multigrid training a number, which a callback changes: how many examples a step has depends on the epoch.
    """
    if config.multigrid:
        return config.base_learning_rate
    return keras.optimizers.schedules.ExponentialDecay(
        config.base_learning_rate,
        decay_steps=max(1, round(config.learning_rate_decay_examples / config.batch_size)),
        decay_rate=config.learning_rate_decay,
        staircase=True,
    )
