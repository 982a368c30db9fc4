"""A folder of extracted features, an .npz a video, that an interrupted extraction goes on with."""

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yt8m.features.decoding.sources import is_local
from yt8m.runtime.arrays import npz_names, read_npz
from yt8m.runtime.files import atomic_path, make_folder, read_json, write_text
from yt8m.types import InputError, StrPath, names_of_views

_PLAN = "backbones.json"
_SOURCE = "source"


class FeatureFolder:
    """Features of videos as ``path``/ID.npz: an array a feature, and "source", what is known of the video, as JSON.

    described: what decides the features, as Extractor.described gives it. Raises InputError where the folder holds
    features of other backbones or settings.
    """

    def __init__(self, path: StrPath, described: Mapping[str, Any]):
        self.path = os.fspath(path)
        self.names = list(names_of_views({name: each.get("record_views", 1) for name, each in described.items()}))
        plan = os.path.join(self.path, _PLAN)
        text = json.dumps(described, indent=1, sort_keys=True)
        if os.path.exists(plan):
            if read_json(plan, what="yt8m-video's account of features") != json.loads(text):
                raise InputError(
                    f"{self.path} holds features of other backbones or settings, as {plan} says: name another folder"
                )
            return
        make_folder(self.path)
        write_text(plan, text + "\n")

    def file(self, video_id: str) -> str:
        """The file of a video's features."""
        return os.path.join(self.path, f"{video_id}.npz")

    def has(self, video_id: str, source: str) -> bool:
        """Whether features of a video are there, of its file as it is now."""
        return os.path.exists(self.file(video_id)) and self.about(video_id).get("file") == described_source(source)

    def save(
        self, video_id: str, source: str, features: Mapping[str, np.ndarray], *, notes: Sequence[str] = ()
    ) -> None:
        """Keeps features; the file is there whole or not at all. notes: what was said of the video."""
        seconds = max(map(len, features.values()))
        about = {"source": source, "file": described_source(source), "seconds": seconds, "notes": list(notes)}
        known = json.dumps(about)
        with atomic_path(self.file(video_id)) as temporary:
            np.savez(temporary, **{_SOURCE: np.array(known)}, **features)  # type: ignore[arg-type]

    def load(self, video_id: str) -> dict[str, np.ndarray]:
        """Dict of name to array. Raises InputError where the file is damaged."""
        return {name: read_npz(self.file(video_id), name) for name in self.names}

    def about(self, video_id: str) -> dict[str, Any]:
        """Dict of "source", "file", "seconds" and "notes"; empty where the file is damaged."""
        path = self.file(video_id)
        try:
            if not {_SOURCE, *self.names} <= set(npz_names(path)):
                return {}
            found = json.loads(str(read_npz(path, _SOURCE)))
        except (InputError, ValueError):
            return {}
        if not isinstance(found, dict) or not isinstance(found.get("notes"), list):
            return {}
        fine = isinstance(found.get("seconds"), int) and all(isinstance(note, str) for note in found["notes"])
        return found if fine else {}


def described_source(source: str) -> list[int | str]:
    """[bytes, time of change in ns] of a local file, by which a changed one is known, wherever it lies; [the address]
    of others.
    """
    if not is_local(source):
        return [source]
    status = os.stat(source)
    return [status.st_size, status.st_mtime_ns]
