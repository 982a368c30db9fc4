"""Outputs that are whole or absent, and inputs that are named when they cannot be read.

While an output is written it lies in a folder of its own beside its place, ``.yt8m-XXXX/made``, which its writer locks.
What a killed writer leaves is removed by the next one in the same folder.
"""

import contextlib
import hashlib
import json
import mimetypes
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from yt8m.runtime.locks import LOCK_NAME, FileLock
from yt8m.text import read_text
from yt8m.types import InputError, StrPath

TEMPORARY_PREFIX = ".yt8m-"
"""Of the names of temporary folders."""

_MEDIA_SUFFIXES = (".mkv", ".webm", ".m2ts", ".mts", ".ts", ".flv", ".ogv", ".opus", ".m4v", ".3gp")
"""Of media files that not every system's table of types has."""

_MADE, _FORMER = "made", "former"
_cleared: set[str] = set()


@contextlib.contextmanager
def atomic_path(path: StrPath) -> Iterator[str]:
    """Context manager: a temporary path of the same name that becomes ``path`` if the block ends well.

    An error in the block, disk full and Ctrl-C included, leaves what stood at ``path`` untouched. A link stays, and
    what it points to is replaced; into a pipe or device, such as /dev/null, the output is copied when it is whole. When
    the block has ended the output survives a power cut. OSError becomes an InputError that names ``path``.
    """
    path = os.fspath(path)
    try:
        if is_special(path):
            with temporary_folder(tempfile.gettempdir()) as folder:
                temporary = os.path.join(folder, os.path.basename(path))
                yield temporary
                with open(temporary, "rb") as source, open(path, "ab") as target:
                    shutil.copyfileobj(source, target)
            return
        target_path = os.path.realpath(path)
        if os.path.isdir(target_path):
            raise InputError(f"cannot write {path}: it is a directory")
        with temporary_folder(os.path.dirname(target_path)) as folder:
            temporary = os.path.join(folder, os.path.basename(target_path))
            yield temporary
            _synchronize(temporary)
            os.replace(temporary, target_path)
            _synchronize(os.path.dirname(target_path))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def atomic_folder(path: StrPath) -> Iterator[str]:
    """Context manager: a temporary folder that becomes ``path`` if the block ends well.

    What stood there is replaced then; it must be a folder. OSError becomes an InputError that names ``path``.
    """
    path = os.path.normpath(os.fspath(path))
    try:
        target = os.path.realpath(path)
        if os.path.exists(target) and not os.path.isdir(target):
            raise InputError(f"cannot write {path}: it is a file")
        with temporary_folder(os.path.dirname(target)) as folder:
            made = os.path.join(folder, os.path.basename(target))
            os.mkdir(made)
            yield made
            for parent, _, names in os.walk(made):
                for name in names:
                    _synchronize(os.path.join(parent, name))
                _synchronize(parent)
            if os.path.exists(target):
                former = os.path.join(os.path.dirname(folder), _FORMER)
                os.mkdir(former)
                os.rename(target, os.path.join(former, os.path.basename(target)))
            os.rename(made, target)
            _synchronize(os.path.dirname(target))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


@contextlib.contextmanager
def temporary_folder(directory: StrPath) -> Iterator[str]:
    """Context manager: an empty folder within ``directory``, which is made, on the same file system.

    It is removed with the block, or where its process is killed, by the next call for ``directory`` in another one.
    """
    directory = os.fspath(directory) or "."
    os.makedirs(directory, exist_ok=True)
    if os.path.realpath(directory) not in _cleared:
        remove_leftovers(directory)
        _cleared.add(os.path.realpath(directory))
    while True:
        parent = tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=directory)
        try:
            lock = FileLock(os.path.join(parent, LOCK_NAME))
            break
        except (FileNotFoundError, BlockingIOError):
            # Another process has taken the empty folder for a leftover.
            continue
        except OSError:
            shutil.rmtree(parent, ignore_errors=True)
            raise
    try:
        folder = os.path.join(parent, _MADE)
        os.mkdir(folder)
        yield folder
    finally:
        shutil.rmtree(parent, ignore_errors=True)
        lock.release()


def leftovers(directory: StrPath) -> list[str]:
    """Paths of the temporary folders in ``directory``, of writers that are at work or were killed."""
    try:
        with os.scandir(directory) as entries:
            found = [e.path for e in entries if e.name.startswith(TEMPORARY_PREFIX) and e.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return sorted(found)


def remove_leftovers(directory: StrPath) -> None:
    """Removes the temporary folders in ``directory`` whose writers were killed.

    A folder that one of them was about to replace is put back.
    """
    for parent in leftovers(directory):
        with contextlib.suppress(OSError):
            if not os.listdir(parent):
                os.rmdir(parent)
                continue
            lock = FileLock(os.path.join(parent, LOCK_NAME))
            try:
                if lock.held:
                    _put_back(parent, directory)
                    shutil.rmtree(parent)
            finally:
                lock.release()


def _put_back(parent, directory):
    former = os.path.join(parent, _FORMER)
    for name in os.listdir(former) if os.path.isdir(former) else ():
        if not os.path.lexists(os.path.join(directory, name)):
            os.rename(os.path.join(former, name), os.path.join(directory, name))


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
    Raises InputError where the text is no JSON, has a name twice in an object, or is JSON of another shape.
    """
    try:
        found = json.loads(text, object_pairs_hook=_as_dict)
        _check_shape(found, kind, fields or {})
        return found
    except RecursionError:
        reason = "it is nested too deep"
    except json.JSONDecodeError as error:
        reason = f"it does not parse: {error}" if text.strip() else "it is empty"
    except ValueError as error:
        reason = str(error)
    raise InputError(f"{source} is not {what}: {reason}")


def _as_dict(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it has {twice[:80]!r} twice in one object")
    return found


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
    try:
        if is_special(path):
            if not os.access(path, os.W_OK):
                raise InputError(f"cannot write {path}: permission denied")
            return
        directory = os.path.dirname(os.path.realpath(path))
        os.makedirs(directory, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    if os.path.isdir(path):
        raise InputError(f"cannot write {path}: it is a directory")


def is_media_name(path: StrPath) -> bool:
    """Whether a file is of video or sound, by the suffix of its name."""
    kind, _ = mimetypes.guess_type(path)
    suffix = os.path.splitext(path)[1].lower()
    return suffix in _MEDIA_SUFFIXES or (kind or "").startswith(("video/", "audio/"))


def read_bytes(path: StrPath, *, most: int) -> bytes:
    """All bytes of a file; InputError where it cannot be read or has more than ``most`` bytes."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    if len(data) > most:
        raise InputError(f"{path} has more than {most:,} bytes, which no such file has")
    return data


def file_digest(path: StrPath) -> str:
    """SHA-256 of a file, in hex. Raises OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_folder(path: StrPath) -> None:
    """Makes a folder and those above it where they are absent. OSError becomes an InputError that names ``path``."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {os.fspath(path)}: {error.strerror or error}") from error


def is_special(path: StrPath) -> bool:
    """Whether ``path`` is a pipe or a device, or a stream that the shell has opened."""
    if os.path.abspath(path).startswith(("/dev/std", "/dev/fd/", "/proc/")):
        return True
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _synchronize(path):
    """Sees that a file's contents, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        # Some file systems cannot for folders.
        if not os.path.isdir(path):
            raise
    finally:
        os.close(handle)
