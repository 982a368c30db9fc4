"""Windows of sound: where they begin, what fills holes, and samples against an independent reading."""

from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.videos import told, write_video
from yt8m.features.decoding import read_sound

av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")
RATE = 16_000


def windows(path, samples=RATE, **arguments):
    return list(read_sound(path, samples=samples, **arguments))


def joined(path, **arguments):
    return np.concatenate(windows(path, **arguments))


def noise(seconds, seed=0):
    return np.random.default_rng(seed).uniform(-0.9, 0.9, round(seconds * RATE))


def stored(sound):
    """What 16 bits hold of a sound."""
    return (np.round(sound * 32767) / 32768).astype(np.float32)


def written(path, pieces, *, times=(), rate=RATE, layout="mono", codec="pcm_s16le", length=1600):
    """A .mkv with pieces of sound, [(second, (samples, channels) in [-1, 1])], and pictures at ``times``.

    length: samples of a packet.
    """
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    packets = []
    with av.open(str(path), "w") as container:
        if times:
            stream = container.add_stream("mpeg4", rate=25)
            stream.height = stream.width = 32
            stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        heard = container.add_stream(codec, rate=rate, layout=layout)
        for time in times:
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            packets += stream.encode(frame)
        packets += stream.encode() if times else []
        for second, sound in pieces:
            for first in range(0, len(sound), length):
                piece = np.round(sound[first : first + length].reshape(1, -1) * 32767).astype(np.int16)
                assert piece.size % channels == 0
                frame = av.AudioFrame.from_ndarray(piece, format="s16", layout=layout)
                frame.sample_rate, frame.pts = rate, round(second * rate) + first
                packets += heard.encode(frame)
        packets += heard.encode()
        for packet in sorted(packets, key=lambda packet: packet.pts * packet.time_base):
            container.mux(packet)
    return str(path)


def test_samples_are_those_of_the_file(tmp_path):
    sound = noise(2.5)
    path = written(tmp_path / "a.mkv", [(0, sound)])
    found = windows(path)
    assert [(window.shape, window.dtype) for window in found] == [((RATE,), np.float32)] * 3
    np.testing.assert_allclose(np.concatenate(found)[: len(sound)], stored(sound), atol=1e-7)
    assert not np.concatenate(found)[len(sound) :].any()


@pytest.mark.parametrize("samples", [1, 15_600, RATE, 16_240, 40_000])
def test_windows_begin_at_each_second_and_overlap(tmp_path, samples):
    sound = noise(3.2)
    path = written(tmp_path / "a.mkv", [(0, sound)])
    padded = np.pad(stored(sound), (0, 5 * RATE))
    expected = [padded[second * RATE : second * RATE + samples] for second in range(4)]
    np.testing.assert_allclose(windows(path, samples), expected, atol=1e-7)
    np.testing.assert_allclose(windows(path, samples, seconds=2), expected[:2], atol=1e-7)
    more = windows(path, samples, seconds=6)
    assert len(more) == 6 and not np.any(more[4:])
    assert windows(path, samples, seconds=0) == []


@pytest.mark.parametrize(("picture", "sound_begins"), [(0, 1.5), (2, 0.5), (1.25, 1.25), (0, 12), (9, 1)])
def test_second_0_is_the_first_picture(tmp_path, picture, sound_begins):
    sound = noise(14)
    times = [Fraction(picture) + Fraction(number, 25) for number in range(50)]
    path = written(tmp_path / "a.mkv", [(sound_begins, sound)], times=times)
    shift = round((sound_begins - picture) * RATE)
    line = np.concatenate([np.zeros(max(0, shift)), stored(sound)[max(0, -shift) :]])[: 13 * RATE]
    np.testing.assert_allclose(joined(path, seconds=13), np.pad(line, (0, 13 * RATE - len(line))), atol=1e-7)


def test_without_pictures_second_0_is_the_first_sound(tmp_path):
    sound = noise(2)
    np.testing.assert_allclose(joined(written(tmp_path / "a.mkv", [(5, sound)])), stored(sound), atol=1e-7)


def test_holes_are_silent_and_of_sounds_that_overlap_the_first_counts(tmp_path):
    one, two, three = (noise(2, seed) for seed in range(3))
    path = written(tmp_path / "a.mkv", [(0, one), (4.5, two), (6, three)])
    expected = np.concatenate([one, np.zeros(round(2.5 * RATE)), two, three[RATE // 2 :]])
    found = joined(path)
    assert len(found) == 8 * RATE
    np.testing.assert_allclose(found, stored(expected), atol=1e-7)


def test_rounded_times_leave_no_clicks(tmp_path):
    """Matroska's times are whole milliseconds: pieces of 1024 samples at 44.1 kHz never begin at one."""
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100 * 3) / 44_100)
    found = joined(written(tmp_path / "a.mkv", [(0, tone)], rate=44_100, length=1024))
    expected = np.sin(2 * np.pi * 440 * np.arange(len(found)) / RATE)
    assert np.abs(found - expected)[100:-100].max() < 2e-3


@pytest.mark.parametrize("layout", ["stereo", "5.1"])
def test_mono_is_the_mean_of_the_channels(tmp_path, layout):
    channels = {"stereo": 2, "5.1": 6}[layout]
    sound = noise(1 * channels).reshape(-1, channels)
    path = written(tmp_path / "a.mkv", [(0, sound)], layout=layout)
    np.testing.assert_allclose(joined(path), stored(sound).mean(axis=1), atol=1e-6)


def test_no_sound_gives_no_windows(tmp_path):
    path = write_video(tmp_path / "a.mp4", [0, 1, 2])
    assert windows(path) == [] and windows(path, seconds=3) == []


def test_sound_cut_short_is_told(tmp_path):
    path = written(tmp_path / "a.mkv", [(0, noise(20))])
    content = open(path, "rb").read()
    open(path, "wb").write(content[: len(content) // 2])
    found, texts = told(lambda: windows(path))
    assert len(found) == 10 and texts == [f"{path}: it is damaged behind second 9.9: what is behind it is left out"]


def test_sound_that_begins_long_after_the_picture_of_a_broadcast_is_heard(tmp_path):
    times = [Fraction(number, 25) for number in range(25 * 20)]
    path = write_video(tmp_path / "a.ts", times, sound=noise(4), sound_from=15)
    found, texts = told(lambda: windows(path, seconds=20))
    loud = [second for second, window in enumerate(found) if np.abs(window).mean() > 0.1]
    assert texts == [] and loud == [15, 16, 17, 18]
