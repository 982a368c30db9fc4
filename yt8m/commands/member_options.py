"""Options of several runs that are trained beside each other: those of one, changed for each member."""

import dataclasses
import json
from typing import Any

from yt8m.commands.command_line import command_fields
from yt8m.commands.train_options import TrainOptions
from yt8m.options import Field
from yt8m.runtime.files import read_json
from yt8m.types import InputError

_SHARED = (
    *("train_data_pattern", "eval_data_pattern", "holdout_files", "holdout_fraction", "seed", "segment_labels"),
    *("train_dir", "cache_dir", "check_split", "pseudo_data_pattern", "num_classes"),
    *("backend", "num_devices", "num_processes", "process_id", "coordinator", "quiet", "json_logs"),
)
"""What is the same for all members: data, split and machine."""


def member_options(options: TrainOptions, members: tuple[str, ...]) -> list[TrainOptions]:
    """The options of each member: ``options`` themselves where ``members`` is empty.

    members: folders of runs, each the init_from of a member; or the path of one JSON file, a list of objects whose keys
    are flags of train.py, as in {"init_from": "runs/a", "base_learning_rate": 1e-3}. Raises InputError.
    """
    if not members:
        return [options]
    if len(members) == 1 and members[0].endswith(".json"):
        changes = _read(members[0])
    else:
        changes = [{"init_from": folder} for folder in members]
    if len(changes) < 2:
        raise InputError("--members names a single one: give several, or for one student --init_from or --model")
    where = members[0] if members[0].endswith(".json") else "--members"
    return [_changed(options, change, f"{where}, member {number}") for number, change in enumerate(changes, 1)]


def _read(path):
    what = 'a list of objects, as in [{"init_from": "runs/a"}, {"init_from": "runs/b"}]'
    members = read_json(path, what=what, kind=list)
    if not all(isinstance(member, dict) for member in members):
        raise InputError(f"{path} is not {what}")
    return members


def _changed(options, change, where):
    known = {field.flag: (config, field) for config, field in command_fields(TrainOptions)}
    own: dict[str, Any] = {}
    given = {config: dict(values) for config, values in options.given.items()}
    for flag, value in change.items():
        if flag in _SHARED:
            raise InputError(f"{where}: {flag} is the same for all members: give it as a flag")
        if flag not in known:
            raise InputError(f"{where}: there is no flag --{flag} of train.py")
        config, field = known[flag]
        place = own if config is TrainOptions else given.setdefault(config, {})
        place[field.name] = _value(field, value, where)
    return dataclasses.replace(options, given=given, **own)


def _value(field: Field, value: Any, where: str) -> Any:
    """A JSON value as the field has it."""
    if isinstance(value, list):
        value = tuple(value)
    elif isinstance(value, dict) and field.kind is str:
        value = json.dumps(value)
    try:
        for part in value if isinstance(value, tuple) else (value,):
            field.option.check(part)
    except ValueError as error:
        raise InputError(f"{where}: {field.flag} is {value!r}; {error}") from None
    return value
