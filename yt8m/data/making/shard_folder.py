"""A folder of packed records, file by file, that a stopped packing goes on with; pack.json says what is in it."""

import glob
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from yt8m.data.tfrecord import PACK_LOG, write_records
from yt8m.runtime.files import read_json, write_text
from yt8m.types import InputError, StrPath


def make_shards(ids: Sequence[str], number: int, *, prefix: str) -> dict[str, Sequence[str]]:
    """Dict of file name to the ids of its videos: ``number`` runs of about equal length, at most one an id."""
    number = min(number, len(ids))
    bounds = [len(ids) * position // number for position in range(number + 1)]
    return {
        f"{prefix}{position:04d}.tfrecord": ids[bounds[position] : bounds[position + 1]] for position in range(number)
    }


class ShardFolder:
    """A folder whose record files, named from ``prefix`` on, are written one by one.

    inputs: digest of all that decides about the records. facts: dict of what else pack.json says. replace: whether
    records of other inputs are replaced; else they are an error. Attribute ``log``: what pack.json holds.
    """

    def __init__(self, path: StrPath, *, prefix: str, inputs: str, facts: Mapping[str, Any], replace: bool = False):
        self.path, self._prefix, self._replace = os.fspath(path), prefix, replace
        self.log: dict[str, Any] = {"inputs": inputs, "shards": {}, **facts}

    def resume(self) -> None:
        """Takes over what an earlier, stopped call has written of the same inputs. Raises InputError for others."""
        path = os.path.join(self.path, PACK_LOG)
        if os.path.exists(path):
            found = read_json(path, what="a log of yt8m-pack", fields={"inputs": str, "shards": dict})
            if found["inputs"] == self.log["inputs"]:
                self.log = found
            else:
                self._remove(found)
        elif any(name.startswith(self._prefix) and ".tfrecord" in name for name in os.listdir(self.path)):
            raise InputError(f"{self.path} holds records named {self._prefix}* already: name another folder")
        self._write_log()

    def _remove(self, found):
        fitted = glob.glob(glob.escape(self.path) + "/*.projection.npz")
        if not (found["shards"] or fitted):
            return
        if not self._replace:
            raise InputError(f"{self.path} was packed from other files or with other flags: name another folder")
        # Each by its own name: the log may say anything.
        for file in [*(os.path.join(self.path, os.path.basename(name)) for name in found["shards"]), *fitted]:
            if os.path.exists(file):
                os.unlink(file)

    def is_whole(self, name: str) -> bool:
        """Whether a file is there as it was written."""
        path, shard = os.path.join(self.path, name), self.log["shards"].get(name)
        if shard is None or not os.path.exists(path):
            return False
        return shard.get("bytes", os.path.getsize(path)) == os.path.getsize(path)

    def write(self, name: str, records: Iterable[Any], facts: Callable[[], Mapping[str, Any]]) -> None:
        """Writes a file, whole or not at all. facts: called when it is there, what else pack.json says of it."""
        path = os.path.join(self.path, name)
        count = write_records(path, records)
        self.log["shards"][name] = {"records": count, "bytes": os.path.getsize(path), **facts()}
        self._write_log()

    def _write_log(self):
        write_text(os.path.join(self.path, PACK_LOG), json.dumps(self.log, indent=1) + "\n")
