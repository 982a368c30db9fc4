"""A long job in parts, whose finished ones are kept on disk until the whole is done."""

import contextlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.runtime.files import atomic_path, remove_leftovers, write_text
from yt8m.runtime.locks import FileLock, lock_folder
from yt8m.types import InputError, StrPath


def cut_into_parts(sizes: Sequence[int], *, least: int) -> list[range]:
    """Consecutive ranges that cover ``sizes``, each with a sum of at least ``least`` but for the last: list of range.

    Depends on the sizes alone, so that the same files are always cut in the same way.
    """
    parts, first, total = [], 0, 0
    for place, size in enumerate(sizes):
        total += size
        if total >= least or place == len(sizes) - 1:
            parts.append(range(first, place + 1))
            first, total = place + 1, 0
    return parts


class PartsFolder:
    """The finished parts of a job, each a dict of plain arrays, as ``path``/part-00012.npz.

    identity: JSON value, what decides the results beside the plan that ``open`` is given, such as the model's file.
    finished: set of the numbers of the parts that are there.
    Locked from ``open`` until ``close`` or ``remove``.
    """

    def __init__(self, path: StrPath, *, identity: Any):
        self.path = pathlib.Path(path)
        self.identity = identity
        self.finished = set()
        self._lock: FileLock | None = None

    def open(self, plan: dict[str, Any]) -> bool:
        """Finds the parts that are there and belong to ``plan``, a dict of JSON values; drops those of another plan.

        Returns whether some were dropped. Raises InputError where the folder cannot be written, or another process is
        writing there.
        """
        self._lock = self._lock or lock_folder(self.path)
        text = json.dumps({"identity": self.identity, **plan}, indent=1, sort_keys=True) + "\n"
        there = self._plan.read_bytes() if self._plan.is_file() else b""
        outdated = there != text.encode() and any(self.path.glob("part-*.npz"))
        if there != text.encode():
            self._clear()
            write_text(self._plan, text)
        self.finished = {int(part.stem.removeprefix("part-")) for part in self.path.glob("part-*.npz")}
        return outdated

    def load(self, number: int) -> dict[str, np.ndarray]:
        """The arrays of a finished part. Raises InputError where its file is damaged."""
        path = self._part(number)
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return dict(arrays)
        except Exception as error:
            raise InputError(f"{path} is damaged: delete it, and the same command makes it anew") from error

    def save(self, number: int, arrays: dict[str, np.ndarray]) -> None:
        """Keeps the arrays of a part; the file is there whole or not at all."""
        with atomic_path(self._part(number)) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
        self.finished.add(number)

    def close(self) -> None:
        """Leaves what is there to a later call."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def remove(self) -> None:
        """Deletes all parts, the plan, what killed runs left of them, and the folder where nothing else is in it."""
        self._clear()
        self.close()
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _clear(self):
        for pattern in ("part-*.npz", "plan.json"):
            for file in self.path.glob(pattern):
                file.unlink(missing_ok=True)
        remove_leftovers(self.path)
        self.finished = set()

    @property
    def _plan(self):
        return self.path / "plan.json"

    def _part(self, number):
        return self.path / f"part-{number:05d}.npz"
