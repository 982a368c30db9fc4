"""Which frame stands for which second, what is made of it, and what is told of damaged files."""

import concurrent.futures
import struct
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers.videos import all_frames, number_of, numbered, slow_choice, write_video
from yt8m.features.backbones import PictureInput
from yt8m.features.decoding import Grid, probe_video, read_pictures

av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")
WHOLE = PictureInput(size=None)


def numbers(path, *rates, **arguments):
    """List of (index, number of the frame) for each rate."""
    found = [[] for _ in rates]
    for grid, k, picture in read_pictures(path, [Grid(rate=rate, input=WHOLE) for rate in rates], **arguments):
        found[grid].append((k, number_of(picture)))
    return found if len(rates) > 1 else found[0]


def steady(rate, count, start=0):
    return [start + number / Fraction(rate) for number in range(count)]


def test_of_each_second_the_first_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", steady(25, 130))
    assert numbers(path, 1) == [(0, 0), (1, 25), (2, 50), (3, 75), (4, 100), (5, 125)]


def test_at_ntsc_rates_seconds_are_not_every_thirtieth_frame(tmp_path):
    path = write_video(tmp_path / "a.mp4", steady(Fraction(30_000, 1001), 100))
    assert numbers(path, 1) == [(0, 0), (1, 30), (2, 60), (3, 90)]
    assert numbers(path, 2)[:4] == [(0, 0), (1, 15), (2, 30), (3, 45)]


def test_a_hole_shows_what_is_on_the_screen(tmp_path):
    times = [*steady(10, 15), *steady(10, 5, Fraction(21, 5))]
    path = write_video(tmp_path / "a.mkv", times)
    assert numbers(path, 1) == [(0, 0), (1, 10), (2, 14), (3, 14), (4, 15)]


def test_more_pictures_a_second_than_frames_repeat_them(tmp_path):
    path = write_video(tmp_path / "a.mp4", steady(2, 4))
    assert numbers(path, 4) == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3)]


def test_grids_come_in_order_of_time_from_one_decode(tmp_path):
    path = write_video(tmp_path / "a.mp4", steady(25, 60))
    grids = [Grid(rate=1, input=WHOLE), Grid(rate=2.5, input=WHOLE)]
    assert [(grid, k) for grid, k, _ in read_pictures(path, grids)] == [
        (0, 0), (1, 0), (1, 1), (1, 2), (0, 1), (1, 3), (1, 4), (0, 2), (1, 5),
    ]  # fmt: skip


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts", "mov"])
@pytest.mark.parametrize("start", [0, Fraction(7, 2)])
def test_late_starts_and_the_order_of_b_frames(tmp_path, suffix, start):
    if suffix == "avi" and start:
        pytest.skip("AVI has no late starts")
    tick = Fraction(1, 25) if suffix == "avi" else Fraction(1, 1000)
    path = write_video(tmp_path / f"a.{suffix}", steady(25, 60, start), tick=tick, bf="3")
    assert numbers(path, 1) == [(0, 0), (1, 25), (2, 50)]


@pytest.mark.parametrize("seed", range(8))
def test_any_times_and_rate_as_a_slow_reading_chooses(tmp_path, seed):
    rng = np.random.default_rng(seed)
    print("seed", seed)
    gaps = rng.choice([1, 7, 40, 400, 2600], size=rng.integers(2, 60), p=[0.2, 0.2, 0.4, 0.15, 0.05])
    times = [Fraction(int(ms), 1000) for ms in np.cumsum(gaps) + rng.integers(0, 3000)]
    path = write_video(tmp_path / "a.mkv", times, bf=str(rng.integers(0, 4)))
    for rate in (1, 0.4, 3, 29.97):
        frames, end = all_frames(path)
        expected = [number_of(frame.to_ndarray(format="rgb24")) for frame in slow_choice(frames, end, rate)]
        assert numbers(path, rate) == list(enumerate(expected)), rate


@pytest.mark.parametrize(
    ("codec", "pixels", "options"),
    [
        ("libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        ("libx264", "yuv444p10le", {}),
        ("libsvtav1", "yuv420p10le", {"preset": "12"}),
        ("libvpx-vp9", "yuv420p", {"deadline": "realtime"}),
        ("mpeg4", "yuv420p", {"bf": "2"}),
    ],
)
def test_codecs_and_depths(tmp_path, codec, pixels, options):
    if codec not in av.codecs_available:
        pytest.skip(f"this FFmpeg has no encoder {codec}")
    pictures = [numbered(number, height=96, width=192) for number in range(60)]
    encoding = {"codec": codec, "pixels": pixels, "pictures": pictures, "tick": Fraction(1, 25)} | options
    # SVT-AV1 gives the thread that calls it, where root runs it, a priority before all else on the machine.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        path = pool.submit(write_video, tmp_path / "a.mkv", steady(25, 60), **encoding).result()
    assert numbers(path, 1) == [(0, 0), (1, 25), (2, 50)]
    bright = next(iter(read_pictures(path, [Grid(rate=1, input=WHOLE)], max_seconds=0.5)))[2]
    assert bright.dtype == np.uint8 and abs(int(np.median(bright)) - 20) < 4


def test_max_seconds_stops_the_decode(tmp_path):
    path = write_video(tmp_path / "a.mkv", [*steady(10, 25), Fraction(9)])
    assert numbers(path, 1, 2, max_seconds=2) == [[(0, 0), (1, 10)], [(0, 0), (1, 5), (2, 10), (3, 15)]]
    assert numbers(path, 1, max_seconds=4) == [(0, 0), (1, 10), (2, 20), (3, 24)]
    assert numbers(path, 1, max_seconds=1.5) == [(0, 0), (1, 10)]
    assert numbers(path, 1, max_seconds=0) == []


def corners(height, width):
    """A picture that is red, green, blue and white in its corners, clockwise from the upper left."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2, 0] = 255
    picture[: height // 2, width // 2 :, 1] = 255
    picture[height // 2 :, width // 2 :, 2] = 255
    picture[height // 2 :, : width // 2] = 255
    return picture


def seen_corners(picture):
    """Letters of the corners, clockwise from the upper left."""
    height, width = picture.shape[:2]
    places = [
        (height // 4, width // 4),
        (height // 4, -width // 4),
        (-height // 4, -width // 4),
        (-height // 4, width // 4),
    ]
    letters = {(1, 0, 0): "r", (0, 1, 0): "g", (0, 0, 1): "b", (1, 1, 1): "w"}
    return "".join(letters.get(tuple(int(value > 127) for value in picture[place]), "?") for place in places)


def one(path, wanted):
    return next(iter(read_pictures(path, [Grid(rate=1, input=wanted)])))[2]


def test_scaling_and_crop(tmp_path):
    path = write_video(tmp_path / "a.mp4", [0, Fraction(1, 25)], pictures=[corners(60, 120)] * 2)
    assert one(path, WHOLE).shape == (60, 120, 3) and seen_corners(one(path, WHOLE)) == "rgbw"
    assert one(path, PictureInput(size=(24, 32))).shape == (24, 32, 3)
    assert one(path, PictureInput(size=None, shorter_side=30)).shape == (30, 60, 3)
    cropped = one(path, PictureInput(size=(20, 24), shorter_side=30))
    assert cropped.shape == (20, 24, 3) and seen_corners(cropped) == "rgbw"
    # In the middle: half of the picture is left of the crop's middle.
    assert abs(int((cropped[4, :, 0] > 127).sum()) - 12) <= 1
    # A crop that is larger than the scaled picture enlarges it.
    assert one(path, PictureInput(size=(50, 50), shorter_side=30)).shape == (50, 50, 3)


@pytest.mark.parametrize("size", [(7, 5), (33, 17), (51, 99)])
def test_odd_sizes(tmp_path, size):
    path = write_video(
        tmp_path / "a.mkv", [0], codec="mjpeg", pixels="yuvj444p", pictures=[np.full((*size, 3), 200, np.uint8)]
    )
    assert one(path, WHOLE).shape == (*size, 3)
    wanted = PictureInput(size=(8, 8), shorter_side=9)
    assert one(path, wanted).shape == (8, 8, 3) and abs(int(one(path, wanted).mean()) - 200) < 3


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "gray", "bgr0"])
@pytest.mark.parametrize("size", [(40, 51), (40, 52), (61, 72), (97, 131), (20, 33)])
def test_scaled_pictures_are_those_that_ffmpeg_makes_pixel_by_pixel(tmp_path, pixels, size):
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    path = write_video(tmp_path / "a.mkv", [0], codec="ffv1", pixels=pixels, pictures=[picture])
    with av.open(path) as container:
        (frame,) = container.decode(video=0)
    height, width = size
    expected = frame.reformat(width=width, height=height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    found = one(path, PictureInput(size=size, shorter_side=None, interpolation="bicubic"))
    np.testing.assert_array_equal(found, expected)


def test_pixels_that_are_not_square_are_shown_as_a_viewer_sees_them(tmp_path):
    path = str(tmp_path / "a.mkv")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(3, 2)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(corners(48, 64), format="rgb24")))
        container.mux(stream.encode())
    assert one(path, WHOLE).shape == (48, 96, 3)
    info = probe_video(path)
    assert (info.height, info.width) == (48, 96)


def test_cover_art_is_no_video(tmp_path):
    path = str(tmp_path / "a.mp4")
    with av.open(path, "w") as container:
        heard = container.add_stream("aac", rate=16_000, layout="mono")
        cover = container.add_stream("png", rate=1)
        cover.height = cover.width = 16
        cover.pix_fmt = "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.int16), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux(heard.encode(frame))
        container.mux(heard.encode())
    with av.open(path) as container:
        assert container.streams.video and container.streams.video[0].disposition & av.stream.Disposition.attached_pic
    assert numbers(path, 1) == []
    assert probe_video(path).video_codec is None and probe_video(path).width == 0


def test_sound_alone_has_no_pictures(tmp_path):
    path = write_video(tmp_path / "a.mkv", [], sound=np.zeros(16_000))
    assert numbers(path, 1) == []
    info = probe_video(path)
    assert (info.video_codec, info.audio_codec, info.width, info.frames_per_second) == (None, "pcm_s16le", 0, 0)


def test_what_a_file_says_of_itself(tmp_path):
    info = probe_video(write_video(tmp_path / "a.mp4", steady(25, 50), sound=np.zeros(32_000)))
    assert (info.height, info.width, info.video_codec, info.audio_codec, info.rotation) == (32, 96, "h264", "aac", 0)
    assert info.frames_per_second == 25 and abs(info.seconds - 2) < 0.1 and "mp4" in info.container


TURNED = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Degrees clockwise to the matrix that a telephone writes into an .mp4."""


@pytest.mark.parametrize("degrees", TURNED)
def test_pictures_are_turned_as_the_file_says(tmp_path, degrees):
    path = write_video(tmp_path / "a.mp4", [0], pictures=[corners(60, 120)])
    content = bytearray(open(path, "rb").read())
    matrix = content.index(b"tkhd") + 44
    a, b, c, d = (value << 16 for value in TURNED[degrees])
    content[matrix : matrix + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    open(path, "wb").write(content)
    turned = degrees % 180 == 90
    picture = one(path, WHOLE)
    assert picture.shape == ((120, 60, 3) if turned else (60, 120, 3))
    assert seen_corners(picture) == {0: "rgbw", 90: "wrgb", 180: "bwrg", 270: "gbwr"}[degrees]
    assert one(path, PictureInput(size=(30, 20))).shape == (30, 20, 3)
    assert one(path, PictureInput(size=(10, 14), shorter_side=20)).shape == (10, 14, 3)
    info = probe_video(path)
    assert (info.height, info.width) == picture.shape[:2] and info.rotation == -degrees % 360
