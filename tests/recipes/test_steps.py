"""Steps of a recipe: each once, in order, and what becomes of them when one fails or is stopped."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from examples.recipes import steps
from examples.recipes.clips import markdown, mean_and_spread
from examples.recipes.steps import Step, run_steps
from tests.helpers import ROOT

LABELS = "video_id,class\na,1\nb,2\n"


@pytest.fixture
def folder(tmp_path):
    """Folder with labels of two videos and predictions that have one of them right."""
    (tmp_path / "labels.csv").write_text(LABELS)
    (tmp_path / "tags.csv").write_text("VideoId,LabelConfidencePairs\na,1 0.9 2 0.1\nb,1 0.8 2 0.2\n")
    return tmp_path


def scoring(folder, name="score", flag=""):
    return Step(name, f"eval.py --submission={folder}/tags.csv --labels={folder}/labels.csv {flag}".strip())


def test_a_step_is_done_once_unless_its_command_changes(folder, capsys):
    both = [scoring(folder), scoring(folder, "seed-0/again", "--top_k=1")]
    done = run_steps(both, folder / "run")
    assert [found.result["hit_at_one"] for found in done.values()] == [0.5, 0.5] and list(done) == [
        "score",
        "seed-0/again",
    ]
    assert all(not found.resumed and 0 < found.cpu_seconds for found in done.values())
    first, taken, second, _ = capsys.readouterr().out.splitlines()
    assert (first, second) == ("[1/2] score", "[2/2] seed-0/again") and re.fullmatch(r"  score: \d+ s", taken)
    commands = (folder / "run" / "commands.sh").read_text()
    assert commands.splitlines()[0] == f".venv/bin/python {both[0].command}"
    assert run_steps(both, folder / "run") == done and not capsys.readouterr().out
    # Another command under the same name is another step.
    (folder / "tags.csv").write_text("VideoId,LabelConfidencePairs\na,1 0.9\nb,2 0.8\n")
    changed = run_steps([scoring(folder, flag="--top_k=2"), both[1]], folder / "run")
    assert changed["score"].result["hit_at_one"] == 1 and changed["seed-0/again"] == done["seed-0/again"]
    assert capsys.readouterr().out.startswith("[1/2] score\n")


@pytest.fixture
def scripts(folder, monkeypatch):
    """Function that makes a step of a command that runs a line of Python, in the folder."""
    monkeypatch.setattr(steps, "ROOT", folder)

    def step(name, line, reads=""):
        (folder / f"{name}.py").write_text(f"import pathlib, sys, time\nhere = pathlib.Path({str(folder)!r})\n{line}\n")
        return Step(name, f"{name}.py {reads}".strip())

    return step


WAITING = """
deadline = time.monotonic() + 60
while not (here / "{}").exists():
    assert time.monotonic() < deadline
    time.sleep(0.02)
"""


def test_steps_run_at_once_but_for_those_whose_results_they_read(folder, scripts, capsys):
    """Two that wait for each other's files, a third that reads what the first makes, and one of a name that begins alike."""
    one = scripts("one", f"(here / 'a').touch()\n{WAITING.format('b')}\ntime.sleep(0.5)\n(here / 'end').touch()")
    two = scripts("one-more", f"(here / 'b').touch()\n{WAITING.format('a')}")
    three = scripts("three", "assert (here / 'end').exists()\nprint('{\"read\": 1}')", f"--input={folder}/run/one.csv")
    done = run_steps([one, two, three], folder / "run", jobs=3)
    assert list(done) == ["one", "one-more", "three"] and done["three"].result == {"read": 1}
    assert [line.strip().split(":")[0] for line in capsys.readouterr().out.splitlines() if ":" in line][-1] == "three"


def test_a_step_that_fails_stops_those_beside_it(folder, scripts, capsys):
    long = scripts("long", "(here / 'begun').touch()\ntime.sleep(600)")
    bad = scripts("bad", f"{WAITING.format('begun')}\nsys.exit('bad.py: error: no such thing')")
    began = time.monotonic()
    with pytest.raises(SystemExit) as stop:
        run_steps([long, bad, scripts("never", "")], folder / "run", jobs=2)
    said = capsys.readouterr()
    assert stop.value.code == 1 and "no such thing" in said.err and "[3/3]" not in said.out
    assert time.monotonic() - began < 120 and not (folder / "run" / "steps" / "long.json").exists()


def test_a_step_that_fails_ends_the_program_with_its_reason(folder, capsys):
    (folder / "labels.csv").write_text("video_id,class\na,x\n")
    with pytest.raises(SystemExit) as stop:
        run_steps([scoring(folder), scoring(folder, "never")], folder / "run")
    said = capsys.readouterr()
    assert stop.value.code == 2 and "[2/2]" not in said.out
    assert "eval.py: error: " in said.err and "labels.csv, line 2" in said.err
    # Mended, it goes on, and says that it was begun before.
    (folder / "labels.csv").write_text(LABELS)
    assert run_steps([scoring(folder)], folder / "run")["score"].resumed


def test_a_stopped_recipe_ends_its_command_and_is_started_again(folder):
    code = f"from examples.recipes.steps import Step, run_steps\nrun_steps([Step('wait', 'wait.py')], {str(folder)!r})"
    # A command that is there in place of one that takes long.
    script = f"import examples.recipes.steps as steps, pathlib\nsteps.ROOT = pathlib.Path({str(folder)!r})\n{code}"
    (folder / "wait.py").write_text(
        "import os, time\nprint(os.getpid(), flush=True)\nopen('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", script], cwd=folder, env=environment)
    deadline = time.monotonic() + 60
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(120)
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "pid").read_text()), 0)
    assert not (folder / "steps").exists() and (folder / "logs" / "wait.txt").exists()


def test_tables():
    assert mean_and_spread([1.0, 2.0, 3.0], ".1f") == "2.0 ± 1.0" and mean_and_spread([0.25]) == "0.250"
    assert markdown(["what", "F1"], [["plain", "0.5"]]) == "| what | F1 |\n| --- | ---: |\n| plain | 0.5 |\n"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["lowres", "dark"])
def test_a_recipe_goes_from_the_command_to_its_table_and_no_step_is_done_twice(recipe, tmp_path):
    flags = ["--size=tiny", "--seeds=1", "--epochs=0.05", f"--output_dir={tmp_path}"]
    flags.append("--super_resolution_steps=5" if recipe == "lowres" else "--rounds=1")
    command = [sys.executable, "-m", f"examples.recipes.{recipe}", *flags]

    def said():
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = said()
    table = (tmp_path / "table.md").read_text()
    assert table in first
    header, rule, *rows = [line.strip("| ").split(" | ") for line in table.splitlines()]
    assert header[1:4] == ["slowfast", "tanet", "fused"] and len(rows) == (5 if recipe == "lowres" else 7)
    kept = {
        path.relative_to(tmp_path / "steps"): path.stat().st_mtime_ns for path in (tmp_path / "steps").rglob("*.json")
    }
    assert first.count("[") == len(kept) == len((tmp_path / "commands.sh").read_text().splitlines())
    # A cell is what eval.py said.
    name = "bilinear/tanet.tags" if recipe == "lowres" else "plain.tanet"
    found = json.loads((tmp_path / "steps" / "seed-0" / f"{name}.test.json").read_text())["result"]
    said_there = f"{found['f1']['macro']:.3f}" if recipe == "lowres" else f"{100 * found['hit_at_one']:.1f}"
    assert rows[0][2] == said_there
    again = said()
    assert "[" not in again and table in again
    assert {path: (tmp_path / "steps" / path).stat().st_mtime_ns for path in kept} == kept
