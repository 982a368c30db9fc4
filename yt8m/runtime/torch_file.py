"""Weights that torch.save has written, read without torch and without running what a pickle may ask for."""

import collections
import io
import math
import pickle
import pickletools
import zipfile

import numpy as np

from yt8m.types import InputError

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "?",
}
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

_MOST_OPERATIONS = 1 << 18
"""Of one pickle. A network has about 30 for each tensor, and as many for what an optimizer knows of it."""

_MOST_TUPLES = 1 << 15
"""Of one pickle, about 5 for each tensor. The hash of tuples nested deeper than this breaks the interpreter."""

_CHECKPOINTS = ("model_state", "state_dict")
"""Under which names programs save a state dict beside the optimizer's and other things: PySlowFast; most others."""

_OPCODES = frozenset(
    """PROTO STOP MARK EMPTY_DICT EMPTY_LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 NONE NEWTRUE NEWFALSE BININT BININT1
    BININT2 LONG1 BINFLOAT BINUNICODE SHORT_BINUNICODE BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL REDUCE BINPERSID
    BUILD SETITEM SETITEMS APPEND APPENDS""".split()
)
"""What the pickles of torch.save are made of. None of these takes much more memory than the file has bytes, but for the
number behind LONG_BINPUT, which is looked at."""


def read_torch_file(data: bytes, source: str) -> dict[str, np.ndarray]:
    """The tensors of a state dict, name to array, from the bytes of a file of torch.save, in its zip or legacy form.

    Of a checkpoint, a dict of such and of other things, the state dict of its model. source: name of the file, for
    errors. Of all that a pickle may ask for, tensors and ordered dicts alone are made.
    Raises InputError for any other request, for tensors that reach beyond their storage, and for damage.
    """
    try:
        loaded = _read_zip(data) if data.startswith(b"PK") else _read_legacy(data)
        if not isinstance(loaded, dict):
            raise ValueError("it holds no dict of tensors")
        loaded = next((loaded[key] for key in _CHECKPOINTS if isinstance(loaded.get(key), dict)), loaded)
        return {str(name): tensor.array() for name, tensor in loaded.items() if isinstance(tensor, _Tensor)}
    # A damaged or hostile pickle raises errors of nearly every kind.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(f"{source} is not weights that torch.save wrote: {reason}") from error


class _Made:
    """An object that a pickle has made, and may not change."""

    def __setstate__(self, state):
        raise ValueError("it changes what it has made, which weights do not need")


class _Storage(_Made):
    """A flat array that tensors are views of; its values come after the pickle that speaks of it."""

    def __init__(self, dtype, length):
        self.dtype, self.length = np.dtype(dtype), length
        self.values = np.zeros(0, dtype)

    def fill(self, data):
        self.values = np.frombuffer(data, self.dtype)
        if len(self.values) != self.length:
            raise ValueError(f"a storage has {len(self.values):,} of its {self.length:,} values")


class _Tensor(_Made):
    """A tensor whose storage is not yet read."""

    def __init__(self, storage, offset, shape, strides):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self):
        values, shape, strides = self.storage.values, self.shape, self.strides
        if len(shape) != len(strides) or min((0, self.offset, *shape, *strides)) < 0:
            raise ValueError(f"a tensor of shape {shape} has the strides {strides}")
        last = self.offset + sum((length - 1) * stride for length, stride in zip(shape, strides))
        if math.prod(shape) > len(values) or (math.prod(shape) and last >= len(values)):
            raise ValueError(f"a tensor of shape {shape} reaches beyond its storage of {len(values):,} values")
        step = values.itemsize
        # A view: many tensors of one storage take no memory of their own.
        return np.lib.stride_tricks.as_strided(
            values[self.offset :], shape, [step * stride for stride in strides], writeable=False
        )


def _rebuild_tensor(storage, offset, shape, strides, *_):
    if not isinstance(storage, _Storage):
        raise ValueError("a tensor has no storage")
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor, *_):
    return tensor


_GLOBALS = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
} | {("torch", name): name for name in _DTYPES}


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, storages):
        super().__init__(file)
        self.storages = storages

    def find_class(self, module, name):
        if (module, name) not in _GLOBALS:
            raise ValueError(f"it asks for {module}.{name}, which weights do not need")
        return _GLOBALS[module, name]

    def persistent_load(self, saved):
        _, kind, key, _, length = saved[:5]
        return self.storages.setdefault(key, _Storage(_DTYPES[kind], length))


def _load(file, storages):
    """The next object of a file of pickles."""
    start, tuples = file.tell(), 0
    for number, (operation, argument, _) in enumerate(pickletools.genops(file)):
        tuples += operation.name.startswith("TUPLE")
        if number == _MOST_OPERATIONS:
            raise ValueError(f"it has more than {_MOST_OPERATIONS:,} instructions")
        if tuples > _MOST_TUPLES:
            raise ValueError(f"it has more than {_MOST_TUPLES:,} tuples")
        if operation.name not in _OPCODES:
            raise ValueError(f"it has the instruction {operation.name}, which weights do not need")
        if operation.name == "LONG_BINPUT" and argument > file.getbuffer().nbytes:
            raise ValueError("it numbers more objects than it has bytes")
    file.seek(start)
    return _Unpickler(file, storages).load()


def _read_zip(data):
    storages = {}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("it is compressed, which torch.save never does")
        if sum(entry.file_size for entry in archive.infolist()) > len(data):
            raise ValueError("its parts overlap")
        root = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
        if root is None:
            raise ValueError("it is an archive without data.pkl")
        loaded = _load(io.BytesIO(archive.read(root)), storages)
        for key, storage in storages.items():
            storage.fill(archive.read(f"{root.removesuffix('data.pkl')}data/{key}"))
    return loaded


def _read_legacy(data):
    file, storages = io.BytesIO(data), {}
    if _load(file, storages) != _LEGACY_MAGIC:
        raise ValueError("it does not begin as such files do")
    # Version of the protocol, and facts about the machine.
    _load(file, storages), _load(file, storages)
    loaded = _load(file, storages)
    for key in _load(file, storages):
        if key not in storages:
            raise ValueError("it has a storage that no tensor is in")
        storage = storages[key]
        if int.from_bytes(file.read(8), "little") != storage.length:
            raise ValueError("the lengths of a storage do not agree")
        storage.fill(file.read(storage.length * storage.dtype.itemsize))
    return loaded
