"""The videos that a run was trained on, remembered compactly, and found again where something is scored.

A holdout that pre-training has seen flatters whatever is chosen by it: checkpoints, thresholds, weights of an ensemble.
"""

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Iterable

import numpy as np

from yt8m.runtime.files import atomic_path, read_json, write_text
from yt8m.types import DataWarning, InputError, StrPath

_HASH_BYTES = 5
_COMPACT_FROM = 1 << 18
"""Hashes that are collected before they are sorted in."""


class SeenVideos:
    """A set of video ids as their 40-bit hashes, sorted: 8 bytes an id in memory, 2.5 in a file.

    Of 4 million videos that is a file of 10 MB, and one id in 270,000 that is not among them is taken to be.
    hash_bytes: 8 where that is too many; ``save`` writes 5.
    """

    def __init__(self, *, hash_bytes: int = _HASH_BYTES):
        self.hash_bytes = hash_bytes
        self._sorted = np.empty(0, np.uint64)
        self._new: set[int] = set()
        # Readers add in threads of their own.
        self._lock = threading.Lock()

    def add(self, ids: Iterable[bytes | str]) -> None:
        """Adds video ids."""
        hashes = list(map(self._hash, ids))
        with self._lock:
            self._new.update(hashes)
            many = len(self._new) >= _COMPACT_FROM
        if many:
            self._compact()

    def update(self, other: "SeenVideos") -> None:
        """Adds all ids of ``other``."""
        other._compact()
        with self._lock:
            self._sorted = np.union1d(self._sorted, other._sorted)

    def __len__(self) -> int:
        self._compact()
        return len(self._sorted)

    def __contains__(self, video_id: bytes | str) -> bool:
        wanted = self._hash(video_id)
        with self._lock:
            if wanted in self._new:
                return True
            place = np.searchsorted(self._sorted, np.uint64(wanted))
            return bool(place < len(self._sorted) and self._sorted[place] == wanted)

    def save(self, path: StrPath) -> None:
        """Writes the set, whole or not at all."""
        self._compact()
        # The gaps of sorted hashes have few bits; by rank of their bytes, the high ones vanish in compression.
        gaps = np.diff(self._sorted, prepend=np.uint64(0)).astype("<u8")
        planes = gaps.view(np.uint8).reshape(-1, 8)[:, :_HASH_BYTES].T
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, gaps=np.ascontiguousarray(planes))

    @classmethod
    def load(cls, path: StrPath) -> "SeenVideos | None":
        """The set that ``save`` wrote, None where there is no such file. Raises InputError for another file."""
        if not os.path.exists(path):
            return None
        found = cls()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                planes = arrays["gaps"]
            gaps = np.zeros((planes.shape[1], 8), np.uint8)
            gaps[:, :_HASH_BYTES] = planes.T
        except Exception as error:
            raise InputError(f"{path} is not a list of seen videos: remove it, and the run forgets them") from error
        found._sorted = np.cumsum(gaps.view("<u8")[:, 0], dtype=np.uint64)
        return found

    def _compact(self):
        with self._lock:
            if self._new:
                self._sorted = np.union1d(self._sorted, np.fromiter(self._new, np.uint64, len(self._new)))
                self._new = set()

    def _hash(self, video_id):
        video_id = video_id.encode() if isinstance(video_id, str) else video_id
        return int.from_bytes(hashlib.blake2b(video_id, digest_size=self.hash_bytes).digest(), "little")


class FirstRecords:
    """Predicate that tells the first record of each video from later ones, which it counts."""

    def __init__(self):
        self._known = SeenVideos(hash_bytes=8)
        self._later = 0
        self._first = ""

    def __call__(self, video_id: bytes) -> bool:
        """Whether no earlier record was of this video."""
        if video_id in self._known:
            self._later += 1
            self._first = self._first or video_id.decode()
            return False
        self._known.add([video_id])
        return True

    def warn(self, done: str) -> None:
        """Says how many later records there were, as a DataWarning; done: what is done with a video once."""
        if self._later:
            text = f"records of videos that have an earlier record: {self._later}, of {self._first} the first"
            warnings.warn(f"{text}; each video is {done} once, by its first record", DataWarning, stacklevel=2)


class Overlap:
    """The videos that are scored, and those among them that the run at ``train_dir`` has seen in training.

    seen: its SeenVideos. first: the id of the first that it has seen, "" for none.
    """

    def __init__(self, train_dir: StrPath, seen: SeenVideos):
        self.train_dir = os.fspath(train_dir)
        self.seen = seen
        self.first = ""
        self._scored = SeenVideos()
        self._trained_on = SeenVideos()

    def add(self, ids: Iterable[bytes | str]) -> None:
        """Adds ids of scored videos, each any number of times."""
        ids = list(ids)
        self._scored.add(ids)
        known = [video_id for video_id in ids if video_id in self.seen]
        self._trained_on.add(known)
        if known and not self.first:
            self.first = known[0].decode(errors="replace") if isinstance(known[0], bytes) else known[0]

    def sentence(self) -> str:
        """What is to be said of it, "" for nothing."""
        if not self.first:
            return ""
        return (
            f"{len(self._trained_on)} of the {len(self._scored)} videos to score, {self.first} the first, were trained "
            f"on by {self.train_dir} or a run that it started from, which flatters the score: --exclude_videos keeps a "
            "holdout out of pre-training"
        )

    def warn(self) -> None:
        """Says it, as a DataWarning."""
        if self.first:
            warnings.warn(self.sentence(), DataWarning, stacklevel=2)

    def note_beside(self, path: StrPath) -> None:
        """Leaves a note beside a ranking for whoever searches weights or thresholds on it; removes one of before."""
        if self.first:
            write_text(_note_path(path), json.dumps({"trained_on": self.sentence()}) + "\n")
        elif os.path.exists(_note_path(path)):
            os.unlink(_note_path(path))


def warn_of_notes(paths: Iterable[StrPath]) -> None:
    """Says what note_beside left beside rankings, as a DataWarning for each."""
    for path in paths:
        if os.path.exists(_note_path(path)):
            said = read_json(_note_path(path), what="a note of inference.py, remove it", fields={"trained_on": str})[
                "trained_on"
            ]
            warnings.warn(f"{path}: {said}", DataWarning, stacklevel=2)


def _note_path(path):
    return f"{os.fspath(path)}.seen.json"
