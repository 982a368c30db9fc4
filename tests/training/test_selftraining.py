import json
import pathlib

import keras
import numpy as np
import pytest

from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.splits import Source, split_sources
from yt8m.data.tfrecord import list_files
from yt8m.models import checkpoints
from yt8m.training import selftraining, teachers
from yt8m.training.selftraining import SelfTraining, self_train
from yt8m.training.session import TrainState
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

    def start(folder, holdout=holdout, run_fields=(), **changes):
        settings = SelfTraining(**({"threshold": 0.3, "iterations": 1} | changes))
        sources = {"source": source, "holdout": holdout, "unlabelled": unlabelled}
        student = run.replace(**dict(run_fields))
        return self_train(student, **sources, train_dir=str(tmp_path / folder), settings=settings)

    return start


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


def test_choice_stop_and_next_teacher_go_by_the_adapted_model(job, tmp_path, monkeypatch):
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
    results = job("adapted", iterations=3, run_fields={"adapt_bn": "target"})
    assert asked == [["round-0"], ["round-1"]]
    assert [done.holdout for done in results] == [0.70, 0.78, 0.77]
    written = json.loads((tmp_path / "adapted" / "rounds.json").read_text())
    told = [(result["holdout"], result["holdout_before_adaptation"]) for result in written]
    assert told == [(0.70, 0.80), (0.78, 0.75), (0.77, 0.90)]
    assert (tmp_path / "adapted" / "best.keras").read_text() == "0.78"


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


def test_what_cannot_be_done_is_said(job):
    with pytest.raises(InputError, match="self-training goes by the holdout"):
        job("none", holdout=None)
    with pytest.raises(InputError, match="thresholds by class are chosen on the holdout"):
        job("parquet", teachers=("a.parquet",), by_class=True)
    with pytest.raises(InputError, match="a,b has a comma or a wildcard in its name"):
        job("a,b")
    with pytest.raises(InputError, match="the teacher is sure of no segment"):
        job("sure", threshold=1.5)
