"""One line on standard error that says how far a long job is and how long it still takes."""

import contextlib
import contextvars
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import IO

from yt8m.text import printable

_style = contextvars.ContextVar("style of progress", default="text")


@contextlib.contextmanager
def progress_style(style: str) -> Iterator[None]:
    """Context in which progress is told as "text", as "json", an object a line, or not at all, "quiet"."""
    token = _style.set(style)
    try:
        yield
    finally:
        _style.reset(token)


class Progress:
    """Counts towards ``total`` and redraws at most twice a second on a terminal, every 30 s in a log.

    description: what is counted over ("files"); unit: the word behind the rate ("examples").
    total: None where unknown; then no time left is shown. shown: False counts in silence.
    """

    def __init__(
        self,
        description: str,
        *,
        total: int | None = None,
        unit: str = "it",
        initial: int = 0,
        shown: bool = True,
        stream: IO[str] | None = None,
    ):
        self.description = description
        self.total = total
        self.unit = unit
        self.count = initial
        self._initial = initial
        self._shown = shown and _style.get() != "quiet"
        self._json = _style.get() == "json"
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty() and not self._json
        self._start = self._drawn = time.monotonic()
        self._width = 0

    def update(self, amount: int = 1, *, note: str | Callable[[], str] = "") -> None:
        """Counts ``amount`` more; ``note``, a str or a function that makes one, is shown behind the rate."""
        self.count += amount
        now = time.monotonic()
        if now - self._drawn >= (0.5 if self._terminal else 30):
            self._drawn = now
            self._draw(note() if callable(note) else note)

    def skip(self, amount: int) -> None:
        """Counts ``amount`` more that took no time, so that the rate stays that of the work."""
        self.count += amount
        self._initial += amount

    @property
    def rate(self) -> float:
        """Units a second since the start."""
        return (self.count - self._initial) / max(time.monotonic() - self._start, 1e-9)

    def complete(self) -> None:
        """Sets ``total`` to the count, where it was an estimate."""
        self.total = self.total and self.count

    def message(self, text: str) -> None:
        """Prints ``text`` on a line of its own, above the progress line."""
        if not self._shown:
            return
        if self._json:
            return self._write_json({"event": "message", "job": self.description, "text": text})
        text = printable(text, keep="\n")
        self._stream.write(("\r" + text.ljust(self._width) if self._terminal else text) + "\n")
        self._stream.flush()

    def close(self, note: str = "") -> None:
        """Closes what is open."""
        self._draw(note, end="\n")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception):
        # An error is one sentence, so a job that failed before it had anything to show says nothing.
        if exception[0] is None or self._width:
            self.close()

    def _draw(self, note, end=""):
        if not self._shown:
            return
        elapsed = time.monotonic() - self._start
        rate = self.rate
        if self._json:
            counts = {"count": self.count, "total": self.total, "unit": self.unit}
            times = {"rate": round(rate, 3), "seconds": round(elapsed, 1)}
            return self._write_json({"event": "progress", "job": self.description, **counts, **times, "note": note})
        text = f"{self.description}: {self.count:,}"
        if self.total:
            text += f"/{self.total:,} ({self.count / self.total:.0%})"
        text += f", {rate:{',.0f' if rate >= 1000 else '.4g'}} {self.unit}/s, {_duration(elapsed)} so far"
        if self.total and rate > 0 and self.count < self.total:
            text += f", {_duration((self.total - self.count) / rate)} left"
        if note:
            text += f", {note}"
        text = printable(text)
        self._stream.write("\r" + text.ljust(self._width) + end if self._terminal else text + "\n")
        self._stream.flush()
        self._width = len(text)

    def _write_json(self, event):
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()


def _duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"
