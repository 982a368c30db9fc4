"""Embeddings are what the model's own ``embed`` gives, however the job is cut, stopped and gone on with."""

import numpy as np
import pytest

from yt8m.config import DataConfig, ModelConfig
from yt8m.data.splits import Source
from yt8m.data.tfrecord import FrameRecord, write_records
from yt8m.inference import jobs
from yt8m.inference.embeddings import predict_embeddings
from yt8m.inference.jobs import Execution
from yt8m.inference.prediction import Scorer
from yt8m.models.base import build_model
from yt8m.runtime.parts import PartsFolder
from yt8m.types import InputError

CONFIG = DataConfig(feature_names=("rgb",), feature_sizes=(6,), num_classes=4, num_frames=30)
LENGTHS = {"short": 3, "even": 10, "ragged": 23, "a:b": 17}


@pytest.fixture(scope="module")
def model():
    return build_model(ModelConfig(name="moe", hyperparameters={"num_mixtures": 1, "hidden_sizes": [7]}), CONFIG)


@pytest.fixture(scope="module")
def videos():
    random = np.random.default_rng(0)
    return {name: random.integers(0, 256, (length, 6), dtype=np.uint8) for name, length in LENGTHS.items()}


@pytest.fixture
def source(videos, tmp_path, monkeypatch):
    """A file a video, each of them a part."""
    monkeypatch.setattr(jobs, "_BATCHES_PER_PART", 1)
    files = [str(tmp_path / f"{place}.tfrecord") for place in range(len(videos))]
    for path, (name, frames) in zip(files, videos.items()):
        write_records(path, [FrameRecord(video_id=name, features={"rgb": frames})])
    return Source(tuple(files))


def windows(videos, shift):
    """(ids, starts, the model's inputs) of all segments, clamped at the borders."""
    ids, starts, frames, counts = [], [], [], []
    for name, values in videos.items():
        for start in range(0, len(values), 5):
            count = min(5, len(values) - start)
            padded = np.zeros((5, 6), np.uint8)
            padded[:count] = values[np.clip(start - shift + np.arange(count), 0, len(values) - 1)]
            ids.append(name)
            starts.append(start)
            frames.append(padded)
            counts.append(count)
    return ids, starts, {"rgb": np.stack(frames), "num_frames": np.array(counts, np.int32)}


def collected(parts):
    parts = list(parts)
    ids = [video_id for rows in parts for video_id in rows.ids]
    starts = None if parts[0].starts is None else np.concatenate([rows.starts for rows in parts]).tolist()
    return ids, starts, np.concatenate([rows.vectors for rows in parts])


@pytest.mark.parametrize("views", [(0,), (-1, 0, 1)])
def test_segments_are_embedded_as_the_model_does(model, videos, source, views):
    ids, starts, vectors = collected(
        predict_embeddings(model, source, CONFIG, segments=True, views=views, batch_size=3)
    )
    seen = [windows(videos, shift) for shift in views]
    assert (ids, starts) == seen[0][:2]
    expected = np.mean([np.asarray(model.embed(inputs)) for _, _, inputs in seen], axis=0)
    assert vectors.dtype == np.float32 and vectors.shape == (len(ids), 7)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_videos_are_embedded_as_the_model_does(model, videos, source):
    ids, starts, vectors = collected(predict_embeddings(model, source, CONFIG, segments=False, batch_size=3))
    assert ids == list(videos) and starts is None
    for name, vector in zip(ids, vectors):
        inputs = {"rgb": videos[name][None], "num_frames": np.array([len(videos[name])], np.int32)}
        np.testing.assert_allclose(vector, np.asarray(model.embed(inputs))[0], atol=1e-5)


def test_a_stopped_job_goes_on_to_the_same_vectors(model, source, tmp_path, monkeypatch):
    def run(folder=None):
        return collected(
            predict_embeddings(model, source, CONFIG, segments=True, batch_size=2, execution=Execution(folder=folder))
        )

    expected = run()
    monkeypatch.setattr(jobs, "_PARTS_AT_A_TIME", 1)
    score, batches = Scorer.__call__, []

    def failing(self, features):
        batches.append(1)
        if len(batches) == 4:
            raise InputError("stopped")
        return score(self, features)

    with monkeypatch.context() as patch, pytest.raises(InputError, match="stopped"):
        patch.setattr(Scorer, "__call__", failing)
        run(PartsFolder(tmp_path / "parts", identity=0))
    folder = PartsFolder(tmp_path / "parts", identity=0)
    found = run(folder)
    assert found[:2] == expected[:2]
    np.testing.assert_array_equal(found[2], expected[2])
