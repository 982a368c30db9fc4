"""Layers against slow NumPy twins of their equations, on masked frames."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from yt8m.layers.context_gating import ContextGating
from yt8m.layers.frame_pooling import METHODS, FramePooling
from yt8m.layers.logistic import Logistic
from yt8m.layers.masking import masked_mean, masked_softmax
from yt8m.layers.mixture_of_experts import MixtureOfExperts
from yt8m.layers.netvlad import NetVLAD, _normalized, unit_norm
from yt8m.layers.nextvlad import NeXtVLAD
from yt8m.layers.softmax import Softmax
from yt8m.layers.transformer_encoder import TransformerEncoder, TransformerLayer
from yt8m.models.losses import rated_binary_crossentropy

COUNTS = (5, 3, 1)
BN = 1 / np.sqrt(1 + 1e-3)  # A batch norm as it starts: mean 0, variance 1, epsilon 1e-3.


@pytest.fixture
def frames():
    keras.utils.set_random_seed(3)
    return np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)


@pytest.fixture
def frame_mask():
    return np.arange(5)[None] < np.array(COUNTS)[:, None]


def softmax(x, axis=-1):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unit(x, axis):
    return x / np.linalg.norm(x, axis=axis, keepdims=True)


def test_masked_mean_and_softmax(frames, frame_mask):
    mean, weights = np.asarray(masked_mean(frames, frame_mask)), np.asarray(masked_softmax(frames, frame_mask))
    for row, count in enumerate(COUNTS):
        np.testing.assert_allclose(mean[row], frames[row, :count].mean(0), atol=1e-6)
        np.testing.assert_allclose(weights[row, :count], softmax(frames[row, :count], axis=0), atol=1e-6)
        assert not weights[row, count:].any()
    assert not np.asarray(masked_mean(frames, frame_mask & False)).any()


@pytest.mark.parametrize("size", [1.0, 1e-9, 0.0], ids=str)
def test_netvlad_normalises_in_one_pass_as_in_two(size):
    descriptor = np.random.default_rng(0).normal(size=(3, 8, 4)).astype(np.float32)
    descriptor[0, :, 1] *= size
    descriptor[1] *= size
    twice = unit_norm(keras.ops.reshape(unit_norm(keras.ops.convert_to_tensor(descriptor), axis=1), (3, -1)), axis=1)
    once = keras.ops.reshape(_normalized(keras.ops.convert_to_tensor(descriptor)), (3, -1))
    np.testing.assert_allclose(np.asarray(once), np.asarray(twice), atol=1e-6)


def test_netvlad_on_real_frames_alone(frames, frame_mask):
    layer = NetVLAD(4)
    output = np.asarray(layer(frames, frame_mask=frame_mask))
    kernel, centres = np.asarray(layer.assignment.kernel), np.asarray(layer.centres)
    for row, count in enumerate(COUNTS):
        x = frames[row, :count].astype(np.float64)
        assigned = softmax(x @ kernel * BN)
        descriptor = np.stack(
            [sum(assigned[t, k] * (x[t] - centres[:, k]) for t in range(count)) for k in range(4)], axis=1
        )
        np.testing.assert_allclose(output[row], unit(unit(descriptor, 0).ravel(), 0), atol=1e-5)


def test_nextvlad_on_real_frames_alone(frames, frame_mask):
    layer = NeXtVLAD(3, groups=4, expansion=2)
    output = np.asarray(layer(frames, frame_mask=frame_mask))
    weight = lambda name: np.asarray(getattr(layer, name).kernel, np.float64)
    centres = np.asarray(layer.centres)
    for row, count in enumerate(COUNTS):
        wide = frames[row, :count] @ weight("widen")
        attention = sigmoid(wide @ weight("group_attention"))
        assigned = softmax((wide @ weight("assignment") * BN).reshape(count, 4, 3))
        grouped = wide.reshape(count, 4, 4)
        descriptor = np.zeros((4, 3))
        for t in range(count):
            for g in range(4):
                for k in range(3):
                    descriptor[:, k] += attention[t, g] * assigned[t, g, k] * (grouped[t, g] - centres[:, k])
        np.testing.assert_allclose(output[row], unit(descriptor, 0).ravel() * BN, atol=1e-5)


@pytest.mark.parametrize("reduction", [None, 4])
def test_context_gating(frames, reduction):
    x = frames[:, 0]
    layer = ContextGating(reduction=reduction)
    output = np.asarray(layer(x))
    gates = x @ np.asarray(layer.squeeze.kernel) * BN
    if reduction:
        gates = np.maximum(gates, 0) @ np.asarray(layer.excite.kernel)
    np.testing.assert_allclose(output, sigmoid(gates) * x, atol=1e-5)


def test_context_gating_of_some_units_gives_what_all_would(frames):
    x = frames[:, 0]
    layer = ContextGating()
    expected = np.asarray(layer(x))[:, [5, 1]]
    some = layer.for_columns([5, 1])
    assert some.squeeze.kernel.shape == (8, 2)
    np.testing.assert_allclose(some(x), expected, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_frame_pooling(frames, frame_mask, method):
    layer = FramePooling(method)
    output = np.asarray(layer(frames, frame_mask=frame_mask))
    for row, count in enumerate(COUNTS):
        x = frames[row, :count]
        if method == "first":
            expected = x[0]
        elif method == "mean":
            expected = x.mean(0)
        elif method == "concat":
            expected = np.concatenate([x, np.zeros((5 - count, 8))]).ravel()
        elif method == "attention":
            w = np.asarray(layer.score.kernel)[:, 0]
            alpha = np.exp(x @ w) / np.exp(x @ w).sum()
            expected = sum(a * frame for a, frame in zip(alpha, x))
        else:
            hidden = np.tanh(x @ np.asarray(layer.project.kernel) + np.asarray(layer.project.bias))
            expected = (softmax(hidden @ np.asarray(layer.score.kernel), axis=0) * x).sum(0)
        np.testing.assert_allclose(output[row], expected, atol=1e-5)


def test_transformer_sees_real_frames_alone(frames, frame_mask):
    layer = TransformerLayer(2, feed_forward_size=12)
    output = np.asarray(layer(frames, frame_mask=frame_mask))
    for row, count in enumerate(COUNTS):
        alone = layer(frames[row : row + 1, :count], frame_mask=np.ones((1, count), bool))
        np.testing.assert_allclose(output[row, :count], np.asarray(alone)[0], atol=1e-5)


def test_loss_counts_rated_pairs_by_their_weight():
    labels = np.array([[1, 0, 1], [0, 0, 1]], np.float32)
    probabilities = np.array([[0.9, 0.2, 0.5], [0.4, 0.6, 0.7]], np.float32)
    rated = np.array([[1, 0.5, 0], [0, 1, 1]], np.float32)
    expected = -(np.log(0.9) + 0.5 * np.log(0.8) + np.log(0.4) + np.log(0.7)) / 2
    assert float(rated_binary_crossentropy(labels, probabilities, rated)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "layer",
    [
        NetVLAD(4),
        NeXtVLAD(3, groups=4),
        ContextGating(reduction=2),
        ContextGating(columns=[5, 1]),
        FramePooling("attention"),
        FramePooling("additive_attention"),
        TransformerEncoder(1, num_heads=2, feed_forward_size=6, hidden_size=4, positions="learned"),
        MixtureOfExperts(5, num_mixtures=2),
        Logistic(5),
        Softmax(5),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trip(layer, frames, frame_mask):
    twin = type(layer).from_config(layer.get_config())
    assert twin.get_config() == layer.get_config()
    pools = not isinstance(layer, (ContextGating, MixtureOfExperts, Logistic, Softmax))
    call = (lambda item: item(frames, frame_mask=frame_mask)) if pools else (lambda item: item(frames[:, 0]))
    output = call(layer)
    call(twin)
    twin.set_weights(layer.get_weights())
    np.testing.assert_array_equal(output, call(twin))


def test_softmax_is_the_equation():
    layer = Softmax(3)
    vectors = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    np.testing.assert_allclose(layer(vectors * 0), np.full((4, 3), 1 / 3), atol=1e-7)
    kernel, bias = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 900.0]]), np.array([0.1, 0.2, -0.3])
    layer.set_weights([kernel, bias])
    powers = np.exp((logits := vectors @ kernel + bias) - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(layer(vectors), powers / powers.sum(axis=1, keepdims=True), atol=1e-6)


def outputs_and_gradients(layer, weights, *arguments, **options):
    """The output of a layer, and the gradients by its trainable weights of the output's sum, weighted by ``weights``."""
    if keras.backend.backend() == "jax":
        import jax

        def total(values):
            with keras.StatelessScope(state_mapping=list(zip(layer.trainable_variables, values))):
                output = layer(*arguments, **options)
            return (output * weights).sum(), output

        (_, output), gradients = jax.value_and_grad(total, has_aux=True)([v.value for v in layer.trainable_variables])
    else:
        with tf.GradientTape() as tape:
            output = layer(*arguments, **options)
            total = tf.reduce_sum(output * weights)
        gradients = tape.gradient(total, [variable.value for variable in layer.trainable_variables])
    return [output, *gradients]


@pytest.mark.parametrize("frames", [1, 7])
def test_nextvlad_is_the_same_whichever_products_come_first(frames):
    """Values and gradients of all weights, with the widening before, within and behind the other products."""
    layer = NeXtVLAD(6, groups=4)
    layer.build((None, frames, 8))
    random = np.random.default_rng(0)
    for variable in layer.trainable_variables:
        variable.assign(random.normal(size=variable.shape) * 0.3)
    values = random.normal(size=(5, frames, 8)).astype("float32")
    mask = np.arange(frames) < np.array([[frames], [1], [frames], [max(1, frames - 2)], [1]])
    weights = random.normal(size=(5, 4 * 6)).astype("float32")
    found = []
    for composes, aggregates_first in ((False, False), (True, False), (True, True)):
        layer._cheapest = lambda shape, ways=(composes, aggregates_first): ways
        found.append(outputs_and_gradients(layer, weights, values, frame_mask=mask, training=True))
    for other in found[1:]:
        for ours, direct in zip(other, found[0], strict=True):
            np.testing.assert_allclose(ours, direct, rtol=1e-4, atol=2e-5)


def test_nextvlad_multiplies_out_where_a_batch_has_many_frames():
    layer = NeXtVLAD(112)
    layer.build((None, 5, 1024))
    ways = {frames: layer._cheapest((None, frames, 1024)) for frames in (None, 5, 60, 300)}
    assert ways == {None: (False, False), 5: (False, False), 60: (True, False), 300: (True, True)}
    assert NeXtVLAD(112, expansion=1)._cheapest((None, 300, 1024)) == (False, False)
