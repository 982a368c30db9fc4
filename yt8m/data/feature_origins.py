"""Origins of features: which backbone, weights, settings and projection made them, held to from records to runs.

``features.json`` lies beside records that yt8m-video wrote and, with the projections, in each run trained on them: dict
of feature name to what yt8m.features.extraction describes, and "projection", a file beside it, with its SHA-256.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from yt8m.runtime.files import atomic_path, read_json, write_text
from yt8m.types import InputError, StrPath

NAME = "features.json"
_COMPARED = ("digest", "size", "settings", "projection_digest")
Origins = dict[str, dict[str, Any]]


def write_origins(folder: StrPath, described: Mapping[str, Mapping[str, Any]], projections: Mapping[str, str]) -> None:
    """Writes features.json into ``folder``. projections: dict of feature to path of its projection, a file there."""
    origins: Origins = {name: dict(origin) for name, origin in described.items()}
    for name, path in projections.items():
        origins[name] |= {"projection": os.path.basename(path), "projection_digest": _digest(path)}
    write_text(os.path.join(folder, NAME), json.dumps(origins, indent=1, sort_keys=True) + "\n")


def read_origins(folder: StrPath) -> Origins | None:
    """What features.json in ``folder`` says, None where there is none, or the folder is not local."""
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return None
    found = read_json(path, what="yt8m-video's account of features")
    for name, origin in found.items():
        texts = isinstance(origin, dict) and [origin.get(key) for key in ("spec", "digest")]
        projection = origin.get("projection", "") if isinstance(origin, dict) else None
        if not texts or not all(isinstance(text, str) for text in texts) or not isinstance(projection, str):
            raise InputError(f"{path} is not yt8m-video's account of features: {name} is not")
        if projection != os.path.basename(projection):
            raise InputError(f"{path}: the projection of {name} is no file beside it")
    return found


def origins_of_files(files: Sequence[str]) -> Origins | None:
    """The origins of the features of records, None where none are known; InputError where they differ by folder."""
    found: dict[str, Origins] = {}
    for folder in dict.fromkeys(os.path.dirname(file) for file in files):
        origins = read_origins(folder or ".")
        if origins is not None:
            found[folder or "."] = origins
    for folder, origins in found.items():
        first = next(iter(found))
        _check_same(origins, found[first], f"the records in {folder}", f"those in {first}", "")
    return next(iter(found.values()), None)


def keep_origins(files: Sequence[str], train_dir: StrPath) -> None:
    """Copies features.json and the projections that lie beside the records ``files`` into a run's folder."""
    folder = next((os.path.dirname(file) or "." for file in files if read_origins(os.path.dirname(file) or ".")), None)
    if folder is None:
        return
    origins = read_origins(folder) or {}
    names = [origin["projection"] for origin in origins.values() if origin.get("projection")]
    for name in [*names, NAME]:
        with atomic_path(os.path.join(train_dir, name)) as temporary:
            shutil.copyfile(os.path.join(folder, name), temporary)


def check_origins(train_dir: StrPath, files: Sequence[str]) -> None:
    """Raises InputError where the features of records are not those that a run was trained on, as far as is known."""
    trained, given = read_origins(train_dir), origins_of_files(files)
    if trained and given:
        hint = f": extract them by yt8m-video --train_dir={os.fspath(train_dir)}"
        _check_same(given, trained, f"{files[0]}", f"the run {os.fspath(train_dir)} was trained on", hint)


def check_described(train_dir: StrPath, described: Mapping[str, Mapping[str, Any]]) -> None:
    """Raises InputError where backbones, as Extractor.described says, are not those of a run that knows its own."""
    trained = read_origins(train_dir)
    if trained is None:
        raise InputError(f"{os.fspath(train_dir)} does not know its backbones: its records were not made by yt8m-video")
    without = {
        name: {key: value for key, value in origin.items() if not key.startswith("projection")}
        for name, origin in trained.items()
    }
    _check_same(described, without, "the backbones given", f"the run {os.fspath(train_dir)} was trained on", "")


def _check_same(these, those, here, there, hint):
    """Raises InputError where features that both have are of other origin."""
    for name in [name for name in these if name in those]:
        mine, other = these[name], those[name]
        # Of a file that has moved the spec is another, and of a transform the digest is empty.
        what = next(
            (key for key in _COMPARED if _comparable(mine, key) != _comparable(other, key)),
            "" if mine["digest"] or mine["spec"] == other["spec"] else "spec",
        )
        if what:
            words = {"digest": "weights", "projection_digest": "projection", "spec": "backbone"}.get(what, what)
            raise InputError(
                f"{name} of {here} is of {mine['spec']}, and {there} {name} of {other['spec']} with other {words}{hint}"
            )


def _comparable(origin, key):
    # How much of a video is looked at is no part of what its features are.
    value = origin.get(key)
    return value | {"max_seconds": None} if isinstance(value, dict) else value


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
