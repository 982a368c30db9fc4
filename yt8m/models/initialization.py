"""Weights, and what an optimizer knows of them, from another run."""

from typing import Any

import keras

from yt8m.models.base import VideoModel
from yt8m.models.checkpoints import load_model, random_states, read_run_config, restorable
from yt8m.models.model_files import load_model_file
from yt8m.types import InputError, StrPath

_MAY_DIFFER = {"name", "dtype", "trainable", "num_classes", "level", "dropout", "temperature", "projection_size"}
"""Settings of a model that another may start its weights from."""


def step_counter(optimizer: keras.optimizers.Optimizer) -> Any:
    """The variable that counts an optimizer's batches; ``iterations`` counts updates, which may be of several."""
    return optimizer.variables[0]


def initialize_from(model: VideoModel, train_dir: StrPath) -> list[str]:
    """Copies the weights of the run in ``train_dir`` into ``model``; returns the paths left as they were.

    Weights that depend on the number of classes are left alone where the two vocabularies differ in size. Between
    frame_bert and multimodal_bert the encoder's weights alone are copied. Raises InputError where the run is of another
    model, also one whose weights would fit by their shapes.
    """
    source = load_model(train_dir)[0]
    if type(model) is not type(source) and None not in (_encoder(model), _encoder(source)):
        return _copy_encoder(model, source, train_dir)
    return _copy_weights(model, source, train_dir)


def _encoder(model):
    return getattr(model, "frame_encoder", None)


def _copy_encoder(model, source, train_dir):
    """Copies the layers over frames, and their projection, of another kind of model; otherwise as initialize_from."""
    here, there = ({**_encoder(of).get_config(), **_inputs(of)} for of in (model, source))
    different = [name for name in here if name not in _MAY_DIFFER and here[name] != there[name]]
    if different:
        name = different[0]
        raise InputError(
            f"the encoder of {train_dir} does not fit: {name} is {here[name]} here and {there[name]} there"
        )
    copied = set()
    for variable, given in zip(_weights(_encoder(model)), _weights(_encoder(source)), strict=True):
        variable.assign(given)
        copied.add(id(variable))
    return [variable.path for variable in _weights(model) if id(variable) not in copied]


def _inputs(model):
    """What of the features that a model takes its weights depend on.

    Features of videos and of frames are the same but for the names: mean_rgb is the mean of rgb.
    """
    features = [(name.removeprefix("mean_"), size) for name, size in model.feature_sizes.items()]
    return {"feature_sizes": features, "l2_normalize": model.l2_normalize}


def continue_from(learner: keras.Model, model: VideoModel, train_dir: StrPath, *, batch_size: int) -> list[str]:
    """Copies weights, moments of Adam and step of the last checkpoint of ``train_dir`` into ``learner``, compiled.

    model: the VideoModel in it, or it itself. batch_size: of the run to come; where that of the other run differs, the
    step is that at which as many examples were seen. Returns the paths of weights left as they were, whose moments are
    0. Raises InputError as initialize_from, and where there is no such checkpoint or another kind of optimizer.
    """
    run = read_run_config(train_dir)
    found = restorable(train_dir)
    if found is None:
        raise InputError(f"{train_dir} has no checkpoint with an optimizer: leave out init_optimizer")
    state, path = found
    source = load_model_file(path, compile=True)
    within = source if isinstance(source, VideoModel) else source.model
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
    examples = int(step_counter(source.optimizer)) * run.train.batch_size
    # The batches of multigrid training grow and shrink.
    seen = state["examples"] if run.train.multigrid else examples
    step_counter(learner.optimizer).assign(round(seen / batch_size))
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
    there = _projection(source)
    for place, variable in enumerate(_projection(model)):
        if there and there[place].shape == variable.shape:
            variable.assign(there[place])
        else:
            fresh.append(variable.path)
    return fresh


def _structure(model):
    """Everything but the number of classes that determines a model's weights and their meaning."""
    config = {name: value for name, value in model.get_config().items() if name not in _MAY_DIFFER}
    return {"model": type(model).__name__} | config | _inputs(model)


def _projection(model):
    """The weights of a model's projection for similarity, which another of its kind may be without."""
    projection = getattr(model, "projection", None)
    return [] if projection is None else projection.variables


def _weights(model):
    states = set(map(id, [*random_states(model), *_projection(model)]))
    return [variable for variable in model.variables if id(variable) not in states]
