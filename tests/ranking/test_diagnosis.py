"""Mistakes, curves and calibration against hand values and scikit-learn."""

import numpy as np
import pytest

from yt8m.ranking import diagnosis
from yt8m.ranking.evaluation import evaluate_scores, evaluate_submission
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import write_submission

# (segment, class, rating, score), sorted as RatedLabels are.
PAIRS = [
    ("a:0", 1, 1, 0.9), ("a:5", 1, 0, 0.8), ("b:0", 1, 1, 0.3), ("b:5", 1, 0, 0.2), ("a:0", 2, 0, 0.4), ("a:5", 2, 1, 0.6),
    ("b:0", 3, 0, 0.5),
]  # fmt: skip


def evaluate(pairs):
    segments, classes, ratings, scores = zip(*pairs)
    return evaluate_scores(RatedLabels(segments, classes, ratings), np.array(scores))


def test_mistakes_at_break_even():
    evaluation = evaluate(PAIRS)
    # Class 1 has two positives, and its two best are a:0 and a:5; class 3 has none, and is not scored.
    assert diagnosis.mistakes(evaluation).tolist() == [0, 1, -1, 0, 0, 0, 0]
    assert diagnosis.videos_by_mistakes(evaluation, limit=5) == [("a", 1, 4), ("b", 1, 2)]
    assert diagnosis.videos_by_mistakes(evaluation, limit=1) == [("a", 1, 4)]
    assert diagnosis.video_ratings(evaluation, ["b"]) == {"b": {(1, 0): (True, -1), (1, 5): (False, 0)}}


def test_what_is_not_listed_is_missed(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["a:0", "x:0"], 2: ["a:5", "a:0"]})
    segments, classes, ratings, _ = zip(*PAIRS)
    evaluation = evaluate_submission(tmp_path / "s.csv", RatedLabels(segments, classes, ratings))
    assert evaluation.scores is None and not diagnosis.has_probabilities(evaluation)
    assert diagnosis.mistakes(evaluation).tolist() == [0, 0, -1, 0, 0, 0, 0]
    recall, precision = diagnosis.class_curve(evaluation, 1)
    assert recall.tolist() == [0.5] and precision.tolist() == [1.0]
    assert diagnosis.calibration(evaluation) is None


def test_scores_of_a_submission_are_those_of_its_segments(tmp_path):
    scores = {1: np.array([0.9, 0.5, 0.25]), 2: np.array([0.75])}
    write_submission(tmp_path / "s.parquet", {1: ["a:5", "x:0", "a:0"], 2: ["a:5"]}, scores=scores)
    segments, classes, ratings, _ = zip(*PAIRS)
    evaluation = evaluate_submission(tmp_path / "s.parquet", RatedLabels(segments, classes, ratings))
    np.testing.assert_array_equal(evaluation.scores, np.float32([0.25, 0.9, np.nan, np.nan, np.nan, 0.75, np.nan]))
    assert diagnosis.calibration(evaluation)["num_rated"] == 3


def test_pairs_mixed_up_in_a_segment():
    # a:5 is a false alarm of class 1 and shows class 2.
    found = diagnosis.mixed_up_pairs(evaluate(PAIRS))
    assert found == {"level": "segment", "pairs": [{"found": 1, "there": 2, "count": 1, "of": 1}]}


def test_pairs_mixed_up_in_a_video_where_segments_have_one_rating_each():
    pairs = [("a:0", 1, 1, 0.1), ("a:5", 1, 0, 0.8), ("a:10", 1, 0, 0.7), ("b:0", 1, 1, 0.5), ("a:15", 2, 1, 0.6)]
    found = diagnosis.mixed_up_pairs(evaluate(pairs))
    assert found == {"level": "video", "pairs": [{"found": 1, "there": 2, "count": 2, "of": 2}]}


def test_curves_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(0)
    scores = random.integers(1, 20, 100) / 20
    pairs = [(f"v:{5 * place}", 1, int(random.random() < score), score) for place, score in enumerate(scores)]
    evaluation = evaluate(pairs)
    recall, precision = diagnosis.micro_curve(evaluation)
    expected_precision, expected_recall, _ = metrics.precision_recall_curve(
        evaluation.labels.positive, evaluation.scores
    )
    np.testing.assert_allclose(recall, expected_recall[-2::-1])
    np.testing.assert_allclose(precision, expected_precision[-2::-1])


def test_class_curve_by_hand():
    recall, precision = diagnosis.class_curve(evaluate(PAIRS), 1)
    np.testing.assert_allclose(recall, [0.5, 0.5, 1, 1])
    np.testing.assert_allclose(precision, [1, 1 / 2, 2 / 3, 1 / 2])


def test_calibration_by_hand():
    # Below 0.5: 0.3 +, 0.2, 0.4; above: 0.9 +, 0.8, 0.6 +.
    found = diagnosis.calibration(evaluate(PAIRS), num_bins=2)
    low, high = found["bins"]
    assert (low["count"], low["mean_score"], low["share_positive"]) == (3, pytest.approx(0.3), pytest.approx(1 / 3))
    assert (high["count"], high["mean_score"], high["share_positive"]) == (
        3,
        pytest.approx(2.3 / 3),
        pytest.approx(2 / 3),
    )
    assert found["expected_calibration_error"] == pytest.approx((0.1 / 3 + 0.1) / 2)
    assert diagnosis.calibration(evaluate([("a:0", 1, 1, 1.5), ("a:5", 1, 0, 0.5)])) is None
