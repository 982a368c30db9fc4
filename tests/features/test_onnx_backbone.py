"""Exported networks: every order of axes, the JSON beside them, weights in other files, and Keras' own outputs."""

import json
import re

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the onnx package, which makes the models, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

from tests.helpers import ROOT  # noqa: E402
from tests.helpers.backbones import inputs_for  # noqa: E402
from tests.helpers.onnx_models import picture_model, random_weights, sound_model, write_model  # noqa: E402
from tests.helpers.torch_folders import needs  # noqa: E402
from yt8m.features.backbones import SoundInput, load_backbone  # noqa: E402
from yt8m.features.backbones.pictures import IMAGENET_MEAN, IMAGENET_STD  # noqa: E402
from yt8m.types import InputError  # noqa: E402

MEAN, STD = [0.1, 0.5, 0.3], [0.2, 0.9, 1.5]
PICTURES = {"size": [6, 8], "mean": MEAN, "std": STD}
WEIGHTS = random_weights(3, 7)
LAYOUTS = ["NHWC", "NCHW", "NTHWC", "NTCHW", "NCTHW"]


def twin(inputs, weights=WEIGHTS, scale=1 / 255):
    """Mean of each channel of the normalised pictures or clips, times a matrix, in float64."""
    rows = [[[pixel[c] * scale for pixel in row.reshape(-1, 3).astype(float)] for c in range(3)] for row in inputs]
    means = [[(np.mean(values) - m) / s for values, m, s in zip(row, MEAN, STD)] for row in rows]
    return np.array(means) @ weights


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fixed", ["nothing", "batch", "all"])
def test_every_order_of_axes(layout, fixed, tmp_path):
    known = {"C": 3} | ({"N": 2} if fixed != "nothing" else {}) | ({"H": 6, "W": 8, "T": 4} if fixed == "all" else {})
    description = PICTURES | ({"frames": 4, "rate": 2.5} if "T" in layout else {})
    if fixed == "all":
        del description["size"]
    path = write_model(tmp_path, picture_model(layout, lengths=known, weights=WEIGHTS), **description)
    backbone = load_backbone(f"onnx:{path}")
    assert backbone.input.size == (6, 8) and backbone.size == 7 and backbone.head is None
    assert (backbone.input.frames, backbone.input.rate) == ((4, 2.5) if "T" in layout else (1, 1.0))
    inputs = inputs_for(backbone, 5)
    np.testing.assert_allclose(backbone.features(inputs), twin(inputs), atol=1e-4)


@pytest.mark.parametrize("dtype", [10, 2])
def test_networks_of_half_precision_and_of_bytes(dtype, tmp_path):
    model = picture_model("NHWC", lengths={"C": 3}, weights=WEIGHTS, dtype=dtype)
    backbone = load_backbone(f"onnx:{write_model(tmp_path, model, **(PICTURES if dtype == 10 else {'size': [6, 8]}))}")
    inputs = inputs_for(backbone, 3)
    features = backbone.features(inputs)
    assert features.dtype == np.float32
    raw = inputs.reshape(3, -1, 3).mean(axis=1) @ WEIGHTS
    np.testing.assert_allclose(features, twin(inputs) if dtype == 10 else raw, rtol=1e-2, atol=1e-2)


def test_what_the_channels_do_not_say_is_asked_for(tmp_path):
    for layout, frames in (("NTCHW", 3), ("NCTHW", 3)):
        description = {"mean": MEAN, "std": STD, "frames": frames}
        model = picture_model(layout, lengths={"C": 3, "T": 3, "H": 6, "W": 8}, weights=WEIGHTS)
        path = write_model(tmp_path, model, **description)
        with pytest.raises(
            InputError, match="does not say where the channels are: .* layout, one of NTHWC, NTCHW, NCTHW"
        ):
            load_backbone(f"onnx:{path}")
        backbone = load_backbone(f"onnx:{write_model(tmp_path, model, **description, layout=layout)}")
        inputs = inputs_for(backbone, 2)
        np.testing.assert_allclose(backbone.features(inputs), twin(inputs), atol=1e-4)
    path = write_model(tmp_path, picture_model("NCHW", lengths={}, weights=WEIGHTS), **PICTURES)
    with pytest.raises(InputError, match="does not say where the channels are: .* layout, one of NHWC, NCHW"):
        load_backbone(f"onnx:{path}")


def test_scores_of_named_classes(tmp_path):
    names = list("abcdefg")
    model = picture_model("NCHW", lengths={"C": 3}, weights=WEIGHTS)
    for activation in ("softmax", "sigmoid"):
        path = write_model(tmp_path, model, **PICTURES, class_names=names, activation=activation)
        backbone = load_backbone(f"onnx:{path}")
        inputs = inputs_for(backbone, 3)
        raised = np.exp(twin(inputs))
        wanted = raised / raised.sum(axis=1, keepdims=True) if activation == "softmax" else raised / (1 + raised)
        np.testing.assert_allclose(backbone.head(backbone.features(inputs)), wanted, atol=1e-5)
        assert backbone.head.class_names == tuple(names)


def test_sound(tmp_path):
    weights = random_weights(400, 6)
    backbone = load_backbone(f"onnx:{write_model(tmp_path, sound_model(400, weights), sound=400)}")
    assert backbone.input == SoundInput(samples=400) and backbone.size == 6
    inputs = inputs_for(backbone, 3)
    np.testing.assert_allclose(backbone.features(inputs), inputs @ weights, atol=1e-4)
    with pytest.raises(ValueError, match="takes float32"):
        backbone.features(inputs[:, :-1])
    with pytest.raises(InputError, match=r"one of sound takes \(N, 300\)"):
        load_backbone(f"onnx:{write_model(tmp_path, sound_model(400, weights), sound=300)}")


WRONG = [
    ({"sise": 8}, "has no field sise; known: size, mean, std"),
    ({"mean": [0.5]}, "mean must be a list of 3 numbers"),
    ({"std": [0.1, 0, 0.1]}, "std is .*; it must be above 0"),
    ({"size": [8]}, "size must be a list of 2 numbers"),
    ({"size": "8"}, "size is '8'"),
    ({"size": [0, 8]}, "size is .*; it must be at least 1"),
    ({"size": True}, "size"),
    ({"size": [6, 9]}, "its W is 8, not 9"),
    ({"mean": None}, "mean is None|must have mean and std"),
    ({"frames": 0}, "frames is 0; it must be at least 1"),
    ({"frames": 2}, "clips have 5 axes"),
    ({"rate": -1.0}, "rate is -1.0; it must be above 0"),
    ({"rate": float("nan")}, "rate is nan"),
    ({"layout": "CHWN"}, "layout is 'CHWN'; valid: NCHW"),
    ({"layout": "NHWC"}, "its H is 3, not 6"),
    ({"layout": "NTHWC"}, "does not go with frames 1"),
    ({"interpolation": "nearest"}, "valid: bilinear, bicubic"),
    ({"class_names": ["a"]}, "class_names has 1 names, and the network gives 7 values"),
    ({"class_names": ["a", "a"]}, "a name twice"),
    ({"shorter_side": 0}, "shorter_side is 0"),
]


@pytest.mark.parametrize(("change", "words"), WRONG, ids=[json.dumps(change) for change, _ in WRONG])
def test_what_a_description_may_not_say(change, words, tmp_path):
    model = picture_model("NCHW", lengths={"C": 3, "H": 6, "W": 8}, weights=WEIGHTS)
    path = write_model(tmp_path, model, **(PICTURES | change))
    with pytest.raises(InputError, match=words) as caught:
        load_backbone(f"onnx:{path}")
    assert str(tmp_path / "net") in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_description_is_shown_by_example(tmp_path):
    path = write_model(tmp_path, picture_model("NCHW", lengths={"C": 3}, weights=WEIGHTS), **PICTURES)
    (tmp_path / "net.json").unlink()
    with pytest.raises(
        InputError, match=r"net.json is not there, which says what .*net.onnx takes, as in {\"size\": 224"
    ):
        load_backbone(f"onnx:{path}")
    with pytest.raises(InputError, match="write onnx:FILE"):
        load_backbone("onnx:")


def test_networks_that_give_no_vector_or_take_two_inputs(tmp_path):
    model = picture_model("NCHW", lengths={"C": 3}, weights=WEIGHTS)
    model.graph.output[0].name = "x2"
    model.graph.node.append(onnx.helper.make_node("Identity", ["x"], ["x2"]))
    model.graph.output[0].type.CopyFrom(model.graph.input[0].type)
    with pytest.raises(InputError, match=r"gives an array of shape \(1, 3, 6, 8\), not a vector for each input"):
        load_backbone(f"onnx:{write_model(tmp_path, model, **PICTURES)}")
    model = picture_model("NCHW", lengths={"C": 3}, weights=WEIGHTS)
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", 1, [1]))
    with pytest.raises(InputError, match="has 2 inputs; a backbone has one"):
        load_backbone(f"onnx:{write_model(tmp_path, model, **PICTURES)}")


def with_outer_weights(model, location, inside):
    """The model with its weights in another file, at the top or in a graph within an attribute."""
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    if inside == "a branch":
        branch = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["w"], ["b"])], "b", [],
            [onnx.helper.make_tensor_value_info("b", 1, [3, 7])], [tensor],
        )  # fmt: skip
        del model.graph.initializer[:]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(True), "yes"))
        model.graph.node.insert(0, onnx.helper.make_node("If", ["yes"], ["w"], then_branch=branch, else_branch=branch))
        for node in model.graph.node[:1]:
            node.output[0] = "v"
        model.graph.node[-1].input[1] = "v"
    return model


@pytest.mark.parametrize("inside", ["the graph", "a branch"])
def test_weights_in_other_files_lie_within_the_folder(inside, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for path in (tmp_path / "w.bin", folder / "w.bin"):
        path.write_bytes(WEIGHTS.tobytes())
    (folder / "link.bin").symlink_to(tmp_path / "w.bin")

    def load(location):
        model = picture_model("NCHW", lengths={"C": 3}, weights=WEIGHTS)
        return load_backbone(f"onnx:{write_model(folder, with_outer_weights(model, location, inside), **PICTURES)}")

    backbone = load("w.bin")
    inputs = inputs_for(backbone, 2)
    np.testing.assert_allclose(backbone.features(inputs), twin(inputs), atol=1e-4)
    for location in ("../w.bin", str(tmp_path / "w.bin"), "../model/../w.bin", "link.bin"):
        with pytest.raises(InputError, match="asks for weights in .*, which is not in its folder"):
            load(location)
    with pytest.raises(InputError, match="has its weights in 'none.bin', which is not beside it"):
        load("none.bin")
    (folder / "w.bin").write_bytes((WEIGHTS * 2).tobytes())
    assert load("w.bin").digest != backbone.digest


def test_damaged_models_are_a_sentence(tmp_path):
    model = picture_model("NCHW", lengths={"C": 3}, weights=WEIGHTS)
    path = write_model(tmp_path, model, **PICTURES)
    whole, random = path.read_bytes(), np.random.default_rng(3)
    for _ in range(150):
        data = bytearray(whole)
        for place in random.integers(0, len(data), random.integers(1, 4)):
            data[place] = random.integers(0, 256)
        path.write_bytes(bytes(data[: random.integers(1, len(data))]) if random.random() < 0.3 else bytes(data))
        try:
            load_backbone(f"onnx:{path}")
        except InputError as error:
            assert str(tmp_path) in str(error) and "\n" not in str(error)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_exported_networks_give_the_features_of_keras(tmp_path):
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install -e '.[onnx]'")
    from tests.helpers.backbones import stand_in

    for name in ("efficientnet-lite0", "keras"):
        backbone = stand_in(name, tmp_path / name)
        inputs = inputs_for(backbone, 3)
        features = backbone.features(inputs)
        assert np.abs(features).max() > 0.5
        path = tmp_path / f"{name}.onnx"
        backbone.network.export(path, format="onnx", verbose=False)
        plain = {"mean": [127.5] * 3, "std": [127.5] * 3, "scale": 1.0}
        path.with_suffix(".json").write_text(json.dumps({"size": 224} | (plain if name == "keras" else {})))
        exported = load_backbone(f"onnx:{path}")
        np.testing.assert_allclose(exported.features(inputs), features, atol=1e-4)


def code_of_the_page(words):
    """The block of Python in docs/backbones.md that has the words."""
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (ROOT / "docs" / "backbones.md").read_text(), re.MULTILINE | re.DOTALL
    )
    (found,) = [block for block in blocks if words in block]
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("package", ["keras", "torch"])
def test_networks_are_exported_as_the_page_says(package, tmp_path, monkeypatch):
    if package == "keras":
        pytest.importorskip("tf2onnx", reason="tf2onnx is not installed: pip install -e '.[onnx]'")
    else:
        needs("torch", "torchvision")
    monkeypatch.chdir(tmp_path)
    made = {}
    exec(code_of_the_page(f"import {package}\n"), made)
    backbone = load_backbone(f"onnx:{next(tmp_path.glob('*.onnx'))}")
    inputs = inputs_for(backbone, 3)
    if package == "keras":
        wanted = made["network"].predict_on_batch(inputs.astype(np.float32) / 127.5 - 1)
    else:
        values = (inputs / np.float32(255) - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
        wanted = made["network"](made["torch"].from_numpy(values.transpose(0, 3, 1, 2).copy())).detach().numpy()
    scale = np.abs(wanted).max()
    assert np.ptp(wanted, axis=0).max() > 1e-3 * scale
    np.testing.assert_allclose(backbone.features(inputs), wanted, atol=1e-4 * scale)
