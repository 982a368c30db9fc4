"""Commands in the documents can be typed as they stand."""

import functools
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT, SHARED, shared_path
from tests.helpers.documents import console_scripts, run_document

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:(\w+)\.py|(\S*yt8m-\w+)|-m (benchmarks\.\w+|examples\.\w+))((?: .*)?)$")


def typed(document):
    """(module, flag) of every flag of this package's commands in the fenced blocks of a document."""
    for block in FENCE.findall(document.read_text()):
        for line in re.split(r"\n|;|&&", block.replace("\\\n", " ")):
            if found := COMMAND.search(line.partition(" #")[0]):
                script, installed, module, arguments = found.groups()
                if installed:
                    assert installed.startswith(".venv/bin/"), f"{document}: {line}"
                module = module or console_scripts().get((installed or "").removeprefix(".venv/bin/")) or script
                yield from (
                    (module, flag)
                    for flag in re.findall(r"(?<=\s)--(\w+)", re.sub(r"'[^']*'|\"[^\"]*\"", "", arguments))
                )


@functools.cache
def flags_of(module):
    """Names of the flags that a command takes, as its --help says."""
    done = subprocess.run([sys.executable, "-m", module, "--help"], cwd=ROOT, capture_output=True, text=True)
    names = set()
    for bare, name in re.findall(r"^  (?:-\w,)?--(\[no\])?(\w+)", done.stdout, re.MULTILINE):
        names |= {name, f"no{name}"} if bare else {name}
    assert names, f"{module}: {done.stderr}"
    return names


def test_all_flags_in_documents_exist():
    found = {(document.name, *flag) for document in DOCUMENTS for flag in typed(document)}
    assert len(found) > 100
    assert {flag for flag in found if flag[2] not in flags_of(flag[1])} == set()


def test_commands_in_documents_are_those_of_the_checkout():
    """After set-up they are found as they are typed: in .venv/bin, unless they are the shell's, Ray's or pip's own."""
    for document in DOCUMENTS:
        for block in FENCE.findall(document.read_text()):
            for line in re.split(r"\n|;|&&", block.replace("\\\n", " ")):
                if re.match(r"\s*(python|pip|train\.py|eval\.py|inference\.py|ensemble\.py|yt8m-)", line):
                    raise AssertionError(f"{document.name}: {line}")
        assert not re.search(r"`python -m", document.read_text()), document.name


def test_the_page_of_options_is_that_of_the_code():
    from yt8m.commands.option_table import table

    assert (ROOT / "docs" / "options.md").read_text() == table()


@pytest.mark.slow
def test_the_notebook_runs(folder):
    cells = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "notebook.md").read_text(), re.MULTILINE | re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", "".join(cells)], cwd=folder, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    scores = dict(re.findall(r"^(plain|shifted|fused) ([\d.]+)$", done.stdout, re.MULTILINE))
    assert len(scores) == 3 and min(map(float, scores.values())) > 0.6, done.stdout


def test_links_in_documents_lead_somewhere():
    for document in DOCUMENTS:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", FENCE.sub("", document.read_text())):
            assert (document.parent / target).exists(), f"{document.name}: {target}"


@pytest.fixture
def folder(tmp_path):
    """An empty folder to be in, with the shared data beside it where there is any."""
    (tmp_path / "work").mkdir()
    if SHARED.exists():
        (tmp_path / "shared").symlink_to(SHARED)
    return tmp_path / "work"


@pytest.mark.slow
def test_the_tutorial_ends_in_a_submission(folder):
    printed = run_document("docs/tutorial.md", folder, timeout=900)
    assert "1 files, 0 errors" in printed
    scores = [float(value) for value in re.findall(r'"map_at_k": ([\d.]+)', printed)]
    assert len(scores) == 4 and min(scores) > 0.7
    header, *lines = (folder / "runs" / "tutorial" / "submission.csv").read_text().splitlines()
    assert header == "Class,Segments" and len(lines) == 20


@pytest.mark.slow
def test_a_video_ends_in_a_timeline_of_classes_of_its_own(folder):
    printed = run_document("docs/video.md", folder, timeout=900)
    assert "wrote runs/video/untrained.html" in printed and "wrote runs/look.html" in printed
    # Of the demo, and of its clips again, step by step.
    scores = [float(value) for value in re.findall(r'"map_at_k": ([\d.]+)', printed)]
    assert len(scores) == 2 and min(scores) > 0.6
    assert "<video" in (folder / "runs" / "mine" / "new.html").read_text()
    assert (folder / "runs" / "mine" / "new" / "timelines" / "band45.vtt").read_text().startswith("WEBVTT")


@pytest.mark.slow
def test_own_features_end_in_a_submission(folder):
    shared_path("data/desed_segments")
    printed = run_document("docs/own_features.md", folder, timeout=1200)
    assert "packed 415 videos with 1,294 ratings into 4 files" in printed
    assert float(re.search(r'"map_at_k": ([\d.]+)', printed)[1]) > 0.9
    assert (folder / "runs" / "own" / "submission.csv").read_text().startswith("Class,Segments\n0,")


@pytest.mark.slow
def test_clips_of_videos_and_of_actions_go_all_the_way(folder):
    shared_path("data/videos")
    printed = run_document("docs/clips.md", folder, timeout=900)
    assert "stored 3 clips in 1 file in runs/clips/records: 240 pictures" in printed and "usable: no errors" in printed
    assert 0 < float(re.search(r'"map_at_k": ([\d.]+)', printed)[1]) <= 1
    header, *lines = (folder / "runs" / "actions" / "submission.csv").read_text().splitlines()
    assert header == "Class,Segments" and [len(line.split(",")[1].split()) for line in lines] == [20] * 20
    script = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "clips.md").read_text(), re.DOTALL)[1]
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["(4, 8, 48, 48, 3)"] * 10
