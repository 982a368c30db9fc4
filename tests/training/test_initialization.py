"""Runs that start from others: weights, optimizer, and which videos those were trained on."""

import json

import keras
import numpy as np
import pytest

from tests.helpers import fast
from tests.training.conftest import BERT
from yt8m.config import DataConfig, MaskedFramesConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.seen_videos import SeenVideos
from yt8m.data.splits import collect_ids, split_sources
from yt8m.models import checkpoints
from yt8m.models.initialization import initialize_from
from yt8m.training.train import train
from yt8m.types import DataWarning, InputError


@pytest.fixture
def pretrained(made_once, make_run):
    """The folder of a run of one step."""
    return made_once("pretrained", lambda folder: make_run(folder / "run", max_steps=1)) / "run"


def test_fine_tuning_starts_from_the_given_weights(pretrained):
    target = checkpoints.load_model(str(pretrained))[0]
    fresh_model = type(target).from_config(target.get_config())
    fresh_model.build()
    assert initialize_from(fresh_model, str(pretrained)) == []
    for one, other in zip(target.get_weights(), fresh_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("settings", fast([{"averaging": "ema"}], [{"averaging": "ema"}, {"lookahead": True}]))
def test_optimizers_that_keep_copies_of_weights_start_from_those_given(pretrained, make_run, tmp_path, settings):
    """Six steps that move nothing, after the last of which Lookahead goes back halfway to its copy."""
    make_run(tmp_path, init_from=pretrained, max_steps=6, base_learning_rate=1e-12, **settings)
    models = [checkpoints.load_model(str(folder))[0] for folder in (pretrained, tmp_path)]
    for one, other in zip(*(model.trainable_variables for model in models), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-7, err_msg=one.path)


def test_another_vocabulary_leaves_the_head_fresh(pretrained):
    source, _ = checkpoints.load_model(str(pretrained))
    config = source.get_config() | {"num_classes": source.num_classes + 1}
    model = type(source).from_config(config)
    model.build()
    fresh = initialize_from(model, str(pretrained))
    assert len(fresh) == 3 and all("head" in path for path in fresh)


def test_another_model_is_refused(make_run, pretrained, tmp_path):
    with pytest.raises(InputError, match="holds another model .frame_bert"):
        make_run(tmp_path, model=("logistic", {}), init_from=pretrained)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model": ("frame_bert", BERT | {"num_heads": 4})}, "num_heads is 4 here and 2 there"),
        ({"data": {"feature_names": ("audio", "rgb"), "feature_sizes": (128, 1024)}}, "feature_sizes is"),
    ],
)
def test_weights_that_fit_by_their_shapes_alone_are_refused(make_run, pretrained, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        make_run(tmp_path, init_from=pretrained, **change)


@pytest.mark.slow
@pytest.mark.parametrize("pretrained_on", ["label", "frames"])
def test_the_optimizer_of_another_run_goes_on(make_run, tmp_path, pretrained_on):
    """Moments of each weight, wherever it stands in the other run's optimizer, and the step, by examples seen."""
    masked = {"masked_frames": MaskedFramesConfig(weight=1.0)} if pretrained_on == "frames" else {}
    make_run(tmp_path / "first", max_steps=6, num_epochs=None, segment_labels=False, batch_size=16, **masked)
    make_run(
        tmp_path / "second",
        init_from=tmp_path / "first",
        patterns={"init_optimizer": True},
        max_steps=1,
        num_epochs=None,
        batch_size=8,
        base_learning_rate=1e-9,
    )
    first, second = (_compiled(tmp_path / name) for name in ("first", "second"))
    assert int(first.optimizer.iterations) == 6 and int(second.optimizer.iterations) == 13
    then = {
        v.path.removeprefix("frame_bert/"): m for v, m in zip(first.trainable_variables, first.optimizer.velocities)
    }
    for variable, velocity in zip(second.trainable_variables, second.optimizer.velocities, strict=True):
        before = np.asarray(then[variable.path.removeprefix("frame_bert/")])
        # One step moves the second moment by a thousandth of the squared gradient, which is clipped to 1.
        assert np.abs(np.asarray(velocity) - 0.999 * before).max() <= 1e-3
        assert before.max() > 0


def _compiled(folder):
    state = json.loads((folder / "state.json").read_text())
    return keras.saving.load_model(folder / state["checkpoint"], safe_mode=True)


@pytest.mark.slow
def test_an_optimizer_of_another_kind_does_not_go_on(make_run, tmp_path):
    make_run(tmp_path / "first", max_steps=1, num_epochs=None, optimizer="sgd")
    with pytest.raises(InputError, match="first was trained with SGD and this run is with Adam: init_optimizer needs"):
        make_run(tmp_path / "second", init_from=tmp_path / "first", patterns={"init_optimizer": True})
    with pytest.raises(InputError, match="init_optimizer goes on with the optimizer of another run: set init_from"):
        make_run(tmp_path / "second", patterns={"init_optimizer": True})


@pytest.mark.slow
def test_a_holdout_that_was_trained_on_is_told_unless_it_was_excluded(make_run, tmp_path, demo_data):
    """By id: pre-training on all of what fine-tuning then holds a part of out, and without that part."""
    pattern = str(demo_data / "validate" / "*.tfrecord")
    settings = {"max_steps": 4, "num_epochs": None, "batch_size": 64, "segment_labels": False}
    run = RunConfig(
        data=DataConfig(num_classes=json.loads((demo_data / "manifest.json").read_text())["num_classes"], num_frames=5),
        model=ModelConfig(name="logistic"),
        train=TrainConfig(**settings),
        train_data_pattern=pattern,
    )
    train(run, train_dir=str(tmp_path / "leaky"))
    kept_out = {"exclude_videos": pattern, "exclude_holdout_fraction": 0.3}
    train(run.replace(**kept_out), train_dir=str(tmp_path / "clean"))
    source, holdout = split_sources(train_data_pattern=pattern, holdout_fraction=0.3)
    ids = {side: collect_ids(part, skip_corrupt=False, title="") for side, part in (("in", source), ("out", holdout))}
    clean = SeenVideos.load(tmp_path / "clean" / "seen_videos.npz")
    assert len(clean) == len(ids["in"]) and all(video_id in clean for video_id in ids["in"])
    assert not any(video_id in clean for video_id in ids["out"])
    told = f"^{len(ids['out'])} of the {len(ids['out'])} videos to score, .* were trained on by .*leaky or a run"
    with pytest.warns(DataWarning, match=told):
        make_run(tmp_path / "a", model=("logistic", {}), init_from=tmp_path / "leaky", num_epochs=1)
    make_run(tmp_path / "b", model=("logistic", {}), init_from=tmp_path / "clean", num_epochs=1)
    # What was fine-tuned remembers what it started from.
    overlap = checkpoints.overlap_with(tmp_path / "a")
    overlap.add(sorted(ids["out"]))
    assert overlap.sentence().startswith(f"{len(ids['out'])} of the {len(ids['out'])} videos to score")
    assert checkpoints.overlap_with(tmp_path / "b").seen.save(tmp_path / "again.npz") is None
    np.testing.assert_array_equal(
        *(np.load(path)["gaps"] for path in (tmp_path / "again.npz", tmp_path / "b" / "seen_videos.npz"))
    )


@pytest.mark.slow
def test_excluded_videos_that_are_not_there_are_told(make_run, tmp_path, demo_data):
    with pytest.warns(DataWarning, match=r"none of the \d+ videos of exclude_videos is among those to train on"):
        make_run(
            tmp_path,
            model=("logistic", {}),
            num_epochs=1,
            patterns={"exclude_videos": str(demo_data / "test" / "*.tfrecord")},
        )
