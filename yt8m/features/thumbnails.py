"""Thumbnails of a video, evenly spaced, for pages."""

from collections.abc import Iterator

from yt8m.features.backbones.base import PictureInput
from yt8m.features.decoding import Grid, read_pictures
from yt8m.features.jpeg import encode_jpeg
from yt8m.types import StrPath

_HEIGHT = 54
_QUALITY = 60


def make_thumbnails(source: StrPath, *, seconds: int, count: int = 10) -> Iterator[tuple[int, bytes]]:
    """Yields (second, JPEG bytes) of ``count`` pictures of a video, or of one a second where it is shorter.

    seconds: its length. Raises InputError where Pillow is not installed.
    """
    step = max(1, -(-seconds // count))
    grid = Grid(rate=1 / step, input=PictureInput(size=None, shorter_side=_HEIGHT))
    for _, place, picture in read_pictures(source, [grid], max_seconds=seconds):
        yield place * step, encode_jpeg(picture, quality=_QUALITY)
