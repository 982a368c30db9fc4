"""inference.py for one video, of a model whose scores are known: drawn, as JSON and as WebVTT, calibrated."""

import json
import os

import numpy as np
import pytest

from tests.helpers import commands
from tests.helpers.videos import write_video
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.tfrecord import FrameRecord, dequantize, write_records
from yt8m.models.base import build_model
from yt8m.models.checkpoints import load_calibration, write_run_config
from yt8m.ranking.calibration import fit_calibration

CLASSES = 3
HIGH, LOW = 200, 60


def score(values):
    """The model's score of features of these bytes."""
    return 1 / (1 + np.exp(-3.0 * dequantize(np.asarray(values, np.uint8)).astype(np.float64)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run whose class c scores sigmoid(3 x_c), a video to look at, and rated videos."""
    folder = tmp_path_factory.mktemp("one")
    data = DataConfig(feature_names=("f",), feature_sizes=(CLASSES,), num_classes=CLASSES)
    os.makedirs(folder / "run")
    write_run_config(
        folder / "run", RunConfig(data=data, model=ModelConfig(name="logistic"), train=TrainConfig(segment_labels=True))
    )
    model = build_model(ModelConfig(name="logistic"), data)
    model.head.dense.kernel.assign(3 * np.eye(CLASSES))
    model.head.dense.bias.assign(np.zeros(CLASSES))
    model.save(folder / "run" / "best.keras")
    frames = np.full((23, CLASSES), LOW, np.uint8)
    frames[5:15, 0], frames[10:15, 1], frames[20:, 2] = HIGH, HIGH + 30, HIGH
    write_records(folder / "one.tfrecord", [FrameRecord(video_id="x<y>", features={"f": frames})])
    random = np.random.default_rng(0)
    rated = []
    for number in range(60):
        values = random.integers(40, 220, CLASSES)
        chances = 1 / (1 + np.exp(-(1.5 * dequantize(values.astype(np.uint8)) + 0.5)))
        ratings = tuple((0, c, float(random.random() < chances[c])) for c in range(CLASSES))
        features = {"f": np.tile(values.astype(np.uint8), (5, 1))}
        rated.append((FrameRecord(video_id=f"r{number}", features=features, segments=ratings), values))
    write_records(folder / "rated.tfrecord", [record for record, _ in rated])
    (folder / "names.csv").write_text("Index,Name\n0,Rock & Roll\n1,<b>\n")
    expected = fit_calibration(
        np.concatenate([score(values) for _, values in rated]),
        [rating == 1 for record, _ in rated for _, _, rating in record.segments],
        method="platt",
    )
    return folder, expected


@pytest.fixture(autouse=True)
def width(monkeypatch):
    """A terminal of 60 columns."""
    monkeypatch.setenv("COLUMNS", "60")


def passed(name, folder, *arguments):
    return commands.passed(name, f"--train_dir={folder}/run", *arguments).stdout


def show(folder, *arguments):
    outputs = (f"--intervals={folder}/i.json", f"--chapters={folder}/c.vtt", f"--vocabulary={folder}/names.csv")
    text = passed(
        "inference", folder, f"--input_data_pattern={folder}/one.tfrecord", "--timeline", *outputs, *arguments
    )
    return text, json.loads((folder / "i.json").read_text())


def test_one_video_then_calibrated(folder):
    folder, expected = folder
    text, content = show(folder)
    high, higher = score(HIGH), score(HIGH + 30)
    head, first, *others, axis, _, _ = text.splitlines()
    assert head == "x<y>  0:23, 5 segments, scores uncalibrated"
    assert first == f"<b>                 ████         {higher:.2f} at 0:10"
    assert len(others) == 2 and axis.split() == ["|0:00", "|0:10", "|0:20"]
    spans = [(item["start"], item["end"], item["class_id"], item["name"]) for item in content["intervals"]]
    assert spans == [(5, 15, 0, "Rock & Roll"), (10, 15, 1, "<b>"), (20, 23, 2, None)]
    assert [item["score"] for item in content["intervals"]] == pytest.approx([high, higher, high], abs=1e-4)
    assert (folder / "c.vtt").read_text() == (
        "WEBVTT\n\n00:00:05.000 --> 00:00:10.000\nRock &amp; Roll\n\n00:00:10.000 --> 00:00:15.000\n&lt;b&gt;\n"
        "\n00:00:20.000 --> 00:00:23.000\nclass 2\n"
    )
    printed = json.loads(passed(
        "eval", folder, f"--eval_data_pattern={folder}/rated.tfrecord", "--calibrate=platt"
    ).splitlines()[-1])["calibration"]  # fmt: skip
    assert printed["slope"] == pytest.approx(expected.slope, rel=1e-3)
    assert printed["offset"] == pytest.approx(expected.offset, rel=1e-3)
    assert printed["error_after"] < printed["error_before"]
    text, content = show(folder, "--top_k=2", "--video_id=x<y>", "--threshold=0.925")
    assert content["scores"] == "calibrated on rated pairs (platt)" and content["scores"] in text
    assert [item["class_id"] for item in content["intervals"]] == [1]
    assert content["intervals"][0]["score"] == pytest.approx(float(expected(higher)), abs=1e-4)
    # Head, two classes, times, and a line on each file.
    assert len(text.splitlines()) == 6
    # A calibration is of one model only.
    assert load_calibration(folder / "run").num_rated == expected.num_rated
    stored = json.loads((folder / "run" / "calibration.json").read_text())
    (folder / "run" / "calibration.json").write_text(json.dumps(stored | {"model": "another"}))
    assert load_calibration(folder / "run") is None


def test_the_page_plays_the_video_beside_its_timeline(folder):
    folder, _ = folder
    video = write_video(folder / "clip one.mp4", range(23))
    page = folder / "page.html"
    text, _ = show(folder, f"--report={page}", f"--video_file={video}")
    assert f"wrote {page}" in text
    content = page.read_text()
    assert "<video" in content and 'src="./clip%20one.mp4' in content and content.count("data:image/jpeg") == 8
    assert "&lt;b&gt;" in content and "<b>" not in content and "Rock &amp; Roll" in content
    sound = write_video(folder / "sound.wav", (), sound=np.zeros(16_000))
    show(folder, f"--report={page}", f"--video_file={sound}")
    assert "<audio" in page.read_text() and "data:image/jpeg" not in page.read_text()


@pytest.mark.parametrize(
    "flags, sentence",
    [
        (("--video_id=a",), "--video_id is for --timeline, --intervals, --chapters and --report"),
        (("--video_file=a.mp4",), "--video_file is for --timeline, --intervals, --chapters and --report"),
        (("--timeline", "--video_file=a.mp4"), "--report is a page that plays --video_file: give both, or neither"),
        (("--report=a.html",), "--report is a page that plays --video_file: give both, or neither"),
        (("--report=a.html", "--video_file=setup.cfg"), "setup.cfg"),
        ((), "either --output_file or --embeddings must be given, or, for one video"),
        (("--timeline", "--output_file=o.csv"), "are for all videos"),
        (("--timeline", "--threshold=1.5"), "threshold"),
    ],
)
def test_refuses(folder, flags, sentence):
    common = (f"--train_dir={folder[0]}/run", f"--input_data_pattern={folder[0]}/one.tfrecord")
    assert sentence in commands.refused("inference", *common, *flags)
