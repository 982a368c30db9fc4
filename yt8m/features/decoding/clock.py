"""A clock over decoded frames: seconds since its origin, which only go on, whatever the file says."""

from fractions import Fraction
from typing import Any

_BACK = 10
"""Seconds by which times may fall back before they are taken to start anew."""

_USUAL_LENGTH = Fraction(1, 25)
"""Seconds of a frame of which nothing credible is said."""

_FARTHEST = 3600
"""Seconds from the origin, before it or behind it, at which a stream may begin."""


class Clock:
    """Presentation times of the frames of one stream, exact, in seconds.

    origin: time in the file that counts as 0; that of the first frame unless given. longest_jump: seconds between one
    frame's end and the next frame that are still a hole; what is longer is damage, or two recordings in one file, and
    is left out. frame_seconds: length of a frame that does not say its own, 0 where it is unknown.

    Attributes: origin; end, seconds from the origin to the end of the last frame; raw_end, the same in the file's own
    times; jumps, how many times the clock was set right; first_jump, second of the first of them.
    """

    def __init__(self, *, origin: Fraction | None, longest_jump: int, frame_seconds: Fraction):
        self.origin = origin
        self.end = self.raw_end = Fraction(0)
        self.jumps, self.first_jump = 0, Fraction(0)
        self._longest_jump = longest_jump
        self._frame_seconds = frame_seconds if 0 < frame_seconds <= longest_jump else _USUAL_LENGTH
        self._last: Fraction | None = None
        self._zero = Fraction(0) if origin is None else origin
        self._times = _BestTimes()
        self._said: tuple[int, int | None, Fraction | None] | None = None
        self._length = self._frame_seconds

    def time(self, frame: Any) -> Fraction:
        """Seconds from the origin to a frame, the next one that was decoded; never less than for the one before."""
        ticks = self._times.of(frame)
        unit = frame.time_base
        raw = self.raw_end if ticks is None else ticks * unit
        if self.origin is None:
            self.origin = self._zero = raw
        now = raw - self._zero
        # Most frames begin where the one before ends, and arithmetic of fractions is slow.
        if now != self.end:
            now = self._set_right(now)
        length = self._seconds(frame, unit)
        self._last, self.end, self.raw_end = now, now + length, raw + length
        return now

    def _set_right(self, now):
        """The time of a frame that would be at ``now``: where that is a jump, the end of the frame before."""
        gap = now - self.end
        back, forward = (_FARTHEST, _FARTHEST) if self._last is None else (_BACK, self._longest_jump)
        if not -back <= gap <= forward:
            self._zero, now = self._zero + gap, self.end
            self.jumps += 1
            self.first_jump = self.first_jump if self.jumps > 1 else now
        return now if self._last is None else max(now, self._last)

    def _seconds(self, frame, unit):
        rate = getattr(frame, "sample_rate", None)
        said = (frame.samples, rate, None) if rate else (frame.duration or 0, None, unit)
        if said != self._said:
            length = Fraction(said[0], rate) if rate else said[0] * unit
            self._said, self._length = said, length if 0 < length <= self._longest_jump else self._frame_seconds
        return self._length


class _BestTimes:
    """FFmpeg's choice between a frame's presentation time and its packet's: that which has run backwards less often."""

    def __init__(self):
        self._last_pts = self._last_dts = None
        self._faulty_pts = self._faulty_dts = 0

    def of(self, frame):
        """Ticks of the frame's time base, or None."""
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._faulty_dts += self._last_dts is not None and dts <= self._last_dts
        if pts is not None:
            self._faulty_pts += self._last_pts is not None and pts <= self._last_pts
        self._last_dts = pts if dts is None else dts
        self._last_pts = dts if pts is None else pts
        return pts if pts is not None and (dts is None or self._faulty_pts <= self._faulty_dts) else dts
