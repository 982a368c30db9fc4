"""The pictures of a video as JPEGs, for clip records: decoded once, in the memory of the JPEGs."""

import dataclasses

from yt8m.features.backbones.base import PictureInput
from yt8m.features.decoding import Grid
from yt8m.features.enhancement import make_enhancement
from yt8m.features.jpeg import encode_jpeg
from yt8m.features.notes import taking_notes
from yt8m.features.readers import reader_of
from yt8m.features.settings import ClipSettings
from yt8m.types import InputError, StrPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipPictures:
    """The pictures of a video.

    pictures: JPEG bytes each; times: microseconds of each from the first; size: (height, width). notes: what was said
    of the video on the way, sentences.
    """

    pictures: tuple[bytes, ...]
    times: tuple[int, ...]
    size: tuple[int, int]
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ClipReader:
    """Task for map_in_order: (id, source) -> (id, ClipPictures, or the sentence that says why there are none)."""

    settings: ClipSettings

    def __call__(self, item: tuple[str, str]) -> tuple[str, ClipPictures | str]:
        """The result of one item."""
        video_id, source = item
        try:
            return video_id, read_clip(source, self.settings)
        except InputError as error:
            return video_id, str(error)


def read_clip(source: StrPath, settings: ClipSettings = ClipSettings()) -> ClipPictures:
    """The ClipPictures of a video file. source: see yt8m.features.decoding.

    Picture k is the first one shown from k / rate seconds on, or else that on the screen then. Raises InputError where
    the file cannot be read or has no pictures, and where a package is missing.
    """
    grid = Grid(rate=settings.rate, input=PictureInput(size=None, shorter_side=settings.side, enlarged=False))
    enhance = make_enhancement(settings) or (lambda picture: picture)
    read = reader_of(settings)
    pictures, times, sizes, notes = [], [], [], []
    with taking_notes(notes):
        for _, index, picture in read(source, [grid], max_seconds=settings.max_seconds):
            pictures.append(encode_jpeg(enhance(picture), quality=settings.quality))
            times.append(round(index * 10**6 / settings.rate))
            sizes.append(picture.shape[:2])
    if not pictures:
        raise InputError(f"{source} has sound and no pictures, which clip records are made of")
    return ClipPictures(pictures=tuple(pictures), times=tuple(times), size=sizes[0], notes=tuple(notes))
