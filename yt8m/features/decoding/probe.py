"""What a file says of itself: its length, size, rate and codecs."""

import dataclasses

from yt8m.features.decoding.media import open_media
from yt8m.features.decoding.pictures import quarter_turns, shown_size, usable_aspect
from yt8m.features.decoding.sources import open_container
from yt8m.types import InputError, StrPath


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """A video or sound file by its header and its first picture.

    seconds: length as the file states it, None where it does not. width, height: pixels as a viewer sees them, turned
    and square, 0 without video. frames_per_second: 0 where there is no video, or it does not say. container: FFmpeg's
    name of the format. video_codec, audio_codec: FFmpeg's names of the codecs of the streams that are read, None where
    there is none. rotation: degrees counterclockwise by which stored pictures are turned, 0, 90, 180 or 270.
    """

    seconds: float | None
    width: int
    height: int
    frames_per_second: float
    container: str
    video_codec: str | None
    audio_codec: str | None
    rotation: int


def probe_video(source: StrPath) -> VideoInfo:
    """VideoInfo of a source, as open_container takes it. Raises InputError where it is neither video nor sound."""
    with open_media(source) as media:
        video, sound = media.video, media.sound
        height = width = turns = 0
        if video is not None:
            _, first, _ = next(media.frames(video), (None, None, None))
            turns = 0 if first is None else quarter_turns(first)
            size = (video.height, video.width) if first is None else (first.height, first.width)
            height, width = shown_size(*size, usable_aspect(video.sample_aspect_ratio), turns)
        duration = media.container.duration
        return VideoInfo(
            seconds=duration / 10**6 if duration else None,
            width=width,
            height=height,
            frames_per_second=float(getattr(video, "average_rate", None) or 0),
            container=media.container.format.name,
            video_codec=video and video.codec_context.name,
            audio_codec=sound and sound.codec_context.name,
            rotation=90 * turns,
        )


def stated_seconds(source: StrPath) -> float:
    """Length of a source as its header states it, in seconds; 0 where it states none, or cannot be opened."""
    try:
        with open_container(source) as container:
            return (container.duration or 0) / 10**6
    except InputError:
        return 0.0
