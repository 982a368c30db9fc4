import keras
import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.config import ModelConfig
from yt8m.data.splits import Source
from yt8m.data.tfrecord import dequantize, write_records
from yt8m.models.base import build_model
from yt8m.training.finishing import adapt_batch_norm, average_weights
from yt8m.types import InputError

NETVLAD = {"num_clusters": 4, "hidden_size": 5, "num_mixtures": 1}


def make_model(seed, name="gated_netvlad", hyperparameters=NETVLAD):
    keras.utils.set_random_seed(seed)
    return build_model(ModelConfig(name=name, hyperparameters=hyperparameters), CONFIG)


def test_average_of_weights():
    models = [make_model(seed) for seed in range(3)]
    wanted = [np.mean(values, axis=0) for values in zip(*([np.array(v) for v in m.variables] for m in models))]
    average = average_weights(iter(models))
    assert average is models[0]
    for variable, value in zip(average.variables, wanted, strict=True):
        np.testing.assert_allclose(variable, value, rtol=1e-5, atol=1e-7)


@pytest.fixture
def source(tmp_path):
    path = str(tmp_path / "target.tfrecord")
    rng = np.random.default_rng(0)
    videos = [make_video(f"v{i}", frames=10, labels=None, segments=None) for i in range(5)]
    for video in videos:
        for frames in video.features.values():
            frames += rng.integers(0, 90, frames.shape)
    write_records(path, videos)
    return Source((path,)), videos


def test_batch_norm_takes_the_statistics_of_the_target(source):
    files, videos = source
    model = make_model(1)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    before = {variable.path: np.array(variable) for variable in model.variables}
    settings = [(layer.momentum, layer.epsilon) for layer in norms]
    assert adapt_batch_norm(model, files, CONFIG, windows="all", batch_size=4, show_progress=False) == 8
    assert [(layer.momentum, layer.epsilon) for layer in norms] == settings
    moving = {variable.path for layer in norms for variable in (layer.moving_mean, layer.moving_variance)}
    for variable in model.variables:
        assert np.array_equal(variable, before[variable.path]) == (variable.path not in moving), variable.path
    # The first one sees the frames' products with its clusters; ten segments are two batches of 4 and a rest.
    segments = [video.features["rgb"][start : start + 5] for video in videos for start in (0, 5)]
    kernel = next(np.array(v) for v in model.variables if v.path.endswith("assignment/kernel"))
    products = dequantize(np.array(segments, np.uint8)).astype(np.float64) @ kernel
    means = [products[first : first + 4].mean(axis=(0, 1)) for first in (0, 4)]
    variances = [products[first : first + 4].var(axis=(0, 1)) for first in (0, 4)]
    first = next(norm for norm in norms if norm.moving_mean.shape == (4,))
    np.testing.assert_allclose(first.moving_mean, np.mean(means, axis=0), atol=1e-4)
    np.testing.assert_allclose(first.moving_variance, np.mean(variances, axis=0), rtol=1e-3)


def test_adapting_twice_is_adapting_once(source):
    model = make_model(1)
    once = None
    for _ in range(2):
        adapt_batch_norm(model, source[0], CONFIG, windows="all", batch_size=4, show_progress=False)
        weights = [np.array(variable) for variable in model.variables]
        if once is not None:
            for one, other in zip(once, weights):
                np.testing.assert_allclose(one, other, rtol=1e-6)
        once = weights


def test_what_has_no_batch_norm_cannot_adapt(source):
    with pytest.raises(InputError, match="model logistic has no batch normalisation to adapt"):
        adapt_batch_norm(make_model(1, "logistic", {}), source[0], CONFIG, windows="all", batch_size=4)
