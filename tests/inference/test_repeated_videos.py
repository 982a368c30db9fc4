"""Videos that stand in two records: told, and listed or scored once."""

import dataclasses

import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.config import ModelConfig
from yt8m.data.splits import Source
from yt8m.data.tfrecord import write_records
from yt8m.inference.model_evaluation import evaluate_model
from yt8m.inference.prediction import predict_segments, predict_videos
from yt8m.inference.scorer import Scorer
from yt8m.models.base import build_model
from yt8m.types import DataWarning


@pytest.fixture(scope="module")
def model():
    return build_model(ModelConfig(name="logistic"), CONFIG)


@pytest.fixture
def files(tmp_path):
    """(files in which v1 stands twice, with other frames the second time; files of the first records alone)."""
    videos = [make_video(name, frames=10, segments=((0, 1, 1.0), (5, 2, 0.0))) for name in ("v1", "v2")]
    other = {name: 255 - np.asarray(values) for name, values in videos[0].features.items()}
    again = dataclasses.replace(videos[0], features=other)
    for name, records in (("a", videos), ("b", [again])):
        write_records(tmp_path / name, records)
    return Source((str(tmp_path / "a"), str(tmp_path / "b"))), Source((str(tmp_path / "a"),))


def listed(top):
    return {class_id: dict(zip(segments.texts(), scores.tolist())) for class_id, segments, scores in top}


def test_each_segment_is_listed_once_with_its_best_score(model, files):
    twice, once = files
    options = {"class_ids": (1, 4), "batch_size": 2}
    expected = listed(predict_segments(model, once, CONFIG, **options))
    other = listed(predict_segments(model, Source(twice.files[1:]), CONFIG, **options))
    top = predict_segments(model, twice, CONFIG, **options)
    with pytest.warns(
        DataWarning, match="^videos that are in more than one record: 1, v1 the first; each of their seg"
    ):
        found = [(class_id, segments.texts(), scores.tolist()) for class_id, segments, scores in top]
    for class_id, texts, scores in found:
        assert sorted(texts) == ["v1:0", "v1:5", "v2:0", "v2:5"] and scores == sorted(scores, reverse=True)
        best = {text: max(score, other[class_id].get(text, 0)) for text, score in expected[class_id].items()}
        assert dict(zip(texts, scores)) == best


def test_each_video_is_tagged_once_by_its_first_record(model, files):
    twice, once = files
    expected = [(name, scores.tolist()) for name, _, scores in predict_videos(model, once, CONFIG, top_k=2)]
    with pytest.warns(DataWarning, match="^records of videos that have an earlier record: 1, of v1 the first; each"):
        found = [(name, scores.tolist()) for name, _, scores in predict_videos(model, twice, CONFIG, top_k=2)]
    assert found == expected


@pytest.mark.parametrize("segments", [True, False])
def test_each_is_scored_once(model, files, segments):
    twice, once = files
    scorer = Scorer(model, batch_size=2)
    expected = evaluate_model(scorer, once, CONFIG, segment_labels=segments)
    with pytest.warns(DataWarning, match="2 of 6 rated pairs|records of videos that have an earlier record: 1"):
        found = evaluate_model(scorer, twice, CONFIG, segment_labels=segments)
    names = ("num_rated", "num_positive") if segments else ("gap_at_20", "num_videos")
    for name in names:
        if name in expected:
            assert found[name] == expected[name]
