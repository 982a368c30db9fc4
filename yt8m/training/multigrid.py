"""Multigrid schedule: batch size, frames and learning rate of multigrid training in time (Wu et al. 2020).

The long cycle has three stages of equal length, of 4, 2 and 1 times the examples of as many times fewer frames; within
a stage the short cycle does the same again from step to step. So the work of a step stays what it is.
"""

import dataclasses

from yt8m.config import TrainConfig

LONG_CYCLE = (4, 2, 1)
SHORT_CYCLE = (4, 2, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multigrid:
    """The schedule of a run. config: TrainConfig; num_frames: of an example; where config.multigrid is off, a constant.

    epoch_examples: about how many examples an epoch has, for the length of the warm-ups.
    """

    config: TrainConfig
    num_frames: int
    epoch_examples: int = 0

    def factor(self, epoch: int) -> int:
        """Factor of the long cycle in ``epoch``, from 0: 4 in a third of the epochs, 2 in the next, then 1."""
        return LONG_CYCLE[self._stage(epoch)] if self.config.multigrid else 1

    def shapes(self, epoch: int) -> list[tuple[int, int]]:
        """(examples, frames) of the steps of ``epoch``, which take turns; at least one frame."""
        short = SHORT_CYCLE if self.config.multigrid and self.config.multigrid_short_cycle else (1,)
        factors = [min(self.factor(epoch) * factor, self.num_frames) for factor in short]
        return [(self.config.batch_size * factor, self.num_frames // factor) for factor in factors]

    def examples(self, epoch: int, step: int) -> int:
        """Examples of step ``step``, from 0, of ``epoch``; the last one of an epoch counts in full."""
        shapes = self.shapes(epoch)
        return shapes[step % len(shapes)][0]

    def starts_stage(self, epoch: int) -> bool:
        """Whether a stage of the long cycle begins with ``epoch``."""
        return not epoch or self.factor(epoch) != self.factor(epoch - 1)

    def learning_rate(self, *, epoch: int, examples: int, stage_examples: int) -> float:
        """Learning rate of a step of ``epoch``, before which there were ``examples``, ``stage_examples`` in its stage.

        base_learning_rate, decayed by learning_rate_decay after every learning_rate_decay_examples examples, times the
        batch's factor in the long cycle to the power of multigrid_rate_scaling: 1 is linear scaling (Goyal et al.
        2017). Over the first multigrid_warmup of a stage that factor goes linearly from that of the stage before, at
        first from 1. The short cycle changes nothing: Wu et al. found that harmful.
        """
        config = self.config
        decays = examples // config.learning_rate_decay_examples
        decayed = config.base_learning_rate * config.learning_rate_decay**decays
        stage = self._stage(epoch)
        epochs = sum(self._stage(other) == stage for other in range(config.num_epochs or 1))
        warmup = config.multigrid_warmup * epochs * self.epoch_examples
        done = min(1.0, stage_examples / warmup) if warmup else 1.0
        # A stage that is too short for an epoch is left out.
        stages = sorted({self._stage(other) for other in range(epoch + 1)})
        before = LONG_CYCLE[stages[-2]] if len(stages) > 1 else 1
        scales = [factor**config.multigrid_rate_scaling for factor in (before, LONG_CYCLE[stage])]
        return decayed * (scales[0] + done * (scales[1] - scales[0]))

    def steps(self, epoch: int, examples: int) -> int:
        """About how many steps ``epoch`` has with ``examples`` examples."""
        sizes = [size for size, _ in self.shapes(epoch)]
        return max(1, round(examples * len(sizes) / sum(sizes)))

    def _stage(self, epoch):
        return min(len(LONG_CYCLE) - 1, len(LONG_CYCLE) * epoch // (self.config.num_epochs or 1))
