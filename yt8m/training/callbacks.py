"""Callbacks of training, in the order in which they act after each step."""

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import keras

from yt8m.inference.model_evaluation import (
    MaskedScorer,
    ModelScorer,
    PairScorer,
    evaluate_masked,
    evaluate_model,
    headline,
)
from yt8m.inference.scorer import Scorer
from yt8m.models import checkpoints
from yt8m.models.base import VideoModel
from yt8m.models.pair_learner import PairLearner
from yt8m.runtime.devices import Placement
from yt8m.training.pair_data import evaluate_held_out
from yt8m.training.session import Session

BOARD_STEPS = 20
"""Steps between points of the training curves."""


class _AfterStep(keras.callbacks.Callback):
    """Base: acts on a Session after each step."""

    def __init__(self, session: Session):
        super().__init__()
        self.session = session


class CountSteps(_AfterStep):
    """Counts steps, keeps the loss, and shows progress."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Takes in a step. logs: "loss", the mean since the fit began."""
        state, losses = self.session.state, self.session.losses
        examples = self.session.data.multigrid.examples(state.epoch, state.epoch_step)
        state.examples += examples
        state.stage_examples += examples
        state.step += 1
        state.epoch_step += 1
        losses.update((logs or {})["loss"])
        self.session.progress.update(note=lambda: f"epoch {state.epoch + 1}, loss {float(losses.mean):.4g}")


class SetLearningRate(_AfterStep):
    """Sets the learning rate of each step of multigrid training; the optimizer's own schedule counts steps."""

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets it where it changes."""
        session, state = self.session, self.session.state
        if not session.config.multigrid:
            return
        rate = session.data.multigrid.learning_rate(
            epoch=state.epoch, examples=state.examples, stage_examples=state.stage_examples
        )
        if rate != session.rate:
            # JAX takes the optimizer's variables into its step anew after this alone.
            session.synchronize()
            session.learner.optimizer.learning_rate = session.rate = rate


class StopAtSignal(_AfterStep):
    """Ends training at a signal: after the step under way, or at once between steps or at a second signal."""

    def __init__(self, session: Session):
        super().__init__(session)
        self.stepping = False
        self.asked = False

    def handle(self, *_: Any) -> None:
        """Handles a signal; raises KeyboardInterrupt unless a step is under way."""
        if self.stepping and not self.asked:
            self.asked = True
            self.session.progress.message("stopping after this step; once more to stop without saving")
            return
        raise KeyboardInterrupt

    @contextlib.contextmanager
    def steps(self) -> Iterator[None]:
        """Context of a fit, which a signal does not break into; raises KeyboardInterrupt at its end if one came."""
        self.stepping = True
        yield
        self.stepping = False
        self._stop_if_asked()

    @contextlib.contextmanager
    def between_steps(self) -> Iterator[None]:
        """Context within a fit in which a signal ends training at once."""
        stepping, self.stepping = self.stepping, False
        yield
        self.stepping = stepping

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends training after a step in which a signal came."""
        self._stop_if_asked()

    def _stop_if_asked(self):
        if self.asked:
            self.stepping = False
            raise KeyboardInterrupt


class WriteCurves(_AfterStep):
    """Writes loss, learning rate and speed to TensorBoard every BOARD_STEPS steps, and ends a run that diverges."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes a point of each curve where one is due."""
        session = self.session
        if session.state.step % BOARD_STEPS:
            return
        session.check_loss()
        if session.board:
            numbers = {
                "loss": session.losses.mean,
                "learning_rate": session.learning_rate,
                "examples_per_second": session.progress.rate * session.examples_per_step(),
            }
            points = {f"train/{name}": value for name, value in numbers.items()}
            session.board.add_scalars(points, step=session.state.step)


class EvaluateHoldout(_AfterStep):
    """Scores the holdout where that is due, records the result, and keeps the model if it is the best so far."""

    def __init__(self, session: Session, signal: StopAtSignal):
        super().__init__(session)
        self.signal = signal
        config = session.config
        self.scorer = ModelScorer(session.model, batch_size=config.batch_size, placement=session.placement)
        self.pair_scorer = PairScorer(session.learner) if session.run.pairs else None
        self.masked_scorer = MaskedScorer(session.learner) if not config.label_weight else None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Evaluates every evaluate_steps steps."""
        with self.signal.between_steps():
            self.evaluate_if_due()

    def evaluate_if_due(self) -> None:
        """Evaluates once at a step where that is due: every evaluate_steps or else epoch, and at the end."""
        session = self.session
        state, every = session.state, session.config.evaluate_steps
        if session.holdout is None or state.evaluated_at == state.step:
            return
        at_this_step = state.step % every == 0 if every else state.epoch_step == 0
        if at_this_step or not session.can_go_on():
            self.evaluate()

    def evaluate(self) -> None:
        """Scores the holdout at this step."""
        session, state = self.session, self.session.state
        session.check_loss()
        session.synchronize()
        with session.averaged():
            results = self._score()
            self._keep_snapshot()
        name, score = headline(results)
        state.evaluated_at = state.step
        better = state.best is None or score > state.best
        state.stale = 0 if better else state.stale + 1
        if better:
            state.best = score
            session.save_best()
        self._record(session.losses.take(), results)
        mark = "best so far" if better else f"best is {state.best:.4f}"
        session.progress.message(f"step {state.step}: holdout {name} {score:.4f} ({mark})")

    def score(self, model: VideoModel) -> tuple[str, float]:
        """(name, value) of the headline score of another model on the holdout."""
        if self.pair_scorer is not None:
            return headline(self._score_pairs(PairScorer(PairLearner(model))))
        return headline(self._score_with(Scorer(model, batch_size=self.session.config.batch_size)))

    def _score(self):
        session, config = self.session, self.session.config
        if self.pair_scorer is not None:
            return self._score_pairs(self.pair_scorer)
        if self.masked_scorer is not None:
            return evaluate_masked(
                self.masked_scorer,
                session.holdout,
                session.run.data,
                segment_labels=config.segment_labels,
                batch_size=config.batch_size,
                cache=session.data.cache,
            )
        with self.scorer as scorer:
            return self._score_with(scorer, placement=session.placement)

    def _score_pairs(self, scorer):
        data = self.session.data
        return evaluate_held_out(scorer, data.run, data.source, data.held_out)

    def _score_with(self, scorer, *, placement=Placement()):
        session = self.session
        return evaluate_model(
            scorer,
            session.holdout,
            session.run.data,
            segment_labels=session.config.segment_labels,
            cache=session.data.cache,
            placement=placement,
        )

    def _keep_snapshot(self):
        session, keep = self.session, self.session.config.average_checkpoints
        if keep and session.placement.is_chief:
            with session.placement.alone():
                checkpoints.save_snapshot(session.train_dir, session.model, step=session.state.step, keep=keep)

    def _record(self, train_loss, results):
        session, state = self.session, self.session.state
        if not session.placement.is_chief:
            return
        numbers = {key: value for key, value in results.items() if isinstance(value, (int, float))}
        session.board.add_scalars({f"holdout/{key}": value for key, value in numbers.items()}, step=state.step)
        session.board.add_weights(session.model, step=state.step)
        entry = {"step": state.step, "epoch": state.epoch, **train_loss, **numbers}
        checkpoints.append_metrics(session.train_dir, entry)


class SaveCheckpoints(_AfterStep):
    """Saves a checkpoint every checkpoint_minutes minutes."""

    def __init__(self, session: Session, signal: StopAtSignal):
        super().__init__(session)
        self.signal = signal
        self.saved_at = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves where the last checkpoint is old."""
        if time.monotonic() - self.saved_at > 60 * self.session.config.checkpoint_minutes:
            with self.signal.between_steps():
                self.session.save()
            self.saved_at = time.monotonic()


class StopAtEnd(_AfterStep):
    """Ends the fit where the run is over."""

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends it after the last step."""
        if not self.session.can_go_on():
            self.model.stop_training = True
