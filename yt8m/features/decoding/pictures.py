"""Pictures of a video at evenly spaced times, scaled and cropped, for several uses in one decode."""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Any

import numpy as np

from yt8m.features.backbones.base import PictureInput
from yt8m.features.decoding.media import open_media
from yt8m.features.decoding.sources import import_av
from yt8m.types import InputError, StrPath

_LARGEST_ASPECT = 10
"""Of a pixel, width to height or height to width; beyond it the file's word is taken for damage."""

_FINEST_RATE = 10**6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grid:
    """Times at which pictures are wanted: ``rate`` a second, as ``input`` says."""

    rate: float
    input: PictureInput


def read_pictures(
    source: StrPath, grids: Sequence[Grid], *, max_seconds: float | None = None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Pictures of a video at the times of all ``grids``, in order of time: one decode, in the memory of a few frames.

    source: as open_container takes it. max_seconds: seconds from the first picture on that are looked at.

    Yields (number of the grid, index k, uint8 (H, W, 3) RGB picture). Index k stands for k / rate seconds from the
    first picture on, and its picture is the first one shown from then on and before (k + 1) / rate; where there is
    none, that which is on the screen at k / rate. The last index is that in which the last picture begins, or the last
    that it is shown throughout. Pictures are as a viewer sees them, turned and with square pixels.

    Nothing is yielded where there is sound alone. Raises InputError where the file cannot be read or no picture can be
    decoded; what is damaged or cut is told in a DataWarning when the rest has been yielded.
    """
    with open_media(source) as media:
        if media.video is None:
            return
        limit = None if max_seconds is None else Fraction(max_seconds)
        aspect = media.video.sample_aspect_ratio
        makers = {grid.input: _PictureMaker(grid.input, aspect) for grid in grids}
        steps = [_Steps(number, grid.rate, limit) for number, grid in enumerate(grids)]
        shown, end = None, Fraction(0)
        for time, frame, clock in media.frames(media.video):
            if limit is not None and time >= limit:
                end = limit
                break
            due = [step for grid in steps for step in grid.reached(time, frame, shown)]
            for _, number, k, picture in sorted(due, key=lambda step: step[:2]):
                yield number, k, makers[grids[number].input](picture)
            shown, end = frame, clock.end
        if shown is None and limit != 0:
            raise InputError(f"{os.fspath(source)} has a video of which no picture can be decoded")
        due = [step for grid in steps for step in grid.covered(end, shown)]
        for _, number, k, picture in sorted(due, key=lambda step: step[:2]):
            yield number, k, makers[grids[number].input](picture)


class _Steps:
    """The indices of one grid, each of which is given a frame once."""

    def __init__(self, number, rate, limit):
        self._number, self._rate = number, Fraction(rate).limit_denominator(_FINEST_RATE)
        self._next = 0
        self._stop = None if limit is None else ceil(limit * self._rate)

    def reached(self, time, frame, shown):
        """Steps that a frame at ``time`` ends or begins; those before its own show the frame before it."""
        step = floor(time * self._rate)
        if step < self._next:
            return []
        return [*self._fill(step, shown), *self._fill(step + 1, frame)]

    def covered(self, end, shown):
        """Steps that the last frame, which stays until ``end``, is shown throughout."""
        return self._fill(floor(end * self._rate), shown)

    def _fill(self, stop, frame):
        stop = stop if self._stop is None else min(stop, self._stop)
        first, self._next = self._next, max(self._next, stop)
        return [(k / self._rate, self._number, k, frame) for k in range(first, stop)]


class _PictureMaker:
    """Frames as a PictureInput wants them, RGB; the last one is remembered, as a hole shows it many times."""

    def __init__(self, wanted: PictureInput, aspect: Fraction | None):
        av = import_av()
        self._wanted = wanted
        self._aspect = usable_aspect(aspect)
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._interpolation = wanted.interpolation.upper()
        self._frame: Any = None
        self._picture: Any = None

    def __call__(self, frame):
        if frame is not self._frame:
            self._frame, self._picture = frame, self._make(frame)
        return self._picture

    def _make(self, frame):
        turns = quarter_turns(frame)
        shown = shown_size(frame.height, frame.width, self._aspect, turns)
        height, width = _scaled_size(shown, self._wanted)
        across, down = (height, width) if turns % 2 else (width, height)
        scaled = self._reformatter.reformat(
            frame,
            width=across,
            height=down,
            # At an odd width FFmpeg makes packed pixels one by one, and the same as planes in a third of the time.
            format="gbrp" if across % 2 else "rgb24",
            interpolation=self._interpolation,
            # More threads than one cost more than they save while the decoder's are at work.
            threads=1,
        )
        picture = np.rot90(scaled.to_ndarray(), turns)
        crop_height, crop_width = self._wanted.size or (height, width)
        top, left = (height - crop_height) // 2, (width - crop_width) // 2
        return np.ascontiguousarray(picture[top : top + crop_height, left : left + crop_width])


def quarter_turns(frame: Any) -> int:
    """Quarter turns counterclockwise, 0 to 3, after which a frame is as it is shown."""
    return round(frame.rotation / 90) % 4


def usable_aspect(aspect: Fraction | None) -> Fraction:
    """Width to height of a pixel: what the file says, 1 where that is nothing or beyond reason."""
    return aspect if aspect and Fraction(1, _LARGEST_ASPECT) <= aspect <= _LARGEST_ASPECT else Fraction(1)


def shown_size(height: int, width: int, aspect: Fraction, turns: int) -> tuple[int, int]:
    """(height, width) at which a frame is shown. aspect: of its pixels; turns: as quarter_turns gives."""
    width = max(1, round(width * aspect))
    return (width, height) if turns % 2 else (height, width)


def _scaled_size(shown, wanted):
    """(height, width) before the crop: the shorter side as wanted, and neither below that of the crop."""
    if wanted.size is None and wanted.shorter_side is None:
        return shown
    if wanted.shorter_side is None:
        return wanted.size
    least = wanted.size or (1, 1)
    factor = max(Fraction(wanted.shorter_side, min(shown)), *(Fraction(a, b) for a, b in zip(least, shown)))
    factor = factor if wanted.enlarged else min(factor, Fraction(1))
    return tuple(max(a, floor(b * factor)) for a, b in zip(least, shown))
