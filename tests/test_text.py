"""Text of others is shown without what could steer a terminal, wherever it comes out."""

import subprocess
import sys
import warnings

import numpy as np
import pytest

from tests.helpers import ROOT
from yt8m.commands.command_line import _told_warnings
from yt8m.data.tfrecord import FrameRecord, write_records
from yt8m.ranking.timelines import Timeline, write_chapters, write_intervals
from yt8m.report.page import write_page
from yt8m.runtime.progress import Progress
from yt8m.text import counted, printable
from yt8m.types import DataWarning

EVIL = "a\x1b[2J\x9b31m\x07\r\x7f\u202eb\udce9c\u2028 --> <i>&\x00"
ODD = [character for character in EVIL if not character.isprintable()]


def test_one_is_one():
    assert [counted(number, "video") for number in (0, 1, 2, 1000)] == [
        "0 videos",
        "1 video",
        "2 videos",
        "1,000 videos",
    ]


def test_what_is_printable_stays():
    for text in ("", "größe 日本 :,'\"\\", "👩🔬", "e\u0301"):
        assert printable(text) == text
    assert printable("a\nb", keep="\n") == "a\nb" and printable("a\nb") == r"a\nb"
    assert printable("\x1b[31m\udce9\u202e") == r"\x1b[31m\udce9\u202e"


@pytest.mark.parametrize(
    "number", [*range(32), *range(127, 161), 0x200B, 0x2028, 0x2029, 0x202E, 0x2066, 0xD800, 0xFEFF]
)
def test_nothing_comes_out_that_is_not_printable(number):
    shown = printable(f"a{chr(number)}b")
    assert shown.isprintable() and shown.startswith("a\\") and shown.endswith("b")


def test_warnings_errors_and_progress_are_harmless(tmp_path, capsys):
    with _told_warnings():
        warnings.warn(EVIL, DataWarning, stacklevel=1)
    with Progress(EVIL, total=1) as progress:
        progress.message(EVIL)
        progress.update()
        progress.close(EVIL)
    said = capsys.readouterr().err
    assert said.startswith("warning: a\\x1b[2J") and not set(ODD) & set(said)
    code = (
        f"import sys; sys.argv = ['x', '--submission=s.csv', '--labels=' + {EVIL.rstrip(chr(0))!r} + '.csv']\n"
        "from yt8m.commands.eval import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True)
    assert done.returncode == 2 and b"a\\x1b[2J" in done.stderr
    assert not set(ODD) & set(done.stderr.decode())


def test_chapters_pages_and_intervals_are_harmless(tmp_path):
    times = Timeline(
        video_id=EVIL, starts=np.array([0]), end=5, class_ids=np.array([3]), scores=np.ones((1, 1), np.float32)
    )
    write_chapters(tmp_path / "c.vtt", times, threshold=0.5, names={3: EVIL})
    cue = (tmp_path / "c.vtt").read_text().splitlines()
    assert cue[:3] == ["WEBVTT", "", "00:00:00.000 --> 00:00:05.000"] and cue[3].isprintable()
    assert "-->" not in cue[3] and "<" not in cue[3] and len(cue) == 4
    write_intervals(tmp_path / "i.json", times, threshold=0.5, names={3: EVIL}, scores="s")
    assert not set(ODD) & set((tmp_path / "i.json").read_text())
    write_page(tmp_path / "p.html", title=EVIL, parts=[], results={"note": EVIL})
    assert not set(ODD) & set((tmp_path / "p.html").read_text())


def test_ids_that_are_no_names_of_files_are_refused():
    names = [b"../../climbed", b"/tmp/climbed", b"a/b", b"..", b".", b".hidden", b"a\\b", b"a b", b"a,b", b"a\x1b[2J"]
    names += [b"x" * 300, b"", b"a\xe9"]
    # In a process of its own, because the example's flags are absl's.
    code = f"from examples.unpack_records import file_name\nprint(file_name(b'--4gq:0', 'r'))\nfor name in {names}:\n"
    code += "    try: print('took', file_name(name, 'r.tfrecord'))\n    except SystemExit as error: print(error)\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    first, *said = done.stdout.splitlines()
    assert first == "--4gq:0" and len(said) == len(names)
    assert all(line.startswith("r.tfrecord: the id ") and line.isprintable() for line in said), said


@pytest.mark.slow
def test_records_whose_ids_climb_are_not_unpacked(tmp_path):
    frames = np.zeros((2, 4), np.uint8)
    records = [FrameRecord(video_id=name, features={"rgb": frames}, labels=(1,)) for name in ("fine", "../../climbed")]
    write_records(tmp_path / "r.tfrecord", records)
    done = subprocess.run(
        [sys.executable, "-m", "examples.unpack_records", f"--input_data_pattern={tmp_path}/r.tfrecord",
         f"--output_dir={tmp_path}/new/out"], cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode and "Traceback" not in done.stderr
    assert "r.tfrecord: the id ../../climbed is no plain name of a file" in done.stderr
    assert {path.name for path in tmp_path.rglob("*.npz")} == {"fine.npz"}
