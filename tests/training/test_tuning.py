import csv
import json
import os
import pathlib

import numpy as np
import pytest

from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.splits import Source, split_sources
from yt8m.models import MODELS, checkpoints
from yt8m.models.base import hyperparameters_of
from yt8m.models.checkpoints import read_metrics, read_run_config
from yt8m.training import tuning
from yt8m.training.tuning import declare, default_space, proposed, tune, write_results
from yt8m.types import InputError

SPACE = {"train.base_learning_rate": {"min": 1e-4, "max": 1e-1, "log": True}, "train.label_smoothing": [0.0, 0.1]}


@pytest.fixture
def search(demo_data, tmp_path):
    """Function that searches for logistic regression's settings in one folder."""
    pattern = str(demo_data / "validate" / "*.tfrecord")
    source, holdout = split_sources(train_data_pattern=pattern, holdout_fraction=0.3)
    num_classes = json.loads((demo_data / "manifest.json").read_text())["num_classes"]
    run = RunConfig(
        data=DataConfig(num_classes=num_classes, num_frames=5),
        model=ModelConfig(name="logistic"),
        train=TrainConfig(segment_labels=True, batch_size=16, num_epochs=2),
    )

    def search(space=SPACE, holdout=holdout, source=source, folder="", model="logistic", epochs=2, **options):
        changed = run.replace(model=ModelConfig(name=model), train=run.train.replace(num_epochs=epochs))
        tune_dir = str(tmp_path / folder)
        return tune(changed, source=source, holdout=holdout, tune_dir=tune_dir, space=space, **options)

    search.root = tmp_path
    return search


@pytest.mark.slow
def test_a_search_goes_on_where_it_stopped(search, tmp_path):
    first = {result["trial"]: result for result in search(max_trials=2)}
    assert len(first) == 2
    results = search(max_trials=3)
    assert len(results) == 3 and [r["score"] for r in results] == sorted((r["score"] for r in results), reverse=True)
    again = {result["trial"]: result for result in results}
    assert {trial: again[trial] for trial in first} == first
    for result in results:
        assert result["score"] == max(entry["map_at_k"] for entry in read_metrics(result["folder"]))
        assert (
            read_run_config(result["folder"]).train.base_learning_rate == result["settings"]["train.base_learning_rate"]
        )
    write_results(results, str(tmp_path))
    rows = list(csv.DictReader((tmp_path / "trials.csv").open()))
    assert [float(row["score"]) for row in rows] == [pytest.approx(r["score"], abs=1e-5) for r in results]
    assert (tmp_path / "trials.png").stat().st_size > 1000


@pytest.mark.slow
def test_hyperband_trains_the_best_for_longer(search):
    results = search(algorithm="hyperband")
    epochs = {result["folder"]: len(read_metrics(result["folder"])) for result in results}
    assert max(epochs.values()) == 2 and len(epochs) == len(results)


@pytest.mark.parametrize("name", MODELS)
def test_default_spaces_name_what_exists(name):
    fields = {entry.partition(".")[2] for entry in default_space(name) if entry.startswith("model.")}
    assert fields <= set(hyperparameters_of(name))
    assert set(declare(default_space(name)).values) == set(default_space(name))


def test_a_proposal_changes_what_it_names():
    run = RunConfig(
        data=DataConfig(), model=ModelConfig(name="moe", hyperparameters={"dropout": 0.1}), train=TrainConfig()
    )
    changed = proposed(run, {"model.num_mixtures": 3, "train.base_learning_rate": 0.01, "tuner/epochs": 4})
    assert changed.model.hyperparameters == {"dropout": 0.1, "num_mixtures": 3}
    assert (changed.train.base_learning_rate, changed.train.num_epochs) == (0.01, 4)
    nested = {"train.augment.mixup": 0.2, "train.augment.shift": 1, "train.consistency.weight": 0.5, "train.seed": 3}
    train = proposed(run, nested).train
    assert (train.augment.mixup, train.augment.shift, train.consistency.weight, train.seed) == (0.2, 1, 0.5, 3)
    for unknown in ("train.learning_rat", "train.augment.mixin", "train.augmen.mixup", "train.seed.mixup"):
        with pytest.raises(InputError, match="setting of training that does not exist"):
            proposed(run, {unknown: 1})


@pytest.mark.parametrize(
    "space, message",
    [
        ({"dropout": [0.1]}, "names are model.FIELD or train.FIELD"),
        ({"model.dropout": 0.1}, "give a list of choices, or min, max"),
        ({"model.dropout": {"min": 0.5, "max": 0.1}}, "must rise"),
        ({"model.dropout": {"min": 0.0, "max": 0.1, "log": True}}, "with log from above 0"),
    ],
)
def test_bad_spaces_are_named(space, message):
    with pytest.raises(InputError, match=message):
        declare(space)


def test_tuning_needs_a_holdout(search):
    with pytest.raises(InputError, match="tuning needs a holdout"):
        search(holdout=None)


@pytest.fixture
def quick(monkeypatch):
    """A training run without training: its score is a function of its settings. List of the learning rates tried."""
    tried = []

    def train(run, *, train_dir, **sources):
        tried.append(run.train.base_learning_rate)
        score = float(1 - abs(np.log10(run.train.base_learning_rate) + 2.5) / 10 - run.train.label_smoothing)
        checkpoints.append_metrics(train_dir, {"step": 1, "map_at_k": score})

    monkeypatch.setattr(tuning, "train", train)
    return tried


RATE = {"train.base_learning_rate": SPACE["train.base_learning_rate"]}
"""Three proposals are drawn, further ones come of a model of the scores."""


@pytest.mark.parametrize(
    "options",
    [{"max_trials": 5, "space": RATE}, {"algorithm": "hyperband", "epochs": 4}],
    ids=["bayesian", "hyperband"],
)
@pytest.mark.filterwarnings("ignore:.*the scores are taken from the runs")
def test_a_search_killed_anywhere_comes_to_the_same(search, quick, monkeypatch, options):
    """Killed at a write or in a trial, with what keeps the trials cut or lost, and in another order of killing."""
    straight = search(folder="straight", **options)
    assert len(straight) > 3
    write, calls = tuning.write_text, []
    for seed in range(3):
        random = np.random.default_rng(seed)

        def dies(path, text, random=random):
            if random.random() < 0.5:
                write(path, text)
            if random.random() < 0.5:
                raise KeyboardInterrupt

        folder = pathlib.Path(f"killed-{seed}")
        for _ in range(100):
            with monkeypatch.context() as patch:
                patch.setattr(tuning, "write_text", dies)
                try:
                    found = search(folder=folder, **options)
                    break
                except KeyboardInterrupt:
                    calls.append(seed)
            if random.random() < 0.3 and (kept := search.root / folder / "search.json").exists():
                kept.write_bytes(kept.read_bytes()[: random.integers(0, 40)])
        strip = lambda results: [{**result, "folder": os.path.basename(result["folder"])} for result in results]
        assert strip(found) == strip(straight), f"seed {seed}"
    assert len(calls) > 4


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_a_seed_gives_the_same_search(search, quick, seed):
    for name in "ab":
        search(space=RATE, folder=name, max_trials=4, seed=seed)
    assert quick[:4] == quick[4:] and len(set(quick[:4])) == 4


def test_a_search_of_something_else_is_refused(search, quick, tmp_path):
    search(max_trials=1)
    rate = {"train.base_learning_rate": {"min": 1e-2, "max": 1e-1, "log": True}}
    others = {
        "space.train.base_learning_rate.min is 0.0001 there and 0.01 here": {"space": SPACE | rate},
        "run.model.name is 'logistic' there and 'moe' here": {"model": "moe"},
        "seed is 0 there and 3 here": {"seed": 3},
        "algorithm is 'bayesian' there and 'hyperband' here": {"algorithm": "hyperband"},
        "begun on other files": {"source": Source(())},
    }
    for words, options in others.items():
        with pytest.raises(InputError, match=words):
            search(**({"max_trials": 2} | options))
    assert len(quick) == 1 and len(search(max_trials=2)) == 2
    (tmp_path / "search").mkdir()
    (tmp_path / "search" / "oracle.json").write_text("{}")
    with pytest.raises(InputError, match="holds a search of an earlier release"):
        search(max_trials=2)


def test_a_search_that_was_killed_in_its_first_trial_tries_the_same_again(search, monkeypatch):
    proposals = []

    def killed(run, *, train_dir, **options):
        proposals.append((run.train.base_learning_rate, train_dir))
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "train", killed)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            search(max_trials=2)
    assert proposals[0] == proposals[1]


def test_bad_input_ends_a_search_as_one_sentence(search, monkeypatch):
    def refused(run, **options):
        raise InputError("the files are gone")

    monkeypatch.setattr(tuning, "train", refused)
    with pytest.raises(InputError, match="^the files are gone$"):
        search(max_trials=1)
