"""What of a video a backbone of pictures or clips is shown for each second: which frames, which crops."""

import dataclasses
import math
from collections.abc import Callable, Iterator

import numpy as np

from yt8m.features.backbones.base import PictureInput
from yt8m.features.decoding import Grid
from yt8m.features.settings import ExtractionSettings
from yt8m.types import SEGMENT_SECONDS

_BEFORE = SEGMENT_SECONDS // 2
"""Seconds before a second at which the segment around it begins."""


class PictureWindows:
    """The inputs of a backbone for each second of a video, made of pictures that come in order.

    wanted: what the backbone takes. Attribute ``grid``: the Grid whose pictures ``add`` is to be given. Of each second
    the inputs are views x crops pictures (H, W, 3), or clips (T, H, W, 3), the middle crop of the first picture, or of
    the middle clip, first. Only pictures still needed are held.
    """

    def __init__(
        self,
        wanted: PictureInput,
        settings: ExtractionSettings,
        enhance: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        self._wanted, self._enhance = wanted, enhance
        self._frames, self._crops = wanted.frames, settings.crops
        self._first = settings.views // 2 if wanted.frames > 1 else 0
        uniform = settings.sampling == "uniform" and wanted.frames > 1
        self._offsets, rate = _uniform(wanted, settings.views) if uniform else _dense(wanted, settings.views)
        shown = wanted if self._crops == 1 else _uncropped(wanted)
        self.grid = Grid(rate=rate, input=shown)
        self._held: dict[int, np.ndarray] = {}
        self._second = self._count = 0

    def add(self, picture: np.ndarray) -> Iterator[np.ndarray]:
        """Takes the next picture of the grid; yields the inputs of each second that is complete with it."""
        self._held[self._count] = picture if self._enhance is None else self._enhance(picture)
        self._count += 1
        while self._indices(self._second).max() < self._count:
            yield self._make()

    def finish(self) -> Iterator[np.ndarray]:
        """The inputs of the seconds that are left, behind whose end the last picture stays."""
        seconds = math.ceil(self._count / self.grid.rate)
        while self._second < seconds:
            yield self._make()

    def _indices(self, second):
        """(views, T) int64 indices of pictures on the grid, before the end of the video."""
        return np.maximum(self._offsets(second), 0)

    def _make(self):
        indices = np.minimum(self._indices(self._second), self._count - 1)
        inputs = [
            [_crop(self._held[index], self._wanted.size, place) for index in view]
            for view in np.roll(indices, -self._first, axis=0).tolist()
            for place in ((0.5,) if self._crops == 1 else (0.5, 0.0, 1.0))
        ]
        self._second += 1
        needed = min(self._indices(self._second).min(), self._count - 1)
        for index in [index for index in self._held if index < needed]:
            del self._held[index]
        stacked = np.array(inputs)
        return stacked if self._frames > 1 else stacked[:, 0]


def _dense(wanted, views):
    """(function of a second to (views, T) indices, pictures a second): T frames at the backbone's own rate.

    A picture is the first in its part of the second, as YouTube-8M takes them; a clip lies around the middle of it.
    """
    frames = np.arange(wanted.frames)
    if wanted.frames == 1:
        return lambda second: second * views + np.arange(views)[:, None], float(views)
    middles = (np.arange(views) + 0.5) / views

    def offsets(second):
        first = np.rint((second + middles) * wanted.rate - wanted.frames / 2).astype(np.int64)
        return first[:, None] + frames

    return offsets, wanted.rate


def _uniform(wanted, views):
    """As _dense: T frames, one of each T-th of the segment around the second."""
    shifts = (np.arange(views) + 0.5) / views
    places = np.floor((np.arange(wanted.frames) + shifts[:, None]) * SEGMENT_SECONDS).astype(np.int64)
    return lambda second: (second - _BEFORE) * wanted.frames + places, float(wanted.frames)


def _uncropped(wanted):
    """A PictureInput of whole pictures, scaled as ``wanted`` says, or to the crop's longer side where it stretches."""
    if wanted.size is None:
        return wanted
    side = max(wanted.shorter_side or 0, *wanted.size)
    return dataclasses.replace(wanted, size=None, shorter_side=side)


def _crop(picture, size, place):
    """A (height, width) part of a picture; place: 0, left or top, to 1, right or bottom, along its longer side."""
    if size is None or picture.shape[:2] == tuple(size):
        return picture
    spare = np.array(picture.shape[:2]) - size
    places = np.where(spare == spare.max(), place, 0.5) if spare[0] != spare[1] else np.full(2, 0.5)
    top, left = np.floor(spare * places).astype(int).tolist()
    return picture[top : top + size[0], left : left + size[1]]
