"""Origins of features: which backbone, weights, settings and projection made them, held to from records to runs.

``features.json`` lies beside records that yt8m-video wrote and, with the projections, in each run trained on them: dict
of feature name to what yt8m.features.extraction describes, and "projection", a file beside it, with its SHA-256.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from yt8m.config import DataConfig
from yt8m.runtime.files import atomic_path, file_digest, read_json, write_text
from yt8m.types import MAX_RECORD_VIEWS, InputError, StrPath

NAME = "features.json"
_WORDS = {
    "digest": "weights",
    "resolver_digest": "super-resolution",
    "projection_digest": "projection",
    "spec": "backbone",
}
_COMPARED = ("digest", "size", "settings", "resolver_digest", "projection_digest")
Origins = dict[str, dict[str, Any]]


def write_origins(folder: StrPath, described: Mapping[str, Mapping[str, Any]], projections: Mapping[str, str]) -> None:
    """Writes features.json into ``folder``, and the projections beside it where they are not there.

    projections: dict of feature to path of its projection.
    """
    origins: Origins = {name: dict(origin) for name, origin in described.items()}
    for name, path in projections.items():
        origins[name] |= {"projection": os.path.basename(path), "projection_digest": file_digest(path)}
        _copy(path, folder)
    write_text(os.path.join(folder, NAME), json.dumps(origins, indent=1, sort_keys=True) + "\n")


def read_origins(folder: StrPath) -> Origins | None:
    """What features.json in ``folder`` says, None where there is none, or the folder is not local."""
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return None
    found = read_json(path, what="yt8m-video's account of features")
    for name, origin in found.items():
        values = origin if isinstance(origin, dict) else {}
        projection: Any = values.get("projection", "")
        texts = [values.get("spec"), values.get("digest"), projection, values.get("resolver", "")]
        if not all(isinstance(text, str) for text in texts):
            raise InputError(f"{path} is not yt8m-video's account of features: {name} is not")
        views = origin.get("record_views", 1)
        if not isinstance(views, int) or not 1 <= views <= MAX_RECORD_VIEWS:
            raise InputError(f"{path} is not yt8m-video's account of features: record_views of {name} is {views!r}")
        if projection != os.path.basename(projection):
            raise InputError(f"{path}: the projection of {name} is no file beside it")
    return found


def projections_of(folder: StrPath) -> dict[str, str]:
    """Dict of feature name to path of its projection, of those that features.json in ``folder`` has."""
    origins = read_origins(folder) or {}
    names = {name: origin.get("projection") for name, origin in origins.items()}
    return {name: os.path.join(folder, file) for name, file in names.items() if file}


def origins_of_files(files: Sequence[str]) -> Origins | None:
    """The origins of the features of records, None where none are known; InputError where they differ by folder."""
    found = _by_folder(files)
    for folder, origins in found.items():
        first = next(iter(found))
        _check_same(origins, found[first], f"the records in {folder}", f"those in {first}", "")
    return next(iter(found.values()), None)


def with_record_views(config: DataConfig, files: Sequence[str]) -> DataConfig:
    """The config with the views that records ``files`` hold of its features, as far as is known."""
    origins = origins_of_files(files) or {}
    views = [origins.get(name, {}).get("record_views", 1) for name in config.feature_names]
    return config.replace(record_views=tuple(views) if max(views) > 1 else ())


def keep_origins(files: Sequence[str], train_dir: StrPath) -> None:
    """Copies features.json and the projections that lie beside the records ``files`` into a run's folder."""
    folder = next(iter(_by_folder(files)), None)
    if folder is not None:
        copy_origins(folder, train_dir)


def copy_origins(folder: StrPath, target: StrPath) -> None:
    """Copies features.json, where there is one, and its projections from a folder of records or a run to another."""
    if read_origins(folder) is not None:
        for path in [*projections_of(folder).values(), os.path.join(folder, NAME)]:
            _copy(path, target)


def _by_folder(files):
    """Dict of each folder of files that has a features.json to what that says."""
    folders = dict.fromkeys(os.path.dirname(file) or "." for file in files)
    return {folder: origins for folder in folders if (origins := read_origins(folder)) is not None}


def _copy(path, folder):
    target = os.path.join(folder, os.path.basename(path))
    if os.path.realpath(path) != os.path.realpath(target):
        with atomic_path(target) as temporary:
            shutil.copyfile(path, temporary)


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
            words = _WORDS.get(what, what)
            raise InputError(
                f"{name} of {here} is of {mine['spec']}, and {there} {name} of {other['spec']} with other {words}{hint}"
            )


def _comparable(origin, key):
    # How much of a video is looked at is no part of what its features are.
    value = origin.get(key)
    return value | {"max_seconds": None} if isinstance(value, dict) else value
