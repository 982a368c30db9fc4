"""Multigrid schedule: batch, frames, picture size and learning rate of multigrid training (Wu et al. 2020).

A grid is how finely an example is sampled, in time and for clips in space too; what a coarser one saves of an example
goes into more of them, so that the work of a step stays what it is. The long cycle has stages of equal length, from the
coarsest grid to the finest; within a stage the short cycle changes the grid from step to step. Of features there is
time alone, and both cycles cut it. Of clips the long cycle cuts both and the short one space, and the last stage
fine-tunes: it has examples as they are scored, and no short cycle.
"""

import dataclasses
import math
from typing import NamedTuple

from yt8m.config import RunConfig, TrainConfig
from yt8m.models.base import VideoModel
from yt8m.types import InputError

_LEAST_SIDE = 8
"""Pixels of a picture's side, as of ClipConfig.size."""


class Grid(NamedTuple):
    """A grid against that of the run: frames so many times fewer, pictures of so many times fewer pixels."""

    frames: int
    pixels: int = 1

    @property
    def examples(self) -> int:
        """How many times the examples make up for it."""
        return self.frames * self.pixels


FRAME_STAGES = (Grid(4), Grid(2), Grid(1))
CLIP_STAGES = (Grid(4, 2), Grid(2, 2), Grid(2), Grid(1), Grid(1))
"""Of clips, sides are cut by the root of ``pixels``: T/4, T/2, T/2, T and S/sqrt(2), S/sqrt(2), S, S; then the last."""

SHORT_CYCLE = (4, 2, 1)
"""Of features, how many times fewer frames than in the stage; of clips, pixels than in the run, S/2 and S/sqrt(2)."""


class Shape(NamedTuple):
    """Shape of a batch. examples: B; frames: T of each; size: side of a clip's pictures, 0 for features."""

    examples: int
    frames: int
    size: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Multigrid:
    """The schedule of a run; where config.multigrid is off, a constant.

    config: TrainConfig. num_frames, size: of an example in the run, T and the side of a clip's pictures, 0 for
    features. epoch_examples: about how many examples an epoch has, for the length of the warm-ups.
    """

    config: TrainConfig
    num_frames: int
    size: int = 0
    epoch_examples: int = 0

    @property
    def _stages(self):
        return CLIP_STAGES if self.size else FRAME_STAGES

    def factor(self, epoch: int) -> int:
        """Factor of the long cycle on the examples in ``epoch``, from 0."""
        return self._stages[self._stage(epoch)].examples if self.config.multigrid else 1

    def shapes(self, epoch: int) -> list[Shape]:
        """The shapes of the steps of ``epoch``, which take turns; at least one frame."""
        if not self.config.multigrid:
            return [Shape(self.config.batch_size, self.num_frames, self.size)]
        stage = self._stage(epoch)
        grid = self._stages[stage]
        fine_tuning = self.size and stage == len(self._stages) - 1
        short = SHORT_CYCLE if self.config.multigrid_short_cycle and not fine_tuning else (1,)
        if self.size:
            grids = [grid._replace(pixels=max(grid.pixels, pixels)) for pixels in short]
        else:
            grids = [Grid(grid.frames * frames) for frames in short]
        return [self._shape(each) for each in grids]

    def _shape(self, grid):
        grid = grid._replace(frames=min(grid.frames, self.num_frames))
        size = self.size and max(_LEAST_SIDE, round(self.size / math.sqrt(grid.pixels)))
        return Shape(self.config.batch_size * grid.examples, self.num_frames // grid.frames, size)

    def examples(self, epoch: int, step: int) -> int:
        """Examples of step ``step``, from 0, of ``epoch``; the last one of an epoch counts in full."""
        shapes = self.shapes(epoch)
        return shapes[step % len(shapes)].examples

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
        before = self._stages[stages[-2]].examples if len(stages) > 1 else 1
        factors = (before, self._stages[stage].examples)
        scales = [factor**config.multigrid_rate_scaling for factor in factors]
        return decayed * (scales[0] + done * (scales[1] - scales[0]))

    def steps(self, epoch: int, examples: int) -> int:
        """About how many steps ``epoch`` has with ``examples`` examples."""
        sizes = [shape.examples for shape in self.shapes(epoch)]
        return max(1, round(examples * len(sizes) / sum(sizes)))

    def _stage(self, epoch):
        return min(len(self._stages) - 1, len(self._stages) * epoch // (self.config.num_epochs or 1))


def sizes_of_clips(run: RunConfig) -> list[int]:
    """The sides of pictures that a model of clips is given: with multigrid training smaller ones, too."""
    schedule = Multigrid(config=run.train, num_frames=run.data.num_frames, size=run.data.clip.size)
    epochs = range(run.train.num_epochs or 1) if run.train.multigrid else (0,)
    return sorted({shape.size for epoch in epochs for shape in schedule.shapes(epoch)} | {run.data.clip.size})


def check_multigrid(run: RunConfig, model: VideoModel) -> None:
    """Raises InputError for what multigrid training does not go with."""
    if run.data.level == "video":
        raise InputError("multigrid changes the number of frames, and video-level records have none: leave it out")
    if run.train.segment_labels and run.data.level != "clip":
        raise InputError("multigrid is for whole videos and for clips: a segment of features has five frames")
    masked = run.train.masked_frames.weight
    if run.train.multigrid_short_cycle and (run.pseudo_data_pattern or masked):
        other = "pseudo-labelled videos" if run.pseudo_data_pattern else "masked_frames"
        raise InputError(f"the short cycle of multigrid does not go with {other}: set multigrid_short_cycle to false")
    if run.init_optimizer:
        raise InputError("multigrid counts examples from its own start: leave out init_optimizer")
    if model.fixed_frames:
        raise InputError(f"multigrid changes the number of frames, and this model takes {model.fixed_frames}")
