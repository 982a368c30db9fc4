"""Options: fields of configs that carry their own help, unit, bounds and choices.

A field declared by ``option`` is checked when its config is made. Its command-line flag, with the same bounds, and its
row in docs/options.md are made of the same declaration.
"""

import dataclasses
import json
import math
import types
import typing
from typing import Any, Self

from yt8m.types import InputError

_LARGEST = 2**63 - 1
_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Option:
    """Declaration of one option.

    help: what it is and what it does, as --help shows it. unit: of its value, "" for none. low, high: inclusive bounds;
    above, below: exclusive ones. choices: valid values, empty for any. flag: name of its command-line flag, None where
    there is none. defaults_to: words on the default where the field's own does not say it. required: whether a command
    needs it. repeated: whether its flag is given once for each part of a tuple. resumable: whether a run may be resumed
    with another value.
    """

    help: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[str, ...] = ()
    flag: str | None = None
    defaults_to: str = ""
    required: bool = False
    repeated: bool = False
    resumable: bool = False

    def bounds(self) -> str:
        """The valid range in words, as in "at least 1" or "above 0 and at most 1"; "" for any value."""
        limits = {"at least": self.low, "above": self.above, "at most": self.high, "below": self.below}
        return " and ".join(f"{words} {_shown(limit)}" for words, limit in limits.items() if limit is not None)

    def check(self, value: Any) -> None:
        """Raises ValueError, worded to follow "NAME is VALUE; ", where ``value`` is out of bounds or no choice."""
        if self.choices and value not in self.choices:
            raise ValueError(f"valid: {', '.join(filter(None, self.choices))}")
        if isinstance(value, int) and abs(value) > _LARGEST:
            raise ValueError("it must be a whole number of 64 bits")
        if isinstance(value, (int, float)) and not self._within(value):
            raise ValueError(f"it must be {self.bounds() or 'finite'}")

    def _within(self, value):
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


def option(default: Any, help: str, *, flag: str | None = "", **settings: Any) -> Any:
    """A dataclass field that is an option; arguments as of Option. flag: "" for the field's own name."""
    return dataclasses.field(default=default, metadata={"option": Option(help=help, flag=flag, **settings)})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """An option of a config: its name, its type without None, whether it may be None, its default, its Option."""

    name: str
    kind: Any
    optional: bool
    default: Any
    option: Option

    @property
    def flag(self) -> str | None:
        """Name of its flag, None where it has none."""
        return self.name if self.option.flag == "" else self.option.flag

    def values(self) -> str:
        """Valid values in words, as in "a whole number, at least 1"."""
        if self.option.choices:
            return " or ".join(filter(None, self.option.choices))
        unit = f" of {self.option.unit}" if self.option.unit and self.kind in (int, float) else ""
        return ", ".join(filter(None, (_kind_words(self.kind) + unit, self.option.bounds())))

    def default_words(self) -> str:
        """The default in words."""
        if self.option.defaults_to:
            return self.option.defaults_to
        if isinstance(self.default, tuple):
            return ",".join(map(str, self.default)) or "none"
        if self.default in (None, ""):
            return "none"
        return {True: "yes", False: "no"}[self.default] if isinstance(self.default, bool) else f"{self.default}"


def fields_of(config_class: type) -> dict[str, Field]:
    """The options of a dataclass, by field name."""
    found = {}
    for field in dataclasses.fields(config_class):
        if "option" in field.metadata:
            kind, optional = _without_none(field.type)
            found[field.name] = Field(
                name=field.name, kind=kind, optional=optional, default=field.default, option=field.metadata["option"]
            )
    return found


def check_options(config: Any) -> None:
    """Raises InputError naming the first option of a dataclass whose value is of another type, or is not valid."""
    for field in fields_of(type(config)).values():
        value = getattr(config, field.name)
        if value is None and field.optional:
            continue
        if not _is_of(field.kind, value):
            raise InputError(f"{field.name} is {value!r}; it must be {field.values()}")
        try:
            for part in value if isinstance(value, tuple) else (value,):
                field.option.check(part)
        except ValueError as error:
            raise InputError(f"{field.name} is {value!r}; {error}") from None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base of configs: frozen, checked when made, and the same after a trip through JSON; unknown fields are errors."""

    def __post_init__(self):
        check_options(self)
        self._check()

    def _check(self):
        """Checks of options against each other; raises InputError."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able dict of all fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The config that ``to_dict`` was called on; raises InputError for unknown fields and invalid values."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InputError(f"{cls.__name__} has no field {', '.join(unknown)}; known: {', '.join(known)}")
        return cls(**{name: _from_json_value(known[name].type, value) for name, value in values.items()})

    def to_json(self) -> str:
        """Indented JSON of all fields."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The config that ``to_json`` was called on."""
        return cls.from_dict(json.loads(text))

    def replace(self, **changes: Any) -> Self:
        """A copy with other values in some fields."""
        return dataclasses.replace(self, **changes)


def _from_json_value(kind, value):
    """JSON has lists where the configs have tuples, and dicts where they have configs."""
    kind, _ = _without_none(kind)
    if value is None:
        return None
    if isinstance(kind, type) and issubclass(kind, Config):
        return kind.from_dict(value)
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        return tuple(value)
    return value


def is_of_type(kind: Any, value: Any) -> bool:
    """Whether ``value`` is of the type of a field, such as int | None; a bool is no number, and an int is a float."""
    kind, optional = _without_none(kind)
    return (optional and value is None) or _is_of(kind, value)


def _shown(bound):
    return f"{bound:,}" if isinstance(bound, int) else f"{bound:g}"


def _kind_words(kind):
    if typing.get_origin(kind) is tuple:
        return "comma-separated whole numbers" if typing.get_args(kind)[0] is int else "comma-separated values"
    return _KINDS[kind]


def _without_none(kind):
    """(the type but for None, whether None is allowed)."""
    if isinstance(kind, types.UnionType):
        return next(part for part in typing.get_args(kind) if part is not types.NoneType), True
    return kind, False


def _is_of(kind, value):
    if typing.get_origin(kind) is tuple:
        (part, *_) = typing.get_args(kind)
        return isinstance(value, tuple) and all(_is_of(part, item) for item in value)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
