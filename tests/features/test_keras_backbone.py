"""Networks of keras.applications as backbones, against what those networks say themselves."""

import h5py
import keras
import numpy as np
import pytest

from yt8m.features.backbones import load_backbone
from yt8m.runtime.keras_networks import keras_networks
from yt8m.types import InputError

SMALL = ["MobileNet"]
OTHERS = [
    "EfficientNetV2B0",
    "MobileNetV2",
    "MobileNetV3Small",
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "NASNetMobile",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "Xception",
]


def saved_network(name, path, **arguments):
    """A network whose weights at random tell pictures and classes apart, and which is saved to ``path``."""
    keras.utils.set_random_seed(7)
    network = getattr(keras.applications, name)(weights=None, **arguments)
    last = next(layer for layer in reversed(network.layers) if layer.weights)
    last.set_weights([weights + np.random.normal(0, 0.3, weights.shape) for weights in last.get_weights()])
    network.save_weights(path)
    return network


def pictures(backbone, number=3):
    return np.random.default_rng(0).integers(0, 256, (number, *backbone.input.size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS)])
def test_head_over_features_is_the_network_itself(name, tmp_path):
    path = tmp_path / "own.weights.h5"
    network = saved_network(name, path)
    backbone = load_backbone(f"keras:{name}={path}")
    images = pictures(backbone)
    _, preprocess = keras_networks()[name]
    wanted = network.predict_on_batch(preprocess(images.astype(np.float32)))
    scores = backbone.head(backbone.features(images))
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert np.ptp(scores, axis=1).min() > 1e-3
    assert backbone.input.shorter_side == round(backbone.input.size[0] / 0.875)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["h5", "weights.h5"])
def test_a_file_without_the_top_gives_features_alone(suffix, tmp_path):
    path = tmp_path / f"notop.{suffix}"
    network = saved_network("MobileNetV2", tmp_path / "n.weights.h5", include_top=False, input_shape=(224, 224, 3))
    if suffix == "h5":
        network.save(path)
    else:
        network.save_weights(path)
    backbone = load_backbone(f"keras:MobileNetV2={path}")
    assert backbone.head is None and backbone.size == 1280
    images = pictures(backbone)
    maps = network.predict_on_batch(images.astype(np.float32) / 127.5 - 1)
    np.testing.assert_allclose(backbone.features(images), maps.mean(axis=(1, 2)), atol=1e-5)


@pytest.mark.slow
def test_the_size_is_the_network_s_own(tmp_path):
    network = saved_network("InceptionV3", tmp_path / "own.weights.h5", include_top=False)
    backbone = load_backbone(f"keras:InceptionV3={tmp_path / 'own.weights.h5'}")
    assert backbone.input.size == (299, 299) and backbone.size == network.output_shape[-1]


@pytest.mark.slow
def test_what_is_no_network_or_no_weights_of_it(tmp_path):
    path = tmp_path / "own.weights.h5"
    saved_network("MobileNet", path)
    with pytest.raises(InputError, match=f"^{path} is not weights of MobileNetV2: "):
        load_backbone(f"keras:MobileNetV2={path}")
    with pytest.raises(InputError, match="there is no network 'mobilenetv2'; did you mean MobileNetV2"):
        load_backbone(f"keras:mobilenetv2={path}")
    for spec in ("keras:", "keras:MobileNet", "keras:MobileNet=", f"keras:={path}"):
        with pytest.raises(InputError, match="write keras:NAME=FILE"):
            load_backbone(spec)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.slow
def test_weights_that_a_file_lacks_or_that_are_no_numbers(seed, tmp_path):
    path = tmp_path / "own.weights.h5"
    keras.applications.MobileNet(weights=None, include_top=False, input_shape=(224, 224, 3)).save_weights(path)
    with h5py.File(path, "r+") as file:
        names = []
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        name = np.random.default_rng(seed).choice([name for name in names if file[name].ndim])
        if seed == 0:
            file[name][...] = np.inf
        else:
            del file[name]
    with pytest.raises(InputError, match=f"^{path} is not weights of MobileNet: "):
        load_backbone(f"keras:MobileNet={path}")


def test_every_network_has_its_scaling_of_pixels():
    networks = keras_networks()
    assert len(networks) >= 38
    values = np.full((1, 2, 2, 3), 128, np.float32)
    scaled = {name: float(np.ptp(preprocess(values.copy()))) for name, (_, preprocess) in networks.items()}
    # Those that were published in Caffe's form subtract a mean of each channel.
    assert {name for name, spread in scaled.items() if spread > 1} == {"ResNet50", "ResNet101", "ResNet152", "VGG16", "VGG19"}  # fmt: skip
