"""Training: pre-training on videos, fine-tuning on rated segments, and going on where a run stopped."""

import contextlib
import dataclasses
import math
import os
import time
import warnings

import keras
from tensorboard.summary import Writer

from yt8m import checkpoints
from yt8m.data.doctor import explain_errors
from yt8m.data.pipeline import estimate_examples, make_dataset
from yt8m.data.splits import Source
from yt8m.devices import default_jit_compile
from yt8m.holdout import evaluate_model, headline
from yt8m.models.base import build_model
from yt8m.optimizers import make_optimizer
from yt8m.prediction import Scorer
from yt8m.progress import Progress
from yt8m.types import InputError


@dataclasses.dataclass
class TrainState:
    """Where a run stands. All of it goes to state.json.

    step, examples: batches and examples seen in all; epoch, epoch_step: where in the data the next batch is.
    best: holdout score of the best model so far; stale: evaluations since.
    steps_per_epoch: of the last whole epoch, None before it.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    best: float | None = None
    stale: int = 0
    steps_per_epoch: int | None = None
    finished: bool = False


def train(run, *, source, holdout=None, train_dir):
    """Trains the model of ``run`` until its end and returns the final TrainState.

    run: RunConfig. source: the Source to train on; holdout: the Source to evaluate on, or None. train_dir: folder of
    the run, see yt8m.checkpoints; a run that is already there goes on from its checkpoint and comes to the same result
    as one that was never stopped. KeyboardInterrupt leaves a checkpoint behind and passes on.
    Raises InputError for bad records, for a train_dir that holds another run, and where there is nothing to learn from.
    """
    os.makedirs(train_dir, exist_ok=True)
    checkpoints.write_run_config(train_dir, run)
    keras.utils.set_random_seed(run.train.seed)
    model = build_model(run.model, run.data, dtype="mixed_bfloat16" if run.train.mixed_precision else None)
    model.compile(optimizer=make_optimizer(run.train), jit_compile=default_jit_compile())
    state = _restore_or_initialize(run, model, train_dir)
    if state.finished and not _can_go_on(state, run.train):
        print(f"{train_dir} is trained to its end, step {state.step}")
        return state
    state.finished = False
    session = _Session(run, model, state, source=source, holdout=holdout, train_dir=train_dir)
    with contextlib.closing(session), explain_errors(source.files, run.data):
        try:
            session.run()
        except KeyboardInterrupt:
            session.save()
            raise
    return state


def _restore_or_initialize(run, model, train_dir):
    restored = checkpoints.restore_checkpoint(train_dir, model)
    checkpoints.forget_metrics_after(train_dir, step=restored["step"] if restored else 0)
    if restored is not None:
        fields = {field.name for field in dataclasses.fields(TrainState)}
        state = TrainState(**{name: value for name, value in restored.items() if name in fields})
        print(f"going on from step {state.step} of {train_dir}")
        return state
    if run.init_from:
        fresh = checkpoints.initialize_from(model, run.init_from)
        print(f"starting from the weights of {run.init_from}")
        if fresh:
            print(f"the vocabularies differ in size: {len(fresh)} weights of the head start anew")
    return TrainState()


def _can_go_on(state, config):
    epochs_left = config.num_epochs is None or state.epoch < config.num_epochs
    steps_left = config.max_steps is None or state.step < config.max_steps
    return epochs_left and steps_left and not _out_of_patience(state, config)


def _out_of_patience(state, config):
    return config.patience is not None and state.stale >= config.patience


class _Session:
    """One sitting of a run: its epochs, and what happens between steps."""

    def __init__(self, run, model, state, *, source, holdout, train_dir):
        self.run_config = run
        self.config = run.train
        self.model = model
        self.scorer = Scorer(model, batch_size=run.train.batch_size)
        self.state = state
        self.source: Source = source
        self.holdout = holdout
        self.train_dir = train_dir
        self.windows = "rated" if run.train.segment_labels else "video"
        self.board = Writer(os.path.join(train_dir, "tensorboard"))
        self.saved_at = time.monotonic()
        self.evaluated_at = None
        self.progress = None

    def run(self):
        total = self._total_steps(self.state.steps_per_epoch or self._estimated_steps_per_epoch())
        with Progress("training", total=total, unit="steps", initial=self.state.step) as self.progress:
            while _can_go_on(self.state, self.config):
                self._run_epoch()
        if self.holdout is None:
            checkpoints.save_best(self.train_dir, self.model)
        self.state.finished = True
        self.save()

    def close(self):
        self.board.close()

    def save(self):
        checkpoints.save_checkpoint(self.train_dir, self.model, dataclasses.asdict(self.state))
        self.saved_at = time.monotonic()

    def evaluate(self):
        """Scores the holdout, records the result and keeps the model if it is the best so far."""
        results = evaluate_model(
            self.scorer, self.holdout, self.run_config.data, segment_labels=self.config.segment_labels
        )
        name, score = headline(results)
        self.evaluated_at = self.state.step
        better = self.state.best is None or score > self.state.best
        self.state.stale = 0 if better else self.state.stale + 1
        if better:
            self.state.best = score
            checkpoints.save_best(self.train_dir, self.model)
        numbers = {key: value for key, value in results.items() if isinstance(value, (int, float))}
        for key, value in numbers.items():
            self.board.add_scalar(f"holdout/{key}", value, self.state.step)
        checkpoints.append_metrics(self.train_dir, {"step": self.state.step, "epoch": self.state.epoch, **numbers})
        mark = "best so far" if better else f"best is {self.state.best:.4f}"
        self.progress.message(f"step {self.state.step}: holdout {name} {score:.4f} ({mark})")

    def after_step(self, logs):
        """Called after each batch; returns whether training should pause here."""
        state, config = self.state, self.config
        state.step += 1
        state.epoch_step += 1
        self.progress.update(note=lambda: f"epoch {state.epoch + 1}, loss {float(logs['loss']):.4g}")
        if state.step % _BOARD_STEPS == 0:
            self._log_to_board(self._checked(float(logs["loss"])))
        if self.holdout and config.evaluate_steps and state.step % config.evaluate_steps == 0:
            self.evaluate()
        if time.monotonic() - self.saved_at > 60 * config.checkpoint_minutes:
            self.save()
        return not _can_go_on(state, config)

    def _checked(self, loss):
        if not math.isfinite(loss):
            raise InputError(f"the loss is {loss} at step {self.state.step}: lower base_learning_rate")
        return loss

    def _run_epoch(self):
        state = self.state
        dataset = make_dataset(
            list(self.source.files),
            self.run_config.data,
            windows=self.windows,
            batch_size=self.config.batch_size,
            training=True,
            seed=self.config.seed,
            epoch=state.epoch,
            keep=self.source.keep,
        )
        before = state.step
        with warnings.catch_warnings():
            # That is how an epoch ends whose length nobody knows beforehand.
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            self.model.fit(
                dataset.skip(state.epoch_step), epochs=1, verbose=0, shuffle=False, callbacks=[_AfterStep(self)]
            )
        if state.step == before and state.epoch_step == 0:
            raise InputError(self._nothing_to_learn_from())
        if _can_go_on(state, self.config):
            state.steps_per_epoch = state.epoch_step
            self.progress.total = self._total_steps(state.steps_per_epoch)
            state.epoch, state.epoch_step = state.epoch + 1, 0
        ended = not _can_go_on(state, self.config)
        if self.holdout and (ended or not self.config.evaluate_steps) and self.evaluated_at != state.step:
            self.evaluate()

    def _nothing_to_learn_from(self):
        kind = "rated segments" if self.config.segment_labels else "videos"
        return f"the training files hold no {kind}: {self.source.files[0]} and {len(self.source.files) - 1} more"

    def _total_steps(self, steps_per_epoch):
        """Steps in all, or None where that is not known."""
        ends = [self.config.max_steps]
        if self.config.num_epochs and steps_per_epoch:
            ends.append(self.config.num_epochs * steps_per_epoch)
        return min((end for end in ends if end), default=None)

    def _estimated_steps_per_epoch(self):
        examples = estimate_examples(self.source, self.run_config.data, windows=self.windows)
        return examples and max(1, round(examples / self.config.batch_size))

    def _log_to_board(self, loss):
        self.board.add_scalar("train/loss", loss, self.state.step)
        self.board.add_scalar("train/learning_rate", float(self.model.optimizer.learning_rate), self.state.step)
        self.board.add_scalar("train/examples_per_second", self.progress.rate * self.config.batch_size, self.state.step)


_BOARD_STEPS = 20
"""Steps between points of the training curves."""


class _AfterStep(keras.callbacks.Callback):
    def __init__(self, session):
        super().__init__()
        self.session = session

    def on_train_batch_end(self, batch, logs=None):
        if self.session.after_step(logs):
            self.model.stop_training = True
