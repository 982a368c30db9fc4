"""Learning rate schedules from a TrainConfig."""

from typing import Any

import keras
from keras import ops

from yt8m.config import TrainConfig
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Another schedule times min(1, (step + 1) / steps): linear growth over the first steps (Goyal et al. 2017).

    schedule: the LearningRateSchedule. steps: of the growth.
    """

    def __init__(self, schedule: Any, *, steps: int):
        super().__init__()
        self.schedule = schedule
        self.steps = steps

    def __call__(self, step: Tensor) -> Tensor:
        """Learning rate of a step, counted from 0."""
        rate = self.schedule(step)
        return rate * ops.minimum(1.0, (ops.cast(step, rate.dtype) + 1) / self.steps)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {"schedule": keras.saving.serialize_keras_object(self.schedule), "steps": self.steps}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "WarmUp":
        """The object that ``get_config`` describes."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("schedule")), **config)


def learning_rate_schedule(config: TrainConfig) -> Any:
    """The LearningRateSchedule, in steps, that ``config`` names; with multigrid training a number.

    "exponential": base_learning_rate times learning_rate_decay after every learning_rate_decay_examples examples, not
    smoothly, as in the YouTube-8M starter program. "cosine": base_learning_rate * (1 + cos(pi step / max_steps)) / 2.
    Either grows linearly over warmup_steps. With multigrid training a callback changes the number: how many examples a
    step has depends on the epoch.
    """
    if config.multigrid:
        return config.base_learning_rate
    schedule: Any
    if config.rate.schedule == "cosine":
        assert config.max_steps is not None
        schedule = keras.optimizers.schedules.CosineDecay(config.base_learning_rate, decay_steps=config.max_steps)
    else:
        schedule = keras.optimizers.schedules.ExponentialDecay(
            config.base_learning_rate,
            decay_steps=max(1, round(config.learning_rate_decay_examples / config.batch_size)),
            decay_rate=config.learning_rate_decay,
            staircase=True,
        )
    return WarmUp(schedule, steps=config.rate.warmup_steps) if config.rate.warmup_steps else schedule
