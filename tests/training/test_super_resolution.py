"""Training of super-resolution networks: what they learn from, how they are scored, and that they go on."""

import json
import os

import keras
import numpy as np
import pytest

import yt8m
from tests.helpers import commands
from yt8m.data.splits import Source, open_source
from yt8m.super_resolution.config import SuperResolutionConfig
from yt8m.super_resolution.run import load_resolver
from yt8m.training import super_resolution
from yt8m.training.super_resolution import (
    FlowAdam,
    evaluate_resolver,
    examples,
    held_out,
    make_resolver,
    picture_scores,
    smaller,
    train_resolver,
)
from yt8m.types import InputError

_CONFIG = SuperResolutionConfig(
    network="espcn", width=8, num_frames=3, patch=16, batch_size=4, max_steps=9, base_learning_rate=1e-3
)


@pytest.fixture(scope="module")
def clips(made_once):
    """Folder of generated clips of actions."""
    return made_once("clips to enlarge", lambda folder: yt8m.write_actions(folder, size="tiny"))


@pytest.fixture
def source(clips):
    return open_source(f"{clips}/train/*.tfrecord")


@pytest.fixture
def holdout(clips):
    return open_source(f"{clips}/holdout/*.tfrecord")


def test_examples_are_crops_and_what_they_are_when_made_smaller(source):
    small, large = next(iter(examples(source, _CONFIG, epoch=0)))
    assert small.shape == (4, 3, 8, 8, 3) and large.shape == (4, 3, 16, 16, 3)
    pictures = np.rint(np.asarray(large) * 255)
    np.testing.assert_array_equal(np.asarray(smaller(pictures.astype(np.uint8), 2)), np.asarray(small))
    # Of a picture in four flat quarters, the middle of each is what it was.
    flat = np.kron(np.array([[10, 200], [90, 30]]), np.ones((8, 8))).astype(np.uint8)
    made = np.asarray(smaller(np.broadcast_to(flat[None, None, ..., None], (1, 1, 16, 16, 3)), 2))[0, 0, :, :, 0]
    assert made[[1, 1, 6, 6], [1, 6, 1, 6]].tolist() == [10, 200, 90, 30]
    again, other = (next(iter(examples(source, _CONFIG, epoch=epoch)))[0] for epoch in (0, 1))
    assert (np.asarray(again) == np.asarray(small)).all() and not (np.asarray(other) == np.asarray(small)).all()


def test_short_clips_repeat_their_last_picture(source):
    config = _CONFIG.replace(num_frames=100)
    _, large = next(iter(examples(source, config, epoch=0)))
    large = np.asarray(large)
    assert large.shape[1] == 100 and large[:, 39:].min(axis=(2, 3, 4)).max() >= 0
    np.testing.assert_array_equal(large[:, 40], large[:, 99])
    assert (large[:, 0] != large[:, 99]).any()


def test_a_network_that_adds_nothing_scores_as_bilinear_interpolation(holdout):
    model = make_resolver(_CONFIG)
    for variable in model.last.variables:
        variable.assign(np.zeros(variable.shape, np.float32))
    scores = evaluate_resolver(model, holdout, num_frames=4, size=64)
    assert scores["network"]["psnr"] == pytest.approx(scores["bilinear"]["psnr"], abs=0.05)
    assert scores["bicubic"]["psnr"] > scores["bilinear"]["psnr"] + 0.2
    (first, *_) = held_out(holdout, num_frames=4, size=64, most=1)
    assert first.shape == (1, 4, 64, 64, 3)
    only = evaluate_resolver(model, holdout, num_frames=4, size=64, most=1)
    assert only["network"]["clips"] == 1 < scores["network"]["clips"]


def test_psnr_and_ssim_of_a_picture():
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert picture_scores(picture, picture) == (100.0, 1.0)
    other = np.where(picture > 127, picture - 5, picture + 5).astype(np.uint8)
    psnr, ssim = picture_scores(other, picture)
    assert psnr == pytest.approx(10 * np.log10(255**2 / 25)) and 0.98 < ssim < 1


@pytest.mark.slow
def test_training_stopped_goes_on_to_the_same_network(source, holdout, tmp_path, monkeypatch):
    whole = train_resolver(_CONFIG, source, holdout, run_dir=str(tmp_path / "whole"))
    assert whole.optimizer.iterations == 9
    step = super_resolution._Training._step

    def stopping(training, batch):
        training.stopped = training.state["step"] == 4
        return step(training, batch)

    with monkeypatch.context() as patch:
        patch.setattr(super_resolution._Training, "_step", stopping)
        with pytest.raises(KeyboardInterrupt):
            train_resolver(_CONFIG, source, holdout, run_dir=str(tmp_path / "stopped"))
    train_resolver(_CONFIG, source, holdout, run_dir=str(tmp_path / "stopped"))
    one, other = (load_resolver(tmp_path / name) for name in ("whole", "stopped"))
    for variable, value in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), np.asarray(value))
    scores = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "stopped")]
    assert scores[0] == scores[1] and json.loads(scores[0])["step"] == 9
    with pytest.raises(InputError, match="width is 8 there and 16 here"):
        train_resolver(_CONFIG.replace(width=16), source, holdout, run_dir=str(tmp_path / "whole"))
    with pytest.raises(InputError, match="begun on other files"):
        train_resolver(_CONFIG, source, None, run_dir=str(tmp_path / "whole"))


@pytest.mark.slow
def test_training_killed_behind_its_last_step_is_scored_and_kept(source, holdout, tmp_path, monkeypatch):
    """The checkpoint of the last step is there, and what comes of it is not."""
    monkeypatch.setattr(super_resolution, "_SAVE_STEPS", 3)
    config = _CONFIG.replace(max_steps=3)

    def killed(training):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(super_resolution._Training, "_evaluate", killed)
        with pytest.raises(KeyboardInterrupt):
            train_resolver(config, source, holdout, run_dir=str(tmp_path))
    assert not os.path.exists(tmp_path / "best.keras")
    model = train_resolver(config, source, holdout, run_dir=str(tmp_path))
    for variable, value in zip(load_resolver(tmp_path).variables, model.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), np.asarray(value))
    before = (tmp_path / "metrics.jsonl").read_text()
    assert json.loads(before)["step"] == 3
    train_resolver(config, source, holdout, run_dir=str(tmp_path))
    assert (tmp_path / "metrics.jsonl").read_text() == before


@pytest.mark.slow
def test_training_beats_what_it_began_with(source, holdout, tmp_path):
    config = _CONFIG.replace(max_steps=60, base_learning_rate=3e-3)
    before = evaluate_resolver(make_resolver(config), holdout, num_frames=3, size=64)["network"]
    model = train_resolver(config, source, None, run_dir=str(tmp_path / "run"))
    after = evaluate_resolver(model, holdout, num_frames=3, size=64)["network"]
    assert after["psnr"] > before["psnr"] + 0.3 and after["ssim"] > before["ssim"]


def test_the_flow_begins_to_move_later_and_moves_less():
    layer = keras.layers.Dense(1, use_bias=False, name="dense", kernel_initializer="zeros")
    flow = keras.layers.Dense(1, use_bias=False, name="flow", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), flow, layer])
    moved = []
    for start, steps in ((2, 2), (2, 3)):
        for part in (layer, flow):
            part.kernel.assign([[0.5]])
        model.compile(optimizer=FlowAdam(0.1, flow_rate=0.25, flow_start=start), loss="mse")
        for _ in range(steps):
            model.train_on_batch(np.ones((1, 1)), np.zeros((1, 1)))
        moved.append((0.5 - float(layer.kernel[0, 0]), 0.5 - float(flow.kernel[0, 0])))
    assert moved[0][0] == pytest.approx(0.2, rel=0.05) and moved[0][1] == 0
    assert moved[1][1] == pytest.approx(0.025, rel=0.2)


def test_no_clips_to_score_on(clips):
    none = Source(open_source(f"{clips}/holdout/*.tfrecord").files, lambda _: False)
    with pytest.raises(InputError, match="hold no clip to score on"):
        evaluate_resolver(make_resolver(_CONFIG), none, num_frames=2)


def _arguments(clips, run):
    return (
        f"--train_data_pattern={clips}/train/*.tfrecord", f"--eval_data_pattern={clips}/holdout/*.tfrecord",
        f"--train_dir={run}", "--network=espcn", "--width=8", "--num_frames=2", "--patch=16", "--max_steps=2",
    )  # fmt: skip


@pytest.mark.slow
def test_the_command_trains_and_says_what_it_is_worth(clips, tmp_path):
    said = commands.passed(
        "super_resolve", *_arguments(clips, tmp_path / "run"), "--backbone=efficientnet-lite0"
    ).stdout
    head, columns, *rows = said.strip().splitlines()
    assert head.endswith("made 2 times smaller and larger again:") and "PSNR, dB" in columns
    assert [row.split()[0] for row in rows] == ["bilinear", "bicubic", "network"]
    for row in rows:
        _, psnr, ssim, cosine = row.split()
        assert 10 < float(psnr) < 60 and 0 < float(ssim) < 1 and 0 < float(cosine) < 1
    assert os.path.exists(tmp_path / "run" / "best.keras")


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--train_dir=r",), "there is nothing to do"),
        (("--train_dir=r", "--holdout_fraction=0.1"), "--holdout_fraction is of --train_data_pattern"),
        (
            ("--train_dir=r", "--eval_data_pattern={clips}/holdout/*.tfrecord"),
            "is not the folder of yt8m-super-resolve",
        ),
        (("--train_dir=r", "--train_data_pattern={clips}/train/*.tfrecord", "--scale=3"), "scale is 3"),
        (("--train_dir=r", "--train_data_pattern={clips}/train/*.tfrecord", "--patch=33"), "patch is 33"),
        (
            ("--train_dir=r", "--train_data_pattern={clips}/train/*.tfrecord", "--init_weights=absent.pth"),
            "--init_weights=absent.pth cannot be read",
        ),
    ],
)
def test_what_makes_no_sense_is_one_sentence(clips, tmp_path, monkeypatch, flags, sentence):
    monkeypatch.chdir(tmp_path)
    assert sentence in commands.refused("super_resolve", *(flag.format(clips=clips) for flag in flags))
