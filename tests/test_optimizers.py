import keras
import numpy as np
import pytest

from yt8m.config import TrainConfig
from yt8m.optimizers import Adam, make_optimizer

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
    np.testing.assert_allclose(variable, [0.5, 2.5], atol=1e-6)
    np.testing.assert_allclose(optimizer._momentums[0], [0.3, -0.4], atol=1e-6)
    np.testing.assert_allclose(optimizer._velocities[0], [0.009, 0.016], atol=1e-6)


def test_settings_survive_saving():
    config = TrainConfig(weight_decay=0.1, clip_gradient_norm=2.0)
    optimizer = make_optimizer(config)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is Adam and again.clip_variable_norm == 2.0 and again.weight_decay == 0.1
    assert float(again.learning_rate) == pytest.approx(1e-4)
