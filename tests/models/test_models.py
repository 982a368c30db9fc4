"""Every registered model, without a line for any one of them."""

import resource

import keras
import numpy as np
import pytest

from tests.helpers.small_models import (
    NUM_CLASSES,
    data_config,
    inputs_of,
    is_of_clips,
    small_model,
    small_settings,
)
from yt8m.config import DataConfig, ModelConfig
from yt8m.models import MODELS
from yt8m.models.base import build_model, hyperparameters_of
from yt8m.models.losses import penalize
from yt8m.models.presets import PAPER_PRESETS, PRESETS
from yt8m.types import InputError

OTHER_POOLINGS = ("first", "attention", "additive_attention")
# Of the models of clips one stands for all among the fast tests.
VARIANTS = [
    pytest.param((name, {}), marks=pytest.mark.slow if is_of_clips(name) and name != "tanet" else ()) for name in MODELS
] + [
    *(pytest.param(("frame_bert", {"pooling": pooling}), marks=pytest.mark.slow) for pooling in OTHER_POOLINGS),
    ("frame_bert", {"pooling": "concat", "head": "logistic"}),
    ("frame_bert", {"cross_modal": True, "positions": "learned"}),
    ("moe", {"hidden_sizes": [12]}),
    ("dbof", {"head": "softmax"}),
    ("video_context", {"context_model": "moe", "segment_model": "nextvlad"}),
    ("gated_netvlad", {"second_layer": True, "gate_probabilities": False, "head": "logistic"}),
]


def targets(batch=6, seed=0):
    labels = np.random.default_rng(seed).integers(0, 2, (batch, NUM_CLASSES)).astype(np.float32)
    return {"labels": labels, "rated": np.ones_like(labels)}


@pytest.fixture(
    scope="module", params=VARIANTS, ids=lambda variant: "-".join([variant[0], *map(str, variant[1].values())])
)
def built(request):
    """(model, its variables as they were built)."""
    model = small_model(*request.param)
    return model, [np.asarray(variable) for variable in model.variables]


@pytest.fixture
def model(built):
    """A model as if just built."""
    model, values = built
    for variable, value in zip(model.variables, values, strict=True):
        variable.assign(value)
    return model


def test_probabilities(model):
    output = np.asarray(model(inputs_of(model)))
    assert output.shape == (6, NUM_CLASSES) and output.dtype == np.float32
    assert output.min() >= 0 and output.max() <= 1 and output.std(axis=0).min() > 1e-5


def test_padding_is_never_seen(model):
    clean, garbage = inputs_of(model), inputs_of(model)
    of_frames = [name for name in clean if name in model.feature_sizes]
    for row, real in enumerate(clean["num_frames"]):
        for place, name in enumerate(of_frames):
            clean[name][row, real:] = 0
            garbage[name][row, real:] = 255 - 78 * place
    for row, real in enumerate(clean.get("num_video_frames", ())):
        garbage["video_rgb"][row, real:] = 255
    if model.takes_texts:
        garbage["token_sources"][clean["tokens"] == 0] = 2
    np.testing.assert_allclose(model(clean), model(garbage), atol=1e-6)
    in_training = [np.asarray(keras.tree.flatten(_seeded(model, features))[0]) for features in (clean, garbage)]
    np.testing.assert_allclose(*in_training, atol=1e-5)


def _seeded(model, features):
    """A training-mode call with the same dropout every time, and moving statistics as before."""
    before = [np.asarray(variable) for variable in model.variables]
    output = model(features, training=True)
    for variable, value in zip(model.variables, before):
        variable.assign(value)
    return output


def test_float_features_are_taken_as_they_are(model):
    features = inputs_of(model)
    scale, offset = (1, 0) if is_of_clips(model.name) else (4 / 255, 4 / 512 - 2)
    dequantised = {
        name: values.astype(np.float32) * scale + offset if values.dtype == np.uint8 else values
        for name, values in features.items()
    }
    np.testing.assert_allclose(model(features), model(dequantised), atol=1e-5)


def test_saved_and_loaded_alike(model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(model(inputs_of(model)), loaded(inputs_of(model)))
    assert loaded.get_config() == model.get_config()


def test_training_moves_every_weight_and_lowers_the_loss(model):
    # Compiled models are saved with their optimizer, so the one that others test stays as it is.
    keras.utils.set_random_seed(0)
    model = type(model).from_config(model.get_config())
    model.build()
    model.compile(optimizer=keras.optimizers.Adam(3e-3), jit_compile=False)
    # Before the first step, or that is traced twice.
    model.optimizer.build(model.trainable_variables)
    before = [np.asarray(weight) for weight in model.trainable_weights]
    losses = []
    for _ in range(10 if is_of_clips(model.name) else 30):
        model.reset_metrics()
        losses.append(model.train_on_batch(inputs_of(model), targets(), return_dict=True)["loss"])
    assert losses[-1] < 0.9 * losses[0]
    still = [w.path for w, old in zip(model.trainable_weights, before) if np.array_equal(np.asarray(w), old)]
    assert not still


def test_unrated_pairs_teach_nothing(model):
    features, unrated = inputs_of(model), targets()
    unrated["rated"][:, 3] = 0
    flipped = {"labels": unrated["labels"].copy(), "rated": unrated["rated"]}
    flipped["labels"][:, 3] = 1 - flipped["labels"][:, 3]
    output = model(features)
    losses = [float(model.compute_loss(features, y, output)) for y in (unrated, flipped)]
    assert losses[0] == losses[1]
    unrated["rated"][:, 3] = 1
    assert float(model.compute_loss(features, unrated, output)) > losses[0]


def test_embedding_feeds_the_head(model):
    embedding = np.asarray(model.embed(inputs_of(model)))
    assert embedding.shape[0] == 6 and embedding.ndim == 2 and np.isfinite(embedding).all()


@pytest.mark.parametrize("class_ids", [(5, 2), (6, 5, 4, 3, 2, 1, 0)])
def test_some_classes_alone_score_the_same(model, class_ids):
    for variable in model.variables:
        if "seed" not in variable.path:
            variable.assign(variable + 0.1 * keras.random.uniform(variable.shape, seed=2))
    features = inputs_of(model)
    narrow = model.for_classes(class_ids)
    np.testing.assert_allclose(narrow(features), np.asarray(model(features))[:, list(class_ids)], atol=1e-6)


@pytest.mark.slow
def test_mixed_precision_stays_close(model):
    config = ModelConfig(
        name=model.name,
        hyperparameters={k: v for k, v in model.get_config().items() if k in hyperparameters_of(model.name)},
    )
    half = build_model(config, data_config(model.name), dtype="mixed_bfloat16")
    half.set_weights(model.get_weights())
    output = half(inputs_of(model))
    assert keras.backend.standardize_dtype(output.dtype) == "float32"
    np.testing.assert_allclose(output, model(inputs_of(model)), atol=0.05)
    narrow = half.for_classes(range(half.num_classes))
    assert {variable.dtype for variable in narrow.trainable_variables} == {"bfloat16"}
    scores = narrow(inputs_of(model))
    assert keras.backend.standardize_dtype(scores.dtype) == "float32"
    np.testing.assert_allclose(scores, model(inputs_of(model)), atol=0.05)


@pytest.mark.parametrize("name", ["logistic", "moe"])
def test_video_level_equals_the_mean_of_frames(name):
    by_frame, by_video = small_model(name), small_model(name, level="video")
    by_video.set_weights(by_frame.get_weights())
    features = inputs_of(by_frame)
    means = {}
    for feature in ("rgb", "audio"):
        frames = features[feature].astype(np.float64) * (4 / 255) + (4 / 512 - 2)
        means[feature] = np.stack([f[:n].mean(0) for f, n in zip(frames, features["num_frames"])]).astype(np.float32)
    np.testing.assert_allclose(by_frame(features), by_video(means), atol=1e-5)


def test_mix_nextvlad_loss_is_equation_19():
    model = small_model("mix_nextvlad", {"dropout": 0.0})
    outputs, y = model(inputs_of(model), training=True), targets()
    outputs = {name: np.asarray(value, np.float64) for name, value in outputs.items()}
    sigmoid = lambda z: 1 / (1 + np.exp(-z))

    def entropy(p):
        return -np.mean(np.sum(y["labels"] * np.log(p + 1e-6) + (1 - y["labels"]) * np.log(1 - p + 1e-6), axis=1))

    def log_softmax(z):
        return z - np.log(np.sum(np.exp(z), axis=-1, keepdims=True))

    temperature, expected = 3.0, entropy(sigmoid(outputs["mixture_logits"]))
    teacher = log_softmax(outputs["mixture_logits"] / temperature)
    for m in range(3):
        student = log_softmax(outputs["branch_logits"][:, m] / temperature)
        expected += entropy(sigmoid(outputs["branch_logits"][:, m]))
        expected += temperature**2 * np.mean(np.sum(np.exp(teacher) * (teacher - student), axis=-1))
    loss = model.compute_loss(None, y, {name: value.astype(np.float32) for name, value in outputs.items()})
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_gated_netvlad_is_the_papers():
    """Descriptors of both modalities, one layer, batch norm and relu6, context gating: no other layer."""
    model = small_model("gated_netvlad")
    features = inputs_of(model)
    frames = [features[name] * np.float32(4 / 255) + np.float32(4 / 512 - 2) for name in ("rgb", "audio")]
    mask = np.arange(5) < features["num_frames"][:, None]
    pooled = [model.pooling[n](f * mask[..., None], frame_mask=mask) for n, f in zip(("rgb", "audio"), frames)]
    vector = np.concatenate(pooled, axis=1) @ np.asarray(model.reduce.kernel) / np.sqrt(1 + 1e-3)
    vector = np.clip(vector, 0, 6)
    gates = 1 / (1 + np.exp(-(vector @ np.asarray(model.gating.squeeze.kernel)) / np.sqrt(1 + 1e-3)))
    np.testing.assert_allclose(model.embed(features), gates * vector, atol=1e-5)


@pytest.mark.parametrize("level", ["frame", "video"])
def test_l2_normalized_frames_have_unit_length_over_all_features(level):
    name = "moe" if level == "video" else "frame_bert"
    plain = small_model(name, level=level)
    model = type(plain).from_config(plain.get_config() | {"l2_normalize": True})
    features = inputs_of(model)
    if level == "video":
        features = {
            n: np.random.default_rng(0).normal(size=(6, s)).astype(np.float32) for n, s in model.feature_sizes.items()
        }
    given, found = (np.concatenate(list(m.modalities(features)[0].values()), -1) for m in (plain, model))
    lengths = np.linalg.norm(given, axis=-1, keepdims=True)
    np.testing.assert_allclose(found, given / np.where(lengths == 0, 1, lengths), atol=1e-6)
    # A single feature is all of them.
    alone = type(plain).from_config(plain.get_config() | {"l2_normalize": True, "feature_sizes": {"rgb": 24}})
    alone.build()
    (rgb,) = alone.modalities({name: features[name] for name in features if name in ("rgb", "num_frames")})[0].values()
    rgb = np.linalg.norm(rgb, axis=-1)
    np.testing.assert_allclose(rgb[rgb > 0], 1, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_l2_penalties_are_half_sums_of_squares(name):
    model = small_model(name)
    if not model.hidden_layers:
        with pytest.raises(InputError, match=f"hidden_l2 is 0.01, and model {name} has no hidden layer"):
            penalize(model, head_l2=0.0, hidden_l2=0.01)
    penalize(model, head_l2=0.1, hidden_l2=0.01 if model.hidden_layers else 0.0)
    squares = lambda layers: sum(
        (np.asarray(v) ** 2).sum() for la in layers for v in la.variables if "kernel" in v.path
    )
    expected = (0.1 * squares(model.heads) + 0.01 * squares(model.hidden_layers)) / 2
    outputs = model(inputs_of(model))
    added = float(model.compute_loss(None, targets(), outputs)) - float(model.rated_loss(targets(), outputs))
    assert added == pytest.approx(expected, rel=1e-3) and expected > 0.01


def test_the_whole_video_is_seen_beside_the_segment():
    """The head sees the segment's vector as its model gives it, and a ReLU of the video's mean."""
    model = small_model("video_context", {"context_model": "moe"})
    features = inputs_of(model)
    found = np.asarray(model.embed(features))
    np.testing.assert_allclose(found[:, :32], model.segment.embed(features), atol=1e-6)
    frames = np.concatenate([features["video_rgb"], features["video_audio"]], axis=-1) * (4 / 255) + (4 / 512 - 2)
    means = np.stack([frames[row, :count].mean(axis=0) for row, count in enumerate(features["num_video_frames"])])
    kernel, bias = (np.asarray(weight) for weight in model.project.weights)
    np.testing.assert_allclose(found[:, 32:], np.maximum(means @ kernel + bias, 0), atol=1e-4)
    assert not model.segment.head.built and model.fixed_frames is None


def test_models_and_frames_of_the_whole_video_go_together():
    for name, frames, message in (
        ("video_context", 0, "video_context reads frames of the whole video: set video_frames"),
        ("logistic", 8, "video_frames is 8, and model logistic reads none"),
    ):
        with pytest.raises(InputError, match=message):
            build_model(ModelConfig(name=name), data_config().replace(video_frames=frames))


def test_frame_level_models_refuse_video_level_features():
    with pytest.raises(InputError, match="frame-level features, and these are video-level"):
        small_model("frame_bert", level="video")


@pytest.mark.parametrize(
    "name, hyperparameters, message",
    [
        ("frame_bart", {}, "did you mean frame_bert"),
        ("frame_bert", {"layers": 3}, "no hyperparameter layers; known: num_layers"),
        (
            "frame_bert",
            {"num_heads": 5},
            "^num_heads is 5, which does not divide the encoder's size 32; heads that do: 1, 2, 4, 8, 16, 32, or set",
        ),
        ("frame_bert", {"pooling": "max"}, "pooling is 'max'; valid: first, mean"),
        ("frame_bert", {"num_layers": 1, "cross_modal": True}, "at least 2"),
        ("dbof", {"head": "svm"}, "valid: moe, logistic"),
        ("nextvlad", {"groups": 5}, "no multiple of groups"),
        ("video_context", {"segment_model": "video_context"}, "reads a whole video itself"),
        (
            "video_context",
            {"segment_config": {"layers": 2}},
            "segment_config: model frame_bert has no hyperparameter layers",
        ),
        (
            "video_context",
            {"segment_model": "moe", "context_config": {"num_heads": 4, "pooling": "concat"}},
            "pooling concat",
        ),
    ],
)
def test_bad_models_are_named(name, hyperparameters, message):
    with pytest.raises(InputError, match=message):
        data = data_config(name) if name in MODELS else data_config()
        build_model(ModelConfig(name=name, hyperparameters=hyperparameters), data)


SENSELESS = (0, -1, -(2**40), 2**40, 2.5, float("nan"), float("inf"), -0.5, "8", "", True, None, [1], [], {}, {"a": 1})


@pytest.mark.parametrize("name", MODELS)
def test_every_hyperparameter_of_every_model_makes_sense_or_is_refused_by_name(name):
    """Alone of each type, and some at a time of the right type, which may still not go together."""
    data, built = data_config(name), 0
    known = hyperparameters_of(name)
    random = np.random.default_rng(len(name))
    trials = [{field: value} for field in known for value in SENSELESS]
    fields = [field for field, default in known.items() if isinstance(default, int) and not isinstance(default, bool)]
    trials += [{field: int(random.integers(1, 5)) for field in fields} for _ in range(bool(fields))]
    small = {key: value for key, value in small_settings(name).items() if name != "video_context"}
    small |= {field: 1 for field in ("num_layers", "num_branches") if field in known}
    for trial in trials:
        try:
            build_model(ModelConfig(name=name, hyperparameters=small | trial), data)
            built += 1
        except InputError as error:
            (field, *more) = trial
            # A nested model has hyperparameters of its own, whose defaults do not fit the small features.
            assert more or "_config" in field or field in str(error) or f"no model {trial[field]!r}" in str(error), (
                f"{trial}: {error}"
            )
            assert "\n" not in str(error)
    # Of the senseless values few are valid for any hyperparameter: an empty list, a null, a number for a temperature.
    assert built <= 1 + 3 * len(known)


def test_a_model_that_does_not_fit_in_memory_is_refused_before_it_takes_any():
    for name, settings, data in (
        ("dbof", {"cluster_size": 1 << 24, "hidden_size": 1 << 15}, DataConfig()),
        ("logistic", {}, DataConfig(num_classes=2**40)),
        ("logistic", {}, DataConfig(feature_names=("rgb",), feature_sizes=(2**40,))),
    ):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(InputError, match=f"model {name} .* has .* GB of weights, and this machine"):
            build_model(ModelConfig(name=name, hyperparameters=settings), data)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize("name", PRESETS)
def test_presets_name_real_models_and_arguments(name):
    preset = PRESETS[name]
    assert set(preset.hyperparameters) <= set(hyperparameters_of(preset.model))
    assert preset.tta[0] <= 0 <= preset.tta[1]


def test_the_paper_has_nine_presets():
    assert len(PAPER_PRESETS) == 9 and set(PAPER_PRESETS) < set(PRESETS)


def test_the_check_of_a_models_size_draws_nothing():
    config = DataConfig(feature_names=("rgb",), feature_sizes=(6,), num_classes=4)
    keras.utils.set_random_seed(3)
    built = build_model(ModelConfig(name="logistic"), config)
    keras.utils.set_random_seed(3)
    direct = MODELS["logistic"](feature_sizes=config.features, num_classes=4, name="logistic")
    direct.build()
    np.testing.assert_array_equal(built.trainable_weights[0], direct.trainable_weights[0])
