"""Where videos come from: local files, http(s) addresses and buckets. None can make FFmpeg open another local file."""

import contextlib
import errno
import os
from collections.abc import Iterator
from typing import Any

from yt8m.types import InputError, StrPath

_WEB = ("http://", "https://")
_WEB_PROTOCOLS = "http,https,tls,tcp,httpproxy,crypto"
_NO_PROTOCOL = "none"
"""A list of protocols that has none: a playlist that names files finds them all refused."""

_PATIENCE = 60.0
"""Seconds that a server may be silent."""

_BUFFER = 1 << 18


def import_av() -> Any:
    """The module of PyAV; InputError where it is not installed."""
    try:
        import av
    except ImportError:
        raise InputError("to read videos PyAV is needed: pip install 'yt8m[video]'") from None
    return av


@contextlib.contextmanager
def open_container(source: StrPath) -> Iterator[Any]:
    """Context manager: the PyAV container of a video or sound file.

    source: local path; http:// or https://, which FFmpeg opens, playlists included; or another address that fsspec
    knows, such as gs:// or s3://. A local file cannot make FFmpeg open anything else, one on the web
    nothing but the web. Raises InputError where it cannot be opened, or is neither video nor sound.
    """
    av, name = import_av(), os.fspath(source)
    with contextlib.ExitStack() as stack:
        try:
            # Titles of old files are in any encoding.
            arguments: dict[str, Any] = {"metadata_errors": "replace"}
            if name.startswith(_WEB):
                arguments |= {"options": {"protocol_whitelist": _WEB_PROTOCOLS}, "timeout": (_PATIENCE, _PATIENCE)}
                container = av.open(name, **arguments)
            else:
                file = _Bytes(stack.enter_context(_open(name)))
                arguments |= {"options": {"protocol_whitelist": _NO_PROTOCOL}, "buffer_size": _BUFFER}
                container = av.open(file, **arguments)
        except FileNotFoundError:
            raise InputError(f"{name} is not there") from None
        except (av.FFmpegError, OSError) as error:
            what = f"{name} cannot be read as a video or as sound"
            if isinstance(error, av.InvalidDataError):
                raise InputError(f"{what}: it is neither, or its index, which may be at its end, is lost") from error
            raise InputError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
        stack.callback(container.close)
        yield container


def is_local(name: str) -> bool:
    """Whether ``name`` is a path, and not an address."""
    return "://" not in name


def _open(name):
    if is_local(name):
        return open(name, "rb")
    try:
        import fsspec
    except ImportError:
        raise InputError(
            f"{name}: to read from {name.partition('://')[0]}:// fsspec is needed: pip install fsspec"
        ) from None
    try:
        return fsspec.open(name, "rb").open()
    except (ImportError, ValueError) as error:
        # Each kind of bucket has a package of its own, which fsspec's message names.
        raise InputError(f"{name} cannot be opened: {error}") from error


class _Bytes:
    """A file without its name: FFmpeg goes by what is in it."""

    def __init__(self, file):
        self.read, self.tell, self._seek = file.read, file.tell, file.seek

    def seek(self, offset, whence=os.SEEK_SET):
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            # A damaged file points to before its own beginning; FFmpeg takes a negative place for an error.
            return -errno.EINVAL
