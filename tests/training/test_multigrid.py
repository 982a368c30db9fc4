import keras
import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.config import MaskedFramesConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.splits import Source
from yt8m.data.tfrecord import write_records
from yt8m.training import callbacks
from yt8m.training.multigrid import Multigrid
from yt8m.training.train import train
from yt8m.training.training_data import TrainingData
from yt8m.types import InputError

VIDEOS, BATCH, FRAMES, EPOCHS = 57, 2, 12, 3
SETTINGS = {
    "multigrid": True,
    "batch_size": BATCH,
    "num_epochs": EPOCHS,
    "base_learning_rate": 0.01,
    "learning_rate_decay": 0.5,
    "learning_rate_decay_examples": 100,
    "multigrid_warmup": 0.25,
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Source of one file of 57 videos of 20 frames."""
    path = str(tmp_path_factory.mktemp("multigrid") / "videos.tfrecord")
    write_records(path, [make_video(f"v{number:02d}", frames=20) for number in range(VIDEOS)])
    return Source((path,))


def make_run(**changes):
    return RunConfig(
        data=CONFIG.replace(num_frames=FRAMES),
        model=ModelConfig(name="logistic"),
        train=TrainConfig(**SETTINGS | changes),
    )


def twin(*, short=True, exponent=1.0):
    """(examples asked for, examples there are, frames, learning rate) of every step, by a plain loop."""
    steps, seen, before = [], 0, 1
    for stage, factor in enumerate((4, 2, 1)):
        of_stage = 0
        left, number = VIDEOS, 0
        while left > 0:
            turn = (4, 2, 1)[number % 3] if short else 1
            size, frames = BATCH * min(factor * turn, FRAMES), FRAMES // min(factor * turn, FRAMES)
            share = min(1.0, of_stage / (0.25 * VIDEOS))
            scale = before**exponent + share * (factor**exponent - before**exponent)
            rate = 0.01 * 0.5 ** (seen // 100) * scale
            steps.append((size, min(size, left), frames, rate))
            left, number = left - size, number + 1
            seen, of_stage = seen + size, of_stage + size
        before = factor
    return steps


@pytest.mark.parametrize("short", [pytest.param(True, marks=pytest.mark.slow), False])
def test_batches_are_those_of_the_schedule(source, short):
    run = make_run(multigrid_short_cycle=short)
    data = TrainingData(run=run, source=source)
    found = []
    for epoch in range(EPOCHS):
        ids = []
        for features, _ in data.epoch(epoch).as_numpy_iterator():
            found.append(features["rgb"].shape[:2])
            assert (features["num_frames"] == features["rgb"].shape[1]).all() and features["rgb"].all()
            ids.append(len(features["rgb"]))
        assert sum(ids) == VIDEOS
    assert found == [(there, frames) for _, there, frames, _ in twin(short=short)]
    assert data.estimated_steps() == pytest.approx(len(found), abs=EPOCHS)
    # With 4 * 4 for 12 frames there is one frame, of 12 times the batch.
    assert data.multigrid.shapes(0) == ([(24, 1, 0), (16, 1, 0), (8, 3, 0)] if short else [(8, 3, 0)])


def test_stages_and_their_warm_ups_by_hand():
    config = TrainConfig(multigrid=True, num_epochs=7, base_learning_rate=1.0, batch_size=8)
    schedule = Multigrid(config=config, num_frames=300, epoch_examples=1000)
    assert [schedule.factor(epoch) for epoch in range(7)] == [4, 4, 4, 2, 2, 1, 1]
    assert schedule.shapes(0) == [(128, 18, 0), (64, 37, 0), (32, 75, 0)]
    assert schedule.shapes(6) == [(32, 75, 0), (16, 150, 0), (8, 300, 0)]
    # A tenth of three epochs of 1,000 examples, from 1 to 4; then a tenth of two, from 4 to 2.
    rates = [schedule.learning_rate(epoch=0, examples=n, stage_examples=n) for n in (0, 150, 300, 2900)]
    assert rates == pytest.approx([1, 2.5, 4, 4])
    rates = [schedule.learning_rate(epoch=3, examples=3000 + n, stage_examples=n) for n in (0, 100, 200)]
    assert rates == pytest.approx([4, 3, 2])
    assert schedule.learning_rate(epoch=5, examples=2_000_000, stage_examples=100) == pytest.approx(0.9 * 1.5)
    off = Multigrid(config=TrainConfig(num_epochs=7, batch_size=8), num_frames=300)
    assert off.shapes(0) == [(8, 300, 0)] and off.factor(0) == 1


@pytest.mark.slow
def test_the_optimizer_takes_the_rates_of_the_schedule(source, tmp_path, monkeypatch):
    rates = []
    count = callbacks.CountSteps.on_train_batch_end

    def counting(callback, batch, logs=None):
        # JAX keeps it away between steps.
        callback.session.synchronize()
        rates.append(float(callback.session.learner.optimizer.learning_rate))
        count(callback, batch, logs)

    monkeypatch.setattr(callbacks.CountSteps, "on_train_batch_end", counting)
    wanted = [rate for *_, rate in twin(exponent=0.5)]
    # Stopped in the second stage, it goes on as if it had not been.
    run = make_run(multigrid_rate_scaling=0.5, max_steps=8)
    state = train(run, source=source, train_dir=str(tmp_path))
    assert state.step == 8 and state.epoch == 1
    train(run.replace(train=run.train.replace(max_steps=None)), source=source, train_dir=str(tmp_path))
    np.testing.assert_allclose(rates, wanted, rtol=1e-6)
    assert len({round(rate, 9) for rate in rates}) > 7
    keras.backend.clear_session()


@pytest.mark.parametrize(
    "changes, data, message",
    [
        ({}, {"level": "video"}, "video-level records have none"),
        ({"segment_labels": True}, {}, "multigrid is for whole videos and for clips"),
        ({"masked_frames": MaskedFramesConfig(weight=1.0)}, {}, "the short cycle of multigrid does not go with masked"),
    ],
)
def test_what_does_not_go_together_is_said(source, tmp_path, changes, data, message):
    run = make_run(**changes)
    with pytest.raises(InputError, match=message):
        train(run.replace(data=run.data.replace(**data)), source=source, train_dir=str(tmp_path))
