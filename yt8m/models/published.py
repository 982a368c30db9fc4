"""Weights that others have published, as files of torch.save, by the names that they have there."""

import itertools
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from yt8m.layers.convolution import ConvNorm
from yt8m.layers.dense_head import DenseHead
from yt8m.layers.frame_norm import FrameBatchNormalization
from yt8m.models.base import VideoModel
from yt8m.runtime.files import read_bytes
from yt8m.runtime.torch_file import read_torch_file
from yt8m.types import InputError, StrPath

Renames: TypeAlias = Sequence[tuple[str, str | Callable[[re.Match[str]], str]]]
"""(pattern, replacement), in the order in which they go over a name."""

_MOST_BYTES = 1 << 31
_PARALLEL = re.compile(r"^module\.")
"""What a model that was trained on several devices has before its names."""


def load_published(model: VideoModel, path: StrPath) -> list[str]:
    """Copies the weights of a file that torch.save wrote into ``model``; returns the paths left as they were.

    The file has a state dict, or a checkpoint with one, by names that the model's class knows: those of its authors'
    program, or others that ``published_renames`` makes those. Weights of the head are taken where it is logistic and
    both have as many classes. A model with ``load_network`` has files of Keras instead. Raises InputError where the
    class knows no such files, where one is not to be read, is of another model, or holds values that are no finite
    numbers.
    """
    if hasattr(model, "load_network"):
        model.load_network(path)
        return [variable.path for head in model.heads for variable in head.variables]
    if not hasattr(model, "published_names"):
        raise InputError(
            f"init_weights is for models with published weights, clip_cnn, slowfast and tanet, not {model.name}"
        )
    wanted = model.published_names()
    given = {
        _renamed(name, model.published_renames): (name, array)
        for name, array in read_torch_file(read_bytes(path, most=_MOST_BYTES), str(path)).items()
        if not name.endswith("num_batches_tracked")
    }
    heads = {id(variable) for head in model.heads for variable in head.variables}
    of_head = {name for name, variable in wanted.items() if id(variable) in heads}
    taken = {name: variable for name, variable in wanted.items() if name not in of_head or _fits(variable, given, name)}
    _check_fit(
        model, path, taken, given, known={*wanted, *(f"{model.published_head}.{part}" for part in ("weight", "bias"))}
    )
    for name, variable in taken.items():
        array = _keras_layout(given[name][1], variable.shape)
        if not np.isfinite(array).all():
            raise InputError(f"{path} has values in {given[name][0]} that are no finite numbers")
        variable.assign(array.astype(np.float32))
    filled = set(map(id, taken.values()))
    return [variable.path for head in model.heads for variable in head.variables if id(variable) not in filled]


def _renamed(name, renames):
    name = _PARALLEL.sub("", name)
    for pattern, replacement in renames:
        name = re.sub(pattern, replacement, name)
    return name


def _fits(variable, given, name):
    return name in given and _keras_layout(given[name][1], variable.shape) is not None


def _check_fit(model, path, taken, given, *, known):
    """Raises InputError, a sentence of all that differs, unless the file is of this model."""
    missing = [name for name in taken if name not in given]
    other = [name for name in taken if name in given and not _fits(taken[name], given, name)]
    unknown = [given[name][0] for name in given if name not in known]
    problems = []
    if missing:
        problems.append(
            f"{_some(missing)} of the {len(taken):,} weights {'is' if len(missing) == 1 else 'are'} missing"
        )
    if other:
        shape, here = given[other[0]][1].shape, tuple(taken[other[0]].shape)
        problems.append(f"{_some(other)} {'has' if len(other) == 1 else 'have'} another shape, {shape} for {here}")
    if unknown:
        problems.append(f"{_some(unknown)} {'belongs' if len(unknown) == 1 else 'belong'} to another network")
    if problems:
        raise InputError(f"{path} is not weights of this {model.name}: {'; '.join(problems)}")


def _some(names):
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1:,} more"


def _keras_layout(array, shape):
    """An array of PyTorch in the layout of Keras, None where it does not fit.

    Of kernels the channels, in and out, go last.
    """
    if array.ndim > 1:
        array = np.transpose(array, (*range(2, array.ndim), 1, 0))
    return array.reshape(shape) if _sizes(array.shape) == _sizes(shape) else None


def _sizes(shape):
    """A shape without the ones that it begins with: a kernel of one frame or one pixel may be written without it."""
    return tuple(itertools.dropwhile(lambda size: size == 1, shape))


def names_of_conv_norm(layer: ConvNorm, convolution: str, norm: str) -> dict[str, Any]:
    """Name in a state dict to weight of a convolution and its batch normalisation, whose names there are given."""
    return {f"{convolution}.weight": layer.kernel} | names_of_norm(layer.norm, norm)


def names_of_norm(layer: FrameBatchNormalization, name: str) -> dict[str, Any]:
    """Name in a state dict to weight of a batch normalisation."""
    return {
        f"{name}.weight": layer.gamma,
        f"{name}.bias": layer.beta,
        f"{name}.running_mean": layer.moving_mean,
        f"{name}.running_var": layer.moving_variance,
    }


def names_of_head(head: keras.layers.Layer, name: str) -> dict[str, Any]:
    """Name in a state dict to weight of a head; none for heads of more than one dense layer."""
    if not isinstance(head, DenseHead):
        return {}
    return {f"{name}.weight": head.dense.kernel, f"{name}.bias": head.dense.bias}
