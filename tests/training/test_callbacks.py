"""Each callback by itself, on a session that trains nothing."""

import dataclasses
import signal
import types

import pytest

from yt8m.config import TrainConfig
from yt8m.training import callbacks
from yt8m.training.board import LossWindow
from yt8m.training.multigrid import Multigrid
from yt8m.training.session import Session, TrainState
from yt8m.types import DivergedError


class FakeSession:
    """What a callback sees of a Session: real state, losses and loss check; saving and messages are kept in ``done``."""

    check_loss = Session.check_loss
    examples_per_step = Session.examples_per_step

    def __init__(self, **settings):
        self.config = TrainConfig(**settings)
        self.state = TrainState()
        self.losses = LossWindow(self.state)
        self.data = types.SimpleNamespace(multigrid=Multigrid(config=self.config, num_frames=5))
        self.rate = None
        self.done = []
        self.holdout = object()
        self.progress = types.SimpleNamespace(
            update=lambda note: self.done.append(note()), message=self.done.append, rate=2.0
        )
        self.learning_rate = 0.5
        self.board = types.SimpleNamespace(add_scalars=lambda points, step: self.done.append((step, points)))

    def can_go_on(self):
        return self.state.can_go_on(self.config)

    def save(self):
        self.done.append("saved")


def test_steps_are_counted_with_their_loss():
    session = FakeSession()
    count = callbacks.CountSteps(session)
    for mean in (3.0, 2.0):
        count.on_train_batch_end(0, {"loss": mean})
    assert (session.state.step, session.state.epoch_step) == (2, 2)
    assert (session.state.examples, session.state.stage_examples) == (256, 256)
    assert session.done == ["epoch 1, loss 3", "epoch 1, loss 2"]
    assert session.losses.take() == {"train_loss": 2.0}


def test_a_signal_within_a_step_ends_training_after_it():
    session = FakeSession()
    stop = callbacks.StopAtSignal(session)
    with pytest.raises(KeyboardInterrupt):
        with stop.steps():
            stop.handle(signal.SIGINT, None)
            assert session.done == ["stopping after this step; once more to stop without saving"]
            stop.on_train_batch_end(0)
    assert not stop.stepping


def test_a_signal_between_steps_and_a_second_one_end_training_at_once():
    stop = callbacks.StopAtSignal(FakeSession())
    with pytest.raises(KeyboardInterrupt):
        stop.handle()
    with pytest.raises(KeyboardInterrupt), stop.steps(), stop.between_steps():
        stop.handle()
    assert not stop.stepping
    stop = callbacks.StopAtSignal(FakeSession())
    with pytest.raises(KeyboardInterrupt), stop.steps():
        stop.handle()
        stop.handle()
    # Within the step, whose half-made weights are not to be saved.
    assert stop.stepping


def test_curves_have_a_point_every_20_steps_and_a_loss_that_is_not_finite_ends_the_run():
    session = FakeSession(batch_size=8)
    write = callbacks.WriteCurves(session)
    for session.state.step in range(1, 41):
        session.losses.update(1.5)
        write.on_train_batch_end(0)
    points = {"train/loss": 1.5, "train/learning_rate": 0.5, "train/examples_per_second": 16.0}
    assert session.done == [(20, points), (40, points)]
    session.losses.update(float("inf"))
    with pytest.raises(DivergedError, match="the loss is inf at step 40: lower base_learning_rate"):
        write.on_train_batch_end(0)


@pytest.mark.parametrize(
    "settings, state, due",
    [
        ({"evaluate_steps": 3}, {"step": 6}, True),
        ({"evaluate_steps": 3}, {"step": 7}, False),
        ({"evaluate_steps": 3, "max_steps": 7}, {"step": 7}, True),
        ({"evaluate_steps": 3}, {"step": 6, "evaluated_at": 6}, False),
        ({}, {"step": 6, "epoch": 1, "epoch_step": 0}, True),
        ({}, {"step": 6, "epoch_step": 6}, False),
        ({"num_epochs": 2}, {"step": 6, "epoch": 2, "epoch_step": 1}, True),
    ],
)
def test_an_evaluation_is_due(settings, state, due):
    session = FakeSession(**settings)
    session.state = dataclasses.replace(session.state, **state)
    evaluation = callbacks.EvaluateHoldout.__new__(callbacks.EvaluateHoldout)
    evaluation.session = session
    made = []
    evaluation.evaluate = lambda: made.append(session.state.step)
    evaluation.evaluate_if_due()
    assert bool(made) == due
    session.holdout = None
    evaluation.evaluate_if_due()
    assert bool(made) == due


def test_a_checkpoint_is_saved_when_the_last_is_old(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: now[0])
    session = FakeSession(checkpoint_minutes=2.0)
    stop = callbacks.StopAtSignal(session)
    save = callbacks.SaveCheckpoints(session, stop)
    for now[0] in (60.0, 120.0, 121.0, 200.0, 240.0, 242.0):
        save.on_train_batch_end(0)
    assert session.done == ["saved", "saved"]


@pytest.mark.parametrize(
    "settings, state, over",
    [
        ({"max_steps": 5}, {"step": 4}, False),
        ({"max_steps": 5}, {"step": 5}, True),
        ({"num_epochs": 2}, {"epoch": 2}, True),
        ({"patience": 3}, {"stale": 2}, False),
        ({"patience": 3}, {"stale": 3}, True),
    ],
)
def test_training_stops_at_its_end(settings, state, over):
    session = FakeSession(**settings)
    session.state = dataclasses.replace(session.state, **state)
    end = callbacks.StopAtEnd(session)
    model = types.SimpleNamespace(stop_training=False)
    end.set_model(model)
    end.on_train_batch_end(0)
    assert model.stop_training == over
