"""Locks of files and folders that one process at a time may write, which end with their process however it ends."""

import contextlib
import datetime
import errno
import json
import os
import socket
import warnings
from collections.abc import Iterator

from yt8m.types import DataWarning, InputError, StrPath

try:
    import fcntl
except ImportError:
    fcntl = None  # type: ignore[assignment]

LOCK_NAME = ".lock"
_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EINVAL)


class FileLock:
    """A file at ``path`` that one process holds: made and locked, or taken over from a dead process.

    Says in JSON who holds it. Raises BlockingIOError where another process does, and OSError where the file cannot be
    made. ``held``: whether the file system knows locks (flock, which NFS passes on to its server); where it does not,
    nobody is kept out.
    """

    def __init__(self, path: StrPath):
        self.path = os.fspath(path)
        self.held = fcntl is not None
        while True:
            self._file = open(self.path, "ab", buffering=0)
            try:
                if self.held:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Whoever held it may have removed it in between.
                if os.path.samestat(os.fstat(self._file.fileno()), os.stat(self.path)):
                    break
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in _UNSUPPORTED:
                    self.held = False
                    break
                self._file.close()
                raise
            self._file.close()
        # On a full disk nobody is told who holds it.
        with contextlib.suppress(OSError):
            self._file.truncate(0)
            self._file.write(json.dumps(_identity()).encode() + b"\n")

    def release(self) -> None:
        """Removes the file and frees the lock; may be called again."""
        if not self._file.closed:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            self._file.close()


@contextlib.contextmanager
def locked_folder(folder: StrPath) -> Iterator[None]:
    """Context in which this process alone writes in ``folder``, which is made.

    Raises InputError naming the process that does already.
    """
    lock = lock_folder(folder)
    try:
        yield
    finally:
        lock.release()


def lock_folder(folder: StrPath) -> FileLock:
    """The FileLock of ``folder``, as locked_folder holds it; to be released."""
    path = os.path.join(folder, LOCK_NAME)
    try:
        os.makedirs(folder, exist_ok=True)
        lock = FileLock(path)
    except BlockingIOError:
        raise InputError(
            f"{os.fspath(folder)} is in use by {_holder(path)}: wait until that has ended, or name another folder"
        ) from None
    except OSError as error:
        raise InputError(f"cannot write {os.fspath(folder)}: {error.strerror or error}") from error
    if not lock.held:
        text = f"the file system of {os.fspath(folder)} knows no locks: see that no other command writes there"
        warnings.warn(text, DataWarning, stacklevel=2)
    return lock


def _identity():
    since = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _holder(path):
    try:
        with open(path, encoding="utf-8") as file:
            holder = json.load(file)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
