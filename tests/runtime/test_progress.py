"""Progress lines."""

import io
import json

import pytest

from yt8m.runtime import progress
from yt8m.runtime.progress import Progress, progress_style


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A list whose only value is the time."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_every_thirty_seconds_and_one_at_the_end(clock):
    stream = io.StringIO()
    with Progress("files", total=200, unit="files", stream=stream) as bar:
        for second in range(1, 101):
            clock[0] = float(second)
            bar.update()
    assert stream.getvalue().splitlines() == [
        "files: 30/200 (15%), 1 files/s, 30s so far, 2m50s left",
        "files: 60/200 (30%), 1 files/s, 1m00s so far, 2m20s left",
        "files: 90/200 (45%), 1 files/s, 1m30s so far, 1m50s left",
        "files: 100/200 (50%), 1 files/s, 1m40s so far, 1m40s left",
    ]


def test_a_terminal_redraws_one_line(clock):
    stream = Terminal()
    bar = Progress("steps", stream=stream)
    for tenth in range(1, 11):
        clock[0] = tenth / 10
        bar.update(2, note="loss 0.5")
    bar.close()
    assert stream.getvalue().count("\r") == 3 and stream.getvalue().count("\n") == 1
    assert "steps: 10, 20 it/s, 0s so far, loss 0.5" in stream.getvalue()


def test_a_high_rate_is_written_out(clock):
    stream = io.StringIO()
    bar = Progress("segments", stream=stream)
    clock[0] = 40.0
    bar.update(1_400_000)
    assert stream.getvalue() == "segments: 1,400,000, 35,000 it/s, 40s so far\n"


def test_what_was_done_before_does_not_count_in_the_rate(clock):
    stream = io.StringIO()
    bar = Progress("steps", total=100, initial=50, stream=stream)
    clock[0] = 3600.0
    bar.update(25)
    assert stream.getvalue() == "steps: 75/100 (75%), 0.006944 it/s, 1h00m so far, 1h00m left\n"
    assert bar.rate == pytest.approx(25 / 3600)


def test_a_job_that_fails_at_once_says_nothing(clock):
    stream = io.StringIO()
    with pytest.raises(KeyError), Progress("steps", stream=stream):
        raise KeyError
    assert stream.getvalue() == ""


def test_message(clock):
    stream = io.StringIO()
    Progress("steps", stream=stream).message("hello")
    assert stream.getvalue() == "hello\n"


def test_an_estimated_total_gives_way_to_the_count(clock):
    stream = io.StringIO()
    with Progress("files", total=90, unit="files", stream=stream) as bar:
        bar.update(80)
        clock[0] += 10
        bar.complete()
    assert stream.getvalue().startswith("files: 80/80 (100%)")


def test_skipped_work_is_counted_and_not_timed(clock):
    line = Progress("reading", total=200, stream=io.StringIO())
    line.skip(100)
    clock[0] = 10
    line.update(50)
    assert line.count == 150 and line.rate == 5


def test_json_logs_are_an_object_a_line(clock):
    stream = Terminal()
    with (
        progress_style("json"),
        Progress("training", total=40, unit="steps", initial=10, stream=stream) as bar,
    ):
        clock[0] = 30.0
        bar.update(15, note=lambda: "loss 1")
        bar.message("step 25: <done>")
    first, message, last = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == last | {"note": "loss 1"} == {
        "event": "progress", "job": "training", "count": 25, "total": 40, "unit": "steps", "rate": 0.5, "seconds": 30.0,
        "note": "loss 1",
    }  # fmt: skip
    assert message == {"event": "message", "job": "training", "text": "step 25: <done>"}


def test_quiet_says_nothing(clock):
    stream = Terminal()
    with progress_style("quiet"), Progress("training", stream=stream) as bar:
        clock[0] = 100.0
        bar.update()
        bar.message("best so far")
    assert stream.getvalue() == "" and bar.count == 1
