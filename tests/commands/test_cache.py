"""The cache as users meet it: the command, and a run that is trained from it."""

import functools
import json
import shutil

import keras
import numpy as np
import pytest

from tests.helpers.commands import call
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data import tfrecord
from yt8m.data.labels import read_rated_labels
from yt8m.data.splits import split_sources
from yt8m.models import checkpoints
from yt8m.training import train as train_module
from yt8m.training.training_data import TrainingData
from yt8m.types import InputError


@pytest.mark.slow
def test_the_command(demo_data, tmp_path):
    pattern = f"--input_data_pattern={demo_data}/validate/*.tfrecord"
    good = call("cache", pattern, f"--cache_dir={tmp_path}", "--num_classes=30")
    assert good.returncode == 0 and "packing rated segments: 8/8" in good.stderr, good.stderr
    labels = read_rated_labels(tfrecord.list_files(f"{demo_data}/validate/*.tfrecord"), DataConfig(num_classes=30))
    assert good.stdout == f"{len(set(labels[0]))} rated segments of 8 file(s) are packed in {tmp_path}\n"
    assert len(list(tmp_path.iterdir())) == 8
    whole = call("cache", pattern, f"--cache_dir={tmp_path}", "--num_classes=30", "--whole_videos")
    assert whole.stdout == f"24 whole videos of 8 file(s) are packed in {tmp_path}\n" and not whole.returncode
    assert "packing whole videos: 8/8" in whole.stderr and len(list(tmp_path.iterdir())) == 16
    margin = call("cache", pattern, f"--cache_dir={tmp_path}", "--whole_videos", "--margin=2")
    assert margin.returncode == 2 and "margin is 2, and whole videos have none" in margin.stderr.splitlines()[-1]
    bad = call("cache", pattern, f"--cache_dir={tmp_path}", "--num_classes=3")
    assert bad.returncode == 2 and "segment_labels holds class" in bad.stderr.splitlines()[-1]
    assert len(call("cache", "--help").stdout.splitlines()) > 8


@pytest.fixture
def train(demo_data, tmp_path):
    """Function that trains a small model on a copy of the data, in a folder of its own; returns its weights."""
    data = tmp_path / "data"
    shutil.copytree(demo_data / "validate", data)
    pattern = f"{data}/*.tfrecord"

    def run(name, **options):
        source, holdout = split_sources(train_data_pattern=pattern, holdout_files=2)
        config = {"segment_labels": True, "batch_size": 16, "num_epochs": 2, "base_learning_rate": 0.01}
        run = RunConfig(
            data=DataConfig(num_classes=30, unrated="video_negative", **options.pop("data", {})),
            model=ModelConfig(name="logistic"),
            train=TrainConfig(**config | options.pop("settings", {})),
            train_data_pattern=pattern,
            holdout_files=2,
        )
        folder = tmp_path / name
        resources = train_module.Resources(**options)
        train_module.train(run, source=source, holdout=holdout, train_dir=str(folder), resources=resources)
        state = json.loads((folder / "state.json").read_text())
        model = keras.saving.load_model(folder / state["checkpoint"])
        return [np.asarray(weight) for weight in model.weights], checkpoints.read_metrics(folder)

    return run


WINDOWS = {
    "segments": {},
    "videos": {"segment_labels": False},
    "multigrid": {"segment_labels": False, "multigrid": True, "num_epochs": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("windows", WINDOWS)
def test_a_run_is_the_same_with_a_cache_without_and_with_one_from_half_way(train, tmp_path, monkeypatch, windows):
    folder, settings = str(tmp_path / "cache"), WINDOWS[windows]
    train = functools.partial(train, settings=settings)
    without, metrics = train("without")
    if windows != "multigrid":
        train("changed", settings=settings | {"num_epochs": 1})
    with monkeypatch.context() as patch:
        # From here on the records are read to pack them, and in no other way.
        patch.setattr("yt8m.data.pipeline.read_blocks", None)
        patch.setattr(TrainingData, "estimated_steps", lambda data: None)
        patch.setattr("yt8m.training.training_data.estimate_examples", lambda *_, **__: 18)
        with_cache, metrics_with_cache = train("with", cache_dir=folder)
        patch.setattr("yt8m.data.packing.Packing.pack", None)
        changed, changed_metrics = train("changed", cache_dir=folder)
    for weights in (with_cache, changed):
        for one, other in zip(without, weights, strict=True):
            np.testing.assert_array_equal(one, other)
    assert metrics == metrics_with_cache == changed_metrics and len(metrics) == 2


def test_what_a_cache_does_not_hold_is_refused(train, tmp_path):
    with pytest.raises(InputError, match="a cache holds frames, and video-level records have none"):
        train("a", cache_dir=str(tmp_path / "cache"), data={"level": "video"}, settings={"segment_labels": False})
