"""Files of many makers: the frames that are chosen are FFmpeg's at the same times, byte for byte."""

import functools

import numpy as np
import pytest
import scipy.signal

from tests.helpers import shared_path
from tests.helpers.videos import all_frames, slow_choice, told
from yt8m.features.backbones import PictureInput
from yt8m.features.decoding import Grid, probe_video, read_pictures, read_sound

av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")
CONTAINERS = "3gp avi flv gif m1v mkv mov mp4 mpg rm swf vob webm wmv".split()


def samples_of_iscc():
    """Videos of the package iscc-samples, 60 seconds of a band; those that are made alike are left out."""
    try:
        import iscc_samples
    except ImportError:
        return []
    return [path for path in iscc_samples.videos() if path.suffix[1:] in CONTAINERS]


UNDAMAGED = """av1_video.mkv carphone_pristine.mp4 flipping_a_pancake.mkv h264_10bits.mp4 h265_video.mp4 late.mkv mma_demo.mp4
mma_test.mp4 mma_test_video_structuralize.mp4 nasa_13013.mp4 realshort.mp4 unordered.mov vfr.mkv video_0.mov video_90.mov
video_180.mov video_270.mov""".split()
"""Of ../shared/data/videos; all whose frames carry times that can be trusted."""


def twin(path, rates):
    """Pictures of each rate from a slow reading, scaled to square pixels and turned by hand."""
    with av.open(path) as container:
        stream = container.streams.best("video")
        index = list(container.streams.video).index(stream)
        aspect = stream.sample_aspect_ratio or 1
    frames, end = all_frames(path, index)
    chosen = []
    for rate in rates:
        pictures = []
        for frame in slow_choice(frames, end, rate):
            width = round(frame.width * aspect)
            size = {} if width == frame.width else {"width": width, "height": frame.height}
            picture = frame.to_ndarray(format="rgb24", **size)
            pictures.append(np.rot90(picture, {0: 0, 90: 1, -180: 2, 180: 2, -90: 3}[frame.rotation]))
        chosen.append(pictures)
    return chosen


def compare(path, rates):
    found = [[] for _ in rates]
    grids = [Grid(rate=rate, input=PictureInput(size=None)) for rate in rates]
    for grid, k, picture in read_pictures(path, grids):
        assert k == len(found[grid])
        found[grid].append(picture)
    expected = twin(path, rates)
    assert [len(pictures) for pictures in found] == [len(pictures) for pictures in expected]
    for one, other in zip(found, expected):
        for picture, slow in zip(one, other):
            np.testing.assert_array_equal(picture, slow)
    return found


@pytest.mark.parametrize("name", UNDAMAGED)
def test_frames_are_those_of_a_slow_reading(name):
    _, texts = told(lambda: compare(str(shared_path(f"data/videos/{name}")), (1, 2.5)))
    assert texts == []


@functools.cache
def sound_of_a_band(path):
    """Seconds 10 to 15 of a sample."""
    windows = read_sound(path, samples=16_000, seconds=15)
    return np.concatenate([window for second, window in enumerate(windows) if second >= 10] or [np.zeros(0)])


@pytest.mark.parametrize("path", samples_of_iscc(), ids=lambda path: path.suffix[1:])
def test_containers_of_all_kinds(path):
    (found,), texts = told(lambda: compare(str(path), (1,)))
    assert texts == []
    info = probe_video(path)
    assert found[0].shape == (info.height, info.width, 3)
    assert len(found) == (5 if path.suffix == ".gif" else 61)
    heard = sound_of_a_band(path)
    assert len(heard) == (0 if info.audio_codec is None else 5 * 16_000)
    if len(heard):
        # Encoders begin up to 40 ms late; the lag to Matroska's sound is where both agree best.
        reference = sound_of_a_band(path.with_suffix(".mkv"))
        agreement = scipy.signal.correlate(heard, reference, method="fft")
        assert abs(agreement.argmax() - (len(reference) - 1)) < 0.05 * 16_000
        # Telephones' sound ends at 4 kHz.
        least = 0.4 if path.suffix == ".3gp" else 0.97
        assert agreement.max() > least * np.linalg.norm(heard) * np.linalg.norm(reference)


def test_times_that_run_backwards_are_not_believed():
    """An .avi whose B-frames FFmpeg guesses wrong: the order of decoding is that of showing."""
    path = str(shared_path("data/videos/mma_test.avi"))
    with av.open(path) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    grid = Grid(rate=25, input=PictureInput(size=None))
    shown = [picture for _, _, picture in read_pictures(path, [grid])]
    places = [next(place for place, frame in enumerate(frames) if np.array_equal(frame, picture)) for picture in shown]
    # Two of the first three frames share a time, and of those that do the first is taken.
    assert places == sorted(places) and len(set(places)) > 0.97 * len(frames)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("damaged.mkv", "one piece of its pictures left out or patched as damaged, first at second 19.3"),
        ("corrupted.mp4", "2 pieces of its pictures left out or patched as damaged, first at second 2.8"),
        ("trunc_mkv.mkv", "it is damaged behind second 28.3: what is behind it is left out"),
        ("trunc_webm.webm", "it is damaged behind second 30.2: what is behind it is left out"),
    ],
)
def test_damage_is_told(name, text):
    path = str(shared_path(f"data/videos/{name}"))
    _, texts = told(lambda: list(read_pictures(path, [Grid(rate=1, input=PictureInput(size=(8, 8)))])))
    assert texts == [f"{path}: {text}"]


def test_empty_packets_are_not_damage():
    """Theora has them for pictures that stay."""
    path = pytest.importorskip("iscc_samples").videos(".ogv")[0]
    undecodable = empty = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for packet in container.demux(stream):
            if packet.size == 0 and packet.pts is not None:
                empty += 1
                continue
            try:
                packet.decode()
            except av.FFmpegError:
                undecodable += 1
    _, (text,) = told(lambda: list(read_pictures(path, [Grid(rate=1, input=PictureInput(size=(8, 8)))])))
    assert empty and f": {undecodable:,} pieces" in text
