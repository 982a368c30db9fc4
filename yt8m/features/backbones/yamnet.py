"""YAMNet, or another classifier of sound, from a LiteRT file: ``yamnet:FILE``."""

import io
import itertools
import os
import warnings
import zipfile
from typing import Any

import numpy as np

from yt8m.features.backbones.base import LinearHead, SoundInput
from yt8m.features.backbones.pictures import digest_of_files
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.backbones.sound import SoundBackbone
from yt8m.runtime.files import read_bytes
from yt8m.runtime.quiet_imports import without_chatter
from yt8m.tables import read_columns
from yt8m.types import InputError

_LARGEST = 1 << 28
_CLASS_MAP = "yamnet_class_map.csv"
_CLASS_COLUMN = "display_name"
_SAMPLES = 15_600
"""Of YAMNet's window, for files that take sound of any length."""

_NEAR = 0.03
"""By which a head may differ from the file's own scores: its last layer may compute in 8 bits."""


@BACKBONES.register("yamnet")
class Yamnet(SoundBackbone):
    """A classifier of 0.975 s of sound: the input of its last layer as features, that layer as head.

    argument: a .tflite file of one input, samples, and scores as first output. The names of its classes are in the file
    (as its metadata has them), or in a CSV with the column ``display_name``: FILE.csv, or yamnet_class_map.csv beside
    it. Raises InputError for files that are no such classifier, and where the names are missing or of another number.
    """

    def __init__(self, argument: str):
        if not argument:
            raise InputError("yamnet names no file: write yamnet:FILE, as in yamnet:yamnet.tflite")
        content = read_bytes(argument, most=_LARGEST)
        try:
            with without_chatter():
                self._interpreter = _interpreter(content)
                given = self._interpreter.get_input_details()[0]
                if np.prod(given["shape"]) == 1:
                    self._interpreter.resize_tensor_input(given["index"], [_SAMPLES])
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError, IndexError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InputError(f"{argument} is no LiteRT model: {reason}") from error
        self._given = self._interpreter.get_input_details()[0]
        self.input = SoundInput(samples=int(np.prod(self._given["shape"])))
        self.digest = digest_of_files([argument])
        self._features, self.head = self._last_layer(argument, _class_names(argument, content))
        self.size = len(self.head.weights)

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, samples) float32 -> (N, D) float32."""
        rows = []
        for window in batch:
            self._run(window)
            rows.append(self._interpreter.get_tensor(self._features).reshape(-1))
        return np.stack(rows)

    def scores(self, window: np.ndarray) -> np.ndarray:
        """The file's own scores (C,) float32 of one window of sound."""
        self._run(window)
        return self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"]).reshape(-1)

    def _run(self, window):
        self._interpreter.set_tensor(self._given["index"], window.reshape(self._given["shape"]))
        self._interpreter.invoke()

    def _last_layer(self, path, names):
        """(index of the tensor that is its input, LinearHead), found by its shape and proved by its scores."""
        scores = self.scores(np.random.default_rng(0).uniform(-0.5, 0.5, self.input.samples).astype(np.float32))
        if len(scores) != len(names):
            raise InputError(f"{path} has {len(scores)} classes, and there are names of {len(names)}")
        tensors = [tensor for tensor in self._interpreter.get_tensor_details() if tensor["name"]]
        shapes = [list(tensor["shape"]) for tensor in tensors]
        matrices = [tensor for tensor, shape in zip(tensors, shapes) if len(shape) == 2 and shape[0] == len(names)]
        biases = [tensor for tensor, shape in zip(tensors, shapes) if shape == [len(names)]]
        for matrix, bias in itertools.product(reversed(matrices), biases):
            weights = self._value(matrix).T
            inputs = [tensor["index"] for tensor, shape in zip(tensors, shapes) if shape == [1, len(weights)]]
            for index, activation in itertools.product(reversed(inputs), ("sigmoid", "softmax")):
                head = LinearHead(weights=weights, bias=self._value(bias), class_names=names, activation=activation)
                if np.abs(head(self._interpreter.get_tensor(index))[0] - scores).max() < _NEAR:
                    return index, head
        raise InputError(f"{path} has no last layer that gives its scores of {len(names)} classes")

    def _value(self, tensor):
        """A constant tensor as float32, dequantised where it is stored in 8 bits."""
        value = self._interpreter.get_tensor(tensor["index"]).astype(np.float32)
        quantization = tensor["quantization_parameters"]
        if not len(quantization["scales"]):
            return value
        along = [1] * value.ndim
        along[quantization["quantized_dimension"]] = -1
        zeros, scales = (quantization[key].reshape(along) for key in ("zero_points", "scales"))
        return ((value - zeros) * scales).astype(np.float32)


def _interpreter(content: bytes) -> Any:
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        import tensorflow as tf

        Interpreter = tf.lite.Interpreter
    with warnings.catch_warnings(action="ignore"):
        # The features are an inner tensor.
        return Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)


def _class_names(path, content):
    """Tuple of names from the model's metadata, or from a CSV beside it."""
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.infolist():
                if entry.filename.endswith(".txt") and entry.file_size < _LARGEST:
                    return tuple(archive.read(entry).decode("utf-8", "replace").splitlines())
    beside = os.path.join(os.path.dirname(path), _CLASS_MAP)
    table = next((name for name in (f"{path}.csv", beside) if os.path.exists(name)), None)
    if table is None:
        raise InputError(f"{path} has no names of its classes: put {_CLASS_MAP} beside it, or {path}.csv")
    rows = read_columns(table, [_CLASS_COLUMN], what="names of classes")
    return tuple(row.fields[0] for row in rows)
