import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.small_models import small_model
from yt8m.config import TrainConfig
from yt8m.models.initialization import step_counter
from yt8m.train_parts import RateConfig
from yt8m.training.optimizer_wrappers import (
    ExponentialMovingAverage,
    LayerDecay,
    Lookahead,
    StochasticWeightAveraging,
    layer_factors,
)
from yt8m.training.optimizers import Adam, RectifiedAdam, make_optimizer
from yt8m.training.schedules import WarmUp, learning_rate_schedule
from yt8m.types import InputError

SHAPES = ((4, 3), (3,))


def trajectory(optimizer, *, steps=5, scale=1.0):
    """The variables after every step of an optimizer on given gradients."""
    random = np.random.default_rng(0)
    variables = [keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in SHAPES]
    optimizer.build(variables)
    values = []
    for _ in range(steps):
        gradients = [keras.ops.convert_to_tensor((scale * random.normal(size=s)).astype(np.float32)) for s in SHAPES]
        optimizer.apply(gradients, variables)
        values += [np.array(variable) for variable in variables]
    return np.concatenate([value.ravel() for value in values])


@pytest.mark.parametrize("scale", [0.01, 10.0])
@pytest.mark.parametrize("weight_decay", [None, 0.1])
def test_adam_steps_as_that_of_keras(scale, weight_decay):
    ours = trajectory(Adam(0.1, clip_variable_norm=1.0, weight_decay=weight_decay), scale=scale)
    theirs = trajectory(keras.optimizers.Adam(0.1, clipnorm=1.0, weight_decay=weight_decay), scale=scale)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=5e-6)
    assert not np.allclose(ours, trajectory(Adam(0.1, weight_decay=weight_decay), scale=scale)) or scale < 1


def test_one_adam_step_by_hand():
    variable = keras.Variable(np.array([1.0, 2.0], np.float32))
    optimizer = Adam(0.5, clip_variable_norm=5.0, epsilon=1e-7)
    optimizer.build([variable])
    optimizer.apply([keras.ops.convert_to_tensor(np.array([6.0, -8.0], np.float32))], [variable])
    # The first step is the learning rate against the sign, whatever the size of the gradient.
    # Backends round the bias corrections differently.
    np.testing.assert_allclose(variable, [0.5, 2.5], atol=1e-5)
    np.testing.assert_allclose(optimizer.momenta[0], [0.3, -0.4], atol=1e-6)
    np.testing.assert_allclose(optimizer.velocities[0], [0.009, 0.016], atol=1e-6)


def test_settings_survive_saving():
    config = TrainConfig(weight_decay=0.1, clip_gradient_norm=2.0)
    optimizer = make_optimizer(config)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is Adam and again.clip_variable_norm == 2.0 and again.weight_decay == 0.1
    assert float(again.learning_rate) == pytest.approx(1e-4)


GOLDEN = ROOT / "tests" / "oracle" / "optimizers.npz"
ORACLES = {
    "radam": lambda: RectifiedAdam(0.05),
    "radam.weight_decay": lambda: RectifiedAdam(0.05, weight_decay=0.1),
    "radam.betas": lambda: RectifiedAdam(0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-3),
    "lookahead.sgd": lambda: Lookahead(keras.optimizers.SGD(0.1), sync_period=6, slow_step_size=0.5),
    "lookahead.radam": lambda: Lookahead(RectifiedAdam(0.05), sync_period=4, slow_step_size=0.3),
    "swa.sgd": lambda: StochasticWeightAveraging(keras.optimizers.SGD(0.1), start_averaging=5, average_period=3),
    "swa.adam": lambda: StochasticWeightAveraging(keras.optimizers.Adam(0.05), start_averaging=0, average_period=10),
}


def flat(variables):
    return np.concatenate([np.asarray(variable).ravel() for variable in variables])


@pytest.mark.parametrize("name", ORACLES)
def test_steps_are_those_of_tensorflow_addons(name):
    golden = np.load(GOLDEN, allow_pickle=False)
    variables = [keras.Variable(golden[f"start.{i}"]) for i in range(2)]
    optimizer = ORACLES[name]()
    # Its inner Adam is Keras's, which rounds differently.
    atol = 1e-5 if name == "swa.adam" else 1e-6
    optimizer.build(variables)
    for step, expected in enumerate(golden[name]):
        optimizer.apply([keras.ops.convert_to_tensor(golden[f"gradient.{i}"][step]) for i in range(2)], variables)
        np.testing.assert_allclose(flat(variables), expected, atol=atol, rtol=1e-5, err_msg=f"step {step}")
        if f"{name}.average" in golden and optimizer.iterations > optimizer.start_averaging:
            np.testing.assert_allclose(flat(optimizer.averages), golden[f"{name}.average"][step], atol=atol, rtol=1e-5)


def test_moving_average_is_that_of_the_definition():
    variable = keras.Variable(np.array([1.0], np.float32))
    optimizer = ExponentialMovingAverage(keras.optimizers.SGD(1.0), momentum=0.5)
    optimizer.build([variable])
    average, value = 1.0, 1.0
    for step in range(1, 5):
        optimizer.apply([keras.ops.convert_to_tensor(np.array([0.25], np.float32))], [variable])
        value -= 0.25
        kept = min(0.5, step / (step + 9))
        average = kept * average + (1 - kept) * value
        np.testing.assert_allclose([float(variable[0]), float(optimizer.averages[0][0])], [value, average], rtol=1e-6)
    optimizer.swap()
    np.testing.assert_allclose([float(variable[0]), float(optimizer.averages[0][0])], [average, value], rtol=1e-6)


@pytest.mark.parametrize("wrap", [
    lambda inner: inner,
    lambda inner: ExponentialMovingAverage(inner, momentum=0.5),
    lambda inner: ExponentialMovingAverage(LayerDecay(inner, factors=[1.0, 1.0]), momentum=0.5),
])  # fmt: skip
def test_an_optimizer_within_others_counts_the_steps(wrap):
    """Adam corrects its moments by their number: within others it steps as it does alone."""
    np.testing.assert_allclose(trajectory(wrap(Adam(0.1))), trajectory(Adam(0.1)), rtol=1e-6, atol=1e-7)


def test_layer_decay_is_a_rate_for_each_variable():
    variables = [keras.Variable(np.array([1.0, 2.0], np.float32)) for _ in range(2)]
    optimizer = LayerDecay(keras.optimizers.SGD(0.5), factors=[0.25, 1.0])
    optimizer.build(variables)
    for _ in range(2):
        optimizer.apply([keras.ops.convert_to_tensor(np.array([1.0, -2.0], np.float32))] * 2, variables)
    np.testing.assert_allclose(variables, [[0.75, 2.5], [0.0, 4.0]], rtol=1e-6)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is LayerDecay and again.factors == [0.25, 1.0] and type(again.inner) is keras.optimizers.SGD


def test_layers_are_as_far_below_the_head_as_their_group():
    model = small_model("slowfast")
    factors = dict(zip(
        (variable.path for variable in model.trainable_variables),
        layer_factors(model, model.trainable_variables, decay=0.5),
    ))  # fmt: skip
    expected = {"head": 0, "slow3": 1, "fast3": 1, "lateral3": 1, "fast0": 4, "lateral0": 4, "fast_stem": 5}
    for part, above in expected.items():
        assert {factor for path, factor in factors.items() if f"/{part}/" in path} == {0.5**above}, part
    moe = small_model("moe", {"hidden_sizes": [4]})
    found = layer_factors(moe, moe.trainable_variables, decay=0.5)
    assert set(found) == {0.5, 1.0}


@pytest.mark.parametrize("settings", [{}, {"lookahead": True}, {"averaging": "ema", "optimizer": "sgd"}])
def test_accumulated_batches_step_by_their_mean_gradient(settings):
    """Three batches, then three more, as two steps by the means; what is not yet a step is left in the accumulators."""
    shared = {"base_learning_rate": 0.1, "clip_gradient_norm": 1e6, **settings}
    gradients = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
    ends = []
    for count, given in ((3, gradients), (1, gradients[:6].reshape(2, 3, 4).mean(axis=1))):
        variable = keras.Variable(np.ones(4, np.float32))
        optimizer = make_optimizer(TrainConfig(**shared, rate=RateConfig(accumulate_batches=count)))
        optimizer.build([variable])
        for gradient in given:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        assert int(step_counter(optimizer)) == len(given) and int(optimizer.iterations) == 2
        ends.append(np.asarray(variable))
        again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
        assert (again.gradient_accumulation_steps or 1) == count
    np.testing.assert_allclose(*ends, rtol=1e-5)
    assert np.abs(ends[0] - 1).min() > 1e-3


def test_warm_up_and_cosine_by_hand():
    config = TrainConfig(base_learning_rate=0.8, max_steps=8, rate=RateConfig(schedule="cosine", warmup_steps=4))
    schedule = learning_rate_schedule(config)
    half = np.array([1, 1 / np.sqrt(2), 0, -1 / np.sqrt(2), -1])
    np.testing.assert_allclose(
        [float(schedule(step)) for step in (0, 2, 4, 6, 8)],
        0.8 * (1 + half) / 2 * [1 / 4, 3 / 4, 1, 1, 1], rtol=1e-5, atol=1e-7,
    )  # fmt: skip
    again = WarmUp.from_config(schedule.get_config())
    assert [float(again(step)) for step in range(8)] == [float(schedule(step)) for step in range(8)]
    exponential = learning_rate_schedule(
        TrainConfig(
            base_learning_rate=0.8,
            batch_size=10,
            learning_rate_decay=0.5,
            learning_rate_decay_examples=30,
            rate=RateConfig(warmup_steps=2),
        )
    )
    np.testing.assert_allclose([float(exponential(step)) for step in range(4)], [0.4, 0.8, 0.8, 0.4], rtol=1e-6)


@pytest.mark.parametrize("settings, message", [
    ({"rate": RateConfig(schedule="cosine")}, "learning_rate_schedule cosine ends at max_steps: set it"),
    ({"multigrid": True, "rate": RateConfig(warmup_steps=3)}, "multigrid has a learning rate of its own"),
    ({"multigrid": True, "rate": RateConfig(accumulate_batches=3)}, "multigrid has a learning rate of its own"),
])  # fmt: skip
def test_rates_that_do_not_go_together(settings, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**settings)


@pytest.mark.parametrize("optimizer", ["adam", "rectified_adam", "lamb", "sgd"])
@pytest.mark.parametrize("averaging", ["none", "ema", "swa"])
@pytest.mark.slow
def test_every_combination_trains_and_is_saved(optimizer, averaging, tmp_path):
    config = TrainConfig(
        optimizer=optimizer,
        averaging=averaging,
        lookahead=True,
        base_learning_rate=0.01,
        swa_period=2,
        weight_decay=0.01,
    )
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.compile(optimizer=make_optimizer(config), loss="mse")
    features, targets = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    losses = [float(model.train_on_batch(features, targets)) for _ in range(20)]
    assert losses[-1] < losses[0]
    path = str(tmp_path / "model.keras")
    model.save(path)
    again = keras.saving.load_model(path, safe_mode=True)
    assert len({id(variable) for variable in model.optimizer.variables}) == len(model.optimizer.variables)
    kept = [np.asarray(variable) for variable in model.optimizer.variables]
    restored = [np.asarray(variable) for variable in again.optimizer.variables]
    for one, other in zip(kept, restored, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(
        again.train_on_batch(features, targets), model.train_on_batch(features, targets), rtol=1e-5
    )


@pytest.mark.parametrize("averaging", ["none", "ema", "swa"])
def test_fit_starts_copies_where_the_variables_start(averaging):
    config = TrainConfig(averaging=averaging, lookahead=True, optimizer="sgd", base_learning_rate=0.01, swa_period=4)
    features, targets = np.ones((28, 3), np.float32), np.zeros((28, 2), np.float32)
    trained = []
    for built_before in (True, False):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, bias_initializer="ones")])
        model.compile(optimizer=make_optimizer(config), loss="mse")
        if built_before:
            model.optimizer.build(model.trainable_variables)
        model.fit(features, targets, batch_size=4, shuffle=False, verbose=0)
        trained.append([np.array(variable) for variable in model.trainable_variables + model.optimizer.variables])
    for one, other in zip(*trained, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() == "jax", reason="this is what it runs")
def test_all_of_it_under_jax():
    pytest.importorskip("jax")
    names = (
        "training/test_optimizers.py",
        "models/test_learner.py",
        "models/test_slowfast.py",
        "models/test_tanet.py",
        "training/test_super_resolution.py::test_training_killed_behind_its_last_step_is_scored_and_kept",
        "layers",
    )
    tests = [f"tests/{name}" for name in names]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", *tests], cwd=ROOT, env=os.environ | {"KERAS_BACKEND": "jax"},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
