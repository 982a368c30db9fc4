import dataclasses
import json
import re
import signal

import keras
import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from tests.training.conftest import BERT
from yt8m.config import (
    AugmentConfig,
    ConsistencyConfig,
    MaskedFramesConfig,
    TrainConfig,
)
from yt8m.data.splits import split_sources
from yt8m.inference.model_evaluation import evaluate_model
from yt8m.inference.scorer import Scorer
from yt8m.models import checkpoints
from yt8m.models.logistic import LogisticModel
from yt8m.train_parts import RateConfig
from yt8m.training import callbacks
from yt8m.training.optimizers import make_optimizer
from yt8m.types import DivergedError, InputError


def weights(folder):
    """All arrays of the latest checkpoint: model, optimizer and random states."""
    state = json.loads((folder / "state.json").read_text())
    model = keras.saving.load_model(folder / state["checkpoint"], safe_mode=True)
    optimizer = [np.asarray(v) for v in model.optimizer.variables]
    assert len(optimizer) > 2
    return [np.asarray(v) for v in model.weights] + optimizer + state["random"]


def events(folder):
    accumulator = EventAccumulator(str(folder / "tensorboard"))
    accumulator.Reload()
    return accumulator


def interrupt_in_step(monkeypatch, step):
    """Ctrl-C while the given step is computed."""
    end_of_step = callbacks.StopAtEnd.on_train_batch_end

    def interrupting(callback, batch, logs=None):
        end_of_step(callback, batch, logs)
        if callback.session.state.step == step - 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(callbacks.StopAtEnd, "on_train_batch_end", interrupting)


def interrupt_in_evaluation(monkeypatch, step):
    """Ctrl-C while the first evaluation is made."""

    def interrupting(*args, **options):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(callbacks, "evaluate_model", interrupting)


AUGMENT = AugmentConfig(
    shift=1, dilute=True, enlarge=True, frame_masking=0.1, frame_dropping=0.1, modality_dropout=0.1, mixup=0.2
)
RATE = RateConfig(accumulate_batches=2, warmup_steps=2, layer_decay=0.5, schedule="cosine")


@pytest.mark.parametrize(
    "interrupt, settings",
    [
        pytest.param(interrupt_in_step, {"model": ("logistic", {}), "evaluate_steps": 3}, marks=pytest.mark.slow),
        pytest.param(interrupt_in_step, {"evaluate_steps": 3}, marks=pytest.mark.slow),
        pytest.param(interrupt_in_step, {"augment": AUGMENT}, marks=pytest.mark.slow),
        pytest.param(
            interrupt_in_step,
            {"rate": RATE, "max_steps": 5, "averaging": "ema"},
            marks=pytest.mark.slow,
        ),
        pytest.param(interrupt_in_evaluation, {"evaluate_steps": None}, marks=pytest.mark.slow),
    ],
    ids=["logistic", "in step", "augmented", "accumulated", "in evaluation"],
)
def test_interrupted_and_resumed_equals_never_stopped(make_run, tmp_path, monkeypatch, interrupt, settings):
    straight = make_run(tmp_path / "straight", **settings)
    with monkeypatch.context() as patch:
        interrupt(patch, straight.step // 2)
        with pytest.raises(KeyboardInterrupt):
            make_run(tmp_path / "stopped", **settings)
    stopped_at = json.loads((tmp_path / "stopped" / "state.json").read_text())
    assert 0 < stopped_at["step"] < straight.step
    resumed = make_run(tmp_path / "stopped", **settings)
    assert dataclasses.asdict(resumed) == dataclasses.asdict(straight)
    for one, other in zip(weights(tmp_path / "straight"), weights(tmp_path / "stopped"), strict=True):
        np.testing.assert_array_equal(one, other)
    runs = [checkpoints.read_metrics(tmp_path / name) for name in ("straight", "stopped")]
    # Sums of Keras's running mean, in other parts.
    losses = [[entry.pop("train_loss") for entry in metrics] for metrics in runs]
    assert runs[0] == runs[1]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.slow
def test_accumulated_batches_train_as_larger_ones(make_run, tmp_path):
    """Of a model without batch norm; in what a run is resumed from, steps are of one batch."""
    settings = {"model": ("logistic", {}), "optimizer": "sgd", "evaluate_steps": 100}
    many = make_run(tmp_path / "many", batch_size=8, max_steps=6, rate=RateConfig(accumulate_batches=2), **settings)
    few = make_run(tmp_path / "few", batch_size=16, max_steps=3, **settings)
    assert (many.step, few.step) == (6, 3)
    one, other = (checkpoints.load_model(str(tmp_path / name))[0].get_weights() for name in ("many", "few"))
    for value, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-6)


def test_published_weights_of_a_model_that_has_none_are_refused_and_leave_no_run(make_run, tmp_path):
    with pytest.raises(InputError, match="init_weights is for models with published weights, .*, not logistic"):
        make_run(tmp_path / "run", model=("logistic", {}), patterns={"init_weights": "a.pyth"})
    assert not (tmp_path / "run" / "config.json").exists()
    with pytest.raises(InputError, match="init_weights and init_from each say what to start from"):
        make_run(tmp_path / "run", init_from="runs/a", patterns={"init_weights": "a.pyth"})


@pytest.mark.slow
def test_the_training_loss_is_the_mean_over_all_examples_since_the_last_evaluation(make_run, demo_data, tmp_path):
    # Nothing is learnt, so that the parts of the epoch make up the loss of the whole.
    make_run(tmp_path, model=("logistic", {}), base_learning_rate=1e-12, evaluate_steps=3, num_epochs=1)
    model, run = checkpoints.load_model(str(tmp_path))
    source, _ = split_sources(train_data_pattern=str(demo_data / "validate" / "*.tfrecord"), holdout_fraction=0.3)
    expected = evaluate_model(Scorer(model, batch_size=64), source, run.data, segment_labels=True)["loss"]
    metrics = checkpoints.read_metrics(tmp_path)
    steps = np.diff([0, *(entry["step"] for entry in metrics)])
    losses = np.array([entry["train_loss"] for entry in metrics])
    assert len(metrics) > 1 and set(steps[:-1]) == {3} and np.ptp(losses) > 1e-3
    # The last batch is smaller.
    assert steps @ losses / steps.sum() == pytest.approx(expected, rel=1e-2)


@pytest.mark.slow
def test_histograms_hold_all_weights_of_the_moment(make_run, tmp_path):
    make_run(tmp_path, model=("moe", {"hidden_sizes": [4]}), max_steps=1, options={"histograms": True})
    found = events(tmp_path)
    model = keras.saving.load_model(tmp_path / "best.keras", compile=False, safe_mode=True)
    for family in ("hidden_0", "norm_0", "head"):
        values = np.concatenate([np.ravel(v) for v in model.trainable_variables if f"/{family}/" in v.path])
        (event,) = found.Tensors(f"weights/{family}")
        buckets = make_ndarray(event.tensor_proto)
        assert event.step == 1 and buckets[:, 2].sum() == len(values)
        assert buckets[0, 0] == pytest.approx(values.min()) and buckets[-1, 1] == pytest.approx(values.max())


@pytest.mark.slow
def test_a_run_that_learns_in_every_way_goes_on_to_the_same_result(make_run, tmp_path, monkeypatch, demo_data):
    pattern = str(demo_data / "train" / "*.tfrecord")
    settings = {
        "masked_frames": MaskedFramesConfig(weight=0.5),
        "consistency": ConsistencyConfig(weight=0.5, annealing="log", annealing_steps=8),
        "augment": AugmentConfig(shift=1, enlarge=True, frame_dropping=0.2, mixup=0.2),
        "balance_threshold": 0.3,
        "average_checkpoints": 2,
        "num_epochs": 3,
    }
    # Rated segments stand for pseudo-labelled ones, whose form is the same.
    patterns = {"unlabelled_data_pattern": pattern, "pseudo_data_pattern": str(demo_data / "validate" / "*0.tfrecord")}
    straight = make_run(tmp_path / "straight", patterns=patterns, **settings)
    with monkeypatch.context() as patch:
        interrupt_in_step(patch, straight.step // 2)
        with pytest.raises(KeyboardInterrupt):
            make_run(tmp_path / "stopped", patterns=patterns, **settings)
    resumed = make_run(tmp_path / "stopped", patterns=patterns, **settings)
    assert dataclasses.asdict(resumed) == dataclasses.asdict(straight)
    for one, other in zip(weights(tmp_path / "straight"), weights(tmp_path / "stopped"), strict=True):
        np.testing.assert_array_equal(one, other)
    best = [checkpoints.load_model(str(tmp_path / name))[0] for name in ("straight", "stopped")]
    for one, other in zip(*(model.weights for model in best), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_mean_of_checkpoints_and_adapted_batch_norm_end_a_run(make_run, tmp_path, demo_data, capsys):
    netvlad = {"num_clusters": 2, "hidden_size": 4, "num_mixtures": 1}
    pattern = str(demo_data / "test" / "*.tfrecord")
    state = make_run(
        tmp_path, model=("gated_netvlad", netvlad), average_checkpoints=2, num_epochs=3, patterns={"adapt_bn": pattern}
    )
    said = capsys.readouterr().err
    mean = float(re.search(r"mean of 2 checkpoints: holdout map_at_k ([0-9.]+)", said)[1])
    evaluated = max(entry["map_at_k"] for entry in checkpoints.read_metrics(tmp_path))
    assert state.best == pytest.approx(max(mean, evaluated), abs=1e-4)
    assert re.search(
        rf"adapted batch norm to [0-9,]+ examples of .*: holdout map_at_k [0-9.]+, before {state.best:.4f}", said
    )
    paths = checkpoints.snapshots(tmp_path)
    assert len(paths) == 2
    model, _ = checkpoints.load_model(str(tmp_path))
    candidates = [checkpoints.load_snapshot(path) for path in paths]
    averaged = [np.mean(values, axis=0) for values in zip(*([np.asarray(v) for v in c.variables] for c in candidates))]
    moving = [variable.path.split("/")[-1].startswith("moving") for variable in model.variables]
    if mean > evaluated:
        for variable, value, is_moving in zip(model.variables, averaged, moving):
            assert is_moving or np.allclose(variable, value, rtol=1e-5, atol=1e-6)
    assert any(
        not np.allclose(variable, value)
        for variable, value, is_moving in zip(model.variables, averaged, moving)
        if is_moving
    )
    # The state has the score of either model, and the one before adaptation is kept.
    _, holdout = split_sources(train_data_pattern=str(demo_data / "validate" / "*.tfrecord"), holdout_fraction=0.3)
    _, run = checkpoints.load_model(str(tmp_path))
    for name, score in (("best", state.published), ("unadapted", state.best)):
        scorer = Scorer(checkpoints.load_snapshot(tmp_path / f"{name}.keras"), batch_size=16)
        found = evaluate_model(scorer, holdout, run.data, segment_labels=True)["map_at_k"]
        assert found == pytest.approx(score, abs=1e-6)
    assert state.published == state.adapted
    # A run that goes on does so from what was there before, and what is adapted at its end is that.
    before = (tmp_path / "best.keras").read_bytes(), (tmp_path / "unadapted.keras").read_bytes()
    checkpoints.restore_unadapted(tmp_path)
    assert (tmp_path / "best.keras").read_bytes() == before[1] != before[0]


def test_pseudo_labels_are_not_for_models_of_whole_videos(make_run, tmp_path):
    with pytest.raises(InputError, match="pseudo-labelled segments come without their videos"):
        make_run(tmp_path, data={"video_frames": 4}, patterns={"pseudo_data_pattern": "x"})


@pytest.mark.slow
def test_a_seed_decides_a_run(make_run, tmp_path):
    scores = {}
    for name, seed in (("a", 1), ("again", 1), ("other", 2)):
        make_run(tmp_path / name, model=("logistic", {}), num_epochs=1, seed=seed)
        scores[name] = checkpoints.read_metrics(tmp_path / name)
    assert scores["a"] == scores["again"] != scores["other"]


@pytest.mark.slow
def test_best_model_is_that_of_the_best_evaluation(make_run, tmp_path, demo_data):
    state = make_run(tmp_path, model=("logistic", {}), num_epochs=4, base_learning_rate=0.3)
    metrics = checkpoints.read_metrics(tmp_path)
    assert len(metrics) == 4 and state.best == max(entry["map_at_k"] for entry in metrics)
    best = np.asarray(checkpoints.load_model(str(tmp_path))[0].weights[0])
    latest = weights(tmp_path)[0]
    assert (state.stale == 0) == np.array_equal(best, latest)
    assert not any(tag.startswith("weights/") for tag in events(tmp_path).Tags()["tensors"])


@pytest.mark.slow
def test_patience_and_max_steps_end_training(make_run, tmp_path):
    state = make_run(tmp_path / "a", model=("logistic", {}), num_epochs=None, max_steps=3)
    assert state.step == 3 and state.finished
    gone_on = make_run(tmp_path / "a", model=("logistic", {}), num_epochs=None, max_steps=5)
    assert gone_on.step == 5
    state = make_run(tmp_path / "b", model=("logistic", {}), num_epochs=50, patience=1, base_learning_rate=1e-12)
    assert state.epoch < 50 and state.stale == 1


def test_a_refused_run_does_not_stand_in_the_way(make_run, tmp_path):
    with pytest.raises(InputError, match="no hyperparameter hedas"):
        make_run(tmp_path, model=("frame_bert", BERT | {"hedas": 2}))
    assert make_run(tmp_path, model=("logistic", {}), num_epochs=1).finished


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch_size": 8}, "train.batch_size is 16 there and 8 here"),
        ({"model": ("moe", {})}, "model.name is 'logistic'"),
    ],
)
def test_another_run_in_the_same_folder_is_refused(make_run, tmp_path, changes, message):
    make_run(tmp_path, model=("logistic", {}), num_epochs=1)
    with pytest.raises(InputError, match=message):
        make_run(tmp_path, **({"model": ("logistic", {}), "num_epochs": 1} | changes))


def test_files_without_ratings_teach_nothing(make_run, tmp_path, demo_data):
    with pytest.raises(InputError, match="hold no rated segments"):
        make_run(tmp_path, model=("logistic", {}), part_pattern=str(demo_data / "test" / "*.tfrecord"))


def test_a_diverging_loss_is_an_error(make_run, tmp_path, monkeypatch):
    count = callbacks.CountSteps.on_train_batch_end
    diverging = {"loss": float("nan")}
    monkeypatch.setattr(
        callbacks.CountSteps, "on_train_batch_end", lambda callback, batch, logs=None: count(callback, batch, diverging)
    )
    with pytest.raises(DivergedError, match="loss is nan at step 1: lower base_learning_rate"):
        make_run(tmp_path, model=("logistic", {}), max_steps=1)
    assert not list(tmp_path.glob("*.keras"))


@pytest.mark.slow
def test_nothing_is_traced_after_the_first_epoch(make_run, tmp_path, monkeypatch):
    embed, traced, by_evaluation = LogisticModel.embed, [], []
    monkeypatch.setattr(
        LogisticModel, "embed", lambda model, *args, **options: traced.append(1) or embed(model, *args, **options)
    )
    evaluate = callbacks.EvaluateHoldout.evaluate
    monkeypatch.setattr(
        callbacks.EvaluateHoldout,
        "evaluate",
        lambda callback: evaluate(callback) or by_evaluation.append(len(traced)),
    )
    make_run(tmp_path, model=("logistic", {}), num_epochs=4, batch_size=12)
    assert len(by_evaluation) == 4 and by_evaluation[0] > 0
    assert len(set(by_evaluation)) == 1, by_evaluation


def test_learning_rate_falls_in_steps_of_examples():
    config = TrainConfig(
        base_learning_rate=0.1, learning_rate_decay=0.9, learning_rate_decay_examples=640, batch_size=64
    )
    schedule = make_optimizer(config)._learning_rate
    rates = [float(schedule(step)) for step in (0, 9, 10, 19, 20)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.09, 0.09, 0.081], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["ema", "swa"])
def test_averaged_weights_are_scored_and_kept_and_training_goes_on_without_them(make_run, tmp_path, averaging):
    settings = {"model": ("logistic", {}), "max_steps": 6, "evaluate_steps": 6, "swa_period": 2}
    make_run(tmp_path / "plain", **settings)
    make_run(tmp_path / averaging, averaging=averaging, ema_momentum=0.5, **settings)
    plain, averaged = weights(tmp_path / "plain"), weights(tmp_path / averaging)
    np.testing.assert_array_equal(plain[0], averaged[0])
    best = [np.asarray(v) for v in checkpoints.load_model(str(tmp_path / averaging))[0].weights]
    assert np.abs(best[0] - averaged[0]).max() > 1e-4
    assert any(value.shape == best[0].shape and np.array_equal(value, best[0]) for value in averaged[1:-1])
