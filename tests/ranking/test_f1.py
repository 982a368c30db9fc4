"""F1 and its thresholds against scikit-learn, hand values and a slow search."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score

from yt8m.ranking.diagnosis import scored_pairs
from yt8m.ranking.evaluation import RatedLabels, evaluate_scores, evaluate_submission
from yt8m.ranking.f1 import ScoredPairs, Thresholds, cross_validated_f1, f1_scores, fit_thresholds
from yt8m.ranking.metrics import VideoMetrics
from yt8m.ranking.submission import write_submission
from yt8m.types import InputError


def pairs_of(seed=0, classes=4, videos=40):
    """Pairs of every video and class, positives with higher scores; class 3 has none."""
    generator = np.random.default_rng(seed)
    class_ids = np.tile(np.arange(classes), videos)
    positive = (generator.random(len(class_ids)) < 0.3) & (class_ids != 3)
    scores = np.round(generator.random(len(class_ids)) * (0.5 + 0.5 * positive) / (1 + class_ids), 2)
    return ScoredPairs(class_ids, scores, positive, np.repeat(np.arange(videos), classes))


def test_equals_scikit_learn():
    pairs = pairs_of()
    thresholds = Thresholds(0.3, {0: 0.6, 1: 0.4})
    found = pairs.scores >= np.array([0.6, 0.4, 0.3, 0.3])[pairs.class_ids]
    result = f1_scores(pairs, thresholds)
    assert result["micro"] == pytest.approx(f1_score(pairs.positive, found))
    assert result["precision"] == pytest.approx(precision_score(pairs.positive, found))
    assert result["recall"] == pytest.approx(recall_score(pairs.positive, found))
    of_classes = [f1_score(pairs.positive[pairs.class_ids == c], found[pairs.class_ids == c]) for c in range(3)]
    assert result["macro"] == pytest.approx(np.mean(of_classes))


def test_fitted_thresholds_are_the_best():
    pairs = pairs_of()
    fitted = fit_thresholds(pairs)
    assert sorted(fitted.by_class) == [0, 1, 2]
    for class_id, value in fitted.by_class.items():
        own = pairs.take(pairs.class_ids == class_id)
        best = max(f1_score(own.positive, own.scores >= score) for score in own.scores)
        assert f1_scores(own, Thresholds(value))["micro"] == pytest.approx(best)
    best = max(f1_score(pairs.positive, pairs.scores >= score) for score in pairs.scores)
    assert f1_scores(pairs, Thresholds(fitted.common))["micro"] == pytest.approx(best)


def test_threshold_by_hand():
    pairs = ScoredPairs(
        np.zeros(5, int), np.array([0.9, 0.8, 0.5, 0.4, -np.inf]), np.array([1, 1, 0, 0, 1]) > 0, np.arange(5)
    )
    # Two found, both right, of three: 2 * 2 / (2 + 3); half way from 0.8 to 0.5.
    fitted = fit_thresholds(pairs)
    assert fitted.common == pytest.approx(0.65) == fitted.by_class[0]
    expected = {"micro": 0.8, "macro": 0.8, "precision": 1.0, "recall": 2 / 3}
    assert f1_scores(pairs, fitted) == pytest.approx(expected)
    with pytest.raises(InputError, match="thresholds need positives with scores"):
        fit_thresholds(pairs.take(np.array([2, 3, 4])))


def test_cross_validation_is_not_fooled():
    generator = np.random.default_rng(0)
    count = 400
    noise = ScoredPairs(
        np.arange(count) % 40, generator.random(count), generator.random(count) < 0.3, np.arange(count) // 4
    )
    fitted = f1_scores(noise, fit_thresholds(noise))["micro"]
    held = cross_validated_f1(noise)["micro"]
    assert fitted > 0.55 > 0.5 > held > 0.2
    assert cross_validated_f1(noise, by_class=False)["micro"] > held - 0.1
    one = noise.take(noise.videos == 0)
    assert cross_validated_f1(one)["micro"] == 0


def test_file_keeps_thresholds(tmp_path):
    thresholds = Thresholds(0.1 + 0.2, {3: 0.25, 7: 1e-9})
    thresholds.write(tmp_path / "t.csv")
    assert Thresholds.read(tmp_path / "t.csv") == thresholds
    assert Thresholds.read(tmp_path / "t.csv", common=0.9) == Thresholds(0.9, thresholds.by_class)
    assert thresholds.of(np.array([7, 1, 3])).tolist() == [1e-9, 0.1 + 0.2, 0.25]


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("Class,Segments\n", "has no column Threshold"),
        ("Class,Threshold\n1,x\n", "line 2: threshold 'x' is not a finite number"),
        ("Class,Threshold\n1,0.5\n1,0.5\n", "line 3: class 1 stands in the file twice"),
    ],
)
def test_bad_files_are_named(tmp_path, text, sentence):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        Thresholds.read(tmp_path / "t.csv")


def test_segments_count_where_they_are_rated_and_listed(tmp_path):
    labels = RatedLabels(["a:0", "a:5", "b:0", "b:5"], [1, 1, 1, 2], [1, 0, 1, 0])
    write_submission(tmp_path / "s.parquet", {1: ["a:0", "x:0", "a:5"]}, scores={1: [0.9, 0.8, 0.7]})
    pairs = scored_pairs(evaluate_submission(tmp_path / "s.parquet", labels))
    assert (pairs.class_ids.tolist(), pairs.scores.round(6).tolist()) == ([1, 1, 1], [0.9, 0.7, -np.inf])
    expected = {"micro": 2 / 4, "macro": 2 / 4, "precision": 0.5, "recall": 0.5}
    assert f1_scores(pairs, Thresholds(0.5)) == pytest.approx(expected)
    assert len(scored_pairs(evaluate_scores(labels, np.full(4, 0.5))).scores) == 3
    write_submission(tmp_path / "s.csv", {1: ["a:0"]})
    with pytest.raises(InputError, match=r"s.csv has ranks and no scores: F1 needs scores, .* as .parquet alone"):
        scored_pairs(evaluate_submission(tmp_path / "s.csv", labels))


def test_videos_count_with_their_best_classes():
    generator = np.random.default_rng(1)
    scores, labels = generator.random((30, 8)), generator.random((30, 8)) < 0.3
    metrics = VideoMetrics(8, top_k=3)
    for rows in (slice(0, 11), slice(11, 30)):
        metrics.update(scores[rows], labels[rows])
    kept = np.argsort(np.argsort(-scores, axis=1), axis=1) < 3
    pairs = metrics.pairs()
    result = f1_scores(pairs, Thresholds(0.4))
    assert result["micro"] == pytest.approx(f1_score(labels.ravel(), (kept & (scores >= 0.4)).ravel()))
    assert result["macro"] == pytest.approx(f1_score(labels, kept & (scores >= 0.4), average="macro"))
    assert np.bincount(pairs.videos[pairs.positive], minlength=30).tolist() == labels.sum(axis=1).tolist()
