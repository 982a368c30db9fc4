"""What an input that was made wrong at random is, and whether what became of it is right."""

import dataclasses
import random
import warnings
from collections.abc import Callable
from typing import Any

from yt8m.registry import Registry
from yt8m.types import DataWarning, InputError

SAME, TOLD, REFUSED, OTHER = "same", "told", "refused", "other"


@dataclasses.dataclass(frozen=True)
class Case:
    """An input: ``read`` reads it; ``clean``, what it gives unharmed; ``path``: the file that a refusal must name.

    allowed: what may come of it: SAME, the clean result; TOLD, another one with a DataWarning; REFUSED, an InputError;
    OTHER, another one, where the input is as good as before. names: words that a refusal must have. what: how the
    input was made wrong.
    """

    read: Callable[[], Any]
    clean: Any
    path: str
    allowed: tuple[str, ...]
    what: str
    names: tuple[str, ...] = ()


def verdict(case: Case) -> str:
    """What is wrong with what came of a case, "" for nothing."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = case.read()
        except InputError as error:
            return _of_refusal(case, str(error))
        except Exception as error:
            return f"{case.what}: traceback of {type(error).__name__}: {error}"
    if found == case.clean:
        came = SAME
    elif any(issubclass(warning.category, DataWarning) for warning in told):
        came = TOLD
    else:
        came = OTHER
    return "" if came in case.allowed else f"{case.what}: {came}, and ought to be {' or '.join(case.allowed)}"


def _of_refusal(case, sentence):
    if REFUSED not in case.allowed:
        return f"{case.what}: refused: {sentence}"
    missing = [name for name in (case.path, *case.names) if name not in sentence]
    if missing:
        return f"{case.what}: the refusal does not say {missing[0]!r}: {sentence}"
    if "\n" in sentence or len(sentence) > 1000:
        return f"{case.what}: the refusal is no single sentence: {sentence!r}"
    return ""


# Damage to bytes.


def damaged(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """(``data`` with some bytes changed, lost or added, what was done)."""
    data = bytearray(data)
    way = rng.choice(["flip", "flip", "flip", "cut", "hole", "zeros", "noise", "double"])
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.choice([1, 4, 50]))
    if way == "flip":
        data[first] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del data[first:]
    elif way == "hole":
        del data[first:last]
    elif way == "zeros":
        data[first:last] = bytes(last - first)
    elif way == "noise":
        data[first:first] = rng.randbytes(last - first)
    else:
        data[first:first] = data[first:last]
    return bytes(data), f"{way} at {first}"


# Records.


KINDS: Registry = Registry("kind of input")
