"""Scores of segments by the classes that backbones know, against the mean of the seconds' scores, one by one."""

import numpy as np
import pytest

from yt8m.features import tagging
from yt8m.features.backbones.base import LinearHead
from yt8m.features.tagging import Tagger


def head(random, size, classes, activation):
    return LinearHead(
        weights=random.normal(size=(size, classes)).astype(np.float32),
        bias=random.normal(size=classes).astype(np.float32),
        class_names=tuple(f"{activation} {number}" for number in range(classes)),
        activation=activation,
    )


@pytest.mark.parametrize("length", [1, 4, 5, 6, 14, 15, 16, 29, 30, 31, 43])
def test_scores_of_segments_are_means_of_seconds(length, monkeypatch):
    """Of two backbones, whatever is scored at once: three segments here."""
    monkeypatch.setattr(tagging, "_BLOCK", 15)
    random = np.random.default_rng(length)
    heads = {"rgb": head(random, 8, 3, "softmax"), "audio": head(random, 4, 2, "sigmoid")}
    features = {"rgb": random.normal(size=(length, 8)), "audio": random.normal(size=(length + 1, 4))}
    timeline = Tagger(heads)(features, video_id="v")
    scores = np.concatenate([one(features[name][:length]) for name, one in heads.items()], axis=1)
    wanted = [scores[first : first + 5].mean(axis=0) for first in range(0, length, 5)]
    np.testing.assert_allclose(timeline.scores, np.transpose(wanted), atol=1e-6)
    assert timeline.starts.tolist() == list(range(0, length, 5)) and timeline.end == length
