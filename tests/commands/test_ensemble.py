"""ensemble.py as a user runs it."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from benchmarks import plain
from tests.helpers import ROOT
from tests.helpers.commands import call
from tests.helpers.submissions import with_scores, write_case
from yt8m.ranking.video_predictions import write_video_predictions


def run(folder, *arguments, status=0):
    """(standard output, standard error) of ensemble.py; a status other than expected fails."""
    done = call("ensemble", *arguments, folder=folder)
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def case(tmp_path):
    paths, labels = write_case(tmp_path)
    return tmp_path, ",".join(path.rpartition("/")[2] for path in paths), labels.name


def test_fuses(case):
    folder, names, _ = case
    weights = ["--weights=1,2,0.5,1", "--w0=6.06"]
    out, err = run(folder, f"--submissions={names}", *weights, "--output_file=o.csv", "--workers=1")
    plain.fuse([folder / name for name in names.split(",")], folder / "slow.csv", weights=(1, 2, 0.5, 1), w0=6.06)
    assert (folder / "o.csv").read_bytes() == (folder / "slow.csv").read_bytes()
    assert json.loads(out)["num_classes"] == 5
    assert "note: model1.csv lacks 1 of 5 classes: 3" in err


def test_class_ranges_merge_to_the_whole(case):
    folder, names, _ = case
    common = [f"--submissions={names}", "--workers=1"]
    run(folder, *common, "--output_file=whole.csv")
    run(folder, *common, "--output_file=0.csv", "--classes=0:3")
    run(folder, *common, "--output_file=1.csv", "--classes=3:250")
    run(folder, "--merge", "1.csv", "0.csv", "--output_file=merged.csv")
    assert (folder / "merged.csv").read_bytes() == (folder / "whole.csv").read_bytes()


def test_searches_then_applies(case):
    folder, names, labels = case
    search = ["--search", f"--submissions={names}", f"--labels={labels}", "--workers=1", "--weights_file=w.json"]
    out, _ = run(folder, *search, "--num_folds=3", "--output_file=o.csv", "--report=r.html")
    found, fused = map(json.loads, out.splitlines())
    assert fused["output_file"] == "o.csv"
    value, _ = plain.score_rankings(plain.read(folder / "o.csv"), plain.read_labels(folder / labels))
    assert found["map_at_k"] == pytest.approx(value, abs=1e-12)
    assert len(found["out_of_fold_gain"]["folds"]) == 3
    run(folder, f"--submissions={names}", "--weights_file=w.json", "--output_file=later.csv", "--workers=1")
    assert (folder / "later.csv").read_bytes() == (folder / "o.csv").read_bytes()
    text = (folder / "r.html").read_text()
    assert text.count('role="img"') == 2 and "model0.csv" in text and "to the bagged ones" in text
    # A search takes seconds: killed or not, the same command writes the same file again.
    first = (folder / "w.json").read_bytes()
    run(folder, *search, "--num_folds=3")
    assert (folder / "w.json").read_bytes() == first
    run(folder, *search, "--num_folds=3", "--w0=1")
    assert json.loads((folder / "w.json").read_text())["w0"] == 1
    _, err = run(folder, f"--submissions={names}", "--weights_file=w.json", "--w0=1", "--output_file=no.csv", status=2)
    assert "give either --weights_file or --weights, --method, --w0 and --w0_share, not both" in err


def test_no_weights_are_searched_by_ratings_of_other_ids(case):
    folder, names, labels = case
    rated = (folder / labels).read_text().splitlines()
    (folder / "bytes.csv").write_text("".join(f"b'{line[:3]}'{line[3:]}\n" for line in rated))
    search = ["--search", f"--submissions={names}", "--labels=bytes.csv", "--weights_file=w.json"]
    _, err = run(folder, *search, status=2)
    assert "model0.csv ranks none of the" in err and "is what Python 3 makes of bytes" in err
    assert not (folder / "w.json").exists()


@pytest.mark.parametrize("method", ["mean", "geometric_mean"])
def test_searches_weights_of_scores(case, method):
    folder, names, labels = case
    with_scores([str(folder / name) for name in names.split(",")], folder)
    names = names.replace(".csv", ".parquet")
    search = ["--search", f"--method={method}", f"--submissions={names}", f"--labels={labels}", "--workers=1"]
    out, _ = run(folder, *search, "--num_folds=3", "--output_file=o.parquet")
    found, _ = map(json.loads, out.splitlines())
    assert (found["fusion"], found["w0"], found["w0_share"]) == (method, None, None)
    weights = "--weights=" + ",".join(map(str, found["weights"]))
    run(folder, f"--submissions={names}", f"--method={method}", weights, "--output_file=again.csv")
    run(folder, f"--submissions={names}", "--weights_file=o.parquet.weights.json", "--output_file=read.csv")
    assert (folder / "again.csv").read_bytes() == (folder / "read.csv").read_bytes()
    value, _ = plain.score_rankings(plain.read(folder / "again.csv"), plain.read_labels(folder / labels))
    assert found["map_at_k"] == pytest.approx(value, abs=1e-12)


def test_fuses_and_searches_predictions_of_whole_videos(case):
    folder, _, _ = case
    generator = np.random.default_rng(0)
    labels = {f"v{i:02}": i % 4 for i in range(40)}
    for name, strength in (("a", 0.2), ("b", 3.0), ("c", 3.0)):
        rows = {video: 1 / (1 + np.exp(-generator.normal(strength * np.eye(4)[own]))) for video, own in labels.items()}
        write_video_predictions(folder / f"{name}.csv", [(video, range(4), row) for video, row in rows.items()])
    (folder / "l.csv").write_text("".join(f"{video},{own}\n" for video, own in labels.items()))
    common = ["--submissions=a.csv,b.csv,c.csv", "--method=mean"]
    out, _ = run(folder, *common, "--search", "--labels=l.csv", "--output_file=o.csv", "--report=r.html", "--top_k=3")
    found, fused = map(json.loads, out.splitlines())
    assert found["metric"] == "gap_at_3" and found["weights"][0] < 0.7 and fused["rows_written"] == 120
    scored = json.loads(call("eval", "--submission=o.csv", "--labels=l.csv", "--top_k=3", folder=folder).stdout)
    assert scored["gap_at_3"] == pytest.approx(found["gap_at_3"], abs=1e-6)
    assert "GAP@3" in (folder / "r.html").read_text() and "Overlap" not in (folder / "r.html").read_text()
    run(folder, *common, "--output_file=equal.csv", "--top_k=3")
    equal = json.loads(call("eval", "--submission=equal.csv", "--labels=l.csv", "--top_k=3", folder=folder).stdout)
    assert equal["gap_at_3"] == pytest.approx(found["equal_weights"]["gap_at_3"], abs=1e-6)
    assert equal["gap_at_3"] < scored["gap_at_3"]
    run(folder, common[0], "--weights_file=o.csv.weights.json", "--output_file=again.csv", "--top_k=3")
    assert (folder / "again.csv").read_bytes() == (folder / "o.csv").read_bytes()
    for arguments, sentence in (
        ([common[0]], "--method=reciprocal_rank is for ranked segments: predictions of whole videos are fused by mean"),
        (["--submissions=a.csv,model0.csv", common[1]], "a.csv holds predictions of whole videos, and model0.csv does"),
        ([*common, "--classes=0:2"], "--classes and --ray are for submissions"),
    ):
        assert sentence in run(folder, *arguments, "--output_file=no.csv", status=2)[1]


def test_checks(case):
    folder, names, _ = case
    out, _ = run(folder, "--check", *names.split(","))
    assert out == "4 files, 0 errors\n"
    (folder / "bad.csv").write_text("Class,Segments\n1,a:3\n")
    out, _ = run(folder, "--check", "bad.csv", "model0.csv", status=1)
    assert "bad.csv, line 2, class 1: error: segment 1, 'a:3': no multiple of 5 s" in out


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ([], "--submissions=A.csv,B.csv must be given"),
        (["--submissions=model0.csv"], "--output_file must be given"),
        (["--submissions=model0.csv,model1.csv", "--weights=1", "--output_file=o.csv"], "1 weights for 2 submissions"),
        (
            ["--submissions=model0.csv", "--weights=x", "--output_file=o.csv"],
            "--weights=x: 'x' is not comma-separated values, at least 0",
        ),
        (["--submissions=model0.csv", "--w0=0", "--output_file=o.csv"], "--w0=0: it must be above 0"),
        (["--submissions=nope.csv", "--output_file=o.csv"], "cannot read nope.csv: No such file"),
        (["--submissions=labels.csv", "--output_file=o.csv"], "labels.csv, line 1: expected class_id"),
        (["--submissions=model0.csv", "--output_file=model0.csv/o.csv"], "cannot write model0.csv/o.csv"),
        (["--submissions=model0.csv", "--classes=5", "--output_file=o.csv"], "expected FIRST:END"),
        (
            ["--submissions=model0.csv", "--method=median", "--output_file=o.csv"],
            "--method=median: valid: reciprocal_rank, borda",
        ),
        (["--submissions=model0.csv", "--method=mean", "--output_file=o.csv"], "model0.csv has no scores"),
        (["--submissions=model0.csv", "--search"], "--search needs --labels"),
        (["--submissions=model0.csv", "--search", "--labels=labels.csv"], "or what it finds is lost"),
        (["--submissions=model0.csv", "model1.csv", "--output_file=o.csv"], "unexpected argument 'model1.csv'"),
        (["--check"], "give either --check or --merge"),
        (["--merge", "model0.csv"], "--output_file must be given"),
        (["--merge", "model0.csv", "model1.csv", "--output_file=o.csv"], "has no scores to merge by"),
    ],
)
def test_bad_commands(case, arguments, sentence):
    folder, _, _ = case
    _, err = run(folder, *arguments, status=2)
    assert sentence in err
    assert len(err.strip().splitlines()[-1]) < 300
    assert not (folder / "o.csv").exists()


def test_help_is_quick(tmp_path):
    start = time.monotonic()
    done = subprocess.run([sys.executable, str(ROOT / "ensemble.py"), "--help"], capture_output=True, text=True)
    assert time.monotonic() - start < 3
    assert "--submissions" in done.stdout
    imported = "import sys, ensemble; assert not {'tensorflow', 'keras', 'bayes_opt'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", imported], cwd=ROOT, check=True)
