"""Optimizers around another: learning rates by layer, Lookahead, and averages of the weights."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from yt8m.models.base import VideoModel
from yt8m.types import Tensor


class _Wrapper(keras.optimizers.Optimizer):
    """An optimizer that takes the steps of ``inner`` and does something of its own after each."""

    def __init__(self, inner, *, name, **settings):
        kept = {"weight_decay": inner.weight_decay, "clipnorm": inner.clipnorm}
        super().__init__(_rate_of(inner), name=name, **kept, **settings)
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
        inner = self
        while hasattr(inner, "inner"):
            inner = inner.inner
            inner.iterations.assign(self.iterations)
        return super().apply(grads, trainable_variables)

    def _copies(self, variables, name):
        # By an initializer: where Keras builds in a trace, as on several devices, it drops or repeats an assignment.
        return [
            self.add_variable_from_reference(variable, name=name, initializer=_value_of(variable))
            for variable in variables
        ]

    def get_config(self):
        kept = {"gradient_accumulation_steps": self.gradient_accumulation_steps}
        return {"name": self.name, "inner": keras.saving.serialize_keras_object(self.inner), **kept}

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
class LayerDecay(_Wrapper):
    """Another optimizer with a learning rate of its own for each variable: the rate times the variable's factor.

    inner: the optimizer; factors: one for each trainable variable, in their order, see layer_factors (Clark et al.
    2020, ELECTRA; for convolutional networks Liu et al. 2022). Decoupled weight decay goes by the rate itself.
    """

    def __init__(
        self,
        inner: keras.optimizers.Optimizer,
        *,
        factors: Sequence[float],
        name: str = "layer_decay",
        **settings: Any,
    ):
        super().__init__(inner, name=name, **settings)
        self.factors = [float(factor) for factor in factors]

    def update_step(self, gradient: Tensor, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        factor = self.factors[self._get_variable_index(variable)]
        self.inner.update_step(gradient, variable, learning_rate * factor)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "factors": self.factors}


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
        **settings: Any,
    ):
        super().__init__(inner, name=name, **settings)
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
        **settings: Any,
    ):
        super().__init__(inner, name=name, **settings)
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

    def __init__(
        self, inner: keras.optimizers.Optimizer, *, momentum: float = 0.999, name: str = "ema", **settings: Any
    ):
        super().__init__(inner, name=name, **settings)
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


def layer_factors(model: VideoModel, variables: Sequence[Any], *, decay: float) -> list[float]:
    """For each of ``variables`` decay^k, k being how many of the model's depth_groups are above that which it is in.

    Weights in none of them are below the first.
    """
    groups = model.depth_groups
    above = {
        id(variable): len(groups) - 1 - place
        for place, layers in enumerate(groups)
        for layer in layers
        for variable in layer.trainable_variables
    }
    return [decay ** above.get(id(variable), len(groups)) for variable in variables]
