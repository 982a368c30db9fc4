"""Weights of published checkpoints, by the names that BasicSR's PyTorch code gives them."""

from collections.abc import Iterator, Mapping

import keras
import numpy as np

from yt8m.super_resolution.base import SuperResolver
from yt8m.super_resolution.basicvsr import BasicVSR
from yt8m.super_resolution.spynet import SpyNet
from yt8m.types import InputError

_CONSTANTS = {"mean", "std"}
"""Tensors of SPyNet's that are no weights."""


def take_published(model: SuperResolver, arrays: Mapping[str, np.ndarray], source: str) -> None:
    """Sets a BasicVSR to the weights of a checkpoint of BasicSR, or its SPyNet to those of SPyNet's alone.

    arrays: tensor of each name, (out, in, height, width) for kernels. source: name of the file, for errors. Raises
    InputError, and changes nothing, where they are of another model or of other sizes.
    """
    if not isinstance(model, BasicVSR):
        raise InputError(f"{source}: published weights are taken by basicvsr alone")
    layers = dict(_spynet_layers(model.flow, ""))
    if not any(name.split(".")[0] == "basic_module" for name in arrays):
        layers = dict(_basicvsr_layers(model))
    names = {f"{name}.{part}" for name in layers for part in ("weight", "bias")}
    given = {name for name in arrays if name.split(".")[-1] not in _CONSTANTS}
    for kind, odd in (("has no", names - given), ("has, and the model has not,", given - names)):
        if odd:
            raise InputError(
                f"{source} is of another model than {_described(model)}: it {kind} {min(odd)}, and "
                f"{len(odd) - 1} more such"
            )
    values = {}
    for name, layer in layers.items():
        kernel, bias = np.asarray(arrays[f"{name}.weight"]), np.asarray(arrays[f"{name}.bias"])
        shapes = tuple(kernel.transpose(2, 3, 1, 0).shape) if kernel.ndim == 4 else kernel.shape, bias.shape
        wanted = tuple(layer.kernel.shape), tuple(layer.bias.shape)
        if shapes != wanted:
            raise InputError(
                f"{source} is of another model than {_described(model)}: {name} is {shapes[0]}, not {wanted[0]}"
            )
        values[name] = kernel.transpose(2, 3, 1, 0), bias
    for name, layer in layers.items():
        for variable, value in zip((layer.kernel, layer.bias), values[name]):
            variable.assign(value)


def _described(model):
    return f"basicvsr of width {model.width}, {model.blocks} blocks and scale {model.scale}"


def _spynet_layers(flow: SpyNet, before: str) -> Iterator[tuple[str, keras.layers.Layer]]:
    for level, network in enumerate(flow.networks):
        for number, layer in enumerate(network):
            # The ReLUs between them have numbers too.
            yield f"{before}basic_module.{level}.basic_module.{2 * number}", layer


def _basicvsr_layers(model: BasicVSR) -> Iterator[tuple[str, keras.layers.Layer]]:
    yield from _spynet_layers(model.flow, "spynet.")
    for name, trunk in (("backward_trunk", model.backward_trunk), ("forward_trunk", model.forward_trunk)):
        yield f"{name}.main.0", trunk.first
        for number, pair in enumerate(trunk.pairs):
            for place, layer in enumerate(pair, 1):
                yield f"{name}.main.2.{number}.conv{place}", layer
    yield "fusion", model.fusion
    for number, layer in enumerate(model.enlarging, 1):
        yield f"upconv{number}", layer
    yield from (("conv_hr", model.smoothing), ("conv_last", model.last))
