"""The scripts as a user types them: the job end to end, and what they say to bad input."""

import ast
import collections
import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys
import time

import pytest

from tests.helpers import ROOT
from tests.helpers.commands import call, passed, refused
from tests.helpers.documents import console_scripts
from yt8m.config import AugmentConfig, DataConfig
from yt8m.data.labels import read_rated_labels
from yt8m.data.splits import split_files
from yt8m.data.tfrecord import list_files
from yt8m.ranking.evaluation import evaluate_submission
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import write_submission
from yt8m.types import DataWarning

SCRIPTS = ("train", "eval", "inference", "ensemble", "export", "tune", "selftrain", "adapt")


def described(text):
    """(what --help says of the command, what it says of its flags), without the name of the program."""
    command, _, listed = text.partition("\nflags:\n")
    program, _, listed = listed.lstrip().partition("\n")
    assert program.endswith(":")
    return command.strip(), listed


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_is_quick_and_whole(name):
    code = (
        f"import sys, runpy; sys.argv = ['{name}.py', '--help']\n"
        f"try: runpy.run_path('{name}.py', run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code, stop.code\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    start = time.monotonic()
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert time.monotonic() - start < 10
    flags = [line for line in result.stdout.splitlines() if line.startswith("  --")]
    assert len(flags) > 5
    assert all(line.partition(":")[2].strip() for line in flags)
    assert described(result.stdout) == described(call(name, "--help").stdout)


@pytest.mark.parametrize("installed, module", console_scripts().items())
def test_installed_commands_tell_of_the_same_command(installed, module):
    program = pathlib.Path(sys.executable).with_name(installed)
    if not program.exists():
        pytest.skip(f"{installed} is not installed: make setup")
    result = subprocess.run([program, "--help"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    source = pathlib.Path(importlib.util.find_spec(module).origin)
    command, listed = described(result.stdout)
    assert command == ast.get_docstring(ast.parse(source.read_text()), clean=False).strip()
    assert (command, listed) == described(call(module.rpartition(".")[2], "--help").stdout)


def test_a_process_ends_with_the_status_of_its_command(tmp_path):
    (tmp_path / "bad.csv").write_text("Class,Segments\n1,a:3\n")
    for name, argument, status in (("train", "--batch_sise=2", 2), ("ensemble", f"--check {tmp_path}/bad.csv", 1)):
        process = subprocess.run(
            [sys.executable, ROOT / f"{name}.py", *argument.split()], capture_output=True, text=True
        )
        inside = call(name, *argument.split())
        assert process.returncode == inside.returncode == status
        assert (process.stdout, process.stderr) == (inside.stdout, inside.stderr)
    assert inside.stdout.endswith("1 files, 1 errors\n")


def test_the_job_end_to_end(finetuned_run, demo_data, tmp_path):
    features = ("--feature_names=rgb,audio", "--feature_sizes=1024,128")
    table = f"--per_class_csv={tmp_path}/classes.csv"
    scored = json.loads(passed("eval", f"--train_dir={finetuned_run}", table, *features).stdout)
    assert 0 < scored["map_at_k"] <= 1 and (tmp_path / "classes.csv").exists()
    common = (
        f"--train_dir={finetuned_run}",
        f"--input_data_pattern={demo_data}/test/*.tfrecord",
        f"--segment_label_ids_file={demo_data}/segment_label_ids.csv",
    )
    passed("inference", *common, "--tta=-1,1", f"--output_file={tmp_path}/a.csv")
    said = passed("inference", *common, "--tta=auto", "--border=reflect", f"--output_file={tmp_path}/b.csv.gz").stdout
    assert re.search(r"^shifts -?\d to \d rank the holdout best of 16 ranges: MAP 0\.\d+", said, re.MULTILINE)
    labels = f"--labels={demo_data}/test_labels.csv"
    submissions = f"--submissions={tmp_path}/a.csv,{tmp_path}/b.csv.gz"
    passed("ensemble", submissions, "--weights=1,2", f"--output_file={tmp_path}/fused.csv")
    fused = json.loads(passed("eval", f"--submission={tmp_path}/fused.csv", labels).stdout)
    searched = passed(
        "ensemble", "--search", submissions, labels, "--search_method=bayesian", "--search_steps=5", "--num_folds=0",
        f"--weights_file={tmp_path}/w.json", f"--output_file={tmp_path}/best.csv",
    )  # fmt: skip
    found = json.loads(searched.stdout.splitlines()[0])
    best = json.loads(passed("eval", f"--submission={tmp_path}/best.csv", labels).stdout)
    assert best["map_at_k"] == pytest.approx(found["map_at_k"], abs=1e-9)
    assert 0 < fused["map_at_k"] <= best["map_at_k"] + 1e-9
    passed("inference", *common, "--nosegment_labels", "--top_k=3", f"--output_file={tmp_path}/videos.csv")
    header, first, *_ = (tmp_path / "videos.csv").read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs" and len(first.split(",")[1].split()) == 6


@pytest.mark.slow
def test_thresholds_are_fitted_on_one_file_and_used_on_another(finetuned_run, demo_data, tmp_path):
    run = f"--train_dir={finetuned_run}"
    fitted = json.loads(passed("eval", run, f"--fit_thresholds={tmp_path}/t.csv").stdout)["best_f1"]
    again = json.loads(passed("eval", run, f"--thresholds={tmp_path}/t.csv").stdout)["f1"]
    assert again.pop("thresholds") == f"{tmp_path}/t.csv" and again == fitted["by_class"]
    assert fitted["by_class"]["micro"] >= fitted["one_threshold"]["micro"] > 0
    assert 0 <= fitted["by_class_out_of_fold"]["micro"] <= fitted["by_class"]["micro"]
    plain = json.loads(passed("eval", run, "--threshold=0.5").stdout)
    assert plain["f1"]["threshold"] == 0.5 and "best_f1" not in plain
    assert "f1" not in json.loads(passed("eval", run).stdout)
    # A holdout of whole videos, by a model and by the file of its classes.
    pattern = f"--eval_data_pattern={demo_data}/validate/*.tfrecord"
    video = json.loads(passed("eval", run, "--nosegment_labels", pattern).stdout)
    files = (f"--input_data_pattern={demo_data}/validate/*.tfrecord", f"--output_file={tmp_path}/v.csv")
    passed("inference", run, *files, "--nosegment_labels", "--top_k=20")
    labels = f"--labels={demo_data}/validate/*.tfrecord"
    scored = json.loads(passed("eval", f"--submission={tmp_path}/v.csv", labels).stdout)
    for name in ("hit_at_one", "num_videos"):
        assert scored[name] == video[name]
    # The file rounds scores, which a model that has hardly been trained has close together.
    assert scored["gap_at_20"] == pytest.approx(video["gap_at_20"], abs=2e-3)
    assert scored["f1"]["micro"] == pytest.approx(video["f1"]["micro"], abs=1e-4)
    said = refused("eval", f"--submission={tmp_path}/v.csv", labels, "--bootstrap=5")
    assert "are for segments, and whole videos were scored" in said
    rated = (demo_data / "test_labels.csv").read_text().splitlines()
    segment, class_id, _ = next(line for line in rated if line.endswith(",1")).split(",")
    (tmp_path / "s.csv").write_text(f"Class,Segments\n{class_id},{segment}\n")
    ranked = (f"--submission={tmp_path}/s.csv", f"--labels={demo_data}/test_labels.csv")
    assert "has ranks and no scores" in refused("eval", *ranked, "--threshold=0.5")


@pytest.mark.slow
def test_it_is_said_whether_segments_or_videos_were_written(finetuned_run, demo_data, tmp_path):
    common = (f"--input_data_pattern={demo_data}/test/*.tfrecord", f"--output_file={tmp_path}/a.csv")
    said = passed("inference", f"--train_dir={finetuned_run}", *common).stdout
    assert "ranked segments, as the model was trained on these: --nosegment_labels tags" in said
    assert (tmp_path / "a.csv").read_text().startswith("Class,Segments\n")
    pretrained = finetuned_run.parent / "pretrained"
    said = passed("inference", f"--train_dir={pretrained}", *common).stdout
    assert "tagged whole videos, as the model was trained on these: --segment_labels ranks" in said
    assert (tmp_path / "a.csv").read_text().startswith("VideoId,")
    said = passed("inference", f"--train_dir={pretrained}", "--segment_labels", *common).stdout
    assert said.strip() == f"wrote {tmp_path}/a.csv: 30 classes"


@pytest.mark.slow
def test_views_and_filters_at_inference(finetuned_run, demo_data, tmp_path):
    """What is printed is MAP@K of the file, and of that without filters."""
    common = (
        f"--train_dir={finetuned_run}",
        f"--input_data_pattern={demo_data}/test/*.tfrecord",
        f"--segment_label_ids_file={demo_data}/segment_label_ids.csv",
        "--tta_views=dilute,enlarge",
    )
    passed("inference", *common, f"--output_file={tmp_path}/plain.csv")
    filters = ("--video_filter_top_n=4", "--video_filter_pooling=mean", "--skip_first_segments=1")
    labels = f"--labels={demo_data}/test_labels.csv"
    said = passed("inference", *common, *filters, labels, f"--output_file={tmp_path}/filtered.csv").stdout
    rated = RatedLabels.from_csv(demo_data / "test_labels.csv")
    scores = [evaluate_submission(tmp_path / f"{name}.csv", rated).map_at_k for name in ("filtered", "plain")]
    assert f"MAP@100000 is {scores[0]:.4f} with the filters, {scores[1]:.4f} without" in said and scores[0] != scores[1]


@pytest.mark.slow
def test_a_model_of_the_whole_video_is_trained_and_ranks(demo_data, tmp_path):
    small = {"num_layers": 1, "num_heads": 2, "feed_forward_size": 8, "hidden_size": 8}
    settings = {"segment_model": "moe", "context_config": small, "context_size": 4, "num_mixtures": 1}
    passed(
        "train", "--model=video_context", f"--model_config={json.dumps(settings)}", "--segment_labels", "--num_epochs=1",
        f"--train_data_pattern={demo_data}/validate/*.tfrecord", "--holdout_files=2", f"--train_dir={tmp_path}/run",
        "--num_classes=30", "--augment_shift=1", "--augment_enlarge", "--frame_dropping=0.1", "--mixup=0.2",
    )  # fmt: skip
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["data"]["video_frames"] == 30 and config["data"]["video_radius"] is None
    unchanged = AugmentConfig()
    augment = {name: value for name, value in config["train"]["augment"].items() if value != getattr(unchanged, name)}
    assert augment == {"shift": 1, "enlarge": True, "frame_dropping": 0.1, "mixup": 0.2}
    common = (f"--train_dir={tmp_path}/run", f"--input_data_pattern={demo_data}/test/*.tfrecord", "--tta=-1,1")
    passed("inference", *common, f"--output_file={tmp_path}/a.csv")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 31


def test_a_submission_is_scored_on_the_side_of_the_split_that_it_ranks(demo_data, tmp_path):
    files = list_files(f"{demo_data}/validate/*.tfrecord")
    config = DataConfig(num_classes=30)
    rankings, positives = {}, collections.Counter()
    for segment, class_id, score in zip(*read_rated_labels(split_files(files, holdout_files=3, seed=4)[1], config)):
        rankings.setdefault(int(class_id), []).append((-score, segment))
    for _, class_id, score in zip(*read_rated_labels(files, config)):
        positives[int(class_id)] += score
    listed = {class_id: sum(score < 0 for score, _ in entries) for class_id, entries in rankings.items()}
    write_submission(tmp_path / "s.csv", {c: [s for _, s in sorted(entries)] for c, entries in rankings.items()})
    shares = [listed.get(class_id, 0) / count for class_id, count in positives.items() if count]
    common = (f"--labels={demo_data}/validate/*.tfrecord", "--holdout_files=3", "--seed=4")
    with pytest.warns(DataWarning, match="of the .* rated videos are nowhere in .*s.csv"):
        whole = evaluate_submission(tmp_path / "s.csv", RatedLabels(*read_rated_labels(files, config))).summary()
    assert whole["map_at_k"] == pytest.approx(sum(shares) / len(shares)) and whole["map_at_k"] < 0.8
    side = json.loads(passed("eval", f"--submission={tmp_path}/s.csv", *common, "--split=holdout").stdout)
    assert side["map_at_k"] == 1 and side["num_positive"] == sum(listed.values()) < whole["num_positive"]
    search = ("--search", f"--weights_file={tmp_path}/w.json")
    found = passed("ensemble", f"--submissions={tmp_path}/s.csv,{tmp_path}/s.csv", *search, *common, "--split=holdout")
    assert json.loads(found.stdout.splitlines()[0])["map_at_k"] == 1
    said = refused("eval", f"--submission={tmp_path}/s.csv", f"--labels={demo_data}/test_labels.csv", "--split=holdout")
    assert "--split=holdout is for --labels that are TFRecord files" in said


@pytest.mark.slow
def test_reports_hold_what_eval_prints(finetuned_run, demo_data, tmp_path):
    report = tmp_path / "r.html"
    common = (f"--train_dir={finetuned_run}", f"--report={report}")
    printed = json.loads(passed("eval", *common, f"--vocabulary={demo_data}/vocabulary.csv").stdout)
    page = report.read_text()
    assert json.loads(page.partition('id="results">')[2].partition("</script>")[0]) == printed
    assert {"map_at_k", "interval", "loss"} <= set(printed)
    assert "Holdout MAP@K" in page and page.count('class="video"') > 0
    assert page.count('data-name="') > 0 and 'data-name="class ' not in page
    printed = json.loads(passed("eval", *common, "--nosegment_labels").stdout)
    assert "GAP@20" in report.read_text() and f"{printed['gap_at_20']:.5f}" in report.read_text()
    said = refused("eval", "--submission=a.csv", f"--labels={demo_data}/test_labels.csv", "--calibrate=platt")
    assert "--calibrate is for a model" in said


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--tta=1,-2",), "--tta=1,-2: the first shift must not be greater"),
        (("--tta=-301,0",), "--tta=-301,0: shifts are at most 300 frames"),
        (("--tta=1,-2,3",), "--tta=1,-2,3 is not a range of shifts"),
        (("--tta=-1,1", "--shift=0"), "--shift and --tta contradict"),
        (("--format=parquet",), "--format=parquet contradicts --output_file"),
        (
            ("--feature_names=rgb", "--model=gated_netvlad"),
            "--feature_names=rgb contradicts the run, which was trained",
        ),
        (("--split=holdout",), "--split=holdout needs --holdout_files"),
        (("--tta_views=mirror",), "--tta_views=mirror: give some of dilute, enlarge"),
        (("--video_predictions=a.csv",), "--video_predictions needs --video_filter_top_n"),
        (("--input_data_pattern=/nowhere/*",), "/nowhere/*"),
    ],
)
def test_inference_refuses(finetuned_run, demo_data, tmp_path, flags, sentence):
    common = {
        "--train_dir": finetuned_run,
        "--input_data_pattern": f"{demo_data}/test/*.tfrecord",
        "--output_file": tmp_path / "out.csv",
    }
    given = {flag.partition("=")[0] for flag in flags}
    said = refused("inference", *(f"{k}={v}" for k, v in common.items() if k not in given), *flags)
    assert sentence in said
    assert os.listdir(tmp_path) == []


def test_a_truncated_record_is_named_or_skipped(finetuned_run, demo_data, tmp_path):
    whole = list_files(f"{demo_data}/test/*.tfrecord")[0]
    cut = tmp_path / "cut.tfrecord"
    with open(whole, "rb") as file:
        cut.write_bytes(file.read()[:-100])
    common = (f"--train_dir={finetuned_run}", f"--input_data_pattern={cut}", f"--output_file={tmp_path}/out.csv")
    said = refused("inference", *common)
    assert str(cut) in said and "record" in said and not (tmp_path / "out.csv").exists()
    skipped = passed("inference", *common, "--skip_corrupt")
    assert "1 corrupt" in skipped.stderr and (tmp_path / "out.csv").exists()


def test_broken_checkpoints_are_named(finetuned_run, tmp_path):
    said = refused("eval", f"--train_dir={tmp_path}")
    assert "not the folder of a training run" in said
    (tmp_path / "config.json").write_bytes((finetuned_run / "config.json").read_bytes())
    (tmp_path / "best.keras").write_bytes(b"not a model")
    assert "best.keras cannot be loaded" in refused("eval", f"--train_dir={tmp_path}")


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--model=frame_bart",), "did you mean frame_bert"),
        (("--preset=BERT",), "BERT_L2h12"),
        (("--model=moe", "--model_config={"), "--model_config is not JSON"),
        (("--model=moe", '--model_config={"mixtures": 2}'), "no hyperparameter mixtures; known: num_mixtures"),
        (("--model=moe", "--feature_names=rgb,audio", "--feature_sizes=1000,128"), "rgb"),
        (("--model=moe", "--num_classes=3"), "outside [0, 3)"),
        (("--model=moe", "--batch_size=0"), "--batch_size=0: it must be at least 1"),
        (("--model=moe", "--learning_rate=1"), "learning_rate"),
        (("--model=moe", "--augment_shift=1"), "are views of segments: set segment_labels"),
        ((), "no model is named"),
    ],
)
def test_train_refuses(demo_data, tmp_path, flags, sentence):
    said = refused("train", f"--train_data_pattern={demo_data}/train/*.tfrecord", f"--train_dir={tmp_path}/run", *flags)
    assert sentence in said


def test_an_unwritable_output_is_found_before_the_work(finetuned_run, demo_data, tmp_path):
    (tmp_path / "file").write_text("")
    said = refused(
        "inference",
        f"--train_dir={finetuned_run}",
        f"--input_data_pattern={demo_data}/test/*.tfrecord",
        f"--output_file={tmp_path}/file/out.csv",
    )
    assert "cannot write" in said
