"""Layers give what the authors' own TF1 blocks gave on the same weights (../shared/golden)."""

import numpy as np
import pytest

from tests.helpers import shared_path
from yt8m.layers.mixture_of_experts import MixtureOfExperts
from yt8m.layers.netvlad import NetVLAD
from yt8m.layers.nextvlad import NeXtVLAD
from yt8m.layers.transformer_encoder import TransformerEncoder

TOLERANCE = 1e-5


def golden(name):
    return np.load(shared_path(f"golden/{name}.npz"), allow_pickle=False)


def all_real(frames):
    return np.ones(frames.shape[:2], bool)


def set_batch_norm(layer, data, prefix):
    layer.set_weights([data[f"{prefix}/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")])


def test_mixture_of_experts():
    data = golden("moe")
    layer = MixtureOfExperts(10, num_mixtures=3)
    layer.build(data["in/x"].shape)
    class_major = lambda values, count: values.reshape(*values.shape[:-1], 10, count)
    mixture_major = lambda values, count: np.swapaxes(class_major(values, count), -1, -2).reshape(values.shape)
    layer.gates.set_weights([mixture_major(data["var/gates/weights"], 4)])
    layer.experts.set_weights(
        [mixture_major(data["var/experts/weights"], 3), mixture_major(data["var/experts/biases"], 3)]
    )
    np.testing.assert_allclose(layer(data["in/x"]), data["out/predictions"], atol=TOLERANCE)


def test_netvlad():
    data = golden("netvlad")
    layer = NetVLAD(6)
    layer.build(data["in/x"].shape)
    layer.assignment.set_weights([data["var/conv2/cluster_weights"]])
    set_batch_norm(layer.assignment_norm, data, "var/cluster_bn")
    layer.centres.assign(data["var/cluster_weights2/cluster_weights2"][0])
    output = layer(data["in/x"], frame_mask=all_real(data["in/x"]))
    np.testing.assert_allclose(output, data["out/output"], atol=TOLERANCE)


def test_nextvlad():
    data = golden("nextvlad")
    layer = NeXtVLAD(6, groups=4, expansion=2)
    layer.build(data["in/x"].shape)
    layer.widen.set_weights([data["var/fully_connected/weights"], data["var/fully_connected/biases"]])
    layer.group_attention.set_weights([data["var/fully_connected_1/weights"], data["var/fully_connected_1/biases"]])
    layer.assignment.set_weights([data["var/cluster_weights"]])
    set_batch_norm(layer.assignment_norm, data, "var/cluster_bn")
    set_batch_norm(layer.descriptor_norm, data, "var/vlad_bn")
    layer.centres.assign(data["var/cluster_weights2"][0])
    output = layer(data["in/x"], frame_mask=all_real(data["in/x"]))
    np.testing.assert_allclose(output, data["out/output"], atol=TOLERANCE)


@pytest.mark.parametrize("depth", [1, 2])
def test_transformer(depth):
    data = golden("transformer")
    encoder = TransformerEncoder(depth, num_heads=4, feed_forward_size=40)
    encoder.build(data["in/x"].shape)
    for i, layer in enumerate(encoder.layers):
        part = lambda name, i=i: data[f"var/layer_{i}/{name}"]
        parts = ("query", "key", "value")
        layer.query_key_value.set_weights(
            [
                np.concatenate([part(f"attention/self/{p}/kernel") for p in parts], axis=1),
                np.concatenate([part(f"attention/self/{p}/bias") for p in parts]),
            ]
        )
        layer.attention_output.set_weights([part("attention/output/dense/kernel"), part("attention/output/dense/bias")])
        layer.intermediate.set_weights([part("intermediate/dense/kernel"), part("intermediate/dense/bias")])
        layer.output_dense.set_weights([part("output/dense/kernel"), part("output/dense/bias")])
        layer.attention_norm.set_weights(
            [part("attention/output/LayerNorm/gamma"), part("attention/output/LayerNorm/beta")]
        )
        layer.output_norm.set_weights([part("output/LayerNorm/gamma"), part("output/LayerNorm/beta")])
    output = encoder(data["in/x"], frame_mask=all_real(data["in/x"]))
    np.testing.assert_allclose(output, data[f"out/layer_{depth - 1}"], atol=TOLERANCE)
