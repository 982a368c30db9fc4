"""The nouns that every part of the toolkit speaks in."""

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

Tensor: TypeAlias = Any
"""A tensor of the Keras backend, of TensorFlow in readers, or what converts to one."""

StrPath: TypeAlias = str | os.PathLike[str]

SEGMENT_SECONDS = 5
"""Length of a segment; at 1 frame a second also its number of frames."""

MAX_FRAMES = 300
"""Frames of a video that YouTube-8M's own programs look at, and that a training example holds by default."""

PICTURES = "pictures"
"""The feature of clips: their pictures, RGB."""

CLIP_FRAMES = 16
"""Pictures of a clip that an example holds by default."""

MAX_SEGMENTS_PER_CLASS = 100_000
"""K of MAP@K, and the most segments a submission may list for a class."""

MAX_START_DIGITS = 7
"""Digits of a segment's start time: 115 days."""

MAX_CLASS_ID = 2**31 - 1
"""The highest id of a class: what 32 bits hold."""

QUANTIZED_SCALE = 4 / 255
QUANTIZED_OFFSET = 4 / 512 - 2
"""A stored byte q stands for the feature q * QUANTIZED_SCALE + QUANTIZED_OFFSET, in about [-2, 2]."""


class InputError(ValueError):
    """Bad input from the user: one clear sentence naming file, record and field, or the flag and what is valid.

    The scripts print its message alone and exit with status 2.
    """

    _keras_call_info_injected = True
    """What Keras knows an error by to which it has added the arguments of a layer's call: to these it shall not."""


class DivergedError(InputError):
    """Training whose loss is not finite."""


class DataWarning(UserWarning):
    """Something that was dropped, cut or repaired in the user's data; commands print each text once."""


class VideosWarning(DataWarning):
    """Something that many videos may have; of each subclass, commands print that of the first video alone."""


class UnevenLengthsWarning(VideosWarning):
    """Videos whose features have different numbers of frames."""


class LongVideosWarning(VideosWarning):
    """Videos that have more frames than are read."""


class CropsWarning(VideosWarning):
    """Features of several crops of a frame, which are averaged."""


class NoFramesWarning(VideosWarning):
    """A video that has texts alone, where frames are read too."""


class LongTextsWarning(VideosWarning):
    """Examples whose texts have more tokens than are read."""


MAX_ID_BYTES = 1024
"""Bytes of the longest video id."""

NOT_IN_IDS = (
    (0x00, 0x20),
    (0x22, 0x22),
    (0x2C, 0x2C),
    (0x7F, 0xA0),
    (0x1680, 0x1680),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x3000, 0x3000),
    (0xFEFF, 0xFEFF),
)
"""Characters that no video id has, as (first, last) code points: blanks, commas and quotes, which separate or enclose
fields of submissions and CSVs, and those that control how text is shown."""

_SURROGATES = (0xD800, 0xDFFF)
"""Halves of characters, which Python makes of file names that are no UTF-8."""

ODD_CHARACTER = re.compile(
    "[{}]".format("".join(rf"\u{first:04x}-\u{last:04x}" for first, last in (*NOT_IN_IDS, _SURROGATES)))
)
"""Pattern of a character that no video id has."""


def id_problem(video_id: str | bytes) -> str:
    """What keeps an id out of records, submissions and tables, in words, "" for nothing.

    An id is UTF-8 text of 1 to MAX_ID_BYTES bytes without the characters of NOT_IN_IDS.
    """
    try:
        text = video_id.decode() if isinstance(video_id, bytes) else video_id
    except UnicodeDecodeError:
        return "is not UTF-8"
    if not text:
        return "is empty"
    size = len(text.encode(errors="replace"))
    if size > MAX_ID_BYTES:
        return f"has {size:,} bytes, more than {MAX_ID_BYTES:,}"
    found = ODD_CHARACTER.search(text)
    if found is None:
        return ""
    if "\ud800" <= found[0] <= "\udfff":
        return "is not UTF-8"
    name = {" ": "a blank", ",": "a comma", '"': "a quote"}.get(found[0], f"the character {ascii(found[0])}")
    return f"has {name}, which no submission can hold"


MAX_RECORD_VIEWS = 90
"""Most views of a feature in a record: 30 a second, of three crops each."""


def view_name(feature: str, view: int) -> str:
    """The name in records of a view of a feature: its own for view 0, as rgb, then rgb_view1, rgb_view2 ..."""
    return f"{feature}_view{view}" if view else feature


def names_of_views(counts: Mapping[str, int]) -> dict[str, str]:
    """Dict of each name in records to the feature that it is a view of. counts: dict of feature to number of views."""
    return {view_name(name, view): name for name, count in counts.items() for view in range(count)}


def by_view(values: Mapping[str, Any], counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """Of values by their names in records, a dict by feature for each view.

    counts: as in names_of_views. A feature with fewer views than others is in all of them as its own first one.
    """
    return [
        {name: values[view_name(name, view if view < count else 0)] for name, count in counts.items()}
        for view in range(max(counts.values()))
    ]


def sanitized_id(video_id: str) -> str:
    """The id with an underscore for each character that id_problem names."""
    return ODD_CHARACTER.sub("_", video_id) or "_"


@dataclasses.dataclass(frozen=True, order=True)
class TimedText:
    """A text of a video from ``start`` to ``end``, seconds, 0 and infinity for all of it. field: where it is from."""

    start: float
    end: float
    field: str
    text: str

    @property
    def is_timed(self) -> bool:
        """Whether it is of a part of its video."""
        return self.start > 0 or self.end < math.inf


_FIELD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def field_problem(name: str) -> str:
    """What keeps a name from being that of a field of texts, in words; "" for nothing."""
    if _FIELD.fullmatch(name):
        return ""
    return "is no name of a field: up to 64 letters of English, digits, _ and -"


TEXTS = "texts"
TOKENS, TOKEN_SOURCES, TOKEN_WORDS = "tokens", "token_sources", "token_words"
TOKEN_INPUTS = (TOKENS, TOKEN_SOURCES, TOKEN_WORDS)
"""What a batch has of texts: a string a field, and what becomes of them, see yt8m.data.tokens."""


class Segment(NamedTuple):
    """Five seconds of a video; prints and parses as ``video_id:start_time``.

    ``start_time`` is in seconds. Video ids may themselves contain colons: the last one separates.
    """

    video_id: str
    start_time: int

    def __str__(self):
        return f"{self.video_id}:{self.start_time}"

    @classmethod
    def parse(cls, text: str) -> "Segment":
        """The segment that ``text`` names; raises InputError where it is not ``video_id:start_time``."""
        video_id, colon, start = text.rpartition(":")
        if not (colon and video_id and start.isascii() and start.isdigit() and len(start) <= MAX_START_DIGITS):
            raise InputError(f"{text!r} is not a segment: expected video_id:start_time, as in Eq0a:15")
        return cls(video_id, int(start))
