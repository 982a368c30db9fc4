"""Files of Keras models (.keras): saved whole, and checked before what they describe takes memory."""

import contextlib
import os
import warnings
import zipfile

import keras

from yt8m.runtime.files import atomic_path, parse_json
from yt8m.runtime.weightless import nothing_drawn, weights_within
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
    """The model of a file, which takes no more memory than the file's weights say.

    kinds: registered classes. Raises InputError where it is damaged, or of none of these.
    """
    held, config = _read_archive(path)
    _check_kind(config, path, kinds)
    try:
        with nothing_drawn(), weights_within(held) as weights, warnings.catch_warnings():
            # Said of what could not be built, which is an error here.
            warnings.filterwarnings("ignore", message="Model .* had a build config")
            model = keras.saving.load_model(path, compile=compile, safe_mode=True)
        problem = None
    except Exception as error:
        problem = error
    if weights.described > held:
        # Keras may have gone on without the layer that would have been too large.
        raise InputError(
            f"{path} is damaged: its {_CONFIG} describes at least {weights.described:,} bytes of weights, and it "
            f"holds {held:,}"
        )
    if problem:
        raise InputError(f"{path} cannot be loaded as a model: {_first_line(problem)}") from problem
    return model


def load_weights(model: keras.Model, path: StrPath) -> None:
    """Sets a model to the weights of a file, checked already. Raises InputError where they are of another model."""
    try:
        model.load_weights(path)
    except Exception as error:
        raise InputError(f"{path} does not fit the model of this run: {_first_line(error)}") from error


def check_model_file(path: StrPath) -> None:
    """Raises InputError where a file is no whole archive of a model of Keras.

    Reads the file once, for its checksums, and allocates no weights.
    """
    _read_archive(path)


def _read_archive(path):
    """(bytes of the weights, config as text) of a whole archive."""
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
            return sizes[_WEIGHTS], archive.read(_CONFIG).decode(errors="replace")
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be loaded as a model: {_first_line(error)}") from error


def _check_kind(config, path, kinds):
    """Raises InputError where a config is not that of one of the ``kinds``."""
    said = parse_json(config, f"{_CONFIG} of {path}", what="the config of a model", fields={"class_name": str})
    found = keras.saving.get_registered_object(str(said.get("registered_name")))
    if not (isinstance(found, type) and issubclass(found, kinds)):
        raise InputError(f"{path} is no model of this toolkit: it holds a {said['class_name']} of Keras")


@contextlib.contextmanager
def _without_optimizer(model):
    optimizer, model.optimizer = getattr(model, "optimizer", None), None
    try:
        yield
    finally:
        model.optimizer = optimizer


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
