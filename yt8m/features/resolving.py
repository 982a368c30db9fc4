"""Small videos and clips enlarged by a super-resolution network before anything else sees them."""

import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from yt8m.features.backbones.base import PictureInput
from yt8m.features.decoding import Fitting, Grid, probe_video, read_pictures
from yt8m.super_resolution.base import SuperResolver
from yt8m.super_resolution.run import load_resolver, resolver_digest
from yt8m.types import StrPath

SMALL = 96
"""Pixels of the shorter side below which a video is enlarged."""

ENLARGED = 128
"""Pixels of the shorter side that it then has."""

_CLIP = 16
"""Pictures that the network sees together."""


class Resolving:
    """Pictures of a video at the times of grids, or of a clip, those of a small one enlarged.

    run_dir: folder of yt8m-super-resolve. A video whose shorter side has less than 96 pixels is scaled to 128 by the
    network's factor, and enlarged to 128, 16 pictures of a grid at a time; every other one is left to the backbones:
    the rule of the winning recipe for tiny video. ``digest``: SHA-256 in hex of the network.
    """

    def __init__(self, run_dir: StrPath):
        self._run_dir = os.fspath(run_dir)
        self.digest = resolver_digest(run_dir)

    @property
    def _network(self) -> SuperResolver:
        return _loaded(self._run_dir, self.digest)

    @property
    def _small(self) -> PictureInput:
        """What the network is given."""
        return PictureInput(size=None, shorter_side=ENLARGED // self._network.scale)

    def enlarge(self, pictures: Iterable[np.ndarray]) -> Iterator[np.ndarray | None]:
        """The pictures of a clip, uint8 (H, W, 3), decoded, by the same rule: one each, None for a large one.

        In the memory of 16 pictures, of one size and on end, that the network sees together.
        """
        fit = Fitting(self._small)
        for shape, run in itertools.groupby(pictures, key=np.shape):
            if min(shape[:2]) >= SMALL:
                yield from (None for _ in run)
                continue
            while alike := [fit(picture) for picture in itertools.islice(run, _CLIP)]:
                yield from self._resolved(alike)

    def read_pictures(
        self, source: StrPath, grids: Sequence[Grid], *, max_seconds: float | None = None
    ) -> Iterator[tuple[int, int, np.ndarray]]:
        """As yt8m.features.decoding.read_pictures, in order of time for each grid by itself."""
        info = probe_video(source)
        if not 0 < min(info.width, info.height) < SMALL:
            yield from read_pictures(source, grids, max_seconds=max_seconds)
            return
        fits = [Fitting(grid.input) for grid in grids]
        held: list[list[tuple[int, np.ndarray]]] = [[] for _ in grids]
        plain = [dataclasses.replace(grid, input=self._small) for grid in grids]
        for number, k, picture in read_pictures(source, plain, max_seconds=max_seconds):
            held[number].append((k, picture))
            if len(held[number]) == _CLIP:
                yield from self._enlarged(number, held[number], fits[number])
                held[number] = []
        for number, waiting in enumerate(held):
            if waiting:
                yield from self._enlarged(number, waiting, fits[number])

    def _enlarged(self, number, waiting, fit):
        for (k, _), picture in zip(waiting, self._resolved([picture for _, picture in waiting])):
            yield number, k, fit(picture)

    def _resolved(self, pictures):
        return list(self._network.resolve(np.stack(pictures)[None])[0])


@functools.lru_cache(1)
def _loaded(run_dir: str, digest: str) -> SuperResolver:
    """The network of a run, kept for the next video; by its digest, because it may have been trained on since."""
    return load_resolver(run_dir)
