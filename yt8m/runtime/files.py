"""Outputs that are whole or absent, and inputs that are named when they cannot be read."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from yt8m.text import read_text
from yt8m.types import InputError, StrPath


@contextlib.contextmanager
def atomic_path(path: StrPath) -> Iterator[str]:
    """Context manager: a temporary path beside ``path`` that becomes ``path`` if the block ends well.

    An error in the block, disk full and Ctrl-C included, leaves what stood at ``path`` untouched and removes the
    temporary file. OSError becomes an InputError that names ``path``.
    """
    path = os.fspath(path)
    temporary = None
    try:
        directory = os.path.dirname(path) or "."
        os.makedirs(directory, exist_ok=True)
        if os.path.isdir(path):
            raise InputError(f"cannot write {path}: it is a directory")
        # The suffix stays, because writers such as Keras choose a format by it.
        name, suffix = os.path.splitext(os.path.basename(path))
        handle, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=suffix, dir=directory)
        os.close(handle)
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        os.replace(temporary, path)
        temporary = None
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)


@contextlib.contextmanager
def atomic_folder(path: StrPath) -> Iterator[str]:
    """Context manager: a temporary folder beside ``path`` that becomes ``path`` if the block ends well.

    What stood there is replaced then; it must be a folder. OSError becomes an InputError that names ``path``.
    """
    path = os.path.normpath(os.fspath(path))
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        if os.path.exists(path) and not os.path.isdir(path):
            raise InputError(f"cannot write {path}: it is a file")
        with tempfile.TemporaryDirectory(
            prefix=f".{os.path.basename(path)}.", dir=os.path.dirname(path) or "."
        ) as parent:
            made, former = (os.path.join(parent, name) for name in ("made", "former"))
            os.mkdir(made)
            yield made
            if os.path.exists(path):
                os.rename(path, former)
            os.rename(made, path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def write_text(path: StrPath, text: str) -> None:
    """Writes ``text`` to ``path`` atomically, in UTF-8."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(text)


_JSON = "the JSON that it should be"


def read_json(path: StrPath, *, what: str = _JSON, kind: type = dict, fields: Mapping[str, Any] | None = None) -> Any:
    """What a JSON file holds, a dict unless ``kind`` is list; otherwise as parse_json. InputError names the file."""
    return parse_json(read_text(path), os.fspath(path), what=what, kind=kind, fields=fields)


def parse_json(
    text: str, source: str, *, what: str = _JSON, kind: type = dict, fields: Mapping[str, Any] | None = None
) -> Any:
    """The dict, or list if ``kind`` is list, that a JSON text is.

    source: file or flag, and ``what`` it should be, for the error. fields: dict of names that a dict must have to the
    type of each, or a tuple of types, NoneType for null among them; a bool is no int, and an int is a float.
    Raises InputError where the text is no JSON, or JSON of another shape.
    """
    try:
        found = json.loads(text)
        _check_shape(found, kind, fields or {})
        return found
    except RecursionError:
        reason = "it is nested too deep"
    except json.JSONDecodeError as error:
        reason = f"it does not parse: {error}" if text.strip() else "it is empty"
    except ValueError as error:
        reason = str(error)
    raise InputError(f"{source} is not {what}: {reason}")


_JSON_WORDS = {
    dict: "an object",
    list: "a list",
    str: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def _check_shape(found, kind, fields):
    if not isinstance(found, kind):
        raise ValueError(f"it must be {_JSON_WORDS[kind]} and is {_JSON_WORDS[type(found)]}")
    for name, types in fields.items():
        types = types if isinstance(types, tuple) else (types,)
        if name not in found:
            raise ValueError(f"it has no field {name}")
        if not _is_json_of(found[name], types):
            valid = " or ".join(_JSON_WORDS[type_] for type_ in types)
            raise ValueError(f"{name} must be {valid} and is {_JSON_WORDS[type(found[name])]}")


def _is_json_of(value, types):
    if isinstance(value, bool):
        return bool in types
    return isinstance(value, types) or (isinstance(value, int) and float in types)


def check_writable(path: StrPath) -> None:
    """Raises InputError where ``path`` could not be written, before hours of work are spent on its contents."""
    path = os.fspath(path)
    directory = os.path.dirname(path) or "."
    try:
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    if os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is a directory")


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
