"""Texts in the context of records: their fields, how they are written, and what is wrong with them.

``text/FIELD`` is a bytes list, UTF-8, of any number of texts; where one of them is of a part of the video,
``text/FIELD/start`` and ``text/FIELD/end`` are float lists of as many seconds, 0 and infinity for those of all of it.
FIELD is any name, as title, asr, ocr or tags. The same in records of frames, of means and of clips.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yt8m.types import TimedText, field_problem

PREFIX = "text/"


def keys_of(field: str) -> tuple[str, str, str]:
    """Keys of the texts of a field, of their starts and of their ends."""
    return f"{PREFIX}{field}", f"{PREFIX}{field}/start", f"{PREFIX}{field}/end"


def fields_of(context: Iterable[str]) -> set[str]:
    """The fields of texts among the keys of a record's context."""
    names = {key.removeprefix(PREFIX) for key in context if key.startswith(PREFIX)}
    return {name for name in names if not field_problem(name)}


def set_texts(context: Any, texts: Sequence[TimedText]) -> None:
    """Writes texts into the map of a record's context, in place of those of the same fields; none write no field."""
    for field in dict.fromkeys(text.field for text in texts):
        items = [text for text in texts if text.field == field]
        for key in keys_of(field):
            if key in context:
                del context[key]
        values, starts, ends = keys_of(field)
        context[values].bytes_list.value.extend(item.text.encode() for item in items)
        if any(item.is_timed for item in items):
            context[starts].float_list.value.extend(item.start for item in items)
            context[ends].float_list.value.extend(item.end for item in items)


def get_texts(context: Mapping[str, Any], fields: Iterable[str]) -> tuple[TimedText, ...]:
    """The texts of ``fields`` in a record's ``context``, in which text_problem finds nothing: what set_texts wrote."""
    found: list[TimedText] = []
    for field in fields:
        values, *times = keys_of(field)
        texts = [text.decode() for text in context[values].bytes_list.value] if values in context else []
        starts, ends = (list(context[key].float_list.value) if key in context else [] for key in times)
        whole = [0.0] * len(texts), [math.inf] * len(texts)
        found += map(TimedText, starts or whole[0], ends or whole[1], [field] * len(texts), texts)
    return tuple(found)


def texts_of_part(texts: Iterable[TimedText], start: float, end: float, *, origin: float) -> tuple[TimedText, ...]:
    """Of ``texts`` those of the whole video and those seen or heard in [start, end), their times from ``origin`` on.

    origin: seconds, at most ``start``. The rule of yt8m.data.texts: a text of no length is of the second it stands at.
    """
    return tuple(
        dataclasses.replace(text, start=max(0.0, text.start - origin), end=text.end - origin) if text.is_timed else text
        for text in texts
        if not text.is_timed or text.start < end and (text.end > start or text.start >= start)
    )


def text_problem(context: Mapping[str, Any], fields: Iterable[str]) -> str:
    """What is wrong with the texts of a record's ``context``, half a sentence that names the field; "" for nothing."""
    return next(filter(None, (_problem(context, field) for field in fields)), "")


def _problem(context, field):
    kinds = dict(zip(keys_of(field), ("bytes_list", "float_list", "float_list")))
    for key, kind in kinds.items():
        if key in context and context[key].WhichOneof("kind") not in (None, kind):
            return f"{key} is not a {kind}"
    texts, starts, ends = (
        list(getattr(context[key], kind).value) if key in context else [] for key, kind in kinds.items()
    )
    if not len(starts) == len(ends) in (0, len(texts)):
        return f"{', '.join(kinds)} have {len(texts)}, {len(starts)}, {len(ends)} values, and must have equally many"
    for number, text in enumerate(texts):
        try:
            text.decode()
        except UnicodeDecodeError:
            return f"text {number} of {PREFIX}{field} is not UTF-8"
    for start, end in zip(starts, ends):
        if not (0 <= start < math.inf and start <= end):
            return f"{PREFIX}{field} holds a text from {start:g} to {end:g} seconds"
    return ""
