"""Evaluation by several processes, each of which reads and scores a part of the files, against that by one."""

import numpy as np
import pytest

from tests.helpers.processes import in_step
from tests.helpers.records import CONFIG, make_video
from yt8m.config import ModelConfig
from yt8m.data.cache import open_cache
from yt8m.data.splits import IdSplit, Source
from yt8m.data.tfrecord import write_records
from yt8m.inference import model_evaluation
from yt8m.inference.model_evaluation import evaluate_model
from yt8m.inference.scorer import Scorer
from yt8m.models.base import build_model
from yt8m.ranking.metrics import VideoMetrics
from yt8m.types import InputError

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.DataWarning")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Five files, of which two hold videos of others, again and with other labels; one has no ratings."""
    folder, paths = tmp_path_factory.mktemp("records"), []
    for number, (first, count) in enumerate(((0, 14), (8, 13), (40, 1), (50, 9), (3, 20))):
        videos = []
        for video in range(first, first + count):
            random = np.random.default_rng([number, video])
            labels = tuple(random.choice(10, 3, replace=False).tolist())
            segments = ((0, video % 10, 1.0), (5, number, video % 2 / 1.0), (5, 9, 1.0)) if number != 2 else None
            videos.append(make_video(f"v{video}", frames=6 + (video + number) % 9, labels=labels, segments=segments))
        paths.append(str(folder / f"{number}.tfrecord"))
        write_records(paths[-1], videos)
    return tuple(paths)


@pytest.fixture(scope="module")
def model():
    return build_model(ModelConfig(name="logistic"), CONFIG)


def score(model, source, **options):
    results = evaluate_model(Scorer(model, batch_size=4), source, CONFIG, **options)
    evaluation = results.pop("evaluation", None)
    return results | (
        {"per_class": evaluation.average_precision.tolist(), "scores": evaluation.scores.tolist()} if evaluation else {}
    )


@pytest.mark.parametrize("processes", [2, 3, 7])
@pytest.mark.parametrize("keep", [None, IdSplit(fraction=0.4).in_train])
@pytest.mark.parametrize("segment_labels", [True, False])
@pytest.mark.slow
def test_it_is_that_by_one_process(files, model, tmp_path, processes, keep, segment_labels):
    source = Source(files, keep)
    cache = open_cache(tmp_path, files, CONFIG, windows="rated" if segment_labels else "video")
    options = {"segment_labels": segment_labels, "cache": cache}
    expected = score(model, source, **options)
    assert len(expected) > 4
    loss = expected.pop("loss")
    for found in in_step(lambda placement: score(model, source, placement=placement, **options), processes=processes):
        assert found.pop("loss") == pytest.approx(loss, rel=1e-6)
        assert found == expected


def test_each_process_reads_its_own_files_alone(files, model, monkeypatch):
    read = []
    make_dataset = model_evaluation.make_dataset

    def noting(files, *args, **options):
        read.extend(files)
        return make_dataset(files, *args, **options)

    monkeypatch.setattr(model_evaluation, "make_dataset", noting)
    in_step(
        lambda placement: score(model, Source(files), segment_labels=False, placement=placement),
        processes=3,
    )
    assert sorted(read) == sorted(files)


def test_a_bad_record_in_one_part_ends_all_processes(files, model, tmp_path):
    bad = str(tmp_path / "bad.tfrecord")
    write_records(bad, [make_video("x", labels=(77,))])
    source = Source((*files[:2], bad))
    found = in_step(lambda placement: score(model, source, segment_labels=False, placement=placement), processes=3)
    assert all(isinstance(error, InputError) and "bad.tfrecord, record 0: labels" in str(error) for error in found)


@pytest.mark.parametrize("seed", range(8))
def test_metrics_of_parts_without_some_videos_are_those_of_the_rest(seed):
    random = np.random.default_rng(seed)
    merged, whole = VideoMetrics(12, top_k=4), VideoMetrics(12, top_k=4)
    for _ in range(3):
        count = int(random.integers(0, 9))
        # Scores with ties, and videos with no label or with many.
        scores, labels = random.integers(0, 5, (count, 12)) / 4, random.random((count, 12)) < random.random((count, 1))
        kept = random.random(count) < 0.7
        part = VideoMetrics(12, top_k=4)
        for rows in np.array_split(np.arange(count), 2):
            part.update(scores[rows], labels[rows])
        merged.add_arrays(part.arrays(), kept)
        whole.update(scores[kept], labels[kept])
    assert merged.result() == whole.result()
    for name in ("class_ids", "scores", "positive", "videos"):
        np.testing.assert_array_equal(getattr(merged.pairs(), name), getattr(whole.pairs(), name))
