"""Files that an ONNX model keeps its weights in beside itself, read off the model without the onnx package."""

import os

from yt8m.features.backbones.protobuf import fields_of
from yt8m.types import InputError

# Message types of onnx.proto: number of a field to the message in it, as far as tensors are reached through them.
_MESSAGES = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
}
_DEEPEST = 64


def external_files(path: str) -> list[str]:
    """Paths of the files of weights that a model names, sorted; all within its folder.

    Raises InputError that names the model where it is no ONNX model, or where such a file is elsewhere or not there.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    try:
        names = sorted(set(_locations(memoryview(data), "model", 0)))
    except (ValueError, IndexError) as error:
        raise InputError(f"{path} is not an ONNX model: {error}") from None
    folder = os.path.realpath(os.path.dirname(path))
    files = []
    for name in names:
        found = os.path.realpath(os.path.join(folder, name))
        if os.path.isabs(name) or os.path.commonpath([folder, found]) != folder:
            raise InputError(f"{path} asks for weights in {name!r}, which is not in its folder")
        if not os.path.isfile(found):
            raise InputError(f"{path} has its weights in {name!r}, which is not beside it")
        files.append(found)
    return files


def _locations(data, message, depth):
    """Generator of the ``location`` of each tensor within a message of a type."""
    if depth > _DEEPEST:
        raise ValueError("it is nested too deep")
    for number, value in fields_of(data):
        inner = _MESSAGES[message].get(number)
        if inner is None or isinstance(value, int):
            continue
        if inner == "entry":
            entry = {key: bytes(text) for key, text in fields_of(value) if not isinstance(text, int)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode()
        else:
            yield from _locations(value, inner, depth + 1)
