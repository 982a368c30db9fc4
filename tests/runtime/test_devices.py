"""Training on several devices and in several processes, each run but the plain one a process of its own."""

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.helpers import ROOT, commands
from tests.helpers.records import make_video
from yt8m.data.tfrecord import write_records
from yt8m.models import MODELS, checkpoints
from yt8m.models.learner import Learner
from yt8m.runtime.devices import place
from yt8m.training.callbacks import BOARD_STEPS
from yt8m.types import InputError

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (extra [jax])")
MODEL = {"num_layers": 1, "num_heads": 2, "hidden_size": 8, "feed_forward_size": 16, "num_mixtures": 1, "dropout": 0.0}


def settings(demo_data, folder):
    return (
        "--model=frame_bert", f"--model_config={json.dumps(MODEL)}", "--segment_labels", "--num_classes=30",
        f"--train_data_pattern={demo_data}/validate/*.tfrecord", "--holdout_files=1", "--batch_size=16", "--max_steps=6",
        "--evaluate_steps=3", f"--train_dir={folder}",
    )  # fmt: skip


def start(demo_data, folder, *options):
    command = [sys.executable, str(ROOT / "train.py"), *settings(demo_data, folder), *options]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(*processes):
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors


def losses(folder):
    return [json.loads(line)["loss"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder):
    state = json.loads((folder / "state.json").read_text())
    assert MODELS["frame_bert"] and Learner  # Loading finds what has been imported.
    model = keras.saving.load_model(folder / state["checkpoint"], safe_mode=True, compile=False)
    return [np.asarray(variable) for variable in model.trainable_variables]


def assert_same_training(one, other, *, atol):
    assert len(losses(one)) == 2
    np.testing.assert_allclose(losses(one), losses(other), rtol=1e-4)
    for value, expected in zip(weights(one), weights(other), strict=True):
        np.testing.assert_allclose(value, expected, atol=atol)


@pytest.fixture(scope="module")
def single(demo_data, tmp_path_factory):
    """A run on one device with TensorFlow."""
    folder = tmp_path_factory.mktemp("single")
    commands.passed("train", *settings(demo_data, folder))
    return folder


@pytest.fixture(scope="module")
def single_jax(demo_data, single, tmp_path_factory):
    """A run on one device with JAX, from the weights of the run with TensorFlow: the backends draw different ones."""
    folder = tmp_path_factory.mktemp("single_jax")
    finish(start(demo_data, folder, "--backend=jax", f"--init_from={single}"))
    return folder


@pytest.mark.slow
def test_two_mirrored_devices_train_as_one(demo_data, single, tmp_path):
    finish(start(demo_data, tmp_path, "--num_devices=2"))
    assert_same_training(tmp_path, single, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=needs_jax)])
def test_consistency_on_two_devices_is_that_on_one(demo_data, single, tmp_path, backend):
    options = (
        f"--backend={backend}",
        f"--init_from={single}",
        f"--unlabelled_data_pattern={demo_data}/train/*.tfrecord",
    )
    options += ("--uda_weight=0.5", "--uda_confidence=0.5", "--mixup=0.2")
    finish(start(demo_data, tmp_path / "one", *options))
    finish(start(demo_data, tmp_path / "two", *options, "--num_devices=2"))
    assert_same_training(tmp_path / "one", tmp_path / "two", atol=1e-5)


@pytest.mark.slow
def test_lookahead_and_averages_on_two_devices_are_those_on_one(demo_data, single, tmp_path):
    options = (f"--init_from={single}", "--lookahead", "--averaging=ema")
    finish(start(demo_data, tmp_path / "one", *options))
    finish(start(demo_data, tmp_path / "two", *options, "--num_devices=2"))
    assert_same_training(tmp_path / "one", tmp_path / "two", atol=1e-5)


@needs_jax
@pytest.mark.slow
def test_backends_train_alike(demo_data, single, single_jax, tmp_path):
    finish(start(demo_data, tmp_path, f"--init_from={single}"))
    assert_same_training(tmp_path, single_jax, atol=1e-5)


@needs_jax
@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--averaging=ema", "--lookahead"), ("--mixed_precision", "--mixup=0.2")])
def test_everything_that_acts_between_steps_acts_under_jax(demo_data, tmp_path, options):
    """Curves, evaluations, checkpoints and the ends of epochs: while JAX fits, the model's own variables hold nothing."""
    steps = BOARD_STEPS + 5
    within = ("--backend=jax", f"--max_steps={steps}", "--evaluate_steps=10", "--checkpoint_minutes=0")
    finish(start(demo_data, tmp_path, *within, *options))
    assert json.loads((tmp_path / "state.json").read_text())["step"] == steps
    assert len(losses(tmp_path)) == 3 and list(tmp_path.rglob("events.out.tfevents*"))


@needs_jax
@pytest.mark.slow
def test_two_jax_devices_train_as_one(demo_data, single, single_jax, tmp_path):
    finish(start(demo_data, tmp_path, "--backend=jax", f"--init_from={single}", "--num_devices=2"))
    assert_same_training(tmp_path, single_jax, atol=1e-5)


def start_two(demo_data, folder, *options):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        coordinator = f"127.0.0.1:{probe.getsockname()[1]}"
    shared = ("--backend=jax", "--num_processes=2", f"--coordinator={coordinator}", *options)
    return [start(demo_data, folder, *shared, f"--process_id={process}") for process in range(2)]


@pytest.mark.slow
@needs_jax
@pytest.mark.parametrize("cached", [False, True])
def test_two_processes_train_as_one(demo_data, single, single_jax, tmp_path, cached):
    options = (f"--init_from={single}", "--holdout_files=1")
    options += (f"--cache_dir={tmp_path}/cache",) if cached else ()
    finish(*start_two(demo_data, tmp_path / "run", *options))
    assert_same_training(tmp_path / "run", single_jax, atol=1e-5)


@pytest.mark.slow
@needs_jax
def test_two_processes_pre_train_from_a_cache_as_one_from_the_records(demo_data, tmp_path):
    """Whole videos, with frames drawn, and a holdout of which each process scores a part."""
    options = (
        "--nosegment_labels", f"--train_data_pattern={demo_data}/train/*.tfrecord", "--holdout_files=0",
        f"--eval_data_pattern={demo_data}/validate/*.tfrecord", "--sampling=random", "--num_frames=5",
    )  # fmt: skip
    finish(start(demo_data, tmp_path / "one", "--backend=jax", *options))
    finish(*start_two(demo_data, tmp_path / "two", *options, f"--cache_dir={tmp_path}/cache"))
    assert_same_training(tmp_path / "one", tmp_path / "two", atol=1e-5)
    one, two = (checkpoints.read_metrics(tmp_path / name)[-1] for name in ("one", "two"))
    assert one.keys() == two.keys() and one["num_videos"] == two["num_videos"] > 8
    assert one["gap_at_20"] == pytest.approx(two["gap_at_20"], rel=1e-4)


@pytest.mark.slow
@needs_jax
def test_an_evaluation_at_the_last_step_of_an_epoch_leaves_jax_its_weights(demo_data, tmp_path):
    """Epochs of one step, of which the third is evaluated."""
    options = ("--nosegment_labels", f"--train_data_pattern={demo_data}/train/*.tfrecord", "--holdout_files=3")
    finish(start(demo_data, tmp_path, "--backend=jax", *options))
    assert len(losses(tmp_path)) == 2


@pytest.mark.slow
@needs_jax
def test_a_bad_record_in_one_process_ends_both(demo_data, tmp_path):
    """None waits for the other, whether in packing or evaluating."""
    shutil.copytree(demo_data / "train", tmp_path / "data")
    files = sorted((tmp_path / "data").glob("*.tfrecord"))
    write_records(str(files[1]), [make_video("bad")])
    options = ("--nosegment_labels", f"--train_data_pattern={tmp_path}/data/*.tfrecord", "--holdout_files=0")
    for process in start_two(demo_data, tmp_path / "run", *options, f"--cache_dir={tmp_path}/cache"):
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 2 and f"{files[1].name}, record 0: frame 0 of rgb has 6 bytes" in errors, errors


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_processes": 2, "coordinator": "127.0.0.1:1"}, "several processes train with the JAX backend"),
        ({"process_id": 1}, "--process_id is 1; it must be from 0 to 0"),
    ],
)
def test_what_a_backend_does_not_have_is_named(options, message):
    with pytest.raises(InputError, match=message):
        place(**options)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", pytest.param("jax", marks=needs_jax)])
def test_an_epoch_without_a_whole_batch_is_refused(demo_data, tmp_path, backend):
    """On several devices batches are whole."""
    process = start(demo_data, tmp_path, f"--backend={backend}", "--num_devices=2", "--batch_size=4096")
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 2 and "fewer rated segments than a batch" in errors, errors


def test_a_batch_that_devices_cannot_share_is_refused(demo_data, tmp_path):
    process = start(demo_data, tmp_path, "--num_devices=3")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2 and "batch_size is 16, which 3 devices cannot share evenly" in errors
    assert not list(tmp_path.iterdir())
