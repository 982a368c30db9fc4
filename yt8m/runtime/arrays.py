"""NumPy's .npy and .npz files of others: their headers are compared with their sizes before memory is taken."""

import contextlib
import math
import os
import zipfile
from collections.abc import Iterator

import numpy as np

from yt8m.types import InputError, StrPath

_MOST_DEFLATED = 1100
"""Times that deflate can shrink anything, with room to spare; 1032 by its definition."""


def read_npy(path: StrPath) -> np.ndarray:
    """The array of an .npy file. Raises InputError naming the file where it is damaged, or something else."""
    with _reading(path), _npy(path) as (file, size):
        _check_header(file, size, os.fspath(path), ends=True)
        return _read_array(file, size, os.fspath(path))


def map_npy(path: StrPath) -> np.ndarray:
    """The array of an .npy file, its pages read when they are looked at; InputError as of read_npy."""
    with _reading(path), _npy(path) as (file, size):
        _check_header(file, size, os.fspath(path), ends=True)
        return np.load(path, mmap_mode="r", allow_pickle=False)


def npz_names(path: StrPath) -> tuple[str, ...]:
    """Names of the arrays in an .npz file; InputError as of read_npy."""
    with _opened(path) as archive:
        return tuple(name.removesuffix(".npy") for name in archive.namelist())


def read_npz(path: StrPath, name: str) -> np.ndarray:
    """The array ``name`` of an .npz file; InputError as of read_npy, also where there is no such array."""
    with _opened(path) as archive:
        names = [member.removesuffix(".npy") for member in archive.namelist()]
        if name not in names:
            raise InputError(f"{path} has no array {name}; it has {', '.join(names) or 'none'}")
        member = archive.infolist()[names.index(name)]
        size = member.file_size
        if member.compress_type == zipfile.ZIP_DEFLATED:
            size = min(size, member.compress_size * _MOST_DEFLATED)
        with archive.open(member) as file:
            found = _read_array(file, size, f"{path}, array {name}")
            # The checksum is compared at the end of the member.
            file.read(1)
        return found


@contextlib.contextmanager
def _npy(path):
    with open(path, "rb") as file:
        if zipfile.is_zipfile(file):
            raise InputError(f"{path} is an .npz of several arrays, and not an .npy: rename it")
        file.seek(0)
        yield file, os.fstat(file.fileno()).st_size


@contextlib.contextmanager
def _opened(path: StrPath) -> Iterator[zipfile.ZipFile]:
    with _reading(path), open(path, "rb") as file:
        if file.read(6) == np.lib.format.MAGIC_PREFIX:
            raise InputError(f"{path} is an .npy of one array, and not an .npz: rename it, or write it by numpy.savez")
        with zipfile.ZipFile(file) as archive:
            yield archive


@contextlib.contextmanager
def _reading(path):
    try:
        yield
    except InputError:
        raise
    # Damage shows as errors of NumPy, zipfile, zlib, lzma, struct and tokenize.
    except Exception as error:
        # zipfile's may be as long as a damaged name is.
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"cannot read {path}: {reason}") from error


def _read_array(file, size, where):
    """The array at the begin of an open file of ``size`` bytes."""
    file.seek(0)
    _check_header(file, size, where)
    file.seek(0)
    return np.lib.format.read_array(file, allow_pickle=False)


def _check_header(file, size, where, *, ends=False):
    """Raises InputError where the header of an array promises more than an open file of ``size`` bytes holds.

    ends: whether the file ends with the array, so that less is as wrong: a header cut short moves all numbers.
    """
    first = np.lib.format.read_magic(file) == (1, 0)
    read_header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise InputError(f"{where} cannot be read: it holds Python objects, not numbers")
    wanted, there = math.prod(shape) * dtype.itemsize, size - file.tell()
    if min(shape, default=0) < 0 or not wanted <= there or (ends and wanted < there):
        follow = "follow" if ends else "may follow"
        raise InputError(
            f"{where} is damaged: its header promises {wanted:,} bytes, of shape {shape}, and {there:,} {follow}"
        )
