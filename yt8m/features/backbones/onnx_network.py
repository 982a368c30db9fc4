"""Exported networks, ``onnx:FILE``: a model of ONNX and beside it a JSON that says what it takes."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np

from yt8m.features.backbones.base import Backbone, LinearHead, PictureInput, SoundInput
from yt8m.features.backbones.onnx_file import external_files
from yt8m.features.backbones.pictures import PictureBackbone, digest_of_files
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.backbones.sound import SoundBackbone
from yt8m.options import Config, option
from yt8m.runtime.files import read_json
from yt8m.types import InputError

_AXES = {
    "NHWC": (0, 1, 2, 3),
    "NCHW": (0, 3, 1, 2),
    "NTHWC": (0, 1, 2, 3, 4),
    "NTCHW": (0, 1, 4, 2, 3),
    "NCTHW": (0, 4, 1, 2, 3),
}
"""Order of axes to that in which those of (N, H, W, 3) or (N, T, H, W, 3) stand in it."""

_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}
_EXAMPLE = '{"size": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}'


@dataclass(frozen=True, kw_only=True)
class OnnxDescription(Config):
    """What an exported network takes: the fields of the JSON beside it."""

    size: tuple[int, ...] = option((), "Height and width in pixels, or one number for both.", low=1)
    mean: tuple[float, ...] = option((), "What is subtracted from each channel, red first, after the scale.")
    std: tuple[float, ...] = option((), "What each channel is divided by.", above=0)
    scale: float = option(1 / 255, "Factor of pixel values, which are 0 to 255.", above=0)
    frames: int = option(1, "Frames of a clip; 1 for pictures.", low=1)
    rate: float = option(1.0, "Frames a second within a clip.", above=0)
    shorter_side: int | None = option(None, "Shorter side in pixels before the crop in the middle.", low=1)
    interpolation: str = option("bilinear", "Of the scaling.", choices=("bilinear", "bicubic"))
    layout: str = option("", "Order of the axes of its input.", choices=("", *sorted(_AXES)))
    class_names: tuple[str, ...] = option((), "Names of the classes whose logits it gives.")
    activation: str = option("softmax", "From logits to scores.", choices=("softmax", "sigmoid"))
    sound: int | None = option(None, "Samples of a window, of a network of sound at 16 kHz.", low=1)

    @classmethod
    def read(cls, path: str) -> "OnnxDescription":
        """The description in a JSON file. InputError names the file and the field that is wrong."""
        values = read_json(path, what="the description of an ONNX network")
        if type(values.get("size")) is int:
            values["size"] = [values["size"]] * 2
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{path}: {str(error).replace(cls.__name__, 'the description of a network')}") from None

    def _check(self):
        lengths = {"size": 2, "mean": 3, "std": 3}
        for name, length in lengths.items():
            if len(getattr(self, name)) not in (0, length):
                raise InputError(f"{name} must be a list of {length} numbers")
        if len(set(self.class_names)) != len(self.class_names):
            raise InputError("class_names has a name twice")
        if self.layout and ("T" in self.layout) != (self.frames > 1):
            raise InputError(f"layout {self.layout} does not go with frames {self.frames}")


@BACKBONES.register("onnx")
def load_onnx(argument: str) -> Backbone:
    """The network in an ONNX file, of pictures, clips or sound, as FILE with the suffix .json describes it.

    Raises InputError where one of both is missing, damaged, or does not go with the other.
    """
    if not argument:
        raise InputError("onnx names no file: write onnx:FILE")
    beside = f"{os.path.splitext(argument)[0]}.json"
    if os.path.exists(argument) and not os.path.exists(beside):
        raise InputError(f"{beside} is not there, which says what {argument} takes, as in {_EXAMPLE}")
    digest = digest_of_files([argument, beside, *external_files(argument)])
    description = OnnxDescription.read(beside)
    network = _Network(argument)
    backbone = (OnnxPictures if description.sound is None else OnnxSound)(network, description)
    backbone.digest = digest
    if description.class_names:
        number = len(description.class_names)
        if number != backbone.size:
            raise InputError(
                f"{beside}: class_names has {number:,} names, and the network gives {backbone.size:,} values"
            )
        backbone.head = LinearHead(
            weights=np.eye(number, dtype=np.float32),
            bias=np.zeros(number, np.float32),
            class_names=description.class_names,
            activation=description.activation,
        )
    return backbone


class _Network:
    """A session of onnxruntime over a model with one input, called with arrays of any number of rows."""

    def __init__(self, path):
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError("onnx:FILE needs onnxruntime: pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        self.path = path
        self.accelerated = wanted[0] in providers
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        # The errors of onnxruntime have no class in common.
        except Exception as error:
            raise InputError(f"{path} cannot be read as an ONNX model: {_first_line(error)}") from error
        if len(self._session.get_inputs()) != 1:
            raise InputError(f"{path} has {len(self._session.get_inputs())} inputs; a backbone has one")
        (self._input,) = self._session.get_inputs()
        self.shape = [length if isinstance(length, int) else None for length in self._input.shape]
        if self._input.type not in _DTYPES:
            raise InputError(f"{path} takes {self._input.type}; valid: {', '.join(_DTYPES)}")
        self.dtype = _DTYPES[self._input.type]

    def size_of_output(self, row: np.ndarray) -> int:
        """D, tried on one input, given without its first axis. InputError where the network gives no vector for it."""
        try:
            output = self(row[None])
        except Exception as error:
            raise InputError(f"{self.path} does not run on an input of its size: {_first_line(error)}") from error
        if output.ndim < 2 or output.shape[0] != 1 or output.size != output.shape[1]:
            raise InputError(f"{self.path} gives an array of shape {output.shape}, not a vector for each input")
        return output.shape[1]

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """The first output, (N, D, ...), for (N, ...) values; models of a fixed N are called as often as it takes."""
        most = self.shape[0] or len(rows)
        outputs = []
        for first in range(0, len(rows), most):
            part = rows[first : first + most]
            filled = np.zeros((most, *rows.shape[1:]), self.dtype)
            filled[: len(part)] = part
            outputs.append(np.asarray(self._session.run(None, {self._input.name: filled})[0])[: len(part)])
        return np.concatenate(outputs)


class OnnxPictures(PictureBackbone):
    """An exported network of pictures or clips: (value * scale - mean) / std, in the order of axes that it has.

    Networks whose input is uint8 get pixel values as they are.
    """

    def __init__(self, network: Any, description: OnnxDescription):
        self._network, self._description = network, description
        self.accelerated = network.accelerated
        layout = _layout(network, description)
        self._axes = _AXES[layout]
        if network.dtype != np.uint8 and not (description.mean and description.std):
            raise InputError(f"{network.path}: the JSON beside it must have mean and std, as in {_EXAMPLE}")
        lengths = dict(zip(layout, network.shape))
        height, width = description.size or (lengths["H"], lengths["W"])
        if height is None or width is None:
            raise InputError(f"{network.path} takes any size: the JSON beside it must have size, as in {_EXAMPLE}")
        for axis, length in {"H": height, "W": width, "C": 3, "T": description.frames}.items():
            if lengths.get(axis) not in (None, length):
                raise InputError(
                    f"{network.path} has an input of shape {network.shape}, {layout}: its {axis} is {lengths[axis]}, "
                    f"not {length} as the JSON beside it says"
                )
        self.input = PictureInput(
            size=(height, width),
            shorter_side=description.shorter_side,
            frames=description.frames,
            rate=description.rate,
            interpolation=description.interpolation,
        )
        clip = (description.frames,) if description.frames > 1 else ()
        self.size = network.size_of_output(self._prepared(np.zeros((1, *clip, height, width, 3), np.uint8))[0])

    def _prepared(self, batch):
        values = batch
        if self._network.dtype != np.uint8:
            description = self._description
            values = batch.astype(np.float32) * np.float32(description.scale)
            values = (values - np.float32(description.mean)) / np.float32(description.std)
        return np.ascontiguousarray(values.transpose(self._axes))

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) or (N, T, H, W, 3) uint8 -> (N, D) float32."""
        return self._network(self._prepared(batch)).reshape(len(batch), -1)


class OnnxSound(SoundBackbone):
    """An exported network of sound: (N, samples) float32 in [-1, 1] -> (N, D)."""

    def __init__(self, network: Any, description: OnnxDescription):
        samples = description.sound or 0
        if network.dtype == np.uint8 or len(network.shape) != 2 or network.shape[1] not in (None, samples):
            raise InputError(f"{network.path} has an input of shape {network.shape}; one of sound takes (N, {samples})")
        self._network = network
        self.input = SoundInput(samples=samples)
        self.size = network.size_of_output(np.zeros(samples, np.float32))

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, samples) float32 -> (N, D) float32."""
        return self._network(batch).reshape(len(batch), -1).astype(np.float32)


def _layout(network, description):
    """Order of the axes of a network's input: the one described, or the only one that its three channels allow."""
    axes = 5 if description.frames > 1 else 4
    shown = f"{network.path} has an input of shape {[length or 'any' for length in network.shape]}"
    layouts = [name for name in _AXES if len(name) == axes]
    if len(network.shape) != axes:
        what = "pictures" if axes == 4 else "clips"
        raise InputError(f"{shown}; {what} have {axes} axes, {' or '.join(layouts)}: see frames in the JSON beside it")
    if description.layout:
        return description.layout
    fits = [name for name in layouts if network.shape[name.index("C")] == 3]
    if len(fits) != 1:
        raise InputError(
            f"{shown}, which does not say where the channels are: the JSON beside it must have layout, one of "
            f"{', '.join(layouts)}"
        )
    return fits[0]


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
