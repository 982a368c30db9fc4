"""Scores of files of whole videos' classes against the metrics on full arrays."""

import numpy as np
import pytest

from yt8m.ranking import metrics
from yt8m.ranking.f1 import Thresholds, f1_scores
from yt8m.ranking.video_evaluation import evaluate_videos
from yt8m.ranking.video_predictions import VideoPredictions, write_video_predictions
from yt8m.types import DataWarning, InputError


def test_equals_the_metrics_on_arrays(tmp_path):
    generator = np.random.default_rng(0)
    scores, labels = generator.random((25, 9)).astype(np.float32), generator.random((25, 9)) < 0.3
    order = np.argsort(-scores, axis=1)
    rows = ((f"v{i}", order[i], scores[i, order[i]]) for i in generator.permutation(25))
    write_video_predictions(tmp_path / "v.csv", rows, number_format=".9g")
    named = {f"v{i}": tuple(np.flatnonzero(row).tolist()) for i, row in enumerate(labels)}
    result = evaluate_videos(tmp_path / "v.csv", named, top_k=5).result()
    assert result["gap_at_5"] == pytest.approx(metrics.gap(scores, labels, top_k=5), abs=1e-12)
    assert result["hit_at_one"] == metrics.hit_at_one(scores, labels)
    assert result["perr"] == pytest.approx(metrics.perr(scores, labels))
    assert result["map"] == pytest.approx(metrics.mean_average_precision(scores, labels, top_k=5))


def test_what_is_not_listed_is_not_found(tmp_path):
    # Class 0 ties with all that is not listed, and stands first among equals.
    (tmp_path / "v.csv").write_text("VideoId,LabelConfidencePairs\na,5 0.9\nb,4 0.8 5 0.1\nz,1 1\n")
    with pytest.warns(DataWarning, match="lacks 1 of 3 labelled videos, the first c: nothing is found in these"):
        found = evaluate_videos(tmp_path / "v.csv", {"a": (0, 5), "b": (5,), "c": (0,)}, top_k=2)
    # In one list: a 5 hit, b 4, b 5 hit: (1 + 2 / 3) / 4 labels.
    assert found.result() == {
        "gap_at_2": pytest.approx((1 + 2 / 3) / 4),
        "hit_at_one": pytest.approx(1 / 3),
        "perr": pytest.approx((1 / 2 + 0 + 0) / 3),
        "map": pytest.approx((0 + 1) / 2),
        "num_videos": 3,
    }
    # Found at 0.5: a 5, right, and b 4.
    assert f1_scores(found.pairs(), Thresholds(0.5))["micro"] == pytest.approx(2 * 1 / (2 + 4))
    with pytest.raises(InputError, match="has none of the 1 labelled videos"):
        evaluate_videos(tmp_path / "v.csv", {"q": (1,)})


@pytest.mark.parametrize(
    "line, sentence",
    [
        ("a,1 0.5\na,2 0.5\n", "line 3: video a stands in the file twice"),
        ("a,1 0.5 1 0.5\n", "line 2: a class of video a stands there twice"),
        ("a,1 nan\n", "line 2: a confidence is no number from 0 on"),
        ("a,1 1e39\n", "line 2: a confidence is no number from 0 on"),
        ("a,1 -0.5\n", "line 2: a confidence is no number from 0 on"),
        ("", "holds no videos"),
    ],
)
def test_bad_predictions_are_named(tmp_path, line, sentence):
    (tmp_path / "v.csv").write_text(f"VideoId,LabelConfidencePairs\n{line}")
    with pytest.raises(InputError, match=sentence):
        VideoPredictions.read(tmp_path / "v.csv")


def test_memory_does_not_depend_on_the_highest_class(tmp_path):
    (tmp_path / "v.csv").write_text("VideoId,LabelConfidencePairs\na,2147483647 0.9 5 0.8\nb,5 0.7\n")
    found = evaluate_videos(tmp_path / "v.csv", {"a": (2147483647,), "b": (6,)}, top_k=2)
    assert found.result()["map"] == 0.5 and set(found.pairs().class_ids.tolist()) == {5, 6, 2147483647}
