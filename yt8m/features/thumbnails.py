"""Thumbnails of a video, evenly spaced, for pages."""

import io
from collections.abc import Iterator

from yt8m.features.backbones.base import PictureInput
from yt8m.features.decoding import Grid, read_pictures
from yt8m.types import InputError, StrPath

_HEIGHT = 54
_QUALITY = 60


def make_thumbnails(source: StrPath, *, seconds: int, count: int = 10) -> Iterator[tuple[int, bytes]]:
    """Yields (second, JPEG bytes) of ``count`` pictures of a video, or of one a second where it is shorter.

    seconds: its length. Raises InputError where Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise InputError("thumbnails need Pillow: pip install 'yt8m[video]'") from None
    step = max(1, -(-seconds // count))
    grid = Grid(rate=1 / step, input=PictureInput(size=None, shorter_side=_HEIGHT))
    for _, place, picture in read_pictures(source, [grid], max_seconds=seconds):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
        yield place * step, file.getvalue()
