"""Losses of pairs by hand, and vectors that learn similarity."""

import keras
import numpy as np
import pytest

from tests.helpers.small_models import inputs_of, small_model
from yt8m.config import SimilarityConfig
from yt8m.models.pair_learner import PairLearner, cosent_loss


def projected(name="frame_bert", size=6):
    model = small_model(name)
    config = model.get_config() | {"projection_size": size}
    keras.utils.set_random_seed(3)
    model = type(model).from_config(config)
    model.build()
    return model


@pytest.fixture(scope="module")
def model():
    return projected()


def pairs_of(model):
    return {name: values.reshape(3, 2, *values.shape[1:]) for name, values in inputs_of(model).items()}


def test_cosines_are_those_of_projected_vectors(model):
    vectors = np.asarray(model.embed(inputs_of(model))) @ np.asarray(model.projection.kernel)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert vectors.shape == (6, 6)
    found = PairLearner(model)(pairs_of(model), training=False)
    np.testing.assert_allclose(found, (vectors[::2] * vectors[1::2]).sum(axis=1), atol=1e-5)


def test_squared_error_by_hand(model):
    learner = PairLearner(model)
    loss = learner.compute_loss(y={"similarity": np.array([1.0, 0.5])}, y_pred=np.array([0.0, 1.0], np.float32))
    assert float(loss) == pytest.approx((1 + 0.25) / 2)


def test_cosent_by_hand_and_by_order_alone():
    cosines, wanted = np.array([0.1, 0.4, 0.3], np.float32), np.array([3.0, 1.0, 1.0], np.float32)
    # The first shall be above both others; these are equal, and have no order.
    expected = np.log(1 + np.exp(20 * 0.3) + np.exp(20 * 0.2))
    assert float(cosent_loss(cosines, wanted, scale=20.0)) == pytest.approx(expected, rel=1e-5)
    assert float(cosent_loss(cosines, wanted * 7 - 2, scale=20.0)) == pytest.approx(expected, rel=1e-5)
    assert float(cosent_loss(-cosines, -wanted, scale=20.0)) == pytest.approx(expected, rel=1e-5)
    assert float(cosent_loss(np.array([9.0, -9, -9], np.float32), wanted, scale=20.0)) == 0


@pytest.mark.parametrize("loss", ["mse", "cosent"])
def test_it_learns_and_leaves_the_head_alone(loss):
    model = projected()
    learner = PairLearner(model, similarity=SimilarityConfig(loss=loss))
    learner.compile(optimizer=keras.optimizers.Adam(1e-2), jit_compile=False)
    head = [np.asarray(variable) for variable in model.head.variables]
    features, targets = pairs_of(model), {"similarity": np.array([0.9, 0.1, -0.5], np.float32)}
    losses = [float(learner.train_on_batch(features, targets)) for _ in range(25)]
    assert losses[-1] < 0.5 * losses[0]
    for variable, before in zip(model.head.variables, head, strict=True):
        np.testing.assert_array_equal(variable, before)


def test_saved_and_loaded_alike(model, tmp_path):
    learner = PairLearner(model, similarity=SimilarityConfig(loss="cosent", scale=7.0, size=6))
    learner.save(tmp_path / "pairs.keras")
    loaded = keras.saving.load_model(tmp_path / "pairs.keras", safe_mode=True)
    assert loaded.get_config() == learner.get_config()
    np.testing.assert_array_equal(loaded(pairs_of(model)), learner(pairs_of(model)))
    model.save(tmp_path / "model.keras")
    alone = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(alone.embedding(inputs_of(model)), model.embedding(inputs_of(model)))


@pytest.mark.parametrize("name", ["moe", "gated_netvlad", pytest.param("tanet", marks=pytest.mark.slow)])
def test_every_model_takes_a_projection(name):
    model = projected(name, size=4)
    inputs = inputs_of(model)
    expected = np.asarray(model.embed(inputs)) @ np.asarray(model.projection.kernel)
    np.testing.assert_allclose(model.embedding(inputs), expected, atol=1e-5)
    assert model.for_classes([1, 0])(inputs).shape == (6, 2)
