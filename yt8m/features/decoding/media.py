"""Frames of a file with their times: choice of streams, and what is told of those that cannot be decoded."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from yt8m.features.decoding.clock import Clock
from yt8m.features.decoding.sources import import_av, is_local, open_container
from yt8m.types import DataWarning, InputError, StrPath

_STATED = ("matroska", "mov", "avi", "flv", "asf")
"""Containers whose header states how long they are; for others FFmpeg guesses."""

_SLACK = 1
"""Seconds by which a whole file may end before the time that it states."""

_HOLE, _HOLE_OF_BROADCASTS = 3600, 10
"""Seconds of the longest hole in a stream, and in one of a format whose times may start anew at any frame."""


@contextlib.contextmanager
def open_media(source: StrPath) -> Iterator["Media"]:
    """Context manager: the Media of a source, as open_container takes it."""
    with open_container(source) as container:
        yield Media(os.fspath(source), container)


class Media:
    """An open file.

    Attributes: name; container, PyAV's; video and sound, its streams or None. Cover art is no video, and of several
    streams the default one is taken. Raises InputError where there is neither.
    """

    def __init__(self, name: str, container: Any):
        self.name = name
        self.container = container
        self.video = _best(container, "video")
        self.sound = _best(container, "audio", related=self.video)
        self._read_to: dict[Any, int] = {}
        self._broken = False
        if self.video is None and self.sound is None:
            raise InputError(f"{name} has no video and no sound that can be decoded")

    def frames(self, stream: Any, *, origin: Fraction | None = None) -> Iterator[tuple[Fraction, Any, Clock]]:
        """(seconds from ``origin``, frame, clock) of a stream, in the order in which frames are shown.

        origin: as Clock has it. Frames that cannot be decoded are left out; a DataWarning tells so when the last one
        has been read.
        """
        av = import_av()
        stream.thread_type = "AUTO"
        clock = self._clock(stream, origin)
        damaged, first_damage = 0, Fraction(0)
        for packet in self._packets(av):
            if packet.stream is not stream or (packet.size == 0 and packet.pts is not None):
                # An empty packet stands for the picture before it once more.
                continue
            try:
                frames = packet.decode()
            except av.EOFError:
                continue
            except av.FFmpegError:
                first_damage = first_damage if damaged else clock.end
                damaged += 1
                continue
            for frame in frames:
                time = clock.time(frame)
                if getattr(frame, "is_corrupt", False):
                    first_damage = first_damage if damaged else time
                    damaged += 1
                yield time, frame, clock
        self._warn(stream, clock, damaged, first_damage)

    def _clock(self, stream, origin):
        av = import_av()
        restarts = self.container.format.flags & av.format.Flags.ts_discont.value
        rate = getattr(stream, "average_rate", None)
        return Clock(
            origin=origin,
            longest_jump=_HOLE_OF_BROADCASTS if restarts else _HOLE,
            frame_seconds=1 / rate if rate else Fraction(0),
        )

    def _packets(self, av):
        packets = self.container.demux()
        while True:
            try:
                packet = next(packets)
            except (StopIteration, IndexError):
                # PyAV trips over streams that turned up on the way, when it is behind the last packet.
                return
            except (av.FFmpegError, OSError) as error:
                if not (is_local(self.name) or isinstance(error, av.InvalidDataError)):
                    raise InputError(f"{self.name} cannot be read to its end: {error}") from error
                self._broken = True
                return
            if packet.pts is not None and packet.stream in (self.video, self.sound):
                end = packet.pts + (packet.duration or 0)
                self._read_to[packet.stream] = max(end, self._read_to.get(packet.stream, end))
            yield packet

    def _warn(self, stream, clock, damaged, first_damage):
        texts = []
        is_video = stream is self.video
        if self._is_cut(stream, clock) and (is_video or self.video is None):
            texts.append(f"it is damaged behind second {float(clock.end):.1f}: what is behind it is left out")
        elif damaged:
            what = "pictures" if is_video else "sound"
            pieces = "one piece" if damaged == 1 else f"{damaged:,} pieces"
            texts.append(
                f"{pieces} of its {what} left out or patched as damaged, first at second {float(first_damage):.1f}"
            )
        if clock.jumps:
            times = "once" if clock.jumps == 1 else f"{clock.jumps:,} times, first"
            texts.append(
                f"its clock jumps {times} at second {float(clock.first_jump):.1f}, and is read as if it went on"
            )
        if texts:
            warnings.warn(f"{self.name}: {'; '.join(texts)}", DataWarning, stacklevel=4)

    def _is_cut(self, stream, clock):
        """Whether reading, or decoding, ended before the file or the stream does."""
        if self._broken:
            return True
        read_to = {read: ticks * read.time_base for read, ticks in self._read_to.items()}
        if not clock.jumps and read_to.get(stream, clock.raw_end) - clock.raw_end > _SLACK:
            return True
        if not (read_to and self.container.format.name.startswith(_STATED)):
            return False
        stated = Fraction(self.container.duration or 0, 10**6)
        if self.video is not None and self.video.average_rate:
            # Of an .avi without its end FFmpeg states the length that is left, and still the number of frames.
            stated = max(stated, self.video.frames / self.video.average_rate)
        return stated - max(read_to.values()) > _SLACK


def _best(container, kind, related=None):
    """FFmpeg's choice of the "video" or "audio" streams that can be decoded; the first where it makes none.

    It makes none where a stream begins so late in a broadcast that nothing is known of it yet.
    """
    cover = import_av().stream.Disposition.attached_pic
    streams = [stream for stream in getattr(container.streams, kind) if not stream.disposition & cover]
    streams = [stream for stream in streams if stream.codec_context is not None]
    best = container.streams.best(kind, related=related)
    return best if best in streams else next(iter(streams), None)
