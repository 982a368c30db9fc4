"""A run's folder: its configuration, its latest checkpoint, its best model.

train_dir/
  config.json               the RunConfig
  state.json                where training is, and which checkpoint belongs to that
  checkpoint-<step>.keras   model and optimizer
  best.keras                the model with the best holdout score, or the last one where nothing is held out
  unadapted.keras           that model before its batch norm was adapted, with --adapt_bn
  snapshot-<step>.keras     the last evaluated models, if they are to be averaged
  metrics.jsonl             one line an evaluation
  seen_videos.npz           which videos it and the run that it started from were trained on, see SeenVideos
  calibration.json          what makes probabilities of the best model's scores, if eval.py --calibrate was run
  tensorboard/
"""

import contextlib
import dataclasses
import glob
import hashlib
import json
import os
import pathlib
import shutil
from typing import Any

import keras
import numpy as np

from yt8m.config import FORMAT, RunConfig
from yt8m.data.seen_videos import Overlap, SeenVideos
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.models.learner import Learner
from yt8m.options import Config
from yt8m.ranking.calibration import Calibration, read_calibration, write_calibration
from yt8m.runtime.files import atomic_path, write_text
from yt8m.types import InputError, StrPath

_MAY_DIFFER = {"name", "dtype", "num_classes", "level", "dropout", "temperature"}
"""Settings of a model that another may start its weights from."""


def read_run_config(train_dir: StrPath) -> RunConfig:
    """The RunConfig of ``train_dir``; InputError where it holds no run."""
    path = os.path.join(train_dir, "config.json")
    members = members_of(train_dir)
    if members != (os.fspath(train_dir),):
        raise InputError(
            f"{train_dir} is an ensemble of {len(members)} runs: name one of {', '.join(members)}; for the ensemble "
            "rank with each by inference.py and fuse by ensemble.py"
        )
    try:
        values = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        found = values.pop("format", 1)
        if found > FORMAT:
            raise InputError(f"{path} is of a newer release, in format {found}; this one reads up to {FORMAT}")
        return RunConfig.from_dict(values if found == FORMAT else _upgraded(values))
    except OSError as error:
        raise InputError(f"{train_dir} is not the folder of a training run: it has no config.json") from error
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{path} is not a run's configuration: {error}") from error


def members_of(train_dir: StrPath) -> tuple[str, ...]:
    """Folders of the runs that selftrain.py's ensemble.json in ``train_dir`` names; itself where there is no such."""
    path = pathlib.Path(train_dir, "ensemble.json")
    if not path.is_file():
        return (os.fspath(train_dir),)
    return tuple(member["run"] for member in json.loads(path.read_text(encoding="utf-8"))["members"])


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
    """Writes config.json."""
    content = json.dumps({"format": FORMAT} | run.to_dict(), indent=2, sort_keys=True)
    write_text(os.path.join(train_dir, "config.json"), content + "\n")


def check_same_run(train_dir: StrPath, run: RunConfig) -> None:
    """Checks that a run that has saved something in ``train_dir`` is ``run``, a RunConfig.

    Raises InputError naming the first setting that differs. How long to train may change; what is trained may not.
    """
    if any(os.path.exists(os.path.join(train_dir, name)) for name in ("state.json", "best.keras")):
        difference = _first_difference(read_run_config(train_dir), run)
        if difference:
            raise InputError(
                f"{train_dir} holds another run: {difference}. Give the same settings to resume it, or another "
                "train_dir to start over"
            )


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
    """Saves model, optimizer, random states and ``state`` (a dict of JSON values), replacing the checkpoint before.

    state.json is written last and names its checkpoint, so that the two never disagree.
    """
    name = f"checkpoint-{state['step']:08d}.keras"
    _save(os.path.join(train_dir, name), model)
    state = state | {
        "checkpoint": name,
        "random": [np.asarray(variable).tolist() for variable in _random_states(model)],
    }
    write_text(os.path.join(train_dir, "state.json"), json.dumps(state, indent=2) + "\n")
    for stale in glob.glob(os.path.join(glob.escape(os.fspath(train_dir)), "checkpoint-*.keras")):
        if os.path.basename(stale) != name:
            os.unlink(stale)


def restore_checkpoint(train_dir: StrPath, model: keras.Model) -> dict[str, Any] | None:
    """Loads the latest checkpoint into a compiled ``model``; returns its state, or None where there is none."""
    state = _read_state(train_dir)
    if state is None:
        return None
    model.optimizer.build(model.trainable_variables)
    _load_weights(model, os.path.join(train_dir, state["checkpoint"]))
    for variable, value in zip(_random_states(model), state.pop("random"), strict=True):
        variable.assign(np.asarray(value, np.uint32))
    return state


def _read_state(train_dir):
    path = os.path.join(train_dir, "state.json")
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8")) if os.path.exists(path) else None


def save_best(train_dir: StrPath, model: keras.Model) -> None:
    """Saves the model as the one to evaluate and predict with; without its optimizer, which is twice its size."""
    with _without_optimizer(model):
        _save(os.path.join(train_dir, "best.keras"), model)


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
    with _without_optimizer(model):
        _save(os.path.join(train_dir, f"snapshot-{step:08d}.keras"), model)
    for stale in snapshots(train_dir)[:-keep]:
        os.unlink(stale)


def snapshots(train_dir: StrPath) -> list[str]:
    """Paths of what save_snapshot saved, oldest first."""
    return sorted(glob.glob(os.path.join(glob.escape(os.fspath(train_dir)), "snapshot-*.keras")))


def load_snapshot(path: StrPath) -> VideoModel:
    """The model of one of snapshots()."""
    return _load_model(path)


def initialize_from(model: VideoModel, train_dir: StrPath) -> list[str]:
    """Copies the weights of the run in ``train_dir`` into ``model``; returns the paths left as they were.

    Weights that depend on the number of classes are left alone where the two vocabularies differ in size. Raises
    InputError where the run is of another model, also one whose weights would fit by their shapes.
    """
    return _copy_weights(model, load_model(train_dir)[0], train_dir)


def continue_from(learner: keras.Model, model: VideoModel, train_dir: StrPath, *, batch_size: int) -> list[str]:
    """Copies weights, moments of Adam and step of the last checkpoint of ``train_dir`` into ``learner``, compiled.

    model: the VideoModel in it, or it itself. batch_size: of the run to come; where that of the other run differs, the
    step is that at which as many examples were seen. Returns the paths of weights left as they were, whose moments are
    0. Raises InputError as initialize_from, and where there is no such checkpoint or another kind of optimizer.
    """
    run = read_run_config(train_dir)
    state = _read_state(train_dir)
    if state is None:
        raise InputError(f"{train_dir} has no checkpoint with an optimizer: leave out init_optimizer")
    source = _load(os.path.join(train_dir, state["checkpoint"]), compile=True)
    within = source.model if isinstance(source, Learner) else source
    fresh = _copy_weights(model, within, train_dir)
    learner.optimizer.build(learner.trainable_variables)
    here, there = _innermost(learner.optimizer), _innermost(source.optimizer)
    if type(here) is not type(there) or not hasattr(here, "momenta"):
        raise InputError(
            f"{train_dir} was trained with {type(there).__name__} and this run is with {type(here).__name__}: "
            "init_optimizer needs adam or rectified_adam in both"
        )
    # A learner trains more than its model, so that a weight has another place among what each optimizer knows.
    places = {id(variable): place for place, variable in enumerate(source.trainable_variables)}
    counterparts = dict(zip(map(id, _weights(model)), map(id, _weights(within)), strict=True))
    for place, variable in enumerate(learner.trainable_variables):
        other = places.get(counterparts.get(id(variable), -1))
        if other is not None and variable.path not in fresh:
            here.momenta[place].assign(there.momenta[other])
            here.velocities[place].assign(there.velocities[other])
    examples = int(source.optimizer.iterations) * run.train.batch_size
    # The batches of multigrid training grow and shrink.
    learner.optimizer.iterations.assign(round((state["examples"] if run.train.multigrid else examples) / batch_size))
    return fresh


def _innermost(optimizer):
    while hasattr(optimizer, "inner"):
        optimizer = optimizer.inner
    return optimizer


def _copy_weights(model, source, train_dir):
    run = read_run_config(train_dir)
    here, there = _structure(model), _structure(source)
    different = [name for name in here | there if here.get(name) != there.get(name)]
    if different:
        name = different[0]
        raise InputError(
            f"{train_dir} holds another model ({run.model.name} {run.model.hyperparameters}, features "
            f"{run.data.features}): {name} is {here.get(name)} here and {there.get(name)} there"
        )
    fresh = []
    # Same class and hyperparameters, same order; names of nested layers are not unique.
    for variable, given in zip(_weights(model), _weights(source), strict=True):
        if variable.shape != given.shape:
            fresh.append(variable.path)
        else:
            variable.assign(given)
    return fresh


def append_metrics(train_dir: StrPath, metrics: dict[str, Any]) -> None:
    """Adds one evaluation, a dict of numbers with the ``step`` it was made at, to metrics.jsonl."""
    with open(_metrics_path(train_dir), "a", encoding="utf-8") as file:
        file.write(json.dumps(metrics) + "\n")


def read_metrics(train_dir: StrPath) -> list[dict[str, Any]]:
    """The evaluations of a run so far: list of dict, oldest first."""
    path = _metrics_path(train_dir)
    if not os.path.exists(path):
        return []
    return [json.loads(line) for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines()]


def forget_metrics_after(train_dir: StrPath, *, step: int) -> None:
    """Drops evaluations made after the checkpoint that a run is resumed from: they will be made again."""
    metrics = read_metrics(train_dir)
    kept = [entry for entry in metrics if entry["step"] <= step]
    if len(kept) < len(metrics):
        write_text(_metrics_path(train_dir), "".join(json.dumps(entry) + "\n" for entry in kept))


def save_calibration(train_dir: StrPath, calibration: Calibration) -> str:
    """Writes the Calibration of the model that load_model loads to calibration.json; returns its path."""
    path = _calibration_path(train_dir)
    write_calibration(path, dataclasses.replace(calibration, model=_digest(model_path(train_dir))))
    return path


def load_calibration(train_dir: StrPath) -> Calibration | None:
    """The Calibration of the model that load_model loads; None where there is none for this very model."""
    calibration = read_calibration(_calibration_path(train_dir))
    return calibration if calibration and calibration.model == _digest(model_path(train_dir)) else None


def _calibration_path(train_dir):
    return os.path.join(train_dir, "calibration.json")


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
    loaded = _load(path, compile=False)
    # A checkpoint may hold what trains the model along with it.
    return loaded.model if isinstance(loaded, Learner) else loaded


def _load(path, *, compile):
    # Loading needs the classes registered, and safe mode takes no other.
    MODELS.load()
    try:
        return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:
        raise InputError(f"{path} cannot be loaded as a model: {_first_line(error)}") from error


def _load_weights(model, path):
    try:
        model.load_weights(path)
    except Exception as error:
        raise InputError(f"{path} does not fit the model of this run: {_first_line(error)}") from error


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def _without_optimizer(model):
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _save(path, model):
    with atomic_path(path) as temporary:
        model.save(temporary, overwrite=True)


def _structure(model):
    """Everything but the number of classes that determines a model's weights and their meaning.

    Features of videos and of frames are the same but for the names: mean_rgb is the mean of rgb.
    """
    config = {name: value for name, value in model.get_config().items() if name not in _MAY_DIFFER}
    features = [(name.removeprefix("mean_"), size) for name, size in model.feature_sizes.items()]
    return {"model": type(model).__name__} | config | {"feature_sizes": features}


def _weights(model):
    return [variable for variable in model.variables if not _is_random_state(variable)]


def _random_states(model):
    return [variable for variable in model.variables if _is_random_state(variable)]


def _is_random_state(variable):
    return variable.path.endswith("seed_generator_state")
