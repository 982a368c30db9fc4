"""Multigrid training of clips, over the number of pictures and their size."""

import contextlib
import itertools

import keras
import numpy as np
import pytest

from tests.helpers.clips import CLIPS, TinyClip, make_clip, numbers_of
from yt8m.config import AugmentConfig, ClipConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.splits import Source
from yt8m.data.tfrecord import write_records
from yt8m.models import MODELS, checkpoints
from yt8m.models.tanet import TANet
from yt8m.training.multigrid import Multigrid
from yt8m.training.train import _build, train
from yt8m.training.training_data import TrainingData
from yt8m.types import InputError

CLIPS_OF_FILE, BATCH, FRAMES, SIZE, EPOCHS = 24, 1, 8, 32, 5
SHAPES = [
    # T/4 and S/sqrt(2), where S/2 has twice the clips; T/2; S whole; T whole; and once more without the short cycle.
    [(16, 2, 16), (8, 2, 23), (8, 2, 23)],
    [(8, 4, 16), (4, 4, 23), (4, 4, 23)],
    [(8, 4, 16), (4, 4, 23), (2, 4, 32)],
    [(4, 8, 16), (2, 8, 23), (1, 8, 32)],
    [(1, 8, 32)],
]


@pytest.fixture(scope="module", autouse=True)
def tiny_clip():
    MODELS.register("tiny_clip")(TinyClip)
    yield
    del MODELS._objects["tiny_clip"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Source of one file of 24 clips of five seconds, each with a rated segment."""
    path = str(tmp_path_factory.mktemp("clips") / "clips.tfrecord")
    clips = [
        make_clip(f"v{number:02d}", labels=(number % 10,), segments=((0, number % 10, 1.0),), first=number % 20)
        for number in range(CLIPS_OF_FILE)
    ]
    write_records(path, clips)
    return Source((path,))


def make_run(**changes):
    settings = {"multigrid": True, "batch_size": BATCH, "num_epochs": EPOCHS, "base_learning_rate": 0.01}
    settings |= {"mixed_precision": "off", "augment": AugmentConfig(crop_area=0.5, colour_jitter=0.2)}
    return RunConfig(
        data=CLIPS.replace(num_frames=FRAMES, clip=ClipConfig(size=SIZE)),
        model=ModelConfig(name="tiny_clip"),
        train=TrainConfig(**settings | changes),
    )


def test_shapes_and_rates_by_hand():
    schedule = Multigrid(config=make_run(num_epochs=10).train, num_frames=FRAMES, size=SIZE, epoch_examples=100)
    assert [schedule.shapes(epoch) for epoch in range(0, 10, 2)] == SHAPES
    assert [schedule.factor(epoch) for epoch in range(10)] == [8, 8, 4, 4, 2, 2, 1, 1, 1, 1]
    # A tenth of two epochs of 100 clips, from 1 to 8, then from 8 to 4; the short cycle changes nothing.
    rates = [schedule.learning_rate(epoch=0, examples=n, stage_examples=n) for n in (0, 10, 20, 150)]
    assert rates == pytest.approx([0.01, 0.045, 0.08, 0.08])
    rates = [schedule.learning_rate(epoch=2, examples=200 + n, stage_examples=n) for n in (0, 10, 20)]
    assert rates == pytest.approx([0.08, 0.06, 0.04])
    assert schedule.learning_rate(epoch=9, examples=999, stage_examples=0) == pytest.approx(0.01)
    # No fewer than one frame, no smaller than what a clip may be; the examples make up for what was cut alone.
    tight = Multigrid(config=make_run().train, num_frames=3, size=10)
    assert tight.shapes(0) == [(12, 1, 8), (6, 1, 8), (6, 1, 8)]
    plain = Multigrid(config=make_run(multigrid_short_cycle=False).train, num_frames=FRAMES, size=SIZE)
    assert [plain.shapes(epoch) for epoch in range(5)] == [shapes[-1:] for shapes in SHAPES]


@pytest.mark.parametrize("segments, epochs", [(True, (0, 2, 4)), (False, (3,))])
def test_batches_are_those_of_the_schedule(source, segments, epochs):
    data = TrainingData(run=make_run(segment_labels=segments, augment=AugmentConfig()), source=source)
    assert data.multigrid.epoch_examples == CLIPS_OF_FILE
    for epoch in epochs:
        shapes = SHAPES[epoch]
        left = CLIPS_OF_FILE
        for (size, frames, side), (features, targets) in zip(
            itertools.cycle(shapes), data.epoch(epoch).as_numpy_iterator()
        ):
            pictures = features["pictures"]
            assert pictures.shape == (min(size, left), frames, side, side, 3)
            assert (features["num_frames"] == frames).all() and len(targets["classes"]) == len(pictures)
            numbers = numbers_of(pictures)
            # Of eight parts of five pictures, one in each: evenly over the clip where there are fewer.
            apart = numbers[:, 1:] - numbers[:, :-1]
            assert abs(apart.mean() - 40 / frames) < 3 and apart.min() > 40 / frames - 5
            left -= len(pictures)
        assert not left


def variables_of(folder):
    return [np.asarray(variable) for variable in checkpoints.load_model(folder)[0].variables]


@pytest.fixture
def traced(monkeypatch):
    """Shapes of pictures that the model's graph in training was made for."""
    shapes, embed = [], TinyClip.embed

    def embedding(model, inputs, *, training=None):
        if training:
            shapes.append(tuple(inputs["pictures"].shape))
        return embed(model, inputs, training=training)

    monkeypatch.setattr(TinyClip, "embed", embedding)
    return shapes


@pytest.mark.slow
def test_stopped_in_a_cycle_it_goes_on_to_the_same_weights(source, tmp_path, traced):
    # The first stage and the third one.
    run = make_run(segment_labels=True, base_learning_rate=0.03, num_epochs=2)
    straight = train(run, source=source, train_dir=str(tmp_path / "straight"))
    if keras.backend.backend() == "tensorflow":
        # One graph for all shapes, made once: the variables of the optimizer are there before.
        assert traced == [(None, None, None, None, 3)]
    stopped = run.replace(train=run.train.replace(max_steps=4))
    state = train(stopped, source=source, train_dir=str(tmp_path / "stopped"))
    # In the middle of an epoch, and of a short cycle.
    assert state.step == 4 and state.epoch == 1 and state.epoch_step == 2
    state = train(run, source=source, train_dir=str(tmp_path / "stopped"))
    assert (state.step, state.examples) == (straight.step, straight.examples)
    for one, other in zip(variables_of(tmp_path / "straight"), variables_of(tmp_path / "stopped"), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_a_network_that_takes_no_such_small_pictures_says_so_before_training(source, tmp_path, monkeypatch):
    """Of 32 pixels the short cycle makes 16."""
    sizes = []

    def check(model, *, num_frames, size):
        sizes.append(size[0])
        if size[0] < 20:
            raise InputError(f"too small: {size[0]} pixels")

    monkeypatch.setattr(TANet, "check_clips", check)
    model = ModelConfig(name="tanet", hyperparameters={"depth": 14, "width": 4, "num_frames": FRAMES})
    for multigrid, found in ((True, [16]), (False, [32])):
        sizes.clear()
        run = make_run(multigrid=multigrid, max_steps=1 if multigrid else None).replace(model=model)
        with pytest.raises(InputError, match="too small: 16 pixels") if multigrid else contextlib.nullcontext():
            _build(run)
        assert sizes == found
