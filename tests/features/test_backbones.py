"""What every backbone of the registry keeps to, tried on small stand-ins with random weights."""

import dataclasses
import re
import sys

import numpy as np
import pytest

from tests.helpers import fast
from tests.helpers.backbones import STAND_INS, inputs_for, stand_in
from yt8m.features.backbones import BACKBONES, PictureInput, SoundInput, load_backbone
from yt8m.types import InputError

NAMES = sorted(BACKBONES)
# The same code as lite0 in other sizes.
SIBLINGS = ("efficientnet-lite1", "efficientnet-lite2")
# Those that read a file or a folder of the user's.
WITH_FILES = sorted(set(NAMES) - {"logmel"})


def marked(names):
    """The names as parameters, those of siblings among the slow tests."""
    return fast(set(names) - set(SIBLINGS), names)


@pytest.fixture(scope="module", params=marked(NAMES))
def backbone(request, tmp_path_factory):
    return stand_in(request.param, tmp_path_factory.mktemp(request.param))


def test_every_backbone_has_a_stand_in():
    assert sorted(STAND_INS) == NAMES


def test_a_vector_for_each_input(backbone):
    assert isinstance(backbone.input, (PictureInput, SoundInput))
    inputs = inputs_for(backbone, 5)
    features = backbone.features(inputs)
    assert features.shape == (5, backbone.size)
    assert features.dtype == (np.uint8 if backbone.stores_bytes else np.float32)
    assert np.isfinite(features).all() and (features.std(axis=0) > 0).mean() > 0.1


def test_each_input_stands_for_itself(backbone):
    """However many come at once, and beside whatever others."""
    inputs = inputs_for(backbone, 5)
    together = backbone.features(inputs).astype(np.float64)
    alone = np.concatenate([backbone.features(inputs[row : row + 1]) for row in range(5)])
    scale = np.abs(together).max()
    np.testing.assert_allclose(alone, together, atol=1 if backbone.stores_bytes else 1e-5 * scale)
    turned = backbone.features(inputs[::-1])[::-1]
    np.testing.assert_allclose(turned, together, atol=1 if backbone.stores_bytes else 1e-5 * scale)


def test_inputs_are_left_as_they_are(backbone):
    inputs = inputs_for(backbone, 2)
    copy = inputs.copy()
    inputs.flags.writeable = False
    backbone.features(inputs)
    np.testing.assert_array_equal(inputs, copy)


def test_colours_matter(backbone):
    if isinstance(backbone.input, SoundInput):
        return
    inputs = inputs_for(backbone, 2)
    red, blue = backbone.features(inputs), backbone.features(inputs[..., ::-1])
    assert np.abs(red.astype(np.float64) - blue).max() > 1e-3 * np.abs(red).max()


def test_inputs_of_another_kind_are_refused(backbone):
    inputs = inputs_for(backbone, 2)
    with pytest.raises(ValueError, match="uint8|float32"):
        backbone.features(inputs.astype(np.float64))
    with pytest.raises(ValueError):
        backbone.features(inputs[None])


def test_head_scores_its_classes(backbone):
    if backbone.head is None:
        return
    scores = backbone.head(backbone.features(inputs_for(backbone, 3)))
    assert scores.shape == (3, len(backbone.head.class_names)) and scores.dtype == np.float32
    assert len(set(backbone.head.class_names)) == len(backbone.head.class_names)
    assert (scores >= 0).all() and (scores <= 1).all()
    if backbone.head.activation == "softmax":
        np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", fast(["yt8m", "yt8m-audio", "onnx", "yamnet"], WITH_FILES))
def test_digest_tells_files_apart(name, tmp_path):
    first, again, other = (
        stand_in(name, tmp_path / folder, seed=seed) for folder, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.digest == again.digest != other.digest
    assert len(first.digest) == 64
    inputs = inputs_for(first, 1)
    features = first.features(inputs).astype(np.float64)
    assert np.abs(features - other.features(inputs)).max() > 1e-3 * np.abs(features).max()


def files_of(folder):
    """Files of a stand-in that hold weights, largest first."""
    return sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: -path.stat().st_size)


DAMAGE = {
    "absent": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut short": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "something else": lambda path: path.write_bytes(b"no weights at all\n" * 100),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("name", marked(WITH_FILES))
def test_a_bad_file_is_named_in_one_sentence(name, kind, tmp_path):
    argument = STAND_INS[name](tmp_path, 0)
    DAMAGE[kind](files_of(tmp_path)[0])
    with pytest.raises(InputError) as caught:
        load_backbone(f"{name}:{argument}")
    message = str(caught.value)
    assert str(tmp_path) in message and "\n" not in message and len(message) < 600, message


@pytest.mark.parametrize("name", marked(WITH_FILES))
def test_a_spec_without_a_file(name, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(InputError, match=f"(?s){name}") as caught:
        load_backbone(name)
    assert "\n" not in str(caught.value)


PACKAGES = {
    "hf": ("transformers", "'yt8m[torch-backbones]'"),
    "onnx": ("onnxruntime", "onnxruntime"),
    "timm": ("timm", "'yt8m[torch-backbones]'"),
    "torchvision": ("torchvision", "'yt8m[torch-backbones]'"),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_missing_package_is_named_with_its_command(name, tmp_path, monkeypatch):
    package, extra = PACKAGES[name]
    argument = STAND_INS["onnx"](tmp_path, 0) if name == "onnx" else f"resnet18={tmp_path}"
    for module in [package, *(module for module in sys.modules if module.startswith(f"{package}."))]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=f"{name}.* needs {package}: pip install {re.escape(extra)}$"):
        load_backbone(f"{name}:{argument}")


def test_pictures_say_how_they_are_scaled(backbone):
    if isinstance(backbone.input, SoundInput):
        return
    given = dataclasses.asdict(backbone.input)
    assert given["interpolation"] in ("bilinear", "bicubic")
    assert given["frames"] >= 1 and given["rate"] > 0
    if given["size"] and given["shorter_side"]:
        assert given["shorter_side"] >= min(given["size"])
