"""Files that an ONNX model keeps its weights in beside itself, read off the model without the onnx package."""

import os

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
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


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
    for number, value in _fields(data):
        inner = _MESSAGES[message].get(number)
        if inner is None or isinstance(value, int):
            continue
        if inner == "entry":
            entry = {key: bytes(text) for key, text in _fields(value) if not isinstance(text, int)}
            if entry.get(1) == b"location":
                yield entry.get(2, b"").decode()
        else:
            yield from _locations(value, inner, depth + 1)


def _fields(data):
    """Generator of (number, value) of each field of a protocol buffer; numbers of fixed width are left out."""
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield tag >> 3, value
        elif kind == _BYTES:
            length, place = _varint(data, place)
            if length > len(data) - place:
                raise ValueError("it is cut short, or something else")
            yield tag >> 3, data[place : place + length]
            place += length
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"it has a field of the unknown kind {kind}")
    if place != len(data):
        raise ValueError("it is cut short")


def _varint(data, place):
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            raise ValueError("it is cut short")
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError("it has a number of more than 64 bits")
