"""Model files that are damaged, hostile, or of something else."""

import json
import os
import resource
import shutil
import zipfile

import keras
import numpy as np
import pytest

from tests.helpers.small_models import small_model
from yt8m.models.checkpoints import read_run_config
from yt8m.models.learner import Learner
from yt8m.models.model_files import load_model_file
from yt8m.runtime.keras_files import check_model_file, save_model
from yt8m.train_parts import MaskedFramesConfig
from yt8m.types import InputError


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small model's file."""
    path = tmp_path_factory.mktemp("model") / "best.keras"
    save_model(path, small_model("moe"))
    return path


def rewritten(path, target, *, config=None, packed=False, without=""):
    """A copy of an archive with changes of the model's config, deflated, or without a member."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as archive:
        for member in source.infolist():
            data = source.read(member)
            if member.filename == "config.json" and config is not None:
                data = json.dumps(config(json.loads(data))).encode()
            if member.filename != without:
                archive.writestr(member.filename, data, zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED)
    return target


def test_whole_files_pass(saved, tmp_path):
    check_model_file(saved)
    check_model_file(rewritten(saved, tmp_path / "packed.keras", packed=True))
    learner = Learner(small_model("frame_bert"), masked_frames=MaskedFramesConfig(weight=1.0))
    learner.compile(optimizer="adam")
    learner.build()
    save_model(tmp_path / "learner.keras", learner)
    assert isinstance(load_model_file(tmp_path / "learner.keras", compile=True), Learner)


def test_any_changed_or_missing_byte_is_noticed_or_means_nothing(saved, tmp_path):
    """Of an archive only the names and times of members are not under a checksum."""
    whole, path = saved.read_bytes(), tmp_path / "a.keras"
    reference = load_model_file(saved)
    for seed in range(40):
        random = np.random.default_rng(seed)
        data = bytearray(whole)
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(data[: random.integers(len(data))] if seed % 4 == 0 else data)
        try:
            for one, other in zip(load_model_file(path).variables, reference.variables, strict=True):
                np.testing.assert_array_equal(one, other, err_msg=f"seed {seed}")
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error), f"seed {seed}"


@pytest.mark.parametrize("field, value", [("num_classes", 10**8), ("hidden_sizes", [10**7]), ("num_mixtures", 10**7)])
def test_what_the_config_describes_must_be_there(saved, tmp_path, field, value):
    def change(config):
        config["config"][field] = value
        return config

    path = rewritten(saved, tmp_path / "a.keras", config=change)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="a.keras is damaged: its config.json describes .* bytes of weights, and it"):
        load_model_file(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_other_files_are_one_sentence(saved, tmp_path):
    path = tmp_path / "a.keras"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(path)
    with pytest.raises(InputError, match="it holds a Sequential of Keras"):
        load_model_file(path)
    with pytest.raises(InputError, match="holds no model.weights.h5"):
        load_model_file(rewritten(saved, path, without="model.weights.h5"))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", bytes(1 << 28))
    assert os.path.getsize(path) < 1 << 20
    with pytest.raises(InputError, match="unpacked it has 268,435,458 bytes"):
        load_model_file(path)
    for config in (lambda _: [], lambda _: {}, lambda config: config | {"config": 3}, lambda _: {"class_name": "X"}):
        with pytest.raises(InputError, match="a.keras"):
            load_model_file(rewritten(saved, path, config=config))
    for data in (b"", b"PK", b"x" * 1000):
        path.write_bytes(data)
        with pytest.raises(InputError, match="a.keras cannot be loaded as a model"):
            load_model_file(path)
    shutil.rmtree(path, ignore_errors=True)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="a.keras cannot be loaded as a model"):
        load_model_file(path)


def test_weights_that_are_given_are_not_drawn_first(tmp_path, monkeypatch):
    save_model(tmp_path / "bert.keras", small_model("frame_bert"))

    def draw(self, shape, dtype=None):
        raise AssertionError(f"{type(self).__name__} draws {shape}")

    for name in ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling"):
        monkeypatch.setattr(getattr(keras.initializers, name), "__call__", draw)
    load_model_file(tmp_path / "bert.keras").for_classes([0])


@pytest.mark.parametrize("name, reason", [("nowhere", "there is no such folder"), ("", "it has no config.json")])
def test_what_is_no_run_is_said(tmp_path, name, reason):
    with pytest.raises(InputError, match=f"is not the folder of a training run: {reason}"):
        read_run_config(tmp_path / name)
