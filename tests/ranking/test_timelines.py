"""Intervals, chapters and terminal text by hand."""

import io
import json

import numpy as np
import pytest

from yt8m.ranking.ranks import UNLISTED
from yt8m.ranking.submission import write_submission
from yt8m.ranking.timelines import (
    Timeline,
    find_chapters,
    find_intervals,
    read_timelines,
    write_chapters,
    write_intervals,
)
from yt8m.report.terminal import draw_timeline, wants_colours

EVIL = "Rock & <b>roll</b>\n00:00 --> 00:01"


@pytest.fixture
def timeline():
    """Two classes over 0, 5, 10, a gap, and 20 to 23."""
    scores = np.array([[0.9, 0.7, 0.2, 0.6], [0.5, 0.8, 0.6, 0.1]], np.float32)
    return Timeline(video_id="v:1", starts=np.array([0, 5, 10, 20]), end=23, class_ids=np.array([7, 3]), scores=scores)


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


def test_neighbours_are_merged(timeline):
    found = find_intervals(timeline, threshold=0.5)
    assert [(item["class_id"], item["start"], item["end"]) for item in found] == [(3, 0, 15), (7, 0, 10), (7, 20, 23)]
    assert [item["score"] for item in found] == pytest.approx([(0.5 + 0.8 + 0.6) / 3, 0.8, 0.6])


def test_a_gap_parts_intervals(timeline):
    found = find_intervals(timeline, threshold=0.0)
    assert [(item["start"], item["end"]) for item in found if item["class_id"] == 7] == [(0, 15), (20, 23)]


def test_chapters_do_not_overlap(timeline):
    found = find_chapters(timeline, threshold=0.65)
    assert [(item["class_id"], item["start"], item["end"]) for item in found] == [(7, 0, 5), (3, 5, 10)]
    assert find_chapters(timeline.take(np.zeros(0, np.int64)), threshold=0) == []


def test_the_files(tmp_path, timeline):
    names = {7: EVIL}
    write_intervals(tmp_path / "i.json", timeline, threshold=0.65, names=names, scores="uncalibrated")
    content = json.loads((tmp_path / "i.json").read_text())
    assert {key: content[key] for key in ("video_id", "seconds", "threshold", "scores")} == {
        "video_id": "v:1", "seconds": 23, "threshold": 0.65, "scores": "uncalibrated"
    }  # fmt: skip
    first, second = content["intervals"]
    assert first == {"start": 0, "end": 10, "class_id": 7, "name": EVIL, "score": pytest.approx(0.8)}
    assert (second["start"], second["end"], second["name"]) == (5, 10, None)
    write_chapters(tmp_path / "c.vtt", timeline, threshold=0.65, names=names)
    assert (tmp_path / "c.vtt").read_text() == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:05.000\nRock &amp; &lt;b&gt;roll&lt;/b&gt; 00:00 --&gt; 00:01\n"
        "\n00:00:05.000 --> 00:00:10.000\nclass 3\n"
    )


def test_hours_in_chapters(tmp_path):
    late = Timeline(
        video_id="v", starts=np.array([7325]), end=7330, class_ids=np.array([1]), scores=np.ones((1, 1), np.float32)
    )
    write_chapters(tmp_path / "c.vtt", late, threshold=0.5, names={})
    assert "02:02:05.000 --> 02:02:10.000" in (tmp_path / "c.vtt").read_text()


def test_a_submission_as_timelines(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["b:5", "a:10", "ab:0", "a:0"], 2: ["a:10"], 4: ["c:0"]})
    first, second = read_timelines(tmp_path / "s.csv", ["a", "none"], class_ids=[1, 2, 3])
    assert first.starts.tolist() == [0, 10] and first.end == 15
    assert first.ranks.tolist() == [[3, 1], [UNLISTED, 0], [UNLISTED, UNLISTED]]
    np.testing.assert_allclose(
        first.scores, [[1 - np.log(4) / np.log(5), 1 - np.log(2) / np.log(5)], [0, 1], [0, 0]], atol=1e-6
    )
    assert len(second.starts) == 0


def test_scores_of_a_submission_as_timelines(tmp_path):
    write_submission(tmp_path / "s.parquet", {1: ["b:5", "a:10", "a:0"]}, scores={1: np.array([0.9, 0.8, 0.1])})
    (timeline,) = read_timelines(tmp_path / "s.parquet", ["a"], class_ids=[1], probabilities=True)
    assert timeline.ranks is None
    np.testing.assert_allclose(timeline.scores, [[0.1, 0.8]])


def test_the_drawing(timeline):
    text = draw_timeline(
        timeline, names={7: "Cat\x1b[2J"}, kind="uncalibrated", threshold=0.5, width=60, stream=io.StringIO()
    )
    # A StringIO has no encoding, so that ASCII is all that is sure to be read; 4 characters a segment.
    assert text.splitlines() == [
        "v:1  0:23, 4 segments, scores uncalibrated",
        "Cat\\x1b[2J ####****::::++++ 0.90 at 0:00",
        "class 3    ====****++++.... 0.80 at 0:05",
        "           |0:00   |0:10",
    ]


def test_colours_are_for_terminals(timeline):
    text = draw_timeline(timeline, names={}, kind="x", threshold=0.5, width=60, stream=Terminal())
    assert "█" not in text and "▇" in text
    assert text.splitlines()[1].startswith("class 7 \x1b[1;32m▇▇▇▇▆▆▆▆\x1b[2m▂▂▂▂\x1b[1;32m▅▅▅▅\x1b[0m")
    assert wants_colours(Terminal(), {"TERM": "xterm"})
    assert not wants_colours(Terminal(), {"NO_COLOR": "1"}) and not wants_colours(Terminal(), {"TERM": "dumb"})
    assert not wants_colours(io.StringIO(), {})


@pytest.mark.parametrize("num_segments", [1, 7, 60, 500])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_the_drawing_fits(num_segments, width):
    scores = np.random.default_rng(0).random((3, num_segments), np.float32)
    timeline = Timeline(
        video_id="v" * 300,
        starts=5 * np.arange(num_segments),
        end=5 * num_segments,
        class_ids=np.arange(3),
        scores=scores,
    )
    names = {0: "A very long name of a class that goes on and on", 1: "日本語の長い名前" * 4}
    text = draw_timeline(timeline, names=names, kind="x", threshold=0.5, width=width, stream=io.StringIO())
    assert all(sum(2 if ord(c) > 0x2E80 else 1 for c in line) <= width for line in text.splitlines())
    # A column of several segments shows the best of them.
    best = f"{scores[0].max():.2f} at"
    assert best in text
