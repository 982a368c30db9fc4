"""Steps after training that take no gradient: averaging checkpoints, adapting batch norm."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig, RunConfig
from yt8m.data.feature_origins import check_origins, copy_origins
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.seen_videos import SeenVideos
from yt8m.data.splits import Source, open_source
from yt8m.inference.model_evaluation import evaluate_model, headline
from yt8m.inference.scorer import Scorer
from yt8m.layers.base import layers_within
from yt8m.models import checkpoints
from yt8m.runtime.devices import default_jit_compile
from yt8m.runtime.files import write_text
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.types import InputError, StrPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finished:
    """Holdout scores of a finished run: that of the best model before adaptation, and of the adapted one.

    None where nothing is held out, and ``adapted`` where nothing was adapted. The run's model is the adapted one.
    """

    best: float | None
    adapted: float | None = None


def finish_run(
    run: RunConfig,
    train_dir: StrPath,
    *,
    best: float | None,
    score: Callable[[Any], tuple[str, float]] | None,
    say: Callable[[str], None],
) -> Finished:
    """Finishes ``run``, a RunConfig, whose training in ``train_dir`` is over; returns its scores, Finished.

    Averaged checkpoints become the best model if they score higher than ``best``. Batch norm of the best model is
    adapted whatever the holdout says, which need not be like the target; the model as it was is kept beside it, see
    yt8m.models.checkpoints.keep_unadapted. score: function of a model that gives (name, value) on the holdout, None
    where nothing is held out. say: function of a line to print.
    """
    count = run.train.average_checkpoints
    if count and score and best is not None and (paths := checkpoints.snapshots(train_dir)):
        model = average_weights(map(checkpoints.load_snapshot, paths))
        name, value = score(model)
        mark = f"best is {best:.4f}"
        if value > best:
            best, mark = value, "best so far"
            checkpoints.save_best(train_dir, model)
        say(f"mean of {len(paths)} checkpoints: holdout {name} {value:.4f} ({mark})")
    target = open_source(run.adapt_bn)
    if target is None:
        return Finished(best=best)
    model, _ = checkpoints.load_model(train_dir)
    windows = "all" if run.train.segment_labels else "video"
    batch_size = run.train.batch_size
    examples = adapt_batch_norm(model, target, run.data, windows=windows, batch_size=batch_size, show_progress=False)
    checkpoints.keep_unadapted(train_dir)
    checkpoints.save_best(train_dir, model)
    adapted, told = None, ""
    if score is not None:
        name, adapted = score(model)
        told = f": holdout {name} {adapted:.4f}, before {best:.4f}"
    say(f"adapted batch norm to {examples:,} examples of {run.adapt_bn}{told}")
    return Finished(best=best, adapted=adapted)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adaptation:
    """What an adaptation of batch norm did: examples seen, and the holdout's score before and after.

    metric: name of the score, as "map_at_k"; "" and None where nothing was scored.
    """

    examples: int
    metric: str = ""
    before: float | None = None
    after: float | None = None


def adapt_run(
    train_dir: StrPath,
    *,
    target_pattern: str,
    output_dir: StrPath,
    holdout: Source | None,
    segments: bool | None = None,
    batch_size: int = 128,
    gamma: str | None = None,
) -> Adaptation:
    """Adapts batch norm of the model of a finished run, which stays as it is: a run of its own in ``output_dir``.

    target_pattern: files, labels unread, to adapt to. holdout: Source to score on before and after, None for none.
    segments: whether the model is applied to segments of these files, False for whole videos, None as it was trained.
    gamma: of clips, as of ClipConfig, with which the adapted run reads them, None for that of training. output_dir gets
    config.json, best.keras and adaptation.json, and is whatever the folder of a run is good for.

    Raises InputError where it holds a run that is no adaptation or another process writes there, and where there is
    nothing to adapt, or to adapt to.
    """
    model, run = checkpoints.load_model(train_dir)
    told = os.path.join(output_dir, "adaptation.json")
    if os.path.exists(os.path.join(output_dir, "config.json")) and not os.path.exists(told):
        raise InputError(f"{output_dir} holds another run, which would be lost: give another output_dir")
    target = open_source(target_pattern)
    assert target is not None
    check_origins(train_dir, [*target.files, *(holdout.files if holdout else ())])
    segments = run.train.segment_labels if segments is None else segments
    batch_norm_layers(model)

    def score(data):
        scorer = Scorer(model, batch_size=batch_size)
        return headline(evaluate_model(scorer, holdout, data, segment_labels=run.train.segment_labels))

    with locked_folder(output_dir):
        before = score(run.data) if holdout else ("", None)
        if gamma is not None:
            run = run.replace(data=run.data.replace(clip=run.data.clip.replace(gamma=gamma)))
        windows = "all" if segments else "video"
        examples = adapt_batch_norm(model, target, run.data, windows=windows, batch_size=batch_size)
        after = score(run.data) if holdout else ("", None)
        adaptation = Adaptation(examples=examples, metric=before[0], before=before[1], after=after[1])
        details = {"train_dir": os.fspath(train_dir), "adapted_to": target_pattern} | dataclasses.asdict(adaptation)
        # First, so that a folder that was stopped half way is still known for an adaptation.
        write_text(told, json.dumps(details, indent=2) + "\n")
        checkpoints.write_run_config(output_dir, run.replace(adapt_bn=target_pattern))
        checkpoints.save_best(output_dir, model)
        copy_provenance(train_dir, output_dir)
    return adaptation


def copy_provenance(train_dir: StrPath, output_dir: StrPath) -> None:
    """Lets the run in ``output_dir``, whose model is that of the run in ``train_dir``, know what that one knows.

    Which videos it saw, and which backbones made its features.
    """
    copy_origins(train_dir, output_dir)
    seen = SeenVideos.load(checkpoints.seen_videos_path(train_dir))
    if seen is not None:
        seen.save(checkpoints.seen_videos_path(output_dir))


def average_weights(models: Iterable[keras.Model]) -> keras.Model:
    """Sets the first of ``models`` (an iterable of VideoModels alike) to the mean of all their weights; returns it.

    Counts and random states stay those of the first. The models are loaded one by one if the iterable does so.
    """
    models = iter(models)
    first = next(models)
    sums = [np.asarray(variable, np.float64) for variable in first.variables]
    count = 1
    for model in models:
        for total, variable in zip(sums, model.variables, strict=True):
            total += np.asarray(variable, np.float64)
        count += 1
    for variable, total in zip(first.variables, sums):
        if "float" in keras.backend.standardize_dtype(variable.dtype):
            variable.assign(total / count)
    return first


def adapt_batch_norm(
    model: keras.Model, source: Source, config: DataConfig, *, windows: str, batch_size: int, show_progress: bool = True
) -> int:
    """Estimates the moving statistics of batch norm anew on the videos of ``source``, whose labels are not looked at.

    model: a VideoModel, changed in place. config: DataConfig. windows: "video" or "all", what the model is applied to.
    The new statistics are the means over batches of each batch's mean and variance, the layers before being normalised
    by the batch's own (Li et al. 2017, AdaBN); dropout is off. Returns the number of examples. Raises InputError where
    the model has no batch norm or the source no examples.
    """
    layers = batch_norm_layers(model)
    dataset = make_dataset(list(source.files), config, windows=windows, batch_size=batch_size, keep=source.keep)
    sums = {id(layer): [np.zeros(layer.moving_mean.shape), np.zeros(layer.moving_variance.shape)] for layer in layers}
    examples = batches = 0
    progress = Progress("adapting batch norm", unit="examples", shown=show_progress)
    step = _in_training(model)
    with _batch_statistics(model, layers), explain_errors(source.files, config), progress:
        for features, *_ in dataset.as_numpy_iterator():
            count = len(next(iter(features.values())))
            if count < batch_size and batches:
                # A small last batch would count as much as the others.
                break
            if windows == "all":
                features = {name: values[:, 0] for name, values in features.items()}
            step(features)
            for layer in layers:
                mean, variance = sums[id(layer)]
                mean += np.asarray(layer.moving_mean)
                variance += np.asarray(layer.moving_variance)
            examples, batches = examples + count, batches + 1
            progress.update(count)
        progress.complete()
    if not batches:
        raise InputError(f"there is nothing to adapt to in {source.files[0]} and {len(source.files) - 1} more")
    for layer in layers:
        mean, variance = sums[id(layer)]
        layer.moving_mean.assign(mean / batches)
        layer.moving_variance.assign(variance / batches)
    return examples


def batch_norm_layers(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """The batch norm layers of a model; raises InputError where it has none."""
    layers = [layer for layer in layers_within(model) if isinstance(layer, keras.layers.BatchNormalization)]
    if not layers:
        raise InputError(f"model {model.name} has no batch normalisation to adapt")
    return layers


def _in_training(model):
    """A model as it is in training; compiled under TensorFlow, which takes several times as long one by one."""
    step = functools.partial(model, training=True)
    if keras.backend.backend() != "tensorflow":
        return step
    return tf.function(step, jit_compile=default_jit_compile(), reduce_retracing=True, autograph=False)


@contextlib.contextmanager
def _batch_statistics(model, layers):
    """Context in which moving statistics become those of the last batch, and nothing is dropped out."""
    dropouts = [layer for layer in layers_within(model) if isinstance(layer, keras.layers.Dropout)]
    momenta, rates = [layer.momentum for layer in layers], [layer.rate for layer in dropouts]
    for layer in layers:
        layer.momentum = 0.0
    for layer in dropouts:
        layer.rate = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta):
            layer.momentum = momentum
        for layer, rate in zip(dropouts, rates):
            layer.rate = rate
