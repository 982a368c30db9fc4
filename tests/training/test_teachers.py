import dataclasses

import keras
import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.config import ModelConfig, RunConfig, TrainConfig
from yt8m.data.pipeline import make_dataset
from yt8m.data.splits import Source
from yt8m.data.tfrecord import write_records
from yt8m.models import checkpoints
from yt8m.models.base import build_model
from yt8m.ranking.metrics import POSITIVE, gap, segment_map
from yt8m.ranking.submission import Submission
from yt8m.ranking.video_predictions import write_video_predictions
from yt8m.training import teachers
from yt8m.training.teachers import judge, predictions_of
from yt8m.types import InputError

C = CONFIG.num_classes


@pytest.fixture
def runs(tmp_path):
    """Folders of two runs that nobody trained, and the RunConfig of a student."""
    folders = []
    run = RunConfig(data=CONFIG, model=ModelConfig(name="logistic"), train=TrainConfig(batch_size=4))
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        model = build_model(run.model, run.data)
        folder = str(tmp_path / f"run{seed}")
        checkpoints.write_run_config(folder, run)
        checkpoints.save_best(folder, model)
        folders.append(folder)
    return folders, run


@pytest.fixture
def videos(tmp_path):
    """Source of nine videos with random frames, labels and ratings; e, the fourth, is left out by its id."""
    rng = np.random.default_rng(0)
    records = []
    for name in "zyxewvuts":
        labels = tuple(rng.choice(C, size=3, replace=False).tolist())
        ratings = tuple((5 * int(rng.integers(2)), int(c), float(rng.integers(2))) for c in rng.permutation(C)[:4])
        record = make_video(name, frames=10, labels=labels, segments=ratings)
        frames = {key: rng.integers(0, 256, values.shape) for key, values in record.features.items()}
        records.append(dataclasses.replace(record, features=frames))
    path = str(tmp_path / "videos.tfrecord")
    write_records(path, records)
    return Source((path,), lambda video_id: video_id != "e")


def scored(folders, source, windows):
    """(ids, mean probabilities (N, C), targets) by the models themselves, an element at a time."""
    models = [checkpoints.load_model(folder)[0] for folder in folders]
    dataset = make_dataset(
        list(source.files), CONFIG, windows=windows, batch_size=1, keep=source.keep, with_info=windows != "all"
    )
    rows = []
    for features, *targets, info in dataset.as_numpy_iterator():
        if windows == "all":
            features = {name: values[:, 0] for name, values in features.items()}
        values = np.mean([np.asarray(model(features))[0] for model in models], axis=0)
        rows.append((info["id"][0].decode(), int(info["start_time"][0]), values, targets))
    return rows


@pytest.mark.parametrize("listed, count", [(20, 1), pytest.param(3, 2, marks=pytest.mark.slow)])
def test_whole_videos_are_judged_by_the_mean_of_what_teachers_list(runs, videos, monkeypatch, count, listed):
    monkeypatch.setattr(teachers, "TAGS", listed)
    folders, run = runs[0][:count], runs[1]
    scores, labels = np.zeros((8, C)), np.zeros((8, C))
    for folder in folders:
        for row, (_, _, values, (targets,)) in enumerate(scored([folder], videos, "video")):
            best = np.argsort(-values, kind="stable")[:listed]
            scores[row, best] += values[best] / count
            labels[row, targets["classes"][targets["classes"] > 0] - 1] = 1
    judged = judge(folders, videos, run=run)
    assert judged.metric == f"gap_at_{listed}"
    assert judged.value == pytest.approx(gap(scores, labels, top_k=listed), abs=1e-6)
    # Every pair that is listed, and every label.
    wanted = sorted((c, scores[r, c], labels[r, c] > 0) for r, c in zip(*np.nonzero((scores > 0) | (labels > 0))))
    found = sorted(zip(judged.class_ids.tolist(), judged.scores.tolist(), judged.positive.tolist()))
    np.testing.assert_allclose(np.array(found, float), np.array(wanted, float), atol=1e-6)


def test_a_file_of_whole_videos_teaches_and_is_judged_as_the_run_that_wrote_it(runs, videos, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    (folder, _), run = runs
    path, csv = str(tmp_path / "said.parquet"), str(tmp_path / "a.csv")
    rows = scored([folder], Source(videos.files), "video")
    # Listed worst first: the file's order says nothing.
    tags = [(name, np.argsort(values), np.sort(values)) for name, _, values, _ in rows]
    write_video_predictions(csv, [("elsewhere", [1], [0.9]), *tags], number_format=".9g")
    judged, wanted = judge((csv,), videos, run=run), judge((folder,), videos, run=run)
    assert judged.value == pytest.approx(wanted.value, abs=1e-6)
    for found, expected in zip(
        sorted(zip(judged.class_ids, judged.scores)), sorted(zip(wanted.class_ids, wanted.scores)), strict=True
    ):
        assert found == pytest.approx(expected, abs=1e-6)
    few = Source(videos.files, lambda video_id: video_id in "zy")
    assert set(contents(predictions_of((csv,), few, path=path, run=run, class_ids=()))[0]) == {"z:0", "y:0"}
    assert "8 of its 10 videos are not to be labelled, and left out" in capsys.readouterr().out
    write_video_predictions(csv, [("elsewhere", [1], [0.9])])
    with pytest.raises(InputError, match="a.csv lists none of the videos to label: .*videos.tfrecord.* than elsewhere"):
        predictions_of((csv,), videos, path=str(tmp_path / "none.parquet"), run=run, class_ids=())
    with pytest.raises(InputError, match="a.csv has none of the 8 labelled videos"):
        judge((csv,), videos, run=run)


def test_segments_are_judged_by_the_mean_probability(runs, videos):
    folders, run = runs
    run = run.replace(train=run.train.replace(segment_labels=True))
    scores, labels, rated = [], [], []
    for _, _, values, (targets,) in sorted(scored(folders, videos, "rated"), key=lambda row: row[:2]):
        place = targets["classes"][0] > 0
        scores.append(values)
        for rows, content in ((labels, targets["scores"][0][place] >= POSITIVE), (rated, 1)):
            rows.append(np.zeros(C))
            rows[-1][targets["classes"][0][place] - 1] = content
    judged = judge(folders, videos, run=run)
    twin = segment_map(np.array(scores), np.array(labels), np.array(rated))["map_at_k"]
    assert judged.metric == "map_at_k" and judged.value == pytest.approx(twin, abs=1e-6)
    assert len(judged.scores) == int(np.sum(rated))


def contents(path):
    with Submission(path) as submission:
        return {c: dict(zip(listed.texts(), listed.scores.tolist())) for c, listed in submission.items()}


@pytest.mark.slow
def test_several_teachers_say_the_mean_of_their_scores(runs, videos, tmp_path):
    pytest.importorskip("pyarrow")
    folders, run = runs
    path = predictions_of(folders, videos, path=str(tmp_path / "both.parquet"), run=run, class_ids=range(C))
    rows = scored(folders, videos, "video")
    wanted = {c: {f"{name}:0": pytest.approx(values[c], abs=1e-6) for name, _, values, _ in rows} for c in range(C)}
    assert contents(path) == wanted
    with Submission(path) as submission:
        assert all((np.diff(listed.scores) <= 0).all() for listed in submission.values())
    assert {item.name for item in tmp_path.glob("both*")} == {"both.parquet"}
    # One as a file that inference.py writes, with six digits.
    (first, other), csv = folders, str(tmp_path / "first.csv")
    tags = ((name, range(C), values) for name, _, values, _ in scored([first], videos, "video"))
    write_video_predictions(csv, tags)
    mixed = predictions_of((csv, other), videos, path=str(tmp_path / "mixed.parquet"), run=run, class_ids=range(C))
    assert contents(mixed) == wanted
    segments = run.replace(train=run.train.replace(segment_labels=True), tta=(-1, 1))
    for folder in folders:
        checkpoints.write_run_config(folder, segments)
    path = predictions_of(folders, videos, path=str(tmp_path / "s.parquet"), run=segments, class_ids=(2, 7))
    found = contents(path)
    assert set(found) == {2, 7} and len(found[2]) == 16
    unshifted = {f"{name}:{start}": values[7] for name, start, values, _ in scored(folders, videos, "all")}
    assert set(unshifted) == set(found[7]) and unshifted != pytest.approx(found[7], abs=1e-4)


def test_teachers_of_another_vocabulary_and_other_files_are_refused(runs, videos, tmp_path):
    (folder, _), run = runs
    other = run.replace(data=run.data.replace(num_classes=C + 1))
    with pytest.raises(InputError, match="run0 knows 10 classes, and its students 11"):
        judge((folder,), videos, run=other)
    (tmp_path / "a.csv").write_text("Class,Segments\n")
    with pytest.raises(InputError, match="a.csv holds no predictions of videos"):
        predictions_of((str(tmp_path / "a.csv"),), videos, path=str(tmp_path / "x.parquet"), run=run, class_ids=())
