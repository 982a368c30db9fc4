"""Timelines as text for a terminal: a row a class, a column a segment, higher blocks for higher scores."""

import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

import numpy as np

from yt8m.ranking.timelines import Timeline, class_name
from yt8m.text import counted, printable

_BLOCKS = " ▁▂▃▄▅▆▇█"
_ASCII = " .:-=+*#%"
_MOST_CHARACTERS = 4
_MOST_NAME = 28
_BEST = " 0.00 at 0:00:00"
_STRONG, _WEAK, _PLAIN = "\x1b[1;32m", "\x1b[2m", "\x1b[0m"


def draw_timeline(
    timeline: Timeline,
    *,
    names: dict[int, str],
    kind: str,
    threshold: float,
    width: int,
    stream: TextIO,
    full: float = 1.0,
) -> str:
    """The lines, joined, none of more than ``width`` characters (of 40 where it is less).

    timeline: its classes in the order to show them; names: dict of class id to name; kind: words on what the scores
    are; threshold: scores from it on are coloured. stream: where it will be written, which decides on colours and on
    blocks or ASCII. full: the score from which on a block is a whole one.
    """
    width = max(width, 40)
    labels = [class_name(class_id, names) for class_id in timeline.class_ids.tolist()]
    label_width = min(max([_cells(printable(label)) for label in labels], default=0), _MOST_NAME, width // 3)
    room = width - label_width - 1 - len(_BEST)
    step, repeat = _columns(len(timeline.starts), room)
    length = f"{_clock(timeline.end)}, {counted(len(timeline.starts), 'segment')}"
    head = f"{printable(timeline.video_id)}  {length}, scores {kind}"
    lines = [_fit(head, width).rstrip()]
    blocks = _BLOCKS if _can_write(stream, _BLOCKS) else _ASCII
    colours = wants_colours(stream)
    for label, scores in zip(labels, timeline.scores):
        best = int(scores.argmax())
        said = f" {scores[best]:.2f} at {_clock(int(timeline.starts[best]))}"
        bar = _bar(scores, step, repeat, blocks, threshold=threshold, full=full, colours=colours)
        lines.append(f"{_fit(label, label_width)} {bar}{said}")
    if labels:
        lines.append(" " * (label_width + 1) + _axis(timeline, step, repeat))
    return "\n".join(lines)


def wants_colours(stream: TextIO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether to write colours: on a terminal that is not dumb, and not where NO_COLOR (no-color.org) is set."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def _columns(num_segments, room):
    """(segments a column, characters a column)."""
    step = max(-(-num_segments // room), 1)
    count = -(-num_segments // step)
    return step, max(min(room // max(count, 1), _MOST_CHARACTERS), 1)


def _bar(scores, step, repeat, blocks, *, threshold, full, colours):
    best = np.maximum.reduceat(scores, np.arange(0, len(scores), step))
    text, now = "", ""
    for score in best.tolist():
        wanted = (_STRONG if score >= threshold else _WEAK) if colours else ""
        text += (wanted if wanted != now else "") + blocks[round(min(score / full, 1) * (len(blocks) - 1))] * repeat
        now = wanted
    return text + (_PLAIN if colours else "")


def _axis(timeline, step, repeat):
    """Times below the columns, as many as there is room for."""
    starts = timeline.starts[::step].tolist()
    line = ""
    for place, start in enumerate(starts):
        mark = "|" + _clock(start)
        if len(line) <= place * repeat:
            line = line.ljust(place * repeat) + mark + " "
    return line.rstrip()


def _clock(seconds):
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


def _fit(text, width):
    """``text`` cut or filled to ``width`` columns of a terminal."""
    text = printable(text)
    if _cells(text) > width:
        while text and _cells(text) > width - 1:
            text = text[:-1]
        text += "~"
    return text + " " * (width - _cells(text))


def _cells(text):
    """Columns that ``text`` takes: two for wide characters, none for combining ones."""
    visible = [character for character in text if not unicodedata.combining(character)]
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in visible)


def _can_write(stream, text):
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return False
    return True
