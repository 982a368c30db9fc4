"""Every exported form gives what Keras gives."""

import contextlib
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.small_models import data_config, is_of_clips, small_model, tokens_of
from yt8m.config import ClipConfig, ModelConfig
from yt8m.inference.model_export import default_path, export
from yt8m.models import MODELS
from yt8m.models.base import build_model
from yt8m.runtime.fused import computes_on_processor, graph_for_another_runtime
from yt8m.types import InputError

CLASS_IDS = (1, 3, 5)
SEEN = 23


def video():
    random = np.random.default_rng(0)
    return {name: random.integers(0, 256, (SEEN, size), dtype=np.uint8) for name, size in (("rgb", 24), ("audio", 8))}


def windows(shift=0):
    """The five segments of the video, the last of three frames, borders clamped."""
    places = np.clip(np.arange(25).reshape(5, 5) - shift, 0, SEEN - 1)
    segments = {name: frames[places] for name, frames in video().items()}
    return segments | {"num_frames": np.array([5, 5, 5, 5, 3], np.int32)}


def whole_video():
    """Frames of the whole video beside each of these segments: the middles of 8 parts of 23 frames."""
    middles = [1, 4, 7, 10, 12, 15, 18, 21]
    beside = {f"video_{name}": np.repeat(frames[None, middles], 5, axis=0) for name, frames in video().items()}
    return beside | {"num_video_frames": np.full(5, 8, np.int32)}


def inputs(model, shift=0):
    return windows(shift) | (whole_video() if model.takes_video_frames else {}) | texts_of(model, 5)


def texts_of(model, rows):
    """Tokens of one text for each of ``rows``; nothing where the model reads no texts."""
    read = [name for name in model.symbolic_inputs() if name.startswith("token")]
    return {name: np.repeat(tokens_of(1)[name], rows, axis=0) for name in read}


def expected(model, shifts=(0,)):
    return np.mean([np.asarray(model(inputs(model, shift)))[:, list(CLASS_IDS)] for shift in shifts], axis=0)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=pytest.mark.slow if name in ("mix_nextvlad", "video_context") else ())
        for name in MODELS
        if not is_of_clips(name)
    ],
)
def model(request):
    model = small_model(request.param)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.2 * np.random.default_rng(1).normal(size=variable.shape))
    return model


def test_saved_model_ranks_the_segments_of_a_video(model, tmp_path):
    shifts = (-1, 0)
    path = default_path(str(tmp_path), "savedmodel")
    names = {3: "three", 5: "five <&>"}
    export(
        model,
        path,
        form="savedmodel",
        config=data_config(model.name),
        class_ids=CLASS_IDS,
        class_names=names,
        top_k=2,
        views=shifts,
    )
    given = video() | {name: values[0] for name, values in texts_of(model, 1).items()}
    ranked = tf.saved_model.load(path).signatures["serving_default"](**{k: tf.constant(v) for k, v in given.items()})
    scores = expected(model, shifts)
    order = np.argsort(-scores, axis=1)[:, :2]
    assert ranked["start_time"].numpy().tolist() == [0, 5, 10, 15, 20]
    np.testing.assert_array_equal(ranked["class_ids"], np.array(CLASS_IDS)[order])
    np.testing.assert_allclose(ranked["scores"], np.take_along_axis(scores, order, axis=1), atol=1e-5)
    shown = [[names.get(class_id, "").encode() for class_id in row] for row in ranked["class_ids"].numpy()]
    assert ranked["class_names"].numpy().tolist() == shown


def test_onnx_scores_segments(model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra [test])")
    path = default_path(str(tmp_path), "onnx")
    export(model, path, form="onnx", config=data_config(model.name), class_ids=CLASS_IDS, class_names={3: "three"})
    found = onnxruntime.InferenceSession(path).run(["scores"], inputs(model))[0]
    np.testing.assert_allclose(found, expected(model), atol=1e-5)
    assert (tmp_path / "exported.onnx.classes.csv").read_text() == "1,\n3,three\n5,\n"


@pytest.mark.filterwarnings("ignore")
def test_litert_scores_segments(model, tmp_path):
    path = default_path(str(tmp_path), "litert")
    export(model, path, form="litert", config=data_config(model.name), class_ids=CLASS_IDS)
    found = tf.lite.Interpreter(path).get_signature_runner()(**inputs(model))["scores"]
    np.testing.assert_allclose(found, expected(model), atol=1e-5)


def test_mixed_precision_is_exported_in_float32(tmp_path):
    config = ModelConfig(name="logistic", hyperparameters={})
    mixed, full = (build_model(config, data_config(), dtype=dtype) for dtype in ("mixed_bfloat16", "float32"))
    full.set_weights(mixed.get_weights())
    path = default_path(str(tmp_path), "savedmodel")
    export(mixed, path, form="savedmodel", config=data_config(), class_ids=CLASS_IDS, top_k=3)
    ranked = tf.saved_model.load(path).signatures["serving_default"](**{k: tf.constant(v) for k, v in video().items()})
    np.testing.assert_allclose(ranked["scores"], -np.sort(-expected(full), axis=1), atol=1e-6)


OF_CLIPS = [
    pytest.param(name, form, marks=pytest.mark.slow if (name, form) != ("tanet", "onnx") else ())
    for name in MODELS
    if is_of_clips(name)
    for form in ("savedmodel", "onnx", "litert")
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name, form", OF_CLIPS)
def test_clips_are_scored(name, form, tmp_path):
    config = data_config(name, num_frames=8, clip=ClipConfig(size=32))
    model = small_model(name)
    random = np.random.default_rng(0)
    for variable in model.head.trainable_variables:
        variable.assign(variable + 0.2 * random.normal(size=variable.shape))
    clips = {
        "pictures": random.integers(0, 256, (3, 8, 32, 32, 3), dtype=np.uint8),
        "num_frames": np.array([8, 5, 1], np.int32),
    }
    wanted = np.asarray(model(clips))[:, list(CLASS_IDS)]
    assert wanted.std(axis=0).max() > 4e-5
    path = default_path(str(tmp_path), form)
    export(model, path, form=form, config=config, class_ids=CLASS_IDS, class_names={3: "three"}, top_k=3)
    if form == "savedmodel":
        ranked = tf.saved_model.load(path).signatures["serving_default"](
            **{k: tf.constant(v) for k, v in clips.items()}
        )
        order = np.argsort(-wanted, axis=1)
        np.testing.assert_array_equal(ranked["class_ids"], np.array(CLASS_IDS)[order])
        np.testing.assert_allclose(ranked["scores"], np.take_along_axis(wanted, order, axis=1), atol=1e-5)
        assert "start_time" not in ranked and b"three" in ranked["class_names"].numpy()[0].tolist()
        return
    if form == "onnx":
        found = pytest.importorskip("onnxruntime").InferenceSession(path).run(["scores"], clips)[0]
    else:
        found = tf.lite.Interpreter(path).get_signature_runner()(**clips)["scores"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("within, has_branches", [(contextlib.nullcontext, True), (graph_for_another_runtime, False)])
def test_graphs_for_other_runtimes_have_no_branches(within, has_branches):
    model = small_model("slowfast")

    @tf.function(autograph=False)
    def score(pictures):
        with within():
            return model({"pictures": pictures, "num_frames": tf.constant([8, 5, 1])}, training=False)

    graph = score.get_concrete_function(tf.TensorSpec((3, 8, 32, 32, 3), tf.uint8)).graph.as_graph_def()
    kinds = {node.op for function in graph.library.function for node in function.node_def}
    assert bool(kinds & {"If", "StatelessIf"}) == (has_branches and computes_on_processor())


def test_what_cannot_be_exported_is_named(tmp_path, monkeypatch):
    model = small_model("moe", level="video")
    with pytest.raises(InputError, match="means of whole videos"):
        export(model, str(tmp_path / "x"), form="savedmodel", config=data_config(level="video"), class_ids=CLASS_IDS)
    options = {"form": "savedmodel", "config": data_config("tanet"), "class_ids": CLASS_IDS, "views": (-1, 0)}
    with pytest.raises(InputError, match="a model of clips is exported without"):
        export(small_model("tanet"), str(tmp_path / "x"), **options)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(InputError, match=r"pip install 'yt8m\[onnx\]'"):
        export(small_model("logistic"), str(tmp_path / "x"), form="onnx", config=data_config(), class_ids=CLASS_IDS)
    assert not list(tmp_path.iterdir())


def test_frames_near_a_segment_are_those_beside_it(tmp_path):
    model, config = (
        small_model("video_context", {"segment_model": "moe", "context_model": "moe"}),
        data_config("video_context", video_radius=4),
    )
    export(model, str(tmp_path / "x"), form="savedmodel", config=config, class_ids=CLASS_IDS, top_k=3)
    ranked = tf.saved_model.load(str(tmp_path / "x")).signatures["serving_default"](
        **{name: tf.constant(frames) for name, frames in video().items()}
    )
    # Of the third segment: the middles of 8 parts of the frames 6 to 18.
    near = [6, 8, 10, 11, 13, 14, 16, 18]
    beside = {f"video_{name}": frames[None, near] for name, frames in video().items()}
    third = {name: values[2:3] for name, values in windows().items()}
    scores = np.asarray(model(third | beside | {"num_video_frames": np.array([8], np.int32)}))[0, list(CLASS_IDS)]
    np.testing.assert_allclose(ranked["scores"][2], -np.sort(-scores), atol=1e-5)


def test_a_view_too_long_for_the_model_is_named(tmp_path):
    concat = {"num_layers": 1, "num_heads": 4, "feed_forward_size": 8, "pooling": "concat"}
    options = {"form": "savedmodel", "config": data_config(), "class_ids": CLASS_IDS, "views": (0, "enlarge")}
    with pytest.raises(InputError, match="takes segments of 5 frames, and the view enlarge has 9"):
        export(small_model("frame_bert", concat), tmp_path / "exported", **options)
    assert not (tmp_path / "exported").exists()
