import keras
import numpy as np
import pytest

from yt8m.config import ConsistencyConfig, DataConfig, MaskedFramesConfig, ModelConfig
from yt8m.models.base import build_model
from yt8m.models.learner import Learner, annealing_threshold, consistency_loss
from yt8m.types import InputError

DATA = DataConfig(feature_sizes=(6, 4), num_classes=7, num_frames=5)
BERT = {"num_layers": 2, "num_heads": 2, "hidden_size": 8, "feed_forward_size": 16, "num_mixtures": 2, "dropout": 0.0}


def make_model(name="frame_bert", hyperparameters=BERT, **changes):
    keras.utils.set_random_seed(2)
    return build_model(ModelConfig(name=name, hyperparameters=hyperparameters | changes), DATA)


def make_batch(rows=8, *, ratio=0, seed=0):
    rng = np.random.default_rng(seed)

    def features(*shape):
        drawn = {name: rng.integers(0, 256, (*shape, 5, size), np.uint8) for name, size in DATA.features.items()}
        return drawn | {"num_frames": np.full(shape, 5, np.int32)}

    x = features(rows)
    if ratio:
        x["unlabelled"] = features(rows, ratio, 2)
    y = {"labels": (rng.random((rows, 7)) < 0.3).astype(np.float32), "rated": np.ones((rows, 7), np.float32)}
    return x, y


def test_consistency_by_hand():
    said = np.array([[0.9, 0.5, 0.05], [0.85, 0.2, 0.7]])
    again = np.array([[0.6, 0.5, 0.3], [0.9, 0.4, 0.1]])
    loss = consistency_loss(said, again, temperature=0.5, confidence=0.8)
    sharp = said**2 / (said**2 + (1 - said) ** 2)
    divergence = sharp * np.log(sharp / again) + (1 - sharp) * np.log((1 - sharp) / (1 - again))
    # 0.5 and 0.7 are not sure enough.
    sure = np.array([[1, 0, 1], [1, 1, 0]])
    np.testing.assert_allclose(loss, (divergence * sure).sum() / 2, rtol=1e-4)
    np.testing.assert_allclose(consistency_loss(said, said, temperature=1.0, confidence=0.5), 0, atol=1e-5)


@pytest.mark.parametrize("schedule, half", [("linear", 0.5), ("log", 1 - np.exp(-2.5)), ("exp", np.exp(-2.5))])
def test_annealing_releases_pairs(schedule, half):
    np.testing.assert_allclose(annealing_threshold(schedule, 0.5), 0.5 + half / 2, rtol=1e-6)
    np.testing.assert_allclose(annealing_threshold(schedule, 1.0), 1.0, atol=0.01)
    np.testing.assert_allclose(annealing_threshold(schedule, 0.0), 0.5, atol=0.01)


def test_the_loss_is_the_weighted_sum():
    model = make_model()
    x, y = make_batch(ratio=3)
    learner = Learner(
        model,
        masked_frames=MaskedFramesConfig(weight=0.5, method="mse"),
        consistency=ConsistencyConfig(weight=2.0, ratio=3, temperature=0.7, confidence=0.6),
        label_weight=0.25,
    )
    learner.compile(optimizer="sgd")
    outputs = learner(x, training=True)
    loss = float(learner.compute_loss(x=x, y=y, y_pred=outputs))
    labelled = {name: values for name, values in x.items() if name != "unlabelled"}
    label_loss = float(model.rated_loss(y, model(labelled)))
    views = [
        {name: values[:, :, view].reshape(24, *values.shape[3:]) for name, values in x["unlabelled"].items()}
        for view in (0, 1)
    ]
    consistency = float(consistency_loss(model(views[0]), model(views[1]), temperature=0.7, confidence=0.6))
    assert consistency > 0.001
    np.testing.assert_allclose(
        loss, 0.25 * label_loss + 0.5 * float(outputs["masked_frames"]) + 2 * consistency, rtol=1e-4
    )
    results = {metric.name: float(metric.result()) for metric in learner.parts.values()}
    np.testing.assert_allclose(results["label_loss"], label_loss, rtol=1e-5)
    np.testing.assert_allclose(results["consistency_loss"], consistency, rtol=1e-4)
    np.testing.assert_allclose(learner(x, training=False), model(labelled), rtol=1e-6)


def test_pairs_that_are_right_already_wait():
    model = make_model()
    x, y = make_batch()
    learner = Learner(model, consistency=ConsistencyConfig(weight=0.0, annealing="linear", annealing_steps=10))
    learner.compile(optimizer="sgd")
    learner.steps.assign(4)
    p = np.asarray(model(x))
    right = y["labels"] * p + (1 - y["labels"]) * (1 - p)
    loss = learner.compute_loss(x=x, y=y, y_pred={"label": p})
    wanted = model.rated_loss(y | {"rated": (right <= 0.7).astype(np.float32)}, p)
    assert 0 < (right <= 0.7).sum() < right.size
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)


@pytest.mark.parametrize("method, cross_modal", [pytest.param("nce", True, marks=pytest.mark.slow), ("mse", False)])
def test_guessing_hidden_frames_is_learned(method, cross_modal):
    model = make_model(cross_modal=cross_modal)
    learner = Learner(model, masked_frames=MaskedFramesConfig(weight=1.0, method=method), label_weight=0.0)
    learner.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)
    x, y = make_batch(32)
    # A video's frames are alike, so that its others tell what the hidden one is.
    for name in DATA.features:
        x[name][:] = x[name][:, :1]
    head = [np.asarray(variable) for variable in model.head.variables]
    losses = []
    for _ in range(50):
        learner.reset_metrics()
        losses.append(learner.train_on_batch(x, y, return_dict=True)["loss"])
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])
    for variable, before in zip(model.head.variables, head):
        np.testing.assert_array_equal(variable, before)
    trained = {variable.path for variable in learner.trainable_variables}
    assert trained and not trained & {variable.path for variable in model.head.variables}


def test_a_saved_learner_is_the_same(tmp_path):
    learner = Learner(
        make_model(), masked_frames=MaskedFramesConfig(weight=1.0), consistency=ConsistencyConfig(weight=0.1)
    )
    path = tmp_path / "learner.keras"
    learner.save(path)
    loaded = keras.saving.load_model(path, safe_mode=True)
    assert loaded.get_config() == learner.get_config()
    for one, other in zip(learner.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_models_without_an_encoder_hide_no_frames():
    with pytest.raises(InputError, match="masked frames are for frame_bert and multimodal_bert, and this is logistic"):
        Learner(make_model("logistic", {}), masked_frames=MaskedFramesConfig(weight=1.0))
