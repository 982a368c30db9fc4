"""What a run was begun with: its input files, and options that no other file keeps; held to when it is resumed.

Files are told apart by name, size and digest, in their order, which decides about splits; not by folder or time, so
that a folder of data may be moved. The digest is of the whole of files up to 1 MiB; of larger ones of three blocks of
16 KiB, at start, middle and end, and none of files that are not local.
"""

import concurrent.futures
import dataclasses
import datetime
import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from yt8m.config import PATTERNS, RunConfig
from yt8m.data.splits import Source, open_source
from yt8m.data.tfrecord import file_size, packed_numbers
from yt8m.runtime.files import read_json, write_text
from yt8m.train_parts import with_switches
from yt8m.types import DataWarning, InputError, StrPath

NAME = "inputs.json"
_WHOLE = 1 << 20
_BLOCK = 1 << 14


@dataclasses.dataclass(frozen=True, kw_only=True)
class Manifest:
    """options: dict of JSON values; files: dict of a role, such as "train", to a list of what described_file gives."""

    options: Mapping[str, Any]
    files: Mapping[str, list[dict[str, Any]]]

    def options_difference(self, other: "Manifest") -> str:
        """The first option that ``other`` has another value of, in words; "" for none."""
        there, here = _flat(self.options), _flat(other.options)
        names = (name for name in there | here if there.get(name) != here.get(name))
        return next((f"{name} is {there.get(name)!r} there and {here.get(name)!r} here" for name in names), "")

    def files_difference(self, other: "Manifest") -> str:
        """The first difference of the files of ``other``, first of all in which there are."""
        there, here = ({_name(entry) for listed in of.files.values() for entry in listed} for of in (self, other))
        for words, names in (("is new", here - there), ("is missing", there - here)):
            if names:
                return f"{min(names)} {words} ({len(there)} files there, {len(here)} here)"
        roles = dict.fromkeys([*self.files, *other.files])
        differences = (_files_difference(self.files.get(role, []), other.files.get(role, []), role) for role in roles)
        return next(filter(None, differences), "")


def inputs_of(run: RunConfig, source: Source, holdout: Source | None) -> dict[str, Source | None]:
    """Dict of role to the files that a run reads, as make_manifest takes it."""
    return {
        "train": source,
        "holdout": holdout,
        "pseudo-labelled": open_source(run.pseudo_data_pattern),
        "unlabelled": open_source(run.unlabelled_data_pattern),
        "excluded": open_source(run.exclude_videos),
        "target": open_source(run.adapt_bn),
    }


def run_options(run: RunConfig) -> dict[str, Any]:
    """Of a RunConfig, what a manifest keeps: all but patterns, whose files it keeps, and the time of checkpoints."""
    options = run.to_dict()
    del options["train"]["checkpoint_minutes"]
    return {name: value for name, value in options.items() if name not in PATTERNS}


def make_manifest(
    files: Mapping[str, Source | Sequence[str] | None], options: Mapping[str, Any] | None = None
) -> Manifest:
    """The Manifest of input files as they are. files: dict of role to a Source, or paths, or None."""
    listed = {role: list(of.files if isinstance(of, Source) else of) for role, of in files.items() if of}
    paths = list(dict.fromkeys(itertools.chain.from_iterable(listed.values())))
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        described = dict(zip(paths, pool.map(described_file, paths)))
    # As a trip through JSON leaves them.
    options = json.loads(json.dumps(options or {}))
    return Manifest(options=options, files={role: [described[file] for file in of] for role, of in listed.items()})


def check_manifest(folder: StrPath, manifest: Manifest, *, accept_changed_inputs: bool = False) -> None:
    """Raises InputError naming the first difference of ``manifest`` from that in ``folder``, if there is one.

    accept_changed_inputs: a difference in files is a DataWarning instead.
    """
    path = os.path.join(folder, NAME)
    if not os.path.exists(path):
        return
    there, folder = _read(path), os.fspath(folder)
    options, files = there.options_difference(manifest), there.files_difference(manifest)
    if options:
        raise InputError(
            f"{folder} was begun with other settings: {options}. Give the same settings to resume it, or another folder"
        )
    if files and not accept_changed_inputs:
        raise InputError(
            f"{folder} was begun on other files: {files}. To go on all the same give --accept_changed_inputs; to start "
            "over, another folder"
        )
    if files:
        warnings.warn(f"{folder} goes on with other files than it was begun on: {files}", DataWarning, stacklevel=2)


def kept_options(folder: StrPath) -> Mapping[str, Any]:
    """Options of the manifest in ``folder``; empty where there is none."""
    path = os.path.join(folder, NAME)
    return _read(path).options if os.path.exists(path) else {}


def write_manifest(folder: StrPath, manifest: Manifest) -> None:
    """Writes the manifest of what is begun or goes on in ``folder``."""
    write_text(os.path.join(folder, NAME), json.dumps(dataclasses.asdict(manifest), indent=1) + "\n")


def described_file(file: str) -> dict[str, Any]:
    """file: its path; bytes; modified: when, in UTC, and digest, both None where it is not local; records, if known."""
    if "://" in file:
        return {"file": file, "bytes": file_size(file), "modified": None, "digest": None}
    known = {name: number for name, number in packed_numbers(file).items() if name == "records"}
    try:
        status = os.stat(file)
        modified = datetime.datetime.fromtimestamp(status.st_mtime, datetime.UTC).isoformat(timespec="seconds")
        return {"file": file, "bytes": status.st_size, "modified": modified, "digest": sampled_digest(file)} | known
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror or error}") from error


def sampled_digest(path: StrPath) -> str:
    """Digest of a local file's content, of large ones of three blocks and the size: 0.1 ms of each from memory."""
    digest = hashlib.blake2b(digest_size=12)
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(size.to_bytes(8, "little"))
        for start in (0,) if size <= _WHOLE else (0, (size - _BLOCK) // 2, size - _BLOCK):
            file.seek(start)
            digest.update(file.read(_WHOLE if size <= _WHOLE else _BLOCK))
    return digest.hexdigest()


def _read(path):
    found = read_json(path, what="the inputs of a run", fields={"options": dict, "files": dict})
    for role, listed in found["files"].items():
        good = isinstance(listed, list) and all(
            isinstance(entry, dict) and isinstance(entry.get("file"), str) and isinstance(entry.get("bytes"), int)
            for entry in listed
        )
        if not good:
            raise InputError(f"{path} is not the inputs of a run: files of {role} must be a list of files")
    return Manifest(options=_upgraded(found["options"]), files=found["files"])


def _upgraded(options):
    """Options of a search or of self-training, of an earlier release too, in today's terms."""
    if not isinstance(options, dict):
        return options
    return {
        name: with_switches(values) if name == "train" and isinstance(values, dict) else _upgraded(values)
        for name, values in options.items()
    }


def _files_difference(there, here, role):
    """What of the files of a role has changed, in words."""
    for old, new in zip(there, here):
        if _name(old) == _name(new) and old["bytes"] != new["bytes"]:
            return f"{new['file']} has {new['bytes']} bytes and had {old['bytes']}"
        if _name(old) == _name(new) and old.get("digest") and new["digest"] and old["digest"] != new["digest"]:
            return f"{new['file']} has the same size and other content"
    if list(map(_name, there)) == list(map(_name, here)):
        return ""
    return f"the {role} files are others, or in another order ({len(there)} files there, {len(here)} here)"


def _name(entry):
    return entry["file"].rpartition("/")[2]


def _flat(values, prefix=""):
    """A dict of dicts as one with dotted names."""
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
