"""What is made with nothing drawn, and what is made after it."""

import keras
import numpy as np
import pytest

from yt8m.runtime.weightless import nothing_drawn

INITIALIZERS = ("RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "GlorotUniform", "HeNormal")


@pytest.mark.parametrize("name", INITIALIZERS)
def test_what_would_be_drawn_is_zeros_within_and_drawn_again_after(name):
    kind = getattr(keras.initializers, name)
    drawn = np.asarray(kind(seed=1)((3, 4)))
    with nothing_drawn():
        layer = keras.layers.Dense(4, kernel_initializer=kind(seed=1))
        layer.build((None, 3))
        np.testing.assert_array_equal(layer.kernel, 0)
    np.testing.assert_array_equal(kind(seed=1)((3, 4)), drawn)
    assert np.ptp(drawn) > 0


def test_what_is_not_drawn_starts_as_ever():
    with nothing_drawn():
        layer = keras.layers.BatchNormalization()
        layer.build((None, 3))
    np.testing.assert_array_equal(layer.gamma, 1)


def test_what_ends_in_an_error_leaves_drawing_as_it_was():
    with pytest.raises(KeyError), nothing_drawn():
        raise KeyError("x")
    assert np.ptp(np.asarray(keras.initializers.RandomNormal()((3, 4)))) > 0
