"""Texts beside frames: what the model is made of, what it learns of hidden words, and weights that go to and fro."""

import keras
import numpy as np
import pytest

from tests.helpers.small_models import TEXT, data_config, inputs_of, small_model, tokens_of
from yt8m.config import MaskedFramesConfig, MaskedTokensConfig, ModelConfig, RunConfig, TextConfig, TrainConfig
from yt8m.models import checkpoints
from yt8m.models.base import build_model
from yt8m.models.initialization import initialize_from
from yt8m.models.learner import Learner
from yt8m.types import InputError

ENCODER = {"num_layers": 2, "num_heads": 4, "hidden_size": 16, "feed_forward_size": 40, "dropout": 0.0}


def randomized(model, seed=0):
    for variable in model.trainable_variables:
        variable.assign(variable + 0.2 * np.random.default_rng(seed).normal(size=variable.shape))
    return model


@pytest.fixture
def model():
    return randomized(small_model("multimodal_bert", {"dropout": 0.0}))


def test_one_encoder_sees_cls_text_sep_and_frames(model):
    inputs = inputs_of(model)
    frames = np.concatenate([inputs[name] for name in ("rgb", "audio")], axis=-1) * (4 / 255) + (4 / 512 - 2)
    real = np.arange(5) < inputs["num_frames"][:, None]
    encoder, special = model.frame_encoder, np.asarray(model.special)
    projected = np.where(real[..., None], frames, 0) @ np.asarray(encoder.project.kernel) + np.asarray(
        encoder.project.bias
    )
    texts = np.asarray(model.text_embedding(inputs["tokens"], sources=inputs["token_sources"]))
    cls, sep = (np.broadcast_to(row, (6, 1, 16)) for row in special[:2])
    tokens = np.concatenate([cls, texts, sep, projected + special[2]], axis=1).astype(np.float32)
    there = np.ones((6, 1), bool)
    mask = np.concatenate([there, inputs["tokens"] > 0, there, real], axis=1)
    outputs = np.asarray(encoder.encode(tokens, mask=mask))
    np.testing.assert_allclose(model.embed(inputs), outputs[:, 0], atol=1e-5)
    features, frame_mask = model.modalities(inputs)
    parts = model.encode_features(inputs, features, frame_mask=frame_mask)
    np.testing.assert_allclose(parts["tokens"], outputs[:, 1:7], atol=1e-5)
    np.testing.assert_allclose(parts["frames"], outputs[:, 8:], atol=1e-5)


def test_texts_and_frames_may_both_be_absent(model):
    inputs = inputs_of(model)
    no_text = inputs | {name: np.zeros_like(inputs[name]) for name in ("tokens", "token_sources", "token_words")}
    no_frames = inputs | {"num_frames": np.zeros(6, np.int32)}
    outputs = [np.asarray(model(given)) for given in (inputs, no_text, no_frames, no_text | no_frames)]
    neither = np.asarray(model(no_text | {"num_frames": no_frames["num_frames"]}))
    assert all(np.isfinite(output).all() for output in (*outputs, neither))
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3 and np.abs(outputs[0] - outputs[2]).max() > 1e-3
    np.testing.assert_allclose(neither, neither[:1].repeat(6, axis=0), atol=1e-6)
    # The second example has no text to begin with.
    np.testing.assert_allclose(outputs[0][1], outputs[1][1], atol=1e-6)


def test_the_order_of_frames_does_not_count_and_that_of_words_does(model):
    inputs = inputs_of(model)
    reversed_frames = {name: inputs[name].copy() for name in ("rgb", "audio")}
    turned = inputs["tokens"].copy()
    for row, count in enumerate(inputs["num_frames"]):
        for values in reversed_frames.values():
            values[row, :count] = values[row, :count][::-1]
        words = int((turned[row] > 0).sum())
        turned[row, :words] = turned[row, :words][::-1]
    np.testing.assert_allclose(model(inputs), model(inputs | reversed_frames), atol=1e-5)
    assert np.abs(np.asarray(model(inputs)) - np.asarray(model(inputs | {"tokens": turned}))).max() > 1e-3


def test_a_mean_is_a_single_frame(model):
    by_video = small_model("multimodal_bert", {"dropout": 0.0}, level="video")
    by_video.set_weights(model.get_weights())
    inputs = inputs_of(model) | {"num_frames": np.ones(6, np.int32)}
    means = {name: inputs[name][:, 0] * np.float32(4 / 255) + np.float32(4 / 512 - 2) for name in ("rgb", "audio")}
    tokens = {name: inputs[name] for name in ("tokens", "token_sources")}
    np.testing.assert_allclose(by_video(means | tokens), model(inputs), atol=1e-5)


def batch(rows=64, seed=0):
    """Texts of which the first word tells the others, beside frames that are alike."""
    inputs = inputs_of(small_model("multimodal_bert"), rows, seed)
    rng = np.random.default_rng(seed)
    inputs["tokens"] = (rng.integers(0, 5, (rows, 1)) + np.arange(6) * 5 + 1).astype(np.int32)
    inputs["token_sources"] = np.ones_like(inputs["tokens"])
    inputs["token_words"] = np.broadcast_to(np.arange(1, 7, dtype=np.int32), (rows, 6)).copy()
    for name in ("rgb", "audio"):
        inputs[name][:] = inputs[name][:, :1]
    labels = (rng.random((rows, 7)) < 0.3).astype(np.float32)
    return inputs, {"labels": labels, "rated": np.ones_like(labels)}


def test_the_loss_is_the_weighted_sum_of_tags_words_and_frames():
    keras.utils.set_random_seed(0)
    model = small_model("multimodal_bert", {"dropout": 0.0})
    learner = Learner(
        model,
        masked_frames=MaskedFramesConfig(weight=0.5, method="mse"),
        masked_tokens=MaskedTokensConfig(weight=2.0, fraction=0.3),
        label_weight=0.25,
    )
    learner.compile(optimizer="sgd")
    inputs, y = batch()
    outputs = learner(inputs, training=True)
    loss = float(learner.compute_loss(x=inputs, y=y, y_pred=outputs))
    label = float(model.rated_loss(y, model(inputs)))
    words, frames = (float(outputs[name]) for name in ("masked_tokens", "masked_frames"))
    np.testing.assert_allclose(loss, 0.25 * label + 2 * words + 0.5 * frames, rtol=1e-5)
    # Of 30 tokens, before anything is learned.
    assert words == pytest.approx(np.log(30), abs=0.5) and frames > 0.3


@pytest.mark.parametrize("precision", ["float32", pytest.param("mixed_bfloat16", marks=pytest.mark.slow)])
@pytest.mark.slow
def test_hidden_words_and_frames_are_learned_together(precision):
    keras.utils.set_random_seed(1)
    config = ModelConfig(name="multimodal_bert", hyperparameters=ENCODER)
    model = build_model(config, data_config("multimodal_bert"), dtype=precision)
    learner = Learner(
        model,
        masked_frames=MaskedFramesConfig(weight=1.0),
        masked_tokens=MaskedTokensConfig(weight=1.0),
        label_weight=0.0,
    )
    learner.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)
    inputs, y = batch(128)
    head = [np.asarray(variable) for variable in model.head.variables]
    history = {}
    for _ in range(60):
        learner.reset_metrics()
        for name, value in learner.train_on_batch(inputs, y, return_dict=True).items():
            history.setdefault(name, []).append(value)
    for name in ("masked_tokens_loss", "masked_frames_loss"):
        assert np.mean(history[name][-5:]) < 0.6 * np.mean(history[name][:5]), name
    quality = {name: float(value[1]) for name, value in learner.masked_scores(inputs, training=False).items()}
    assert quality["masked_tokens"] > 0.6
    for variable, before in zip(model.head.variables, head):
        np.testing.assert_array_equal(variable, before)
    still = [variable.path for variable in learner.trainable_variables if not np.asarray(variable).any()]
    assert not [path for path in still if "bias" not in path and "beta" not in path]


def test_a_saved_learner_is_the_same(tmp_path):
    learner = Learner(small_model("multimodal_bert"), masked_tokens=MaskedTokensConfig(weight=0.7, fraction=0.2))
    learner.save(tmp_path / "learner.keras")
    loaded = keras.saving.load_model(tmp_path / "learner.keras", safe_mode=True)
    assert loaded.get_config() == learner.get_config()
    for one, other in zip(learner.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_does_not_go_together_is_named():
    with pytest.raises(InputError, match="masked tokens are for a model of texts, and frame_bert reads none"):
        Learner(small_model("frame_bert"), masked_tokens=MaskedTokensConfig(weight=1.0))
    with pytest.raises(InputError, match="video-level records have one mean"):
        Learner(small_model("multimodal_bert", level="video"), masked_frames=MaskedFramesConfig(weight=1.0))
    for name, text, message in (
        ("multimodal_bert", TextConfig(), "multimodal_bert reads texts: set text_fields"),
        ("frame_bert", TEXT, "frame_bert reads no texts: leave out text_fields"),
    ):
        with pytest.raises(InputError, match=message):
            build_model(ModelConfig(name=name), data_config().replace(text=text))
    with pytest.raises(InputError, match="pooling concat takes 5 frames alone"):
        small_model("multimodal_bert", {"pooling": "concat"})
    with pytest.raises(InputError, match="segment_model is multimodal_bert, which reads texts"):
        small_model("video_context", {"segment_model": "multimodal_bert"})
    with pytest.raises(InputError, match="nothing else to learn"):
        TrainConfig(label_weight=0.0)
    assert TrainConfig(label_weight=0.0, masked_tokens=MaskedTokensConfig(weight=1.0)).label_weight == 0


def save_run(folder, name, hyperparameters=ENCODER, seed=0):
    """A run as far as it is started from: its config and its best model."""
    folder.mkdir()
    data, config = data_config(name), ModelConfig(name=name, hyperparameters=hyperparameters)
    checkpoints.write_run_config(
        folder, RunConfig(data=data.replace(text=TextConfig()), model=config, train=TrainConfig())
    )
    model = randomized(build_model(config, data), seed)
    checkpoints.save_best(folder, model)
    return model


@pytest.mark.parametrize("names", [("frame_bert", "multimodal_bert"), ("multimodal_bert", "frame_bert")])
def test_the_layers_over_frames_go_from_one_bert_to_the_other(tmp_path, names):
    source = save_run(tmp_path / "run", names[0])
    model = build_model(ModelConfig(name=names[1], hyperparameters=ENCODER), data_config(names[1]))
    before = {variable.path: np.asarray(variable) for variable in model.variables}
    fresh = initialize_from(model, tmp_path / "run")
    for variable, given in zip(model.frame_encoder.variables, source.frame_encoder.variables, strict=True):
        np.testing.assert_array_equal(variable, given)
    assert set(fresh) == {variable.path for variable in model.variables} - {
        variable.path for variable in model.frame_encoder.variables
    }
    for variable in model.variables:
        assert (variable.path in fresh) == np.array_equal(variable, before[variable.path]) or not before[
            variable.path
        ].any()
    inputs = inputs_of(model) | tokens_of(6)
    features, mask = model.modalities(inputs)
    joined = np.concatenate([np.asarray(values) for values in features.values()], axis=-1)
    np.testing.assert_array_equal(
        model.frame_encoder(joined, frame_mask=mask), source.frame_encoder(joined, frame_mask=mask)
    )


def test_layers_that_do_not_fit_are_named(tmp_path):
    save_run(tmp_path / "run", "frame_bert", ENCODER | {"num_layers": 1})
    model = build_model(ModelConfig(name="multimodal_bert", hyperparameters=ENCODER), data_config("multimodal_bert"))
    with pytest.raises(InputError, match="the encoder of .*run does not fit: num_layers is 2 here and 1 there"):
        initialize_from(model, tmp_path / "run")
    save_run(tmp_path / "cross", "frame_bert", ENCODER | {"cross_modal": True})
    with pytest.raises(InputError, match="cross holds another model"):
        initialize_from(model, tmp_path / "cross")
