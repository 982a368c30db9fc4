"""Outputs that are whole or absent, and inputs that are named when they cannot be read."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from typing import Any

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


def import_pyarrow() -> tuple[Any, Any]:
    """(pyarrow, pyarrow.parquet); InputError where they are not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise InputError("the parquet form needs pyarrow: pip install 'yt8m[parquet]'") from None
    return pyarrow, pyarrow.parquet
