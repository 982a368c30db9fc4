"""Files of Keras models (.keras): saved whole, and checked before what they describe takes memory."""

import contextlib
import os
import zipfile

import keras

from yt8m.runtime.files import atomic_path, parse_json
from yt8m.runtime.weightless import bytes_of_weights, nothing_drawn
from yt8m.types import InputError, StrPath

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MOST_CONFIG_BYTES = 1 << 24
_MOST_UNPACKING = 4
"""Keras stores weights as they are; float32 that is packed by another program hardly shrinks."""


def save_model(path: StrPath, model: keras.Model, *, with_optimizer: bool = True) -> None:
    """Saves a model to ``path``, whole or not at all; without its optimizer it takes a third of the space."""
    with contextlib.nullcontext() if with_optimizer else _without_optimizer(model):
        with atomic_path(path) as temporary:
            model.save(temporary, overwrite=True)


def load_model_file(path: StrPath, kinds: tuple[type, ...], *, compile: bool = False) -> keras.Model:
    """The model of a file. Raises InputError where it is damaged, or of none of the ``kinds``, which are registered."""
    check_model_file(path, kinds)
    try:
        with nothing_drawn():
            return keras.saving.load_model(path, compile=compile, safe_mode=True)
    except Exception as error:
        raise InputError(f"{path} cannot be loaded as a model: {_first_line(error)}") from error


def load_weights(model: keras.Model, path: StrPath) -> None:
    """Sets a model to the weights of a file, checked already. Raises InputError where they are of another model."""
    try:
        model.load_weights(path)
    except Exception as error:
        raise InputError(f"{path} does not fit the model of this run: {_first_line(error)}") from error


def check_model_file(path: StrPath, kinds: tuple[type, ...]) -> None:
    """Raises InputError where a file is no whole archive of a model of the ``kinds`` whose weights it may hold.

    Reads the file once, for its checksums, and allocates no weights.
    """
    path = os.fspath(path)
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            missing = {_CONFIG, _WEIGHTS} - set(sizes)
            if missing:
                raise InputError(f"{path} is no model of Keras: it holds no {min(missing)}")
            most = _MOST_UNPACKING * os.path.getsize(path) + _MOST_CONFIG_BYTES
            if sizes[_CONFIG] > _MOST_CONFIG_BYTES or sum(sizes.values()) > most:
                raise InputError(f"{path} is no model of this toolkit: unpacked it has {sum(sizes.values()):,} bytes")
            damaged = archive.testzip()
            if damaged:
                raise InputError(f"{path} is damaged: the checksum of its {damaged} is wrong")
            config = archive.read(_CONFIG).decode(errors="replace")
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be loaded as a model: {_first_line(error)}") from error
    needed = _described_bytes(parse_json(config, f"{_CONFIG} of {path}"), path, kinds)
    if needed > sizes[_WEIGHTS]:
        raise InputError(
            f"{path} is damaged: its {_CONFIG} describes {needed:,} bytes of weights, and it holds {sizes[_WEIGHTS]:,}"
        )


def _described_bytes(config, path, kinds):
    """Bytes of the weights that a model's config describes, none of which is made, and no optimizer."""
    config = {name: value for name, value in config.items() if name != "compile_config"}

    def make():
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
        if not isinstance(model, kinds):
            raise InputError(f"{path} is no model of this toolkit: it holds a {type(model).__name__} of Keras")
        if not model.built:
            model.build()
        return model

    try:
        return bytes_of_weights(make)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{path} cannot be loaded as a model: {_first_line(error)}") from error


@contextlib.contextmanager
def _without_optimizer(model):
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
