"""Fusion of whole videos' classes against a plain loop, and its objective against scoring what it writes."""

import math

import numpy as np
import pytest

from yt8m.ensemble import video_fusion
from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.video_fusion import VideoObjective, fuse_videos
from yt8m.ensemble.weight_search import SearchSettings, search_weights
from yt8m.ranking.video_evaluation import evaluate_videos
from yt8m.ranking.video_predictions import VideoPredictions, write_video_predictions
from yt8m.types import InputError


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """(paths, labels) of three models, of which the first is weak, on 60 videos and 12 classes, 5 of them listed."""
    folder, generator = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    labels = {f"v{i:02}": tuple(np.flatnonzero(generator.random(12) < 0.2).tolist()) for i in range(60)}
    positive = np.array([[c in classes for c in range(12)] for classes in labels.values()])
    paths = []
    for strength in (0.1, 2.5, 2.5):
        scores = np.round(1 / (1 + np.exp(1 - strength * positive - generator.normal(size=positive.shape))), 6)
        rows = [(video, order := np.argsort(-row)[:5], row[order]) for video, row in zip(labels, scores)]
        paths.append(str(folder / f"{len(paths)}.csv"))
        write_video_predictions(paths[-1], [rows[i] for i in generator.permutation(60)[: 60 - len(paths)]])
    return paths, labels


def plain_fusion(paths, weights, method, top_k):
    """{video: [(class, score), ...]} by a loop over everything."""
    sums, total = {}, sum(weights)
    for path, weight in zip(paths, weights):
        part = VideoPredictions.read(path)
        for video, class_id, score in zip(part.videos, part.class_ids.tolist(), part.scores.astype(float)):
            share = score if method == "mean" else math.log(max(score, 1e-6) / 1e-6)
            classes = sums.setdefault(part.video_ids[video], {})
            classes[class_id] = classes.get(class_id, 0.0) + weight * share / total
    best = {
        video: sorted(classes.items(), key=lambda pair: (-pair[1], pair[0]))[:top_k] for video, classes in sums.items()
    }
    if method == "mean":
        return best
    return {video: [(c, math.exp(value) * 1e-6) for c, value in classes] for video, classes in best.items()}


@pytest.mark.parametrize("method", ["mean", "geometric_mean"])
@pytest.mark.parametrize("at_once", [7, 20_000])
def test_equals_plain_loop(case, tmp_path, method, at_once, monkeypatch):
    monkeypatch.setattr(video_fusion, "_VIDEOS_AT_ONCE", at_once)
    weights = (0.5, 2.0, 1.0)
    report = fuse_videos(case[0], tmp_path / "o.csv", fusion=Fusion(weights, method=method), top_k=6)
    expected = plain_fusion(case[0], weights, method, 6)
    fused = VideoPredictions.read(tmp_path / "o.csv")
    assert fused.video_ids[:59] == VideoPredictions.read(case[0][0]).video_ids
    assert sorted(fused.video_ids) == sorted(expected)
    for index, video in enumerate(fused.video_ids):
        rows = fused.videos == index
        assert fused.class_ids[rows].tolist() == [c for c, _ in expected[video]]
        assert fused.scores[rows].tolist() == pytest.approx([score for _, score in expected[video]], rel=1e-6)
    assert report.rows_written == len(fused.scores)
    assert any(note.endswith("lacks 1 of 60 videos") for note in report.notes)


@pytest.mark.filterwarnings("ignore:.*lacks")
@pytest.mark.parametrize("method", ["mean", "geometric_mean"])
def test_objective_equals_fusing_and_scoring(case, tmp_path, method):
    paths, labels = case
    objective = VideoObjective.from_predictions(paths, labels, top_k=3)
    assert objective.metric == "gap_at_3"
    for weights in ((1.0, 1.0, 1.0), (0.0, 1.0, 0.3), (1.0, 0.0, 0.0)):
        fusion = Fusion(weights, method=method)
        fuse_videos(paths, tmp_path / "o.csv", fusion=fusion, top_k=3)
        expected = evaluate_videos(tmp_path / "o.csv", labels, top_k=3).result()["gap_at_3"]
        assert objective(fusion) == pytest.approx(expected, abs=1e-6)


@pytest.mark.filterwarnings("ignore:.*lacks")
def test_search_gives_the_weak_model_less(case):
    objective = VideoObjective.from_predictions(*case)
    result = search_weights(objective, plain=Fusion((1.0,) * 3, method="mean"), settings=SearchSettings())
    assert result.fusion.weights[0] < 0.7 and result.gain.mean > 0
    assert result.score > result.plain_score


@pytest.mark.filterwarnings("ignore:.*lacks")
def test_restricted_objective_is_that_of_fewer_labels(case):
    paths, labels = case
    objective = VideoObjective.from_predictions(paths, labels)
    names = sorted(labels)
    part = VideoObjective.from_predictions(paths, {name: labels[name] for name in names[:20]})
    fusion = Fusion((1.0, 2.0, 3.0), method="mean")
    assert objective.restrict(objective.videos < 20)(fusion) == pytest.approx(part(fusion), abs=1e-14)
    with pytest.raises(InputError, match="use fewer folds"):
        objective.restrict(~objective.positive)


def test_refusals(case, tmp_path):
    with pytest.raises(InputError, match="fused by mean or geometric_mean"):
        fuse_videos(case[0], tmp_path / "o.csv", fusion=Fusion((1.0,) * 3))
    with pytest.raises(InputError, match="2 weights for 3 files of predictions"):
        fuse_videos(case[0], tmp_path / "o.csv", fusion=Fusion((1.0,) * 2, method="mean"))
    with pytest.raises(InputError, match="0.csv has none of the 1 labelled videos"):
        VideoObjective.from_predictions(case[0], {"q": (1,)})
