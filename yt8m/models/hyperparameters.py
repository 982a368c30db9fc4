"""Types and sizes of the values of hyperparameters."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from yt8m.options import is_of_type

_MOST_UNITS = 1 << 24
_VALID = {
    int: f"a whole number from 1 to {_MOST_UNITS:,}",
    float: "a number above 0, a dropout rate from 0 to below 1",
    bool: "true or false",
    str: "text",
    int | None: f"a whole number from 1 to {_MOST_UNITS:,}, or null",
    Sequence[int]: "a list of whole numbers above 0",
    Sequence[float]: "a list of numbers above 0",
}
_VALID_OTHER = "an object of hyperparameters"


def problem_of_value(kind: Any, field: str, value: Any) -> str:
    """What the hyperparameter ``field``, annotated as ``kind``, must be, where ``value`` is none such; else ""."""
    if typing.get_origin(kind) is Sequence:
        (part,) = typing.get_args(kind)
        valid = isinstance(value, (list, tuple)) and all(_is_valid(part, field, item) for item in value)
    elif typing.get_origin(kind) is types.UnionType and dict[str, Any] in typing.get_args(kind):
        valid = value is None or isinstance(value, Mapping)
    else:
        valid = _is_valid(kind, field, value)
    return "" if valid else _VALID.get(kind, _VALID_OTHER)


def _is_valid(kind, field, value):
    if not is_of_type(kind, value):
        return False
    if field == "dropout":
        return 0 <= value < 1
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return 0 < value <= _MOST_UNITS
    return True
