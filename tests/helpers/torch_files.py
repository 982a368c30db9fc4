"""Files as torch.save writes them, made without torch."""

import io
import pickle
import struct
import zipfile

import numpy as np

_KINDS = {"f4": "FloatStorage", "i8": "LongStorage", "f8": "DoubleStorage", "f2": "HalfStorage", "u1": "ByteStorage"}
_MAGIC = 0x1950A86A20F9469CFC6C


def _text(value):
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(value):
    return b"J" + struct.pack("<i", value)


def _tuple(*parts):
    return b"(" + b"".join(parts) + b"t"


def global_of(module, name):
    return f"c{module}\n{name}\n".encode()


def pickled(body):
    """A pickle of protocol 2 of one object, from the instructions that make it."""
    return b"\x80\x02" + body + b"."


def tensor(key, array, *, shape=None, strides=None, offset=0, length=None):
    """Instructions that make a tensor; shape, strides, offset and length of the storage may be told otherwise than they are."""
    shape = array.shape if shape is None else shape
    strides = [step // array.itemsize for step in array.strides] if strides is None else strides
    kind = global_of("torch", _KINDS[array.dtype.str[1:]])
    storage = _tuple(
        _text("storage"), kind, _text(key), _text("cpu"), _number(array.size if length is None else length)
    )
    empty = global_of("collections", "OrderedDict") + b")R"
    arguments = _tuple(
        storage + b"Q", _number(offset), _tuple(*map(_number, shape)), _tuple(*map(_number, strides)), b"\x89", empty
    )
    return global_of("torch._utils", "_rebuild_tensor_v2") + arguments + b"R"


def state_dict(tensors):
    """Instructions that make a dict of names to tensors, from names to the instructions of each."""
    return b"}(" + b"".join(_text(name) + made for name, made in tensors.items()) + b"u"


def zip_form(body, arrays, *, compression=zipfile.ZIP_STORED):
    """Bytes of a file in the zip form: the object that ``body`` makes, and its storages by their keys."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        parts = {"data.pkl": pickled(body), "version": b"3\n"} | {
            f"data/{key}": array.tobytes() for key, array in arrays.items()
        }
        for name, data in parts.items():
            # Without the time of writing: the same arrays make the same bytes.
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), data, compression)
    return file.getvalue()


def legacy_form(body, arrays):
    """The same in the form of torch before 1.6: pickles one after another, then the storages."""
    pickles = [pickle.dumps(value, protocol=2) for value in (_MAGIC, 1001, {"little_endian": True})]
    keys = pickle.dumps(list(arrays), protocol=2)
    storages = [struct.pack("<q", array.size) + array.tobytes() for array in arrays.values()]
    return b"".join([*pickles, pickled(body), keys, *storages])


def saved(arrays, form=zip_form):
    """Bytes of a file that holds a state dict of names to arrays."""
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    keys = {name: str(number) for number, name in enumerate(arrays)}
    body = state_dict({name: tensor(keys[name], array) for name, array in arrays.items()})
    return form(body, {keys[name]: array for name, array in arrays.items()})
