"""Training: pre-training on videos, fine-tuning on rated segments, and going on where a run stopped."""

import contextlib
import dataclasses
import math
import os
import time
import warnings

import keras

from yt8m.data.augment import allowed_views, margin_of
from yt8m.data.cache import open_cache
from yt8m.data.record_checks import explain_errors
from yt8m.data.splits import open_source
from yt8m.inference.model_evaluation import (
    MaskedFramesScorer,
    ModelScorer,
    evaluate_masked_frames,
    evaluate_model,
    headline,
)
from yt8m.inference.prediction import Scorer, check_views
from yt8m.models import checkpoints
from yt8m.models.base import build_model
from yt8m.models.learner import Learner
from yt8m.models.losses import make_loss
from yt8m.runtime.devices import Placement, default_jit_compile
from yt8m.runtime.interrupts import handling_signals
from yt8m.runtime.progress import Progress
from yt8m.training.board import Board, LossWindow
from yt8m.training.finishing import batch_norm_layers, finish_run
from yt8m.training.optimizers import make_optimizer
from yt8m.training.training_data import TrainingData
from yt8m.types import InputError


@dataclasses.dataclass
class TrainState:
    """Where a run stands. All of it goes to state.json.

    step, examples: batches and examples seen in all; epoch, epoch_step: where in the data the next batch is.
    evaluated_at: step of the last evaluation; best: holdout score of the best model so far; stale: evaluations since.
    steps_per_epoch: of the last whole epoch, None before it. loss_sum, loss_steps: of the steps since that evaluation.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    evaluated_at: int = 0
    best: float | None = None
    stale: int = 0
    steps_per_epoch: int | None = None
    loss_sum: float = 0.0
    loss_steps: int = 0
    finished: bool = False


def train(run, *, source, holdout=None, train_dir, cache_dir="", histograms=False, placement=Placement()):
    """Trains the model of ``run`` until its end and returns the final TrainState.

    run: RunConfig. source: the Source to train on; holdout: the Source to evaluate on, or None. train_dir: folder of
    the run, see yt8m.models.checkpoints; a run that is already there goes on from its checkpoint and comes to the same result
    as one that was never stopped. Ctrl-C and SIGTERM end the step, leave a checkpoint behind and become a
    KeyboardInterrupt; a second one does not wait for the step, and leaves the checkpoint before.
    cache_dir: folder of packed rated segments to read instead of the records, see yt8m.data.cache, "" for none; it
    changes nothing but the time, so a run may go on with another one or without.
    histograms: whether TensorBoard gets histograms of the weights at each evaluation, or epoch where nothing is held out.
    placement: the devices to train on, see yt8m.runtime.devices.place; with several processes each calls this, and the first
    one writes.
    Raises InputError for bad records, for a train_dir that holds another run, and where there is nothing to learn from.
    """
    if run.train.batch_size % placement.num_devices:
        raise InputError(
            f"batch_size is {run.train.batch_size}, which {placement.num_devices} devices cannot share evenly"
        )
    if run.pseudo_data_pattern and run.data.video_frames:
        raise InputError("pseudo-labelled segments come without their videos: they are not for a model of video_frames")
    pseudo, unlabelled = map(open_source, (run.pseudo_data_pattern, run.unlabelled_data_pattern))
    os.makedirs(train_dir, exist_ok=True)
    checkpoints.check_same_run(train_dir, run)
    keras.utils.set_random_seed(run.train.seed)
    with placement.scope():
        model = build_model(run.model, run.data, dtype="mixed_bfloat16" if run.train.mixed_precision else None)
        check_views(model, allowed_views(run.train.augment))
        if run.adapt_bn:
            # What cannot be done is said before training, not after.
            batch_norm_layers(model)
            open_source(run.adapt_bn)
        if run.train.multigrid and model.fixed_frames:
            raise InputError(f"multigrid changes the number of frames, and this model takes {model.fixed_frames}")
        model.pair_loss = make_loss(run.train.loss, label_smoothing=run.train.label_smoothing)
        learner = _make_learner(model, run.train)
        learner.compile(optimizer=make_optimizer(run.train), jit_compile=default_jit_compile())
        state = _restore_or_initialize(run, learner, model, train_dir)
    if placement.is_chief:
        # Only now, so that what is refused leaves no run behind.
        checkpoints.write_run_config(train_dir, run)
        checkpoints.forget_metrics_after(train_dir, step=state.step)
    if state.finished and not _can_go_on(state, run.train):
        print(f"{train_dir} is trained to its end, step {state.step}")
        return state
    state.finished = False
    data = TrainingData(
        run=run,
        source=source,
        pseudo=pseudo,
        unlabelled=unlabelled,
        cache=_open_cache(cache_dir, run, source, holdout),
        placement=placement,
    )
    board = Board(train_dir, histograms=histograms) if placement.is_chief else None
    session = _Session(data, learner, model, state, holdout=holdout, train_dir=train_dir, board=board)
    with contextlib.closing(session), explain_errors(data.files, run.data), handling_signals(session.interrupt):
        try:
            session.run()
        except KeyboardInterrupt:
            if not session.stepping:
                session.save()
            raise
    return state


def _make_learner(model, config):
    """What is fitted: the model itself where labels are all there is to learn from."""
    if not config.masked_frames.weight and not config.consistency.weight:
        return model
    return Learner(
        model, masked_frames=config.masked_frames, consistency=config.consistency, label_weight=config.label_weight
    )


def _open_cache(cache_dir, run, source, holdout):
    if not cache_dir:
        return None
    if not run.train.segment_labels:
        raise InputError("a cache holds rated segments: cache_dir is for training with segment_labels")
    files = [*source.files, *(holdout.files if holdout else ())]
    return open_cache(cache_dir, files, run.data, margin=margin_of(run.train.augment))


def _restore_or_initialize(run, learner, model, train_dir):
    restored = checkpoints.restore_checkpoint(train_dir, learner)
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

    def __init__(self, data, learner, model, state, *, holdout, train_dir, board):
        self.data = data
        self.run_config = data.run
        self.config = data.run.train
        self.learner = learner
        self.model = model
        self.placement = data.placement
        self.scorer = ModelScorer(model, batch_size=self.config.batch_size, placement=self.placement)
        self.frames_scorer = MaskedFramesScorer(learner) if not self.config.label_weight else None
        self.state = state
        self.holdout = holdout
        self.train_dir = train_dir
        self.board = board
        self.saved_at = time.monotonic()
        self.progress = None
        self.losses = LossWindow(state)
        self.stepping = False
        self.interrupted = False

    def run(self):
        total = self._total_steps(self.state.steps_per_epoch or self.data.steps_per_epoch())
        with Progress(
            "training", total=total, unit="steps", initial=self.state.step, shown=self.placement.is_chief
        ) as self.progress:
            # What was interrupted may have been an evaluation.
            self._evaluate_if_due()
            while _can_go_on(self.state, self.config):
                self._run_epoch()
            if self.holdout is None:
                self._save_best()
            self._finish()
        self.state.finished = True
        self.save()

    def close(self):
        if self.board:
            self.board.close()

    def interrupt(self, *_):
        """Handles a signal: raises KeyboardInterrupt at once between steps, and after the step within one."""
        if self.stepping and not self.interrupted:
            self.interrupted = True
            self.progress.message("stopping after this step; once more to stop without saving")
            return
        raise KeyboardInterrupt

    def save(self):
        self._check_loss()
        self._synchronize()
        self.losses.count()
        if self.placement.is_chief:
            with self.placement.alone():
                checkpoints.save_checkpoint(self.train_dir, self.learner, dataclasses.asdict(self.state))
        self.saved_at = time.monotonic()

    def evaluate(self):
        """Scores the holdout, records the result and keeps the model if it is the best so far."""
        self._check_loss()
        self._synchronize()
        with self._averaged():
            results = self._score()
            self._keep_snapshot()
        name, score = headline(results)
        self.state.evaluated_at = self.state.step
        better = self.state.best is None or score > self.state.best
        self.state.stale = 0 if better else self.state.stale + 1
        if better:
            self.state.best = score
            self._save_best()
        self._record(self.losses.take(), results)
        mark = "best so far" if better else f"best is {self.state.best:.4f}"
        self.progress.message(f"step {self.state.step}: holdout {name} {score:.4f} ({mark})")

    def _score(self):
        segment_labels = self.config.segment_labels
        if not self.config.label_weight:
            options = {"segment_labels": segment_labels, "batch_size": self.config.batch_size}
            return evaluate_masked_frames(self.frames_scorer, self.holdout, self.run_config.data, **options)
        with self.scorer as scorer:
            return self._score_with(scorer)

    def _score_with(self, scorer):
        options = {"segment_labels": self.config.segment_labels, "cache": self.data.cache}
        return evaluate_model(scorer, self.holdout, self.run_config.data, **options)

    def _keep_snapshot(self):
        if self.config.average_checkpoints and self.placement.is_chief:
            with self.placement.alone():
                checkpoints.save_snapshot(
                    self.train_dir, self.model, step=self.state.step, keep=self.config.average_checkpoints
                )

    def _finish(self):
        if self.placement.is_chief and self.state.step:
            with self.placement.alone():
                self.state.best = finish_run(
                    self.run_config,
                    self.train_dir,
                    best=self.state.best,
                    score=self._score_of if self.holdout else None,
                    say=self.progress.message,
                )

    def _score_of(self, model):
        return headline(self._score_with(Scorer(model, batch_size=self.config.batch_size)))

    def _save_best(self):
        self._synchronize()
        if self.placement.is_chief:
            with self._averaged(), self.placement.alone():
                checkpoints.save_best(self.train_dir, self.model)

    @contextlib.contextmanager
    def _averaged(self):
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

    def _record(self, train_loss, results):
        if not self.placement.is_chief:
            return
        step = self.state.step
        numbers = {key: value for key, value in results.items() if isinstance(value, (int, float))}
        self.board.add_scalars({f"holdout/{key}": value for key, value in numbers.items()}, step=step)
        self.board.add_weights(self.model, step=step)
        checkpoints.append_metrics(self.train_dir, {"step": step, "epoch": self.state.epoch, **train_loss, **numbers})

    def after_step(self, logs):
        """Called after each batch; returns whether training should pause here."""
        self.stepping = False
        state, config = self.state, self.config
        state.step += 1
        state.epoch_step += 1
        self.losses.update(logs["loss"])
        self.progress.update(note=lambda: f"epoch {state.epoch + 1}, loss {float(self.losses.mean):.4g}")
        if self.interrupted:
            raise KeyboardInterrupt
        if state.step % _BOARD_STEPS == 0:
            self._check_loss()
            if self.board:
                self._log_to_board()
        self._evaluate_if_due()
        if time.monotonic() - self.saved_at > 60 * config.checkpoint_minutes:
            self.save()
        self.stepping = True
        return not _can_go_on(state, config)

    def _evaluate_if_due(self):
        state, every = self.state, self.config.evaluate_steps
        if self.holdout is None or state.evaluated_at == state.step:
            return
        at_this_step = state.step % every == 0 if every else state.epoch_step == 0
        if at_this_step or not _can_go_on(state, self.config):
            self.evaluate()

    def _check_loss(self):
        """Raises InputError where the loss is not finite: it is the epoch's mean, so it stays so."""
        loss = self.losses.mean
        if loss is not None and not math.isfinite(float(loss)):
            raise InputError(f"the loss is {float(loss)} at step {self.state.step}: lower base_learning_rate")

    def _synchronize(self):
        """Under JAX the weights are in the model only when asked for."""
        if keras.backend.backend() == "jax":
            self.learner.jax_state_sync()

    def _run_epoch(self):
        state = self.state
        dataset = self.data.epoch(state.epoch)
        before = state.step
        self.losses.restart()
        with warnings.catch_warnings():
            # That is how an epoch ends whose length nobody knows beforehand.
            warnings.filterwarnings("ignore", message="Your input ran out of data")
            self.stepping = True
            self.learner.fit(
                dataset.skip(state.epoch_step), epochs=1, verbose=0, shuffle=False, callbacks=[_AfterStep(self)]
            )
        self.stepping = False
        self.data.check_not_empty(state.step - before + state.epoch_step)
        if _can_go_on(state, self.config):
            state.steps_per_epoch = state.epoch_step
            self.progress.total = self._total_steps(state.steps_per_epoch)
            state.epoch, state.epoch_step = state.epoch + 1, 0
        if self.interrupted:
            raise KeyboardInterrupt
        if self.holdout is None and self.board:
            self._synchronize()
            self.board.add_weights(self.model, step=state.step)
        self._evaluate_if_due()

    def _total_steps(self, steps_per_epoch):
        """Steps in all, or None where that is not known."""
        ends = [self.config.max_steps]
        if self.config.num_epochs and steps_per_epoch:
            ends.append(self.config.num_epochs * steps_per_epoch)
        return min((end for end in ends if end), default=None)

    def _log_to_board(self):
        numbers = {
            "loss": self.losses.mean,
            "learning_rate": self.learner.optimizer.learning_rate,
            "examples_per_second": self.progress.rate * self.config.batch_size,
        }
        self.board.add_scalars({f"train/{name}": value for name, value in numbers.items()}, step=self.state.step)


_BOARD_STEPS = 20
"""Steps between points of the training curves."""


class _AfterStep(keras.callbacks.Callback):
    def __init__(self, session):
        super().__init__()
        self.session = session

    def on_train_batch_end(self, batch, logs=None):
        if self.session.after_step(logs):
            self.model.stop_training = True
