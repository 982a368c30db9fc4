"""Session of a training run: its progress, and the state that its callbacks share."""

import contextlib
import dataclasses
import math
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from yt8m.config import RunConfig, TrainConfig
from yt8m.data.splits import Source
from yt8m.models import checkpoints
from yt8m.models.base import VideoModel
from yt8m.models.initialization import step_counter
from yt8m.models.learner import Learner
from yt8m.options import is_of_type
from yt8m.runtime.devices import Placement
from yt8m.runtime.progress import Progress
from yt8m.training.board import Board, LossWindow
from yt8m.training.schedules import learning_rate_schedule
from yt8m.training.training_data import TrainingData
from yt8m.types import DivergedError, InputError


@dataclasses.dataclass
class TrainState:
    """Progress of a run. All of it goes to state.json.

    step: batches seen in all; epoch, epoch_step: where in the data the next batch is. evaluated_at: step of the last
    evaluation; best: holdout score of the best model so far; stale: evaluations since. adapted: holdout score of that
    model once its batch norm is adapted, None before or without. steps_per_epoch: of the last whole epoch, None before
    it. loss_sum, loss_steps: of the steps since that evaluation. examples: seen in all, and in this stage of
    multigrid training.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    evaluated_at: int = 0
    best: float | None = None
    adapted: float | None = None
    stale: int = 0
    steps_per_epoch: int | None = None
    loss_sum: float = 0.0
    loss_steps: int = 0
    finished: bool = False
    examples: int = 0
    stage_examples: int = 0

    @classmethod
    def restored(cls, values: dict[str, Any], *, train_dir: str) -> "TrainState":
        """The state that the state.json of ``train_dir`` holds. Raises InputError for what is none."""
        kinds = {field.name: field.type for field in dataclasses.fields(cls) if field.name in values}
        for name, kind in kinds.items():
            if not is_of_type(kind, values[name]):
                raise InputError(f"state.json of {train_dir} is not the state of a run: its {name} is {values[name]!r}")
        return cls(**{name: values[name] for name in kinds})

    @property
    def published(self) -> float | None:
        """Holdout score of the run's model, best.keras."""
        return self.best if self.adapted is None else self.adapted

    def can_go_on(self, config: TrainConfig) -> bool:
        """Whether there are epochs, steps and patience left."""
        epochs_left = config.num_epochs is None or self.epoch < config.num_epochs
        steps_left = config.max_steps is None or self.step < config.max_steps
        patient = config.patience is None or self.stale < config.patience
        return epochs_left and steps_left and patient


class Session:
    """One sitting of a run: what the callbacks share, and how the model is saved.

    data: what is trained on. learner: the model that is fitted, compiled; model: the VideoModel in it. state: where the
    run stands. holdout: Source to evaluate on, or None. train_dir: folder of the run. board: TensorBoard's writer, None
    in processes that write nothing. progress: the progress line. rate: the learning rate where a callback sets it.
    """

    def __init__(
        self,
        *,
        data: TrainingData,
        learner: keras.Model,
        model: VideoModel,
        state: TrainState,
        holdout: Source | None,
        train_dir: str,
        board: Board | None,
        progress: Progress,
    ):
        self.data = data
        self.learner = learner
        self.model = model
        self.state = state
        self.holdout = holdout
        self.train_dir = train_dir
        self.board = board
        self.progress = progress
        self.losses = LossWindow(state)
        self.rate: float | None = None
        # Of several devices a variable is read as an array alone.
        self._steps_before = int(keras.ops.convert_to_numpy(step_counter(learner.optimizer))) - state.step

    @property
    def run(self) -> RunConfig:
        """Everything that makes the run."""
        return self.data.run

    @property
    def config(self) -> TrainConfig:
        """Settings of the training."""
        return self.data.run.train

    @property
    def placement(self) -> Placement:
        """The devices."""
        return self.data.placement

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        if self.rate is not None:
            return self.rate
        # Not from the optimizer: under JAX its variables hold nothing while a fit is under way.
        schedule = learning_rate_schedule(self.config)
        return float(keras.ops.convert_to_numpy(schedule(self._steps_before + self.state.step)))

    def can_go_on(self) -> bool:
        """Whether the run is not over."""
        return self.state.can_go_on(self.config)

    def check_loss(self) -> None:
        """Raises DivergedError where the loss is not finite: it is the epoch's mean, so it stays so."""
        loss = self.losses.mean
        if loss is not None and not math.isfinite(float(loss)):
            raise DivergedError(f"the loss is {float(loss)} at step {self.state.step}: lower base_learning_rate")

    def synchronize(self) -> None:
        """Brings the weights into the model, where JAX keeps them only when asked."""
        if keras.backend.backend() == "jax":
            self.learner.jax_state_sync()
            for variable in self.learner.variables:
                # Scoring gives the memory of weights away, and where the data ends at this step Keras asks for what it
                # brought here once more.
                variable.assign(keras.ops.copy(variable.value))

    def save(self) -> None:
        """Saves a checkpoint of the learner, its optimizer and the state."""
        self.check_loss()
        self.synchronize()
        self.losses.count()
        if self.placement.is_chief:
            with self.placement.alone():
                self.data.seen.save(checkpoints.seen_videos_path(self.train_dir))
                checkpoints.save_checkpoint(self.train_dir, self.learner, dataclasses.asdict(self.state))

    def save_best(self) -> None:
        """Saves the model, with averaged weights where the optimizer keeps such, as the one to predict with."""
        self.synchronize()
        if self.placement.is_chief:
            with self.averaged(), self.placement.alone():
                checkpoints.save_best(self.train_dir, self.model)

    @contextlib.contextmanager
    def averaged(self) -> Iterator[None]:
        """Context in which the model has its averaged weights, where the optimizer keeps such."""
        swap = getattr(self.learner.optimizer, "swap", None) if self.state.step else None
        if swap is None:
            yield
            return
        swap()
        try:
            yield
        finally:
            swap()

    def fit_epoch(self, callbacks: list[keras.callbacks.Callback]) -> None:
        """Fits the rest of the current epoch, and moves the state to the next one unless training ended within it."""
        state = self.state
        dataset = self.data.epoch(state.epoch)
        if not state.epoch_step and self.data.multigrid.starts_stage(state.epoch):
            state.stage_examples = 0
        before = state.step
        self.losses.restart()
        with warnings.catch_warnings():
            # That is how an epoch ends whose length nobody knows beforehand.
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            try:
                self.learner.fit(
                    dataset.skip(state.epoch_step), epochs=1, verbose=0, shuffle=False, callbacks=callbacks
                )
            except Exception:
                # With JAX, and on several devices, Keras ends in an error of its own where there is no batch.
                if state.step == before and not any(True for _ in dataset.take(1)):
                    self.data.check_not_empty(0)
                raise
        self._correct_counters()
        self.data.check_not_empty(state.step - before + state.epoch_step)
        if self.can_go_on():
            state.steps_per_epoch = state.epoch_step
            self.progress.total = self.total_steps()
            state.epoch, state.epoch_step = state.epoch + 1, 0

    def examples_per_step(self) -> float:
        """Examples of a step, on average over this epoch."""
        sizes = [shape.examples for shape in self.data.multigrid.shapes(self.state.epoch)]
        return sum(sizes) / len(sizes)

    def _correct_counters(self):
        """Sets what counts steps within the graph: TensorFlow has counted one more before it found the data ended."""
        step_counter(self.learner.optimizer).assign(self._steps_before + self.state.step)
        if isinstance(self.learner, Learner):
            self.learner.steps.assign(self.state.step)

    def total_steps(self) -> int | None:
        """Steps in all, or None where that is not known."""
        ends: list[Any] = [self.config.max_steps]
        if self.config.num_epochs and self.state.steps_per_epoch and not self.config.multigrid:
            ends.append(self.config.num_epochs * self.state.steps_per_epoch)
        else:
            ends.append(self.data.estimated_steps())
        return min((end for end in ends if end), default=None)
