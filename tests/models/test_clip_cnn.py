"""A network of pictures on every picture of a clip, against that network called on each by itself."""

import keras
import numpy as np
import pytest

from tests.helpers.small_models import data_config, inputs_of, small_model
from yt8m.config import ClipConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.splits import Source
from yt8m.models.base import build_model
from yt8m.models.published import load_published
from yt8m.runtime.keras_networks import keras_networks
from yt8m.training.train import train
from yt8m.types import InputError


def built(**hyperparameters):
    return build_model(ModelConfig(name="clip_cnn", hyperparameters=hyperparameters), data_config("clip_cnn"))


@pytest.fixture(scope="module")
def model():
    return small_model("clip_cnn")


@pytest.mark.parametrize("network", ["MobileNet", pytest.param("VGG16", marks=pytest.mark.slow)])
def test_the_vector_is_the_mean_of_those_of_real_pictures(network):
    model = small_model("clip_cnn", {"network": network})
    inputs = inputs_of(model)
    prepare = keras_networks()[network][1]
    each = [
        np.mean(
            [np.asarray(model.network(prepare(picture[None].astype(np.float32))))[0] for picture in clip[:count]], 0
        )
        for clip, count in zip(inputs["pictures"], inputs["num_frames"])
    ]
    assert np.std(each, axis=0).max() > 1e-3
    np.testing.assert_allclose(model.embed(inputs), each, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("is_whole", [True, False])
def test_published_weights_of_the_network_are_loaded(model, is_whole, tmp_path):
    build, _ = keras_networks()["MobileNet"]
    keras.utils.set_random_seed(5)
    if is_whole:
        given = build(weights=None, classes=1000)
    else:
        given = build(weights=None, include_top=False, pooling="avg", input_shape=(None, None, 3))
    path = tmp_path / "mobilenet.weights.h5"
    given.save_weights(path)
    other = built(network="MobileNet")
    left = load_published(other, path)
    assert left == [variable.path for variable in other.head.variables]
    assert len(other.network.weights) > 100
    for variable, wanted in zip(other.network.weights, given.weights):
        np.testing.assert_array_equal(variable, wanted)


def test_files_of_another_network_are_refused(model, tmp_path):
    other = keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3)])
    other.save_weights(tmp_path / "other.weights.h5")
    with pytest.raises(InputError, match=r"other\.weights\.h5 is not weights of MobileNet: "):
        load_published(built(network="MobileNet"), tmp_path / "other.weights.h5")


def test_networks_that_are_not_there_and_pictures_that_are_too_small_are_named(model):
    with pytest.raises(InputError, match="network is 'AlexNet'; valid: ConvNeXtBase, .*, VGG16"):
        built(network="AlexNet")
    inputs = {"pictures": np.zeros((1, 2, 16, 16, 3), np.uint8), "num_frames": np.array([2])}
    with pytest.raises(InputError, match="^MobileNet shrinks pictures more often than 16 x 16 pixels allow: raise"):
        model(inputs)


def test_pictures_that_are_too_small_are_refused_before_there_is_a_run(tmp_path):
    run = RunConfig(
        model=ModelConfig(name="clip_cnn", hyperparameters={"network": "MobileNet"}),
        data=data_config("clip_cnn", clip=ClipConfig(size=16)),
        train=TrainConfig(),
        train_data_pattern="nowhere",
    )
    source = Source(files=())
    with pytest.raises(InputError, match="MobileNet shrinks pictures more often"):
        train(run, train_dir=str(tmp_path / "run"), source=source)
    assert not (tmp_path / "run" / "config.json").exists()


def test_every_weight_is_in_one_of_twelve_groups_or_the_head(model):
    *groups, head = model.depth_groups
    assert len(groups) <= 12 and head == [model.head]
    found = [variable.path for group in groups for layer in group for variable in layer.weights]
    assert sorted(found) == sorted(variable.path for variable in model.network.weights)
