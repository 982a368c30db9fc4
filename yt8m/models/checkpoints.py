"""A run's folder: its configuration, its latest checkpoint, its best model.

train_dir/
  config.json               the RunConfig
  inputs.json               the files that it began with, see yt8m.data.manifest
  state.json                where training is, and which checkpoint belongs to that
  state.previous.json       the same of the checkpoint before, in case that one is damaged
  checkpoint-<step>.keras   model and optimizer
  best.keras                the model with the best holdout score, or the last one where nothing is held out
  unadapted.keras           that model before its batch norm was adapted, with --adapt_bn
  snapshot-<step>.keras     the last evaluated models, if they are to be averaged
  metrics.jsonl             one line an evaluation
  tokenizer.json            the tokenizer of the texts, for a model that reads such
  seen_videos.npz           which videos it and the run that it started from were trained on, see SeenVideos
  calibration.json          what makes probabilities of the best model's scores, if eval.py --calibrate was run
  features.json             which backbones made the features, if yt8m-video did; NAME.projection.npz beside it
  tensorboard/
"""

import dataclasses
import glob
import json
import os
import shutil
import warnings
from typing import Any

import keras
import numpy as np

from yt8m.config import FORMAT, RunConfig
from yt8m.data.seen_videos import Overlap, SeenVideos
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.models.model_files import load_model_file
from yt8m.options import Config
from yt8m.ranking.calibration import Calibration, read_calibration, write_calibration
from yt8m.runtime.files import atomic_path, file_digest, parse_json, read_json, write_text
from yt8m.runtime.keras_files import check_model_file, load_weights, save_model
from yt8m.text import read_text
from yt8m.types import DataWarning, InputError, StrPath

_STATES = ("state.json", "state.previous.json")


def read_run_config(train_dir: StrPath) -> RunConfig:
    """The RunConfig of ``train_dir``; InputError where it holds no run."""
    path = os.path.join(train_dir, "config.json")
    members = members_of(train_dir)
    if members != (os.fspath(train_dir),):
        raise InputError(
            f"{train_dir} is an ensemble of {len(members)} runs: name one of {', '.join(members)}; for the ensemble "
            "rank with each by inference.py and fuse by ensemble.py"
        )
    if not os.path.exists(path):
        reason = "it has no config.json" if os.path.isdir(train_dir) else "there is no such folder"
        raise InputError(f"{train_dir} is not the folder of a training run: {reason}")
    what = "a run's configuration"
    values = read_json(path, what=what, fields={"data": dict, "model": dict, "train": dict})
    found = values.pop("format", 1)
    if not isinstance(found, int):
        raise InputError(f"{path} is not {what}: its format is {found!r}")
    if found > FORMAT:
        raise InputError(f"{path} is of a newer release, in format {found}; this one reads up to {FORMAT}")
    try:
        run = RunConfig.from_dict(values if found == FORMAT else _upgraded(values))
        text = run.data.text
        kept = text.replace(tokenizer=_tokenizer_path(train_dir)) if text.fields else text
        return run.replace(data=run.data.replace(text=kept))
    except InputError as error:
        raise InputError(f"{path} is not {what}: {error}") from error
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not {what}: {type(error).__name__} {error}") from error


def members_of(train_dir: StrPath) -> tuple[str, ...]:
    """Folders of the runs that selftrain.py's ensemble.json in ``train_dir`` names; itself where there is no such."""
    path = os.path.join(train_dir, "ensemble.json")
    if not os.path.isfile(path):
        return (os.fspath(train_dir),)
    members = read_json(path, what="selftrain.py's list of runs", fields={"members": list})["members"]
    if not all(isinstance(member, dict) and isinstance(member.get("run"), str) for member in members):
        raise InputError(f"{path} is not selftrain.py's list of runs: each of its members must have a run")
    return tuple(member["run"] for member in members)


def _upgraded(values):
    """A config.json of before 0.3.0 in today's terms.

    Shifts were counted the other way, random frames drawn without replacement, the teacher of distillation had no
    gradient, and some models' hyperparameters meant something else.
    """
    model, data = values["model"], values["data"]
    model = model | {"hyperparameters": MODELS[model["name"]].upgraded(model["hyperparameters"])}
    if data["sampling"] == "random":
        data = data | {"sampling": "random_ordered"}
    # Multigrid training had no short cycle, and one learning rate for all batches.
    train = {"multigrid_short_cycle": False, "multigrid_rate_scaling": 0.0} | values["train"]
    return values | {"model": model, "data": data, "train": train, "tta": [-shift for shift in reversed(values["tta"])]}


def write_run_config(train_dir: StrPath, run: RunConfig) -> None:
    """Writes config.json, and the tokenizer beside it."""
    tokenizer, kept = run.data.text.tokenizer, _tokenizer_path(train_dir)
    if tokenizer and os.path.realpath(tokenizer) != os.path.realpath(kept):
        with atomic_path(kept) as temporary:
            shutil.copyfile(tokenizer, temporary)
    content = json.dumps({"format": FORMAT} | run.to_dict(), indent=2, sort_keys=True)
    write_text(os.path.join(train_dir, "config.json"), content + "\n")


def _tokenizer_path(train_dir):
    return os.path.join(train_dir, "tokenizer.json")


def check_same_run(train_dir: StrPath, run: RunConfig) -> None:
    """Checks that a run that has saved something in ``train_dir`` is ``run``, a RunConfig.

    Raises InputError naming the first setting that differs. How long to train may change, and where the files are, of
    which yt8m.data.manifest takes care; what is trained may not.
    """
    if has_begun(train_dir):
        check_same_settings(train_dir, read_run_config(train_dir), run)


def check_same_settings(train_dir: StrPath, there: Config, here: Config) -> None:
    """Raises InputError that names the first setting in which a run in ``train_dir`` and one to come differ."""
    difference = _first_difference(there, here)
    if difference:
        raise InputError(
            f"{train_dir} holds another run: {difference}. Give the same settings to resume it, or another train_dir "
            "to start over"
        )


def has_begun(train_dir: StrPath) -> bool:
    """Whether a run has saved something in ``train_dir``."""
    return any(os.path.exists(os.path.join(train_dir, name)) for name in (*_STATES, "best.keras"))


def _first_difference(old, new, *, section=""):
    for field in dataclasses.fields(old):
        name = f"{section}.{field.name}" if section else field.name
        there, here = getattr(old, field.name), getattr(new, field.name)
        if isinstance(there, Config):
            difference = _first_difference(there, here, section=field.name)
            if difference:
                return difference
        elif "option" in field.metadata and field.metadata["option"].resumable:
            continue
        elif json.loads(json.dumps(there)) != json.loads(json.dumps(here)):
            return f"{name} is {there!r} there and {here!r} here"
    return ""


def save_checkpoint(train_dir: StrPath, model: keras.Model, state: dict[str, Any]) -> None:
    """Saves model, optimizer, random states and ``state`` (a dict of JSON values); keeps the checkpoint before, too.

    state.json is written last and names its checkpoint, so that the two never disagree.
    """
    name = f"checkpoint-{state['step']:08d}.keras"
    latest, previous = (os.path.join(train_dir, file) for file in _STATES)
    before = _whole_state(latest)
    if before and before["checkpoint"] != name:
        _write_state(previous, before)
    save_model(os.path.join(train_dir, name), model)
    state = state | {
        "checkpoint": name,
        "random": [np.asarray(variable).tolist() for variable in random_states(model)],
    }
    _write_state(latest, state)
    before = _whole_state(previous)
    kept = {name, before and before["checkpoint"]}
    for stale in glob.glob(os.path.join(glob.escape(os.fspath(train_dir)), "checkpoint-*.keras")):
        if os.path.basename(stale) not in kept:
            os.unlink(stale)


def restore_checkpoint(train_dir: StrPath, model: keras.Model) -> dict[str, Any] | None:
    """Loads the latest checkpoint into a compiled ``model``; returns its state, or None where there is none.

    Where the latest is damaged, the one before, with a DataWarning; InputError where that is damaged too.
    """
    found = restorable(train_dir)
    if found is None:
        return None
    state, path = found
    latest = os.path.join(train_dir, "state.json")
    if _whole_state(latest) != state:
        # What was the one before is kept by the next save as the latest.
        _write_state(latest, state)
    model.optimizer.build(model.trainable_variables)
    load_weights(model, path)
    try:
        for variable, value in zip(random_states(model), state.pop("random"), strict=True):
            variable.assign(np.asarray(value, np.uint32))
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{latest} does not fit the model of this run: its random states are others") from error
    return state


def restorable(train_dir: StrPath) -> tuple[dict[str, Any], str] | None:
    """(state, path of its checkpoint) of the latest checkpoint that passes; None where there is none at all."""
    problem = None
    for name in _STATES:
        try:
            state = _read_state(os.path.join(train_dir, name))
            if state is None:
                continue
            path = os.path.join(train_dir, state["checkpoint"])
            check_model_file(path)
        except InputError as error:
            problem = problem or error
            continue
        if problem:
            text = f"{problem}: going back to the checkpoint before, step {state['step']}"
            warnings.warn(text, DataWarning, stacklevel=2)
        return state, path
    if problem:
        raise problem
    return None


def _write_state(path, state):
    write_text(path, json.dumps(state, indent=2) + "\n")


def _whole_state(path):
    """The state that a file holds, None also where it is damaged."""
    try:
        return _read_state(path)
    except InputError:
        return None


def _read_state(path):
    """The state that a file holds, None where there is no such file."""
    if not os.path.exists(path):
        return None
    state = read_json(path, what="the state of a run", fields={"checkpoint": str, "step": int, "random": list})
    if os.path.basename(state["checkpoint"]) != state["checkpoint"]:
        raise InputError(f"{path} is not the state of a run: its checkpoint is {state['checkpoint']}")
    return state


def save_best(train_dir: StrPath, model: keras.Model) -> None:
    """Saves the model as the one to evaluate and predict with; without its optimizer, which is twice its size."""
    save_model(os.path.join(train_dir, "best.keras"), model, with_optimizer=False)


def keep_unadapted(train_dir: StrPath) -> None:
    """Copies the best model to unadapted.keras, which what adapts it next leaves alone."""
    with atomic_path(os.path.join(train_dir, "unadapted.keras")) as temporary:
        shutil.copyfile(model_path(train_dir), temporary)


def restore_unadapted(train_dir: StrPath) -> None:
    """Undoes what was done to the best model since keep_unadapted, where that was called: before training goes on."""
    kept = os.path.join(train_dir, "unadapted.keras")
    if os.path.exists(kept):
        os.replace(kept, os.path.join(train_dir, "best.keras"))


def load_model(train_dir: StrPath) -> tuple[VideoModel, RunConfig]:
    """(model, RunConfig) of a run: the best model, or the latest checkpoint where there is no best one yet."""
    run = read_run_config(train_dir)
    return _load_model(model_path(train_dir)), run


def save_snapshot(train_dir: StrPath, model: keras.Model, *, step: int, keep: int) -> None:
    """Saves the model as it is at ``step``, and drops all but the ``keep`` latest of such."""
    save_model(os.path.join(train_dir, f"snapshot-{step:08d}.keras"), model, with_optimizer=False)
    for stale in snapshots(train_dir)[:-keep]:
        os.unlink(stale)


def snapshots(train_dir: StrPath) -> list[str]:
    """Paths of what save_snapshot saved, oldest first."""
    return sorted(glob.glob(os.path.join(glob.escape(os.fspath(train_dir)), "snapshot-*.keras")))


def load_snapshot(path: StrPath) -> VideoModel:
    """The model of one of snapshots()."""
    return _load_model(path)


def append_metrics(train_dir: StrPath, metrics: dict[str, Any]) -> None:
    """Adds one evaluation, a dict of numbers with the ``step`` it was made at, to metrics.jsonl."""
    _write_metrics(train_dir, [*read_metrics(train_dir), metrics])


def read_metrics(train_dir: StrPath) -> list[dict[str, Any]]:
    """The evaluations of a run so far: list of dict, oldest first."""
    path = _metrics_path(train_dir)
    if not os.path.exists(path):
        return []
    return [
        parse_json(line, f"{path}, line {number}", what="an evaluation of a run", fields={"step": int})
        for number, line in enumerate(read_text(path).splitlines(), 1)
    ]


def forget_metrics_after(train_dir: StrPath, *, step: int) -> None:
    """Drops evaluations made after ``step``, the last one that the checkpoint knows of: they will be made again.

    A checkpoint may be of the very step that was evaluated next.
    """
    metrics = read_metrics(train_dir)
    kept = [entry for entry in metrics if entry["step"] <= step]
    if len(kept) < len(metrics):
        _write_metrics(train_dir, kept)


def _write_metrics(train_dir, metrics):
    write_text(_metrics_path(train_dir), "".join(json.dumps(entry) + "\n" for entry in metrics))


def save_calibration(train_dir: StrPath, calibration: Calibration) -> str:
    """Writes the Calibration of the model that load_model loads to calibration.json; returns its path."""
    path = _calibration_path(train_dir)
    write_calibration(path, dataclasses.replace(calibration, model=file_digest(model_path(train_dir))))
    return path


def load_calibration(train_dir: StrPath) -> Calibration | None:
    """The Calibration of the model that load_model loads; None where there is none for this very model."""
    calibration = read_calibration(_calibration_path(train_dir))
    return calibration if calibration and calibration.model == file_digest(model_path(train_dir)) else None


def _calibration_path(train_dir):
    return os.path.join(train_dir, "calibration.json")


def _metrics_path(train_dir):
    return os.path.join(train_dir, "metrics.jsonl")


def seen_videos_path(train_dir: StrPath) -> str:
    """The file with the SeenVideos of a run."""
    return os.path.join(train_dir, "seen_videos.npz")


def overlap_with(train_dir: StrPath) -> Overlap | None:
    """An Overlap of what is to be scored with what the run was trained on; None where the run does not remember it."""
    seen = SeenVideos.load(seen_videos_path(train_dir))
    return None if seen is None else Overlap(train_dir, seen)


def model_path(train_dir: StrPath) -> str:
    """The file that load_model loads. Raises InputError where there is none yet."""
    best = os.path.join(train_dir, "best.keras")
    if os.path.exists(best):
        return best
    checkpoints = sorted(glob.glob(os.path.join(glob.escape(os.fspath(train_dir)), "checkpoint-*.keras")))
    if not checkpoints:
        raise InputError(f"{train_dir} holds no checkpoint yet")
    return checkpoints[-1]


def _load_model(path):
    loaded = load_model_file(path)
    # A checkpoint may hold what trains the model along with it.
    return loaded if isinstance(loaded, VideoModel) else loaded.model


def random_states(model: keras.Model) -> list[keras.Variable]:
    """The variables of a model that are states of its random numbers, and no weights."""
    return [variable for variable in model.variables if variable.path.endswith("seed_generator_state")]
