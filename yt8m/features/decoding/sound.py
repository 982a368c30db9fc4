"""Sound as a backbone wants it: 16 kHz, mono, in windows that begin at each second of the video."""

from collections.abc import Iterator
from fractions import Fraction

import numpy as np

from yt8m.features.backbones.base import SOUND_RATE
from yt8m.features.decoding.media import Media, open_media
from yt8m.features.decoding.sources import import_av
from yt8m.types import StrPath

_TOLERANCE = SOUND_RATE // 20
"""Samples by which times that are rounded, or a recorder's clock that drifts, may be off before sound is set right."""


def read_sound(source: StrPath, *, samples: int, seconds: int | None = None) -> Iterator[np.ndarray]:
    """Windows of the sound of a video or sound file, float32 (samples,) in [-1, 1] at SOUND_RATE, mean of its channels.

    source: as open_container takes it. samples: length of a window; those of more than a second overlap. seconds:
    number of windows, that of a video's seconds; the sound's own length, rounded up, where it is None.

    Window k begins k seconds after the first picture, or after the first sound where there is no picture. Where there
    is no sound, in holes, before a late start and behind the end, windows are silent; of sounds that overlap the first
    one counts. Nothing is yielded for a file without sound. A few seconds are in memory at a time.

    Raises InputError where the file cannot be read; what is damaged is told in a DataWarning.
    """
    with open_media(source) as media:
        if media.sound is None:
            return
        origin = None if media.video is None else _first_picture(source)
        held, start, count = np.zeros(0, np.float32), 0, 0
        for piece in _pieces(media, origin):
            held = np.concatenate([held, piece])
            while start + len(held) >= count * SOUND_RATE + samples and count != seconds:
                held, start = _dropped(held, start, count)
                yield held[:samples].copy()
                count += 1
            if count == seconds:
                return
        end = start + len(held)
        while count < (-(-end // SOUND_RATE) if seconds is None else seconds):
            held, start = _dropped(held, start, count)
            yield np.pad(held[:samples], (0, max(0, samples - len(held))))
            count += 1


def _dropped(held, start, second):
    """What is held from ``second`` on, and the sample at which that begins."""
    first = min(len(held), second * SOUND_RATE - start)
    return held[first:], start + first


def _first_picture(source):
    """Seconds in the file's own time at which its first picture is shown; None where none can be decoded."""
    with open_media(source) as media:
        for _, _, clock in media.frames(media.video):
            return clock.origin
    return None


def _pieces(media: Media, origin: Fraction | None) -> Iterator[np.ndarray]:
    """The samples from the origin on, without holes, about a second at a time."""
    line, resampler, setup, expected = _Line(), None, None, Fraction(0)
    for time, frame, _ in media.frames(media.sound, origin=origin):
        begin, found = time * SOUND_RATE, (frame.format.name, frame.layout.name, frame.sample_rate)
        if setup != found or abs(begin - expected) > _TOLERANCE:
            yield from (line.put(piece) for piece in _resampled(resampler, None))
            yield from line.silence_until(round(begin))
            resampler, setup, expected = _resampler(frame), found, begin
        yield from (line.put(piece) for piece in _resampled(resampler, frame))
        expected += Fraction(frame.samples * SOUND_RATE, frame.sample_rate)
    yield from (line.put(piece) for piece in _resampled(resampler, None))


class _Line:
    """A line of samples to which pieces are put in order: holes are filled, overlaps are cut."""

    def __init__(self):
        self._written = self._surplus = 0

    def silence_until(self, sample):
        """Zeros up to a sample, or none where the line goes past it: the next piece loses as many."""
        self._surplus = max(0, self._written - sample)
        while self._written < sample:
            piece = np.zeros(min(SOUND_RATE, sample - self._written), np.float32)
            self._written += len(piece)
            yield piece

    def put(self, piece):
        """The part of a piece that is behind what was written."""
        cut = min(self._surplus, len(piece))
        self._surplus -= cut
        self._written += len(piece) - cut
        return piece[cut:]


def _resampler(frame):
    return import_av().AudioResampler(format="fltp", layout=frame.layout.name, rate=SOUND_RATE)


def _resampled(resampler, frame):
    """Mono float32 arrays that a frame, or None for the end, brings out of a resampler."""
    for part in () if resampler is None else resampler.resample(frame):
        mono = part.to_ndarray().mean(axis=0, dtype=np.float32)
        yield np.nan_to_num(np.clip(mono, -1, 1), copy=False)
