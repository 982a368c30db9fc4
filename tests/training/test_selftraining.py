import json
import pathlib

import keras
import numpy as np
import pytest

from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.pipeline import make_dataset
from yt8m.data.splits import Source, split_sources
from yt8m.data.tfrecord import FrameRecord, VideoRecord, list_files, quantize, write_records
from yt8m.models import checkpoints
from yt8m.training import selftraining, teachers
from yt8m.training.selftraining import SelfTraining, member_names, self_train
from yt8m.training.session import TrainState
from yt8m.training.teachers import Judgement
from yt8m.types import InputError


@pytest.fixture
def job(demo_data, tmp_path):
    """Function that runs self-training in a folder."""
    pytest.importorskip("pyarrow")
    num_classes = json.loads((demo_data / "manifest.json").read_text())["num_classes"]
    pattern = str(demo_data / "validate" / "*.tfrecord")
    source, holdout = split_sources(train_data_pattern=pattern, holdout_fraction=0.4)
    run = RunConfig(
        data=DataConfig(num_classes=num_classes, num_frames=5),
        model=ModelConfig(name="logistic"),
        train=TrainConfig(segment_labels=True, batch_size=16, base_learning_rate=0.05, num_epochs=3, pseudo_ratio=1.0),
        train_data_pattern=pattern,
        holdout_fraction=0.4,
    )
    unlabelled = Source(tuple(list_files(str(demo_data / "train" / "*.tfrecord"))))

    def start(folder, holdout=holdout, unlabelled=unlabelled, run_fields=(), models=("logistic",), **changes):
        settings = SelfTraining(**({"threshold": 0.3, "iterations": 1} | changes))
        sources = {"source": source, "holdout": holdout, "unlabelled": unlabelled}
        students = [run.replace(model=ModelConfig(name=name), **dict(run_fields)) for name in models]
        students = students[0] if len(students) == 1 else students
        return self_train(students, **sources, train_dir=str(tmp_path / folder), settings=settings)

    return start


@pytest.mark.slow
def test_rounds_and_going_on(job, tmp_path, monkeypatch):
    results = job("straight")
    assert [done.number for done in results] == [0, 1]
    written = json.loads((tmp_path / "straight" / "rounds.json").read_text())
    assert written == json.loads(json.dumps([done.to_dict() for done in results]))
    assert written[1]["run"] == str(tmp_path / "straight" / "round-1" / "student")
    made = json.loads((tmp_path / "straight" / "round-1" / "pseudo" / "pseudo.json").read_text())
    assert made["records"] == results[1].pseudo["records"] > 0 and set(made["thresholds"].values()) == {0.3}
    student = checkpoints.read_run_config(str(tmp_path / "straight" / "round-1" / "student"))
    assert student.pseudo_data_pattern.endswith("round-1/pseudo/pseudo-*.tfrecord")
    best = max(results, key=lambda done: done.holdout)
    # The folder is that of a run, the best one's.
    one, other = (checkpoints.load_model(str(folder))[0] for folder in (tmp_path / "straight", *best.runs))
    for variable, same in zip(one.variables, other.variables, strict=True):
        np.testing.assert_array_equal(variable, same)
    # Stopped before its student is trained, it goes on with the labels that are there.
    with monkeypatch.context() as patch:
        patch.setattr(selftraining, "write_pseudo_labels", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            job("stopped")
    with monkeypatch.context() as patch:
        patch.setattr(teachers, "predict_segments", _interrupt)
        again = job("stopped")
    keys = ("records", "sure", "chosen", "resampling")
    for one, other in zip(again, results, strict=True):
        assert (one.number, one.holdout) == (other.number, other.holdout)
        assert [one.pseudo.get(key) for key in keys] == [other.pseudo.get(key) for key in keys]


def test_choice_stop_and_next_teacher_go_by_the_adapted_model(job, tmp_path, monkeypatch, demo_data):
    """Scores of three students before and after adaptation; going by the former, the first would win and teach."""
    scores = iter([(0.80, 0.70), (0.75, 0.78), (0.90, 0.77)])
    asked = []

    def fake_train(run, *, train_dir, **sources):
        pathlib.Path(train_dir).mkdir(parents=True)
        checkpoints.write_run_config(train_dir, run)
        best, adapted = next(scores)
        pathlib.Path(train_dir, "best.keras").write_text(f"{adapted}")
        return TrainState(best=best, adapted=adapted)

    def fake_label(job, number, teachers, counts):
        asked.append([pathlib.Path(teacher).parent.name for teacher in teachers])
        return {"records": 1, "sure": {}, "chosen": {}, "told": ""}

    monkeypatch.setattr(selftraining, "train", fake_train)
    monkeypatch.setattr(selftraining._Job, "label", fake_label)
    target = str(demo_data / "test" / "*.tfrecord")
    results = job("adapted", iterations=3, run_fields={"adapt_bn": target})
    assert asked == [["round-0"], ["round-1"]]
    assert [done.holdout for done in results] == [0.70, 0.78, 0.77]
    written = json.loads((tmp_path / "adapted" / "rounds.json").read_text())
    told = [(result["holdout"], result["holdout_before_adaptation"]) for result in written]
    assert told == [(0.70, 0.80), (0.78, 0.75), (0.77, 0.90)]
    assert (tmp_path / "adapted" / "best.keras").read_text() == "0.78"


def test_every_student_is_a_teacher_of_the_next_round(job, tmp_path, monkeypatch):
    """The mean of both decides, not the better one; the folder names the ensemble of the best round."""
    alone = {"round-0": (0.5, 0.6), "round-1": (0.9, 0.4), "round-2": (0.7, 0.7)}
    together = {"round-0": 0.6, "round-1": 0.65, "round-2": 0.62}
    asked = []

    def fake_train(run, *, train_dir, **sources):
        pathlib.Path(train_dir).mkdir(parents=True, exist_ok=True)
        checkpoints.write_run_config(train_dir, run)
        folder = pathlib.Path(train_dir)
        (folder / "best.keras").touch()
        assert run.pseudo_data_pattern == (
            "" if folder.parent.name == "round-0" else str(folder.parent / "pseudo" / "pseudo-*.tfrecord")
        )
        return TrainState(best=alone[folder.parent.name][["logistic", "moe"].index(run.model.name)])

    def fake_label(job, number, teachers, counts):
        asked.append(teachers)
        return {"records": 1, "sure": {}, "chosen": {}, "told": ""}

    def fake_judge(runs, holdout, *, run):
        (folder,) = {pathlib.Path(path).parent.name for path in runs}
        return Judgement(metric="map_at_k", value=together[folder], class_ids=(), positive=(), scores=())

    monkeypatch.setattr(selftraining, "train", fake_train)
    monkeypatch.setattr(selftraining, "judge", fake_judge)
    monkeypatch.setattr(selftraining._Job, "label", fake_label)
    rounds = job("both", iterations=5, models=("logistic", "moe"))
    names = ("logistic", "moe")
    folders = [tuple(str(tmp_path / "both" / f"round-{number}" / name) for name in names) for number in range(3)]
    assert asked == folders[:2] and [done.runs for done in rounds] == folders
    assert [done.holdout for done in rounds] == [0.6, 0.65, 0.62]
    written = json.loads((tmp_path / "both" / "rounds.json").read_text())
    assert [[member["holdout"] for member in done["members"]] for done in written] == [
        [0.5, 0.6],
        [0.9, 0.4],
        [0.7] * 2,
    ]
    ensemble = json.loads((tmp_path / "both" / "ensemble.json").read_text())
    assert ensemble == written[1] and [member["run"] for member in ensemble["members"]] == list(folders[1])
    with pytest.raises(
        InputError, match=f"is an ensemble of 2 runs: name one of {folders[1][0]}, {folders[1][1]}; for"
    ):
        checkpoints.load_model(tmp_path / "both")
    # As a teacher the folder stands for its members.
    again = job("next", iterations=1, models=("moe",), teachers=(str(tmp_path / "both"),))
    assert again[0].runs == asked[-1] == folders[1] and again[0].holdout == 0.65


def test_members_have_names_of_their_own():
    runs = [
        RunConfig(data=DataConfig(), model=ModelConfig(name="moe"), train=TrainConfig(), init_from=start)
        for start in ("runs/a", "other/a/", "runs/a-2", "", "")
    ]
    assert member_names(runs) == ["a", "a-2", "a-2-2", "moe", "moe-2"] and member_names(runs[:1]) == ["student"]


def _interrupt(*args, **options):
    raise KeyboardInterrupt


@pytest.mark.slow
def test_a_given_teacher_and_thresholds_by_class(job, tmp_path):
    (first, *_) = job("first")
    results = job("second", teachers=first.runs, by_class=True, most=40)
    assert results[0].runs == first.runs and results[0].holdout == pytest.approx(first.holdout, abs=1e-6)
    made = json.loads((tmp_path / "second" / "round-1" / "pseudo" / "pseudo.json").read_text())
    assert len(set(made["thresholds"].values())) > 1
    assert made["records"] == 40
    keras.backend.clear_session()


@pytest.mark.slow
def test_two_students_go_on_where_they_were_stopped(job, tmp_path, monkeypatch):
    settings = {"models": ("logistic", "moe"), "by_class": True}
    straight = job("straight", **settings)
    train = selftraining.train
    calls = []

    def stopping(*args, **options):
        calls.append(options["train_dir"])
        if len(calls) == 4:
            raise KeyboardInterrupt
        return train(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(selftraining, "train", stopping)
        with pytest.raises(KeyboardInterrupt):
            job("stopped", **settings)
    assert [call.split("stopped/")[1] for call in calls[2:]] == ["round-1/logistic", "round-1/moe"]
    with monkeypatch.context() as patch:
        patch.setattr(teachers, "predict_segments", _interrupt)
        again = job("stopped", **settings)
    for one, other in zip(again, straight, strict=True):
        assert one.holdout == other.holdout
        assert [student.holdout for student in one.students] == [student.holdout for student in other.students]
    # What taught round 1 is the mean of both.
    made = json.loads((tmp_path / "straight" / "round-1" / "pseudo" / "pseudo.json").read_text())
    assert made["teachers"] == list(straight[0].runs) and len(set(made["thresholds"].values())) > 1
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("level", ["frame", "video"])
def test_whole_videos(tmp_path, level):
    """Ten classes, each with a feature of its own; the few labelled videos tell a teacher enough of the others."""
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)

    def records(name, count):
        for number in range(count):
            labels = tuple(rng.choice(10, size=2, replace=False).tolist())
            means = np.where(np.isin(np.arange(10), labels), 1.2, -0.4) + rng.normal(0, 0.6, 10)
            identity = {"video_id": f"{name}{number}", "labels": labels}
            if level == "video":
                yield VideoRecord(features={"mean_rgb": means}, **identity)
            else:
                frames = quantize(means + rng.normal(0, 0.5, (6, 10)))
                yield FrameRecord(features={"mean_rgb": frames}, **identity)

    for name, count in (("train", 60), ("pool", 200), ("eval", 100)):
        write_records(str(tmp_path / f"{name}.tfrecord"), records(name, count))
    patterns = {name: str(tmp_path / f"{name}.tfrecord") for name in ("train", "eval")}
    run = RunConfig(
        data=DataConfig(feature_names=("mean_rgb",), feature_sizes=(10,), num_classes=10, num_frames=4, level=level),
        model=ModelConfig(name="logistic"),
        train=TrainConfig(batch_size=12, base_learning_rate=0.2, num_epochs=4),
        train_data_pattern=patterns["train"],
        eval_data_pattern=patterns["eval"],
    )
    source, holdout = split_sources(train_data_pattern=patterns["train"], eval_data_pattern=patterns["eval"])
    rounds = self_train(
        run,
        source=source,
        holdout=holdout,
        unlabelled=Source((str(tmp_path / "pool.tfrecord"),)),
        train_dir=str(tmp_path / "run"),
        settings=SelfTraining(by_class=True, iterations=1),
    )
    assert rounds[0].holdout > 0.7 and rounds[1].holdout > rounds[0].holdout - 0.05
    made = rounds[1].pseudo
    assert made["resampling"]["after"] < 0.05 < made["resampling"]["before"] and made["records"] > 100
    # The pseudo-labelled videos are those of the pool, with the teacher's own probabilities.
    model, _ = checkpoints.load_model(rounds[0].runs[0])
    pattern = str(tmp_path / "run" / "round-1" / "pseudo" / "pseudo-*.tfrecord")
    dataset = make_dataset(list_files(pattern), run.data, windows="video", batch_size=500, with_info=True)
    ((features, targets, info),) = dataset.as_numpy_iterator()
    assert all(name.startswith(b"pool") for name in info["id"]) and len(info["id"]) == made["records"]
    said = np.asarray(model(features))
    for row in range(len(said)):
        count = np.count_nonzero(targets["classes"][row])
        np.testing.assert_allclose(
            targets["scores"][row, :count], said[row, targets["classes"][row, :count] - 1], atol=1e-5
        )
    keras.backend.clear_session()


@pytest.mark.slow
def test_what_cannot_be_done_is_said(job):
    with pytest.raises(InputError, match="self-training goes by the holdout"):
        job("none", holdout=None)
    with pytest.raises(InputError, match="thresholds by class are chosen on the holdout"):
        job("parquet", teachers=("a.parquet",), by_class=True)
    with pytest.raises(InputError, match="a,b has a comma or a wildcard in its name"):
        job("a,b")
    with pytest.raises(InputError, match="the teacher is sure of no segment"):
        job("sure", threshold=1.5)


def test_rounds_of_other_settings_files_or_teachers_are_never_mixed(job, tmp_path, monkeypatch, demo_data):
    def fake_train(run, *, train_dir, **sources):
        pathlib.Path(train_dir).mkdir(parents=True, exist_ok=True)
        checkpoints.write_run_config(train_dir, run)
        pathlib.Path(train_dir, "best.keras").write_text("0.5")
        return TrainState(best=0.5)

    monkeypatch.setattr(selftraining, "train", fake_train)
    monkeypatch.setattr(selftraining._Job, "label", lambda *_: {"records": 1, "sure": {}, "chosen": {}, "told": ""})
    job("a")
    differing = {
        "settings.threshold is 0.3 there and 0.2 here": {"threshold": 0.2},
        "settings.by_class is False there and True here": {"by_class": True},
        "settings.most is None there and 7 here": {"most": 7},
        r"settings.views is None there and \[0\] here": {"views": (0,)},
        "students.student.model.name is 'logistic' there and 'moe' here": {"models": ("moe",)},
        "students.student.tta is": {"run_fields": {"tta": (-1, 0)}},
        "begun on other files: train0000.tfrecord is missing": {
            "unlabelled": Source(tuple(list_files(str(demo_data / "train" / "*.tfrecord"))[1:]))
        },
    }
    for words, changes in differing.items():
        with pytest.raises(InputError, match=words):
            job("a", **changes)
    teacher = str(tmp_path / "teacher.parquet")
    pathlib.Path(teacher).write_bytes(b"one")
    job("b", teachers=(teacher,))
    moved = tmp_path / "moved"
    moved.mkdir()
    (moved / "teacher.parquet").write_bytes(b"one")
    job("b", teachers=(str(moved / "teacher.parquet"),), iterations=2)
    pathlib.Path(teacher).write_bytes(b"two")
    with pytest.raises(InputError, match="teacher.parquet has the same size and other content"):
        job("b", teachers=(teacher,))
    with pytest.raises(InputError, match="teacher.parquet is missing"):
        job("b")
