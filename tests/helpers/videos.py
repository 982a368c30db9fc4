"""Small videos whose frames tell their own number, and a slow reading of any video."""

import warnings
from fractions import Fraction

import numpy as np
import pytest

from yt8m.types import DataWarning

_BITS = 12


def numbered(number, *, height=32, width=96):
    """(height, width, 3) uint8: the number in stripes of black and white, least bit first."""
    bits = (number >> np.arange(_BITS)) & 1
    row = np.repeat(np.where(bits, 235, 20), width // _BITS).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_of(picture):
    """The number that a picture of ``numbered`` shows, whatever it was scaled to."""
    stripes = np.array_split(picture.mean(axis=(0, 2)), _BITS)
    return sum(
        (stripe[len(stripe) // 4 : -(len(stripe) // 4) or None].mean() > 127) << bit
        for bit, stripe in enumerate(stripes)
    )


def write_video(
    path,
    times,
    *,
    pictures=None,
    codec="libx264",
    pixels="yuv420p",
    tick=Fraction(1, 90_000),
    sound=None,
    sound_from=0,
    container_options=None,
    **options,
):
    """Writes a video and returns its path.

    times: seconds of its frames, which show ``numbered`` or ``pictures``. tick: seconds, time base. sound: (samples,) or
    (samples, channels) float at 16 kHz that begins at second ``sound_from``, or None. options: of the encoder.
    """
    av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")
    packets = []
    with av.open(str(path), "w", options=container_options or {}) as container:
        if len(times):
            pictures = [numbered(number) for number in range(len(times))] if pictures is None else pictures
            stream = container.add_stream(codec, rate=25, options={"g": "12", **options})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = pixels
            stream.time_base = stream.codec_context.time_base = tick
        if sound is not None:
            sound = sound.reshape(len(sound), -1)
            layout = {1: "mono", 2: "stereo"}[sound.shape[1]]
            lossless = str(path).endswith((".mkv", ".avi", ".wav"))
            heard = container.add_stream("pcm_s16le" if lossless else "aac", rate=16_000, layout=layout)
        for time, picture in zip(times, pictures or (), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(Fraction(time) / tick), tick
            packets += stream.encode(frame)
        packets += stream.encode() if len(times) else ()
        for first in range(0, 0 if sound is None else len(sound), 1024):
            piece = np.round(sound[first : first + 1024].reshape(1, -1) * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
            frame.sample_rate, frame.pts = 16_000, round(sound_from * 16_000) + first
            packets += heard.encode(frame)
        packets += () if sound is None else heard.encode()
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return str(path)


def all_frames(path, index=0):
    """[(seconds, frame)] of a video stream, one thread, one after the other, and when the last one ends."""
    import av

    frames = []
    with av.open(path) as container:
        for packet in container.demux(container.streams.video[index]):
            try:
                frames += [(frame.pts * frame.time_base, frame) for frame in packet.decode()]
            except av.FFmpegError:
                continue
    last = frames[-1][1]
    return frames, frames[-1][0] + (last.duration or 0) * last.time_base


def slow_choice(frames, end, rate):
    """What read_pictures chooses of (seconds, frame), looked for afresh for each index."""
    rate, origin = Fraction(rate), frames[0][0]
    chosen = []
    while True:
        begin = origin + len(chosen) / rate
        within = [frame for time, frame in frames if begin <= time < begin + 1 / rate]
        before = [frame for time, frame in frames if time < begin]
        later = any(time >= begin for time, _ in frames)
        if not within and not later and end < begin + 1 / rate:
            return chosen
        chosen.append(within[0] if within else before[-1])


def told(function):
    """(what a function returns, texts of the DataWarnings that it gave)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        result = function()
    return result, [str(warning.message) for warning in caught if issubclass(warning.category, DataWarning)]
