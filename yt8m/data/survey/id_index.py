"""The ids of all records of a data set in 8 bytes each, to find those that stand in it twice."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class IdIndex:
    """Hashes of video ids with the place of each: 8 bytes a record, and as many again while repetitions are sought.

    Two of n different ids share a hash with a chance of about n**2 / 2**65, one in half a million for 6 million
    records; whoever names a repetition reads the ids themselves first.
    """

    def __init__(self):
        self._files = {}

    def add(self, file: str, index: int, ids: Sequence[bytes]) -> None:
        """Records ``index``, index + 1, ... of ``file`` have ``ids``, a list of bytes; b"" where there is none."""
        hashes = np.array([_hash(video_id) for video_id in ids], np.uint64)
        self._files.setdefault(file, []).append((index, hashes))

    def repeated(self) -> np.ndarray:
        """Ascending uint64 array of the hashes that more than one record has."""
        hashes = np.sort(self.hashes())
        return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])

    def hashes(self, files: Iterable[str] | None = None) -> np.ndarray:
        """uint64 array of the hashes of the records of ``files``, or of all."""
        chosen = self._files if files is None else [file for file in files if file in self._files]
        parts = [hashes for file in chosen for _, hashes in self._files[file]]
        hashes = np.concatenate([np.zeros(0, np.uint64), *parts])
        return hashes[hashes != 0]

    def count(self, hashes: np.ndarray) -> int:
        """Number of the records that have one of ``hashes``, a sorted array."""
        return sum(int(_isin(part, hashes).sum()) for parts in self._files.values() for _, part in parts)

    def places(self, hashes: Any, files: Iterable[str] | None = None) -> dict[int, list[tuple[str, int]]]:
        """Dict of each of a few ``hashes`` to a list of (file, index of the record), in the order of reading."""
        hashes = np.sort(np.asarray(hashes, np.uint64))
        found = {int(value): [] for value in hashes}
        for file in self._files if files is None else files:
            for index, part in self._files.get(file, ()):
                for row in np.flatnonzero(_isin(part, hashes)).tolist():
                    found[int(part[row])].append((file, index + row))
        return found


def _isin(values, hashes):
    if not len(hashes):
        return np.zeros(len(values), bool)
    places = np.minimum(np.searchsorted(hashes, values), len(hashes) - 1)
    return hashes[places] == values


def _hash(video_id):
    return int.from_bytes(hashlib.blake2b(video_id, digest_size=8).digest(), "little") if video_id else 0
