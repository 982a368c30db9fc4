"""Runs that are resumed: damaged checkpoints, changed inputs, a second writer."""

import dataclasses
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.config import ModelConfig, RunConfig, TrainConfig
from yt8m.data.manifest import check_manifest, make_manifest, write_manifest
from yt8m.data.splits import split_sources
from yt8m.data.tfrecord import write_records
from yt8m.models import checkpoints
from yt8m.runtime.locks import locked_folder
from yt8m.training.train import Resources, train
from yt8m.types import DataWarning, InputError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Folder of four files of six videos each."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(4):
        videos = [make_video(f"v{number}{video}", frames=10 + video, labels=(video,)) for video in range(6)]
        write_records(folder / f"{number}.tfrecord", videos)
    return folder


def trained(folder, data, *, accept=False, **settings):
    """The final state of a run of logistic regression on all files but one."""
    source, holdout = split_sources(train_data_pattern=f"{data}/*.tfrecord", holdout_files=1)
    settings = {"batch_size": 4, "num_epochs": 2, "base_learning_rate": 0.01, "checkpoint_minutes": 0} | settings
    run = RunConfig(data=CONFIG, model=ModelConfig(name="logistic"), train=TrainConfig(**settings))
    resources = Resources(accept_changed_inputs=accept)
    return train(run, source=source, holdout=holdout, train_dir=str(folder), resources=resources)


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """(folder, state) of a run that was never stopped."""
    folder = tmp_path_factory.mktemp("straight")
    return folder, trained(folder, data)


def assert_same_result(one, other):
    runs = [checkpoints.load_model(folder)[0] for folder in (one, other)]
    for left, right in zip(*(run.variables for run in runs), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))
    metrics = [checkpoints.read_metrics(folder) for folder in (one, other)]
    for entry in (*metrics[0], *metrics[1]):
        # Keras's running mean weighs a smaller last batch by its size, which a resumption cuts in other parts.
        entry.pop("train_loss")
    assert metrics[0] == metrics[1]
    names = [{path.name for path in folder.iterdir() if path.is_file()} for folder in (one, other)]
    assert names[0] == names[1]


def flip(path, random):
    data = bytearray(path.read_bytes())
    data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
    path.write_bytes(data)


def cut(path, random):
    os.truncate(path, int(random.integers(path.stat().st_size)))


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.slow
def test_a_run_killed_behind_an_evaluation_that_no_checkpoint_knows_of(straight, data, tmp_path, monkeypatch, number):
    """Its last checkpoint is of the very step that was evaluated, from before that."""
    append, calls = checkpoints.append_metrics, []

    def killed(train_dir, metrics):
        append(train_dir, metrics)
        calls.append(metrics)
        if len(calls) == number:
            raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "append_metrics", killed)
        with pytest.raises(RuntimeError, match="killed"):
            trained(tmp_path / "run", data)
    assert len(checkpoints.read_metrics(tmp_path / "run")) == number
    trained(tmp_path / "run", data)
    assert_same_result(tmp_path / "run", straight[0])


@pytest.mark.parametrize("damage", [pytest.param(flip, marks=pytest.mark.slow), cut])
@pytest.mark.parametrize("which", ["state.json", "checkpoint"])
def test_where_the_last_checkpoint_is_damaged_the_one_before_comes_to_the_same(straight, data, tmp_path, damage, which):
    for seed in range(2):
        folder = tmp_path / str(seed)
        shutil.copytree(straight[0], folder)
        latest = json.loads((folder / "state.json").read_text())["checkpoint"]
        before = (folder / latest).read_bytes(), (folder / "state.json").read_text()
        damage(folder / (latest if which == "checkpoint" else which), np.random.default_rng(seed))
        try:
            with pytest.warns(DataWarning, match="going back to the checkpoint before, step"):
                state = trained(folder, data)
        except pytest.fail.Exception:
            # A digit of a number, or a byte that says nothing, may be another one.
            assert damage is flip, f"seed {seed}"
            continue
        assert dataclasses.asdict(state) == dataclasses.asdict(straight[1]), f"seed {seed}"
        assert_same_result(straight[0], folder)
        assert before[1] == (folder / "state.json").read_text()


def test_where_both_are_damaged_it_is_said(straight, data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(straight[0], folder)
    for path in folder.glob("checkpoint-*.keras"):
        os.truncate(path, 100)
    with pytest.raises(InputError, match=r"checkpoint-\d+.keras cannot be loaded as a model"):
        trained(folder, data)


NOT_STATES = ["", "[]", "{}", '{"checkpoint": "../a.keras", "step": 1, "random": []}', "[" * 100_000, "\x00"]


@pytest.mark.parametrize("text", [*NOT_STATES, "epoch", "random"])
def test_a_state_of_another_shape_is_one_sentence(straight, data, tmp_path, text):
    folder = tmp_path / "run"
    shutil.copytree(straight[0], folder)
    (folder / "state.previous.json").unlink()
    state = json.loads((folder / "state.json").read_text())
    values = {"epoch": "two", "random": [["x"]]}
    text = json.dumps(state | {text: values[text]}) if text in values else text
    (folder / "state.json").write_text(text)
    with pytest.raises(InputError, match="state.json"):
        trained(folder, data)


def change(data, how):
    """Changes one file of a folder of data; the words that tell of it."""
    path = data / "1.tfrecord"
    status = path.stat()
    if how == "new":
        shutil.copy(path, data / "15.tfrecord")
        return r"15.tfrecord is new \(4 files there, 5 here\)"
    if how == "missing":
        path.unlink()
        return r"1.tfrecord is missing \(4 files there, 3 here\)"
    content = path.read_bytes()
    path.write_bytes(content + content if how == "longer" else content[:-1] + b"x")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return (
        r"1.tfrecord has \d+ bytes and had \d+" if how == "longer" else "1.tfrecord has the same size and other content"
    )


@pytest.mark.parametrize("how", ["new", "missing", "longer", "other content"])
def test_changed_inputs_are_named_and_refused_unless_told(straight, data, tmp_path, how):
    changed, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(data, changed)
    shutil.copytree(straight[0], folder)
    # Moved, with other times, and the same.
    assert trained(folder, changed) == straight[1]
    words = change(changed, how)
    with pytest.raises(InputError, match=f"was begun on other files: .*({words}).*give --accept_changed_inputs"):
        trained(folder, changed)
    if how != "other content":
        with pytest.warns(DataWarning, match="goes on with other files than it was begun on"):
            trained(folder, changed, accept=True, num_epochs=3)
        trained(folder, changed, num_epochs=3)


def test_the_order_of_files_counts_and_large_files_are_sampled(tmp_path):
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    for name in "ab":
        (tmp_path / name).write_text(name)
    paths = [str(tmp_path / name) for name in ("a", "b", "large")]
    write_manifest(tmp_path, make_manifest({"train": paths}))
    check_manifest(tmp_path, make_manifest({"train": paths, "holdout": None}))
    with pytest.raises(InputError, match="the train files are others, or in another order"):
        check_manifest(tmp_path, make_manifest({"train": [paths[1], paths[0], paths[2]]}))
    with pytest.raises(InputError, match="the holdout files are others, or in another order .0 files there, 1 here"):
        check_manifest(tmp_path, make_manifest({"train": paths, "holdout": paths[:1]}))
    with open(tmp_path / "large", "r+b") as file:
        file.seek((3 << 19) + 5)
        file.write(b"x")
    with pytest.raises(InputError, match="large has the same size and other content"):
        check_manifest(tmp_path, make_manifest({"train": paths}))
    (tmp_path / "inputs.json").write_text('{"options": {}, "files": {"train": [1]}}')
    with pytest.raises(InputError, match="inputs.json is not the inputs of a run: files of train must be"):
        check_manifest(tmp_path, make_manifest({"train": paths}))


def test_a_second_writer_is_refused_and_nothing_of_it_stays(straight, data, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(straight[0], folder)
    before = {path: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()}
    with locked_folder(folder), pytest.raises(InputError, match=f"{folder} is in use by process {os.getpid()} on"):
        trained(folder, data)
    assert {path: path.read_bytes() for path in pathlib.Path(folder).iterdir() if path.is_file()} == before


def test_inputs_have_the_records_that_pack_json_counts(tmp_path):
    for name in ("counted.tfrecord", "other.tfrecord"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "pack.json").write_text(json.dumps({"shards": {"counted.tfrecord": {"records": 3, "bytes": 1}}}))
    manifest = make_manifest({"train": [str(tmp_path / "counted.tfrecord"), str(tmp_path / "other.tfrecord")]})
    assert [entry.get("records") for entry in manifest.files["train"]] == [3, None]
    (tmp_path / "pack.json").unlink()
    assert not manifest.files_difference(make_manifest({"train": [entry["file"] for entry in manifest.files["train"]]}))
