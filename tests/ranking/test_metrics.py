"""Metrics against hand values, slow twins and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from yt8m.ranking import metrics

SCORES = np.array([[0.9, 0.8, 0.1], [0.2, 0.7, 0.6]])
LABELS = np.array([[1, 0, 1], [0, 0, 1]])


def random_case(seed=0, videos=60, classes=30, *, ties=False):
    generator = np.random.default_rng(seed)
    scores = generator.random((videos, classes))
    if ties:
        scores = np.round(scores, 1)
    labels = (generator.random((videos, classes)) < 0.15).astype(float)
    labels[3] = 0
    labels[:, 7] = 0
    return scores, labels


def slow_gap(scores, labels, top_k):
    entries = []
    for video, row in enumerate(scores):
        for column in sorted(range(len(row)), key=lambda c: (-row[c], c))[:top_k]:
            entries.append((row[column], labels[video, column]))
    entries = sorted(entries, key=lambda entry: -entry[0])
    hits, total = 0, 0.0
    for place, (_, hit) in enumerate(entries, 1):
        hits += hit
        total += hit * hits / place
    return total / labels.sum()


def test_hand_values():
    # Ranked: 0.9 hit, 0.8, 0.7, 0.6 hit: (1/1 + 2/4) / 3 labels, the third is outside the top 2 of its video.
    assert metrics.gap(SCORES, LABELS, top_k=2) == pytest.approx(1.5 / 3)
    assert metrics.hit_at_one(SCORES, LABELS) == 0.5
    # Video 0: of its 2 best, one is a label; video 1: its best is none.
    assert metrics.perr(SCORES, LABELS) == pytest.approx((0.5 + 0) / 2)
    # Class 0: 0.9 hit: 1; class 2: 0.6 hit, 0.1 hit: 1; class 1 has no positives.
    assert metrics.mean_average_precision(SCORES, LABELS) == 1.0
    # Predicted at 0.5: (0,0) hit, (0,1), (1,1), (1,2) hit: 2 * 2 / (4 + 3).
    assert metrics.f1(SCORES, LABELS) == pytest.approx(4 / 7)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("top_k", [1, 5, 20, 50])
def test_gap_equals_slow_twin(ties, top_k):
    scores, labels = random_case(ties=ties)
    assert metrics.gap(scores, labels, top_k=top_k) == pytest.approx(slow_gap(scores, labels, top_k), abs=1e-12)


def test_equal_scikit_learn():
    scores, labels = random_case()
    kept = labels.any(axis=0)
    expected = average_precision_score(labels[:, kept], scores[:, kept], average="macro")
    assert metrics.mean_average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)
    assert metrics.gap(scores, labels, top_k=30) == pytest.approx(
        average_precision_score(labels.ravel(), scores.ravel()), abs=1e-12
    )
    assert metrics.f1(scores, labels) == pytest.approx(f1_score(labels.ravel() > 0, scores.ravel() >= 0.5), abs=1e-12)


def test_perr_equals_slow_twin():
    scores, labels = random_case(1)
    expected = []
    for row, truth in zip(scores, labels):
        count = int(truth.sum())
        if count:
            expected.append(np.mean([truth[c] for c in np.argsort(-row)[:count]]))
    assert metrics.perr(scores, labels) == pytest.approx(np.mean(expected), abs=1e-12)


@pytest.mark.parametrize("ties", [False, True])
def test_streaming_equals_arrays(ties):
    scores, labels = random_case(2, ties=ties)
    streaming = metrics.VideoMetrics(30, top_k=6)
    for begin in range(0, 60, 13):
        streaming.update(scores[begin : begin + 13], labels[begin : begin + 13])
    result = streaming.result()
    assert result.pop("num_videos") == 60
    assert result == pytest.approx(
        {
            "gap_at_6": metrics.gap(scores, labels, top_k=6),
            "hit_at_one": metrics.hit_at_one(scores, labels),
            "perr": metrics.perr(scores, labels),
            "map": metrics.mean_average_precision(scores, labels, top_k=6),
        },
        abs=1e-12,
    )


def test_full_and_cut_map_agree_where_nothing_is_cut():
    scores, labels = random_case(3)
    full = metrics.mean_average_precision(scores, labels)
    assert metrics.mean_average_precision(scores, labels, top_k=30) == pytest.approx(full, abs=1e-12)


def test_nothing_added():
    assert metrics.VideoMetrics(5).result() == {
        "gap_at_20": 0.0,
        "hit_at_one": 0.0,
        "perr": 0.0,
        "map": 0.0,
        "num_videos": 0,
    }


def slow_segment_map(scores, labels, rated, top_n):
    values = {}
    for c in range(scores.shape[1]):
        ranking = sorted(range(len(scores)), key=lambda n: (-scores[n, c], n))[:top_n]
        hits = seen = total = 0
        for n in ranking:
            if rated[n, c]:
                seen += 1
                hits += labels[n, c]
                total += labels[n, c] * hits / seen
        positives = np.sum(labels[:, c] * rated[:, c])
        if positives:
            values[c] = total / positives
    return values


@pytest.mark.parametrize("top_n", [10, 40, 100])
def test_segment_map_equals_slow_twin(top_n):
    scores, labels = random_case(4, ties=True)
    rated = np.random.default_rng(5).random(scores.shape) < 0.4
    expected = slow_segment_map(scores, labels, rated, top_n)
    result = metrics.segment_map(scores, labels, rated, top_n=top_n)
    assert result["average_precision"] == pytest.approx(expected, abs=1e-12)
    assert result["map_at_k"] == pytest.approx(np.mean(list(expected.values())), abs=1e-12)


def test_segment_map_names_classes():
    result = metrics.segment_map([[0.5], [0.6]], [[1], [0]], [[1], [1]], class_ids=[42])
    assert result == {"map_at_k": 0.5, "average_precision": {42: 0.5}}


@pytest.mark.parametrize("scores", [[[np.nan]], [[np.inf]], [[1, 2]], [1]])
def test_bad_arrays(scores):
    with pytest.raises(ValueError):
        metrics.gap(scores, [[1]])
