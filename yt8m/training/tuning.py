"""Search for hyperparameters: keras-tuner proposes, a training run each is scored on the holdout.

tune_dir/
  inputs.json     what is searched, and the files that the search began with, see yt8m.data.manifest
  search.json     the trials that are done: what was proposed, and the score
  runs/0000/ ...  the run of each trial
  trials.csv      the same, best first, and trials.png, a picture of it

A proposal depends on seed, space and the trials before alone. So a search goes on by making the proposals of
search.json anew and telling the oracle their scores, whatever had been done when it was stopped.
"""

import csv
import io
import json
import os
import pathlib
import warnings
from typing import Any

import keras_tuner

from yt8m.config import RunConfig
from yt8m.data.manifest import check_manifest, inputs_of, kept_options, make_manifest, run_options, write_manifest
from yt8m.data.splits import Source
from yt8m.inference.model_evaluation import headline
from yt8m.models.checkpoints import read_metrics
from yt8m.runtime.files import atomic_path, parse_json, read_json, temporary_folder, write_text
from yt8m.runtime.locks import locked_folder
from yt8m.training.precision import settled
from yt8m.training.train import Resources, train
from yt8m.types import DataWarning, DivergedError, InputError, StrPath

SPACES: dict[str, dict[str, Any]] = {
    "*": {
        "train.base_learning_rate": {"min": 1e-5, "max": 1e-2, "log": True},
        "train.clip_gradient_norm": {"min": 0.1, "max": 10.0, "log": True},
        "train.label_smoothing": [0.0, 0.05, 0.1],
    },
    "logistic": {},
    "moe": {"model.num_mixtures": [1, 2, 3, 5, 8], "model.dropout": {"min": 0.0, "max": 0.7}},
    "dbof": {"model.cluster_size": [2048, 4096, 8192], "model.hidden_size": [512, 1024, 2048]},
    "gated_netvlad": {"model.num_clusters": [8, 16, 32, 64], "model.hidden_size": [512, 1024, 2048]},
    "nextvlad": {
        "model.num_clusters": [32, 64, 112, 128],
        "model.groups": [4, 8, 16],
        "model.hidden_size": [1024, 2048],
        "model.dropout": {"min": 0.0, "max": 0.7},
    },
    "mix_nextvlad": {
        "model.num_clusters": [32, 64, 112, 128],
        "model.temperature": {"min": 1.0, "max": 6.0},
        "model.dropout": {"min": 0.0, "max": 0.7},
    },
    "frame_bert": {
        "model.num_layers": [2, 3, 4],
        "model.pooling": ["first", "mean", "attention"],
        "model.dropout": {"min": 0.0, "max": 0.5},
        "model.num_mixtures": [2, 3, 5, 8],
    },
    "video_context": {"model.context_size": [64, 128, 256, 512], "model.num_mixtures": [2, 3, 5, 8]},
}
"""What is searched for each model by default, "*" for all: a list of choices or a range, by section and field."""


def default_space(model_name: str) -> dict[str, Any]:
    """The space of ``model_name``: dict of "model.FIELD" or "train.FIELD" to a list or a dict of min, max, log.

    A field of training that has fields itself is gone into by a further dot: "train.augment.mixup".
    """
    return SPACES["*"] | SPACES.get(model_name, {})


def declare(space: dict[str, Any]) -> keras_tuner.HyperParameters:
    """keras_tuner.HyperParameters of a space as default_space gives it. Raises InputError naming a bad entry."""
    hyperparameters = keras_tuner.HyperParameters()
    for name, values in space.items():
        section, _, field = name.partition(".")
        if section not in ("model", "train") or not field:
            raise InputError(f"the space has {name!r}; names are model.FIELD or train.FIELD, as in model.dropout")
        if isinstance(values, list) and values:
            hyperparameters.Choice(name, values)
        elif isinstance(values, dict) and {"min", "max"} <= set(values) <= {"min", "max", "log"}:
            _declare_range(hyperparameters, name, values)
        else:
            raise InputError(
                f"the space has {values!r} for {name}; give a list of choices, or min, max and perhaps log"
            )
    return hyperparameters


def _declare_range(hyperparameters, name, values):
    low, high = values["min"], values["max"]
    if not low < high or (values.get("log") and low <= 0):
        raise InputError(f"the space has the range {low} to {high} for {name}; it must rise, with log from above 0")
    sampling = "log" if values.get("log") else "linear"
    make = hyperparameters.Int if isinstance(low, int) and isinstance(high, int) else hyperparameters.Float
    make(name, low, high, sampling=sampling)


def tune(
    run: RunConfig,
    *,
    source: Source,
    holdout: Source | None,
    tune_dir: str,
    space: dict[str, Any],
    algorithm: str = "bayesian",
    max_trials: int = 20,
    seed: int = 0,
    resources: Resources = Resources(),
) -> list[dict[str, Any]]:
    """Trains a run for each proposal and returns the list of finished trials, best first.

    run: the RunConfig that proposals change. source, holdout: see yt8m.training.train.train; the holdout's headline
    score is what is maximised. tune_dir: folder for the search, a run a trial and the results; a search that is there
    is resumed, to the same result as if it had never been stopped. algorithm: "bayesian", of ``max_trials`` runs, or
    "hyperband", which spends run.train.num_epochs on the best of many short runs. resources: as in train. Returns a
    list of dict: trial, score, settings, folder. Raises InputError where tune_dir holds a search of something else:
    only max_trials may grow.
    """
    if holdout is None:
        raise InputError("tuning needs a holdout: give --holdout_files, --holdout_fraction or --eval_data_pattern")
    if algorithm == "hyperband" and not run.train.num_epochs:
        raise InputError("hyperband needs --num_epochs: it is what the best runs are trained for")
    kept = kept_options(tune_dir).get("run", {}).get("train", {})
    # Once for all trials, so that their scores compare.
    run = settled(run, kept=kept.get("mixed_precision"), placement=resources.placement)
    oracle = _make_oracle(algorithm, space, max_trials=max_trials, max_epochs=run.train.num_epochs, seed=seed)
    options = {"algorithm": algorithm, "seed": seed, "space": space, "run": run_options(run)}
    manifest = make_manifest(inputs_of(run, source, holdout), options)
    with locked_folder(tune_dir), temporary_folder(tune_dir) as scratch:
        if os.path.exists(os.path.join(tune_dir, "search", "oracle.json")):
            raise InputError(
                f"{tune_dir} holds a search of an earlier release: finish it there, or name another folder"
            )
        check_manifest(tune_dir, manifest, accept_changed_inputs=resources.accept_changed_inputs)
        write_manifest(tune_dir, manifest)
        oracle._set_project_dir(scratch, "search")
        search = _Search(oracle, run, source=source, holdout=holdout, folder=tune_dir, resources=resources)
        search.run_all()
        return search.results()


def _make_oracle(algorithm, space, *, max_trials, max_epochs, seed):
    objective = keras_tuner.Objective("score", "max")
    # Their 0 is a seed drawn by chance, and NumPy's have 32 bits.
    seed = seed % 2**31 or 2**31
    shared = {"objective": objective, "hyperparameters": declare(space), "seed": seed, "tune_new_entries": False}
    if algorithm == "hyperband":
        oracle = keras_tuner.oracles.HyperbandOracle(max_epochs=max_epochs, **shared)
    else:
        oracle = keras_tuner.oracles.BayesianOptimizationOracle(max_trials=max_trials, **shared)
    oracle.verbose = 0
    return oracle


class _Search:
    """The trials of a search. done: list of dict of what was proposed, "values", and its "score", in order."""

    def __init__(self, oracle, run, *, source, holdout, folder, resources):
        self.oracle, self.base, self.source, self.holdout, self.resources = oracle, run, source, holdout, resources
        self.folder = folder
        self.trials = []
        self.done = _read_trials(os.path.join(folder, "search.json"))

    def run_all(self):
        """Makes the trials that are done known to the oracle, and runs the rest."""
        while (trial := self.oracle.create_trial("")).status == "RUNNING":
            number = len(self.trials)
            if number < len(self.done):
                # What was run counts, should the libraries have changed in between.
                trial.hyperparameters.values = dict(self.done[number]["values"])
            self.trials.append({"values": dict(trial.hyperparameters.values), "score": None})
            score = self.done[number]["score"] if number < len(self.done) else self._run(number)
            self.trials[number]["score"] = score
            if number >= len(self.done):
                text = json.dumps({"trials": self.trials}, indent=1)
                write_text(os.path.join(self.folder, "search.json"), text + "\n")
            self.oracle.update_trial(trial.trial_id, {"score": score})
            trial.status = "COMPLETED"
            self.oracle.end_trial(trial)

    def _run(self, number):
        """Score of a proposal."""
        values, train_dir = self.trials[number]["values"], self._train_dir(number)
        print(f"trial {number}: {_settings(values)}")
        try:
            train(
                proposed(self.base, values),
                source=self.source,
                holdout=self.holdout,
                train_dir=train_dir,
                resources=self.resources,
            )
        except DivergedError as error:
            print(f"trial {number}: {error}")
            return 0.0
        return max(headline(entry)[1] for entry in read_metrics(train_dir))

    def results(self):
        """Trials, best first; of those that share a folder the best."""
        results = {}
        for number in sorted(range(len(self.trials)), key=lambda number: -self.trials[number]["score"]):
            trial = self.trials[number]
            folder, settings = self._train_dir(number), _settings(trial["values"])
            found = {"trial": f"{number:04d}", "score": trial["score"], "settings": settings, "folder": folder}
            results.setdefault(folder, found)
        return list(results.values())

    def _train_dir(self, number):
        # Hyperband's longer runs go on from the shorter ones, in their folders.
        while before := self.trials[number]["values"].get("tuner/trial_id"):
            number = int(before)
        return os.path.join(self.folder, "runs", f"{number:04d}")


def _read_trials(path):
    """What _Search writes to search.json; where that is damaged nothing, because the runs still have the scores."""
    if not os.path.exists(path):
        return []
    try:
        trials = read_json(path, what="the trials of a search", fields={"trials": list})["trials"]
        for trial in trials:
            parse_json(json.dumps(trial), path, what="the trials of a search", fields={"values": dict, "score": float})
        return trials
    except InputError as error:
        warnings.warn(f"{error}: the scores are taken from the runs", DataWarning, stacklevel=2)
        return []


def proposed(run: RunConfig, values: dict[str, Any]) -> RunConfig:
    """``run`` with the settings of a proposal, dict of "model.FIELD", "train.FIELD" or "train.PART.FIELD" to value."""
    model, train = dict(run.model.hyperparameters), {}
    for name, value in _settings(values).items():
        section, _, field = name.partition(".")
        if section == "model":
            model[field] = value
            continue
        *parts, field = field.split(".")
        changes = train
        for part in parts:
            changes = changes.setdefault(part, {})
        changes[field] = value
    if values.get("tuner/epochs"):
        train["num_epochs"] = values["tuner/epochs"]
    try:
        return run.replace(model=run.model.replace(hyperparameters=model), train=_changed(run.train, train))
    except (TypeError, AttributeError) as error:
        raise InputError(f"the space names a setting of training that does not exist: {error}") from error


def _changed(config, changes):
    """A Config with other values in its fields; where these are configs too, dicts say which of theirs change."""
    return config.replace(
        **{
            name: _changed(getattr(config, name), value) if isinstance(value, dict) else value
            for name, value in changes.items()
        }
    )


def _settings(values):
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def write_results(results: list[dict[str, Any]], folder: StrPath) -> None:
    """Writes trials.csv, best first, and trials.png where matplotlib is installed."""
    names = list(results[0]["settings"]) if results else []
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["trial", "score", *names, "folder"])
    for result in results:
        row = [result["settings"].get(name, "") for name in names]
        writer.writerow([result["trial"], f"{result['score']:.5f}", *row, result["folder"]])
    write_text(pathlib.Path(folder) / "trials.csv", text.getvalue())
    try:
        import matplotlib
    except ImportError:
        return
    matplotlib.use("Agg")
    _plot(results, names, os.path.join(folder, "trials.png"))


def _plot(results, names, path):
    """One panel a setting: the score of every trial over its value."""
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(names), figsize=(3.2 * len(names), 3), sharey=True, squeeze=False)
    for panel, name in zip(panels[0], names):
        values = [result["settings"][name] for result in results]
        numeric = all(isinstance(value, (int, float)) for value in values)
        panel.scatter(values if numeric else list(map(str, values)), [result["score"] for result in results], s=18)
        panel.set_xlabel(name)
        if numeric and min(values) > 0 and max(values) > 50 * min(values):
            panel.set_xscale("log")
    panels[0][0].set_ylabel("holdout score")
    figure.tight_layout()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120)
    pyplot.close(figure)
