"""Files that are cut, damaged, or no videos: what can be decoded is, and one sentence tells the rest."""

import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.videos import number_of, numbered, told, write_video
from yt8m.features.backbones import PictureInput
from yt8m.features.decoding import Grid, probe_video, read_pictures, read_sound
from yt8m.features.decoding.sources import _Bytes, open_container
from yt8m.types import InputError

av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")
GRIDS = [Grid(rate=1, input=PictureInput(size=None))]
SUFFIXES = ["mkv", "mp4", "avi", "ts", "mov"]


def whole(folder, suffix, seconds=12):
    options = {"movflags": "faststart"} if suffix in ("mp4", "mov") else {}
    tone = 0.5 * np.sin(np.arange(seconds * 16_000) / 9)
    times = [Fraction(number, 25) for number in range(25 * seconds)]
    path = folder / f"whole.{suffix}"
    return write_video(path, times, sound=tone, tick=Fraction(1, 25), container_options=options)


def read(path):
    return [(k, number_of(picture)) for _, k, picture in read_pictures(path, GRIDS)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_whole_files_are_read_without_a_word(tmp_path, suffix):
    found, texts = told(lambda: read(whole(tmp_path, suffix)))
    assert (found, texts) == ([(k, 25 * k) for k in range(12)], [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_cut_anywhere_gives_what_is_before_and_one_warning(tmp_path, suffix):
    path = whole(tmp_path, suffix)
    content, cut = open(path, "rb").read(), tmp_path / f"cut.{suffix}"
    for share in np.random.default_rng(3).uniform(0.3, 0.85, 6):
        cut.write_bytes(content[: int(len(content) * share)])
        found, texts = told(lambda: read(str(cut)))
        assert found[:-1] == [(k, 25 * k) for k in range(12)][: len(found) - 1] and 2 < len(found) < 12, share
        if suffix == "ts":
            # A broadcast does not say how long it is.
            assert len(texts) <= 1
            continue
        (text,) = texts
        second = float(
            re.fullmatch(rf"{cut}: it is damaged behind second ([\d.]+): what is behind it is left out", text)[1]
        )
        assert len(found) - 1 <= second <= len(found), share


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_flipped_bytes_never_stop_the_program(tmp_path, suffix):
    content, path = bytearray(open(whole(tmp_path, suffix), "rb").read()), tmp_path / f"flipped.{suffix}"
    for seed in range(6):
        print("seed", seed)
        rng, flipped = np.random.default_rng(seed), bytearray(content)
        for place in rng.integers(0, len(content), 3 ** (seed % 5)):
            flipped[place] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            found, _ = told(lambda: read(str(path)))
            windows, _ = told(lambda: list(read_sound(str(path), samples=16_240)))
        except InputError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            continue
        assert [k for k, _ in found] == list(range(len(found)))
        assert all(np.isfinite(window).all() and abs(window).max() <= 1 for window in windows)


def test_errors_in_the_middle_are_counted_and_the_rest_is_read(tmp_path):
    path = whole(tmp_path, "mp4")
    content, (begin, middle) = bytearray(open(path, "rb").read()), (0.55, 0.6)
    first, last = (int(len(content) * share) for share in (begin, middle))
    content[first:last] = bytes(last - first)
    open(path, "wb").write(content)
    found, texts = told(lambda: read(path))
    assert len(found) == 12 and found[-1] == (11, 275) and found[:4] == [(k, 25 * k) for k in range(4)]
    (text,) = texts
    assert re.fullmatch(
        rf"{path}: \S+ pieces? of its pictures left out or patched as damaged, first at second [4-8]\.\d", text
    )


@pytest.mark.parametrize("content", [b"", b"no video", bytes(5000), np.random.default_rng(0).bytes(5000), b"GIF89a"])
def test_what_is_no_video_is_one_sentence(tmp_path, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    for reading in (probe_video, read, lambda path: list(read_sound(path, samples=16_000))):
        with pytest.raises(InputError) as error:
            reading(str(path))
        assert str(error.value).startswith(f"{path} cannot be read as a video or as sound") and "\n" not in str(
            error.value
        )


def test_what_is_not_there_or_is_a_folder(tmp_path):
    with pytest.raises(InputError, match="absent.mp4 is not there"):
        probe_video(tmp_path / "absent.mp4")
    with pytest.raises(InputError, match="cannot be read as a video or as sound: Is a directory"):
        probe_video(tmp_path)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_titles_may_be_in_any_encoding(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Caf\u00e9 noir"
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = 32, 96, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(7), format="rgb24")))
        container.mux(stream.encode())
    content = path.read_bytes()
    assert "Caf\u00e9 noir".encode() in content
    path.write_bytes(content.replace("Caf\u00e9 noir".encode(), "Caf\u00e9s noir".encode("latin-1")))
    assert read(str(path)) == [(0, 7)]


def test_files_that_point_before_their_beginning_are_refused_in_silence(tmp_path, capfd):
    """PyAV prints what Python's files raise while FFmpeg seeks in them."""
    path = whole(tmp_path, "mkv", seconds=2)
    with open_container(path) as container, open(path, "rb") as file:
        assert container.streams.video and _Bytes(file).seek(-1) < 0 and _Bytes(file).seek(-1, 1) < 0
        assert _Bytes(file).seek(7) == 7
    assert capfd.readouterr().err == ""


def test_the_decoder_is_silent(tmp_path):
    path = whole(tmp_path, "mp4")
    content = bytearray(open(path, "rb").read())
    content[len(content) // 2 : len(content) // 2 + 2000] = bytes(2000)
    open(path, "wb").write(content)
    code = f"""
import warnings
warnings.simplefilter("ignore")
from tests.features.test_damaged_videos import read
read({path!r})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_broadcasts_whose_clock_starts_anew_go_on(tmp_path):
    """Two recordings in one file: pictures and sound of the second follow those of the first."""
    path, two = whole(tmp_path, "ts", seconds=4), tmp_path / "two.ts"
    content = open(path, "rb").read()
    later = open(
        write_video(tmp_path / "b.ts", [40 + Fraction(n, 25) for n in range(50)], sound=np.zeros(9), sound_from=40),
        "rb",
    )
    two.write_bytes(content + later.read())
    found, (text,) = told(lambda: read(str(two)))
    assert found == [(0, 0), (1, 25), (2, 50), (3, 75), (4, 0), (5, 25)]
    assert text == f"{two}: its clock jumps once at second 4.0, and is read as if it went on"
