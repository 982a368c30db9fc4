"""Sparse targets, and models and metrics that take them, against dense ones worked out by hand."""

import numpy as np
import pytest

from yt8m.config import DataConfig, ModelConfig
from yt8m.inference import model_evaluation
from yt8m.models.base import build_model
from yt8m.models.targets import dense_targets, rated_pairs

NUM_CLASSES = 7
CLASSES = np.array([[3, 7, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]], np.int32)
SCORES = np.array([[0.25, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.float32)
VIDEO_CLASSES = np.array([[3, 4], [2, 0], [5, 7]], np.int32)
LABELS = np.array([[0, 0, 0.25, 0, 0, 0, 1], [0] * 7, [0] * 7], np.float32)
RATED = np.array([[0, 0, 1, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0], [0] * 7], np.float32)
HALF = np.array(
    [[0.5, 0.5, 1, 0, 0.5, 0.5, 1], [1, 0, 0.5, 0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5, 0, 0.5, 0]], np.float32
)


def sparse(unrated, **more):
    return {"classes": CLASSES, "scores": SCORES, "unrated": np.full((3, 1), unrated, np.float32)} | more


CASES = {
    "masked": (sparse(0), RATED),
    "negative": (sparse(1), np.ones_like(RATED)),
    "video_negative": (sparse(0.5, video_classes=VIDEO_CLASSES), HALF),
}


@pytest.mark.parametrize("policy", CASES)
def test_dense_targets(policy):
    targets, rated = CASES[policy]
    dense = {name: np.asarray(values) for name, values in dense_targets(targets, num_classes=NUM_CLASSES).items()}
    np.testing.assert_array_equal(dense["labels"], LABELS)
    np.testing.assert_array_equal(dense["rated"], rated)
    assert dense["labels"].dtype == dense["rated"].dtype == np.float32
    assert dense_targets(dense, num_classes=NUM_CLASSES) is dense


def test_rated_pairs():
    rows, classes, labels = rated_pairs(sparse(0))
    assert rows.tolist() == [0, 0, 1] and classes.tolist() == [2, 6, 0] and labels.tolist() == [0.25, 1, 0]


@pytest.mark.parametrize("name", ["logistic", "mix_nextvlad"])
@pytest.mark.parametrize("policy", CASES)
def test_the_loss_of_sparse_targets_is_that_of_dense_ones(policy, name):
    targets, rated = CASES[policy]
    data = DataConfig(feature_names=("rgb", "audio"), feature_sizes=(12, 6), num_classes=NUM_CLASSES)
    small = {"num_clusters": 4, "groups": 2, "hidden_size": 4} if name == "mix_nextvlad" else {}
    model = build_model(ModelConfig(name=name, hyperparameters=small), data)
    random = np.random.default_rng(0)
    features = {key: random.integers(0, 256, (3, 5, size), np.uint8) for key, size in data.features.items()}
    outputs = model(features | {"num_frames": np.array([5, 3, 1], np.int32)}, training=True)
    losses = [float(model.compute_loss(y=y, y_pred=outputs)) for y in (targets, {"labels": LABELS, "rated": rated})]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6) and losses[0] > 0.1


@pytest.mark.parametrize("policy", ["masked", "negative"])
def test_the_loss_of_the_holdout(policy):
    targets, rated = CASES[policy]
    scores = np.random.default_rng(0).random((3, NUM_CLASSES)).astype(np.float32)
    entropy = LABELS * np.log(scores + 1e-6) + (1 - LABELS) * np.log(1 - scores + 1e-6)
    assert model_evaluation._summed_loss(scores, targets) == pytest.approx(-np.sum(entropy * rated), rel=1e-6)
