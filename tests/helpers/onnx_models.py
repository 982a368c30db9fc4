"""Small ONNX models: a matrix over the mean of every channel, of pictures or clips in any order of axes; one of sound."""

import json

import numpy as np


def picture_model(layout, *, lengths, weights, dtype=1):
    """A ModelProto that takes ``layout``, of the lengths given (None for any), and gives mean over all but N and C @ weights."""
    from onnx import helper, numpy_helper

    axes = [axis for axis, name in enumerate(layout) if name not in "NC"]
    shape = ["n" if name == "N" and lengths.get("N") is None else lengths.get(name) for name in layout]
    nodes = [helper.make_node("Cast", ["x"], ["f"], to=1)] if dtype != 1 else []
    nodes += [
        helper.make_node("ReduceMean", ["f" if nodes else "x"], ["m"], axes=axes, keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info("y", 1, [None, weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def sound_model(samples, weights):
    """A ModelProto of (N, samples) -> (N, D)."""
    from onnx import helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", samples])],
        [helper.make_tensor_value_info("y", 1, ["n", weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def write_model(folder, model, **description):
    """Path of the model in ``folder``, with the JSON of the description beside it."""
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    (folder / "net.json").write_text(json.dumps(description))
    return path


def random_weights(rows, columns, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
