"""Clips as commands are typed: from generated actions and from videos to a run, its scores and its predictions."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clips import TinyClip, flat, jpeg
from tests.helpers.commands import call, passed, refused
from tests.helpers.videos import write_video
from yt8m.data.clip_records import ClipRecord
from yt8m.data.record_dataset import record_dataset
from yt8m.models import MODELS
from yt8m.ranking.submission import Submission


@pytest.fixture(scope="module", autouse=True)
def tiny_clip():
    """A model of clips is registered while the tests of this file run: others look through all that are."""
    MODELS.register("tiny_clip")(TinyClip)
    yield
    del MODELS._objects["tiny_clip"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("actions")
    said = passed(
        "demo",
        "--actions=bright",
        "--actions_size=tiny",
        "--actions_a_clip=2",
        "--seed=1",
        f"--output_dir={folder}/data",
    ).stdout
    assert said == f"wrote bright clips of 20 actions to {folder}/data: 40 in train, 20 in holdout, 20 in test\n"
    for kind, flags in {"segments": ["--segment_labels"], "whole": []}.items():
        passed(
            "train", "--model=tiny_clip", f"--train_data_pattern={folder}/data/train/*.tfrecord",
            f"--eval_data_pattern={folder}/data/holdout/*.tfrecord", f"--train_dir={folder}/{kind}", *flags,
            "--clip_size=24", "--num_frames=6", "--batch_size=10", "--num_epochs=1", "--random_crop=0.6",
            "--colour_jitter=0.2", "--base_learning_rate=0.01",
        )  # fmt: skip
    return folder


@pytest.mark.slow
def test_a_run_knows_its_clips(folder):
    config = json.loads((folder / "segments" / "config.json").read_text())
    data = config["data"]
    assert (data["level"], data["feature_names"], data["feature_sizes"]) == ("clip", ["pictures"], [3])
    assert (data["num_frames"], data["sampling"], data["num_classes"]) == (6, "uniform", 20)
    assert data["clip"] == {"size": 24, "stride": 1, "views": 1, "crops": 1, "gamma": "off"}
    assert config["train"]["augment"]["crop_area"] == 0.6
    inputs = json.loads((folder / "segments" / "inputs.json").read_text())
    assert [len(inputs["files"][role]) for role in ("train", "holdout")] == [4, 2]


def results(*arguments):
    return json.loads(passed("eval", *arguments).stdout.strip().splitlines()[-1])


@pytest.mark.slow
def test_segments_are_scored_and_ranked(folder):
    run, test = f"--train_dir={folder}/segments", f"{folder}/data/test/*.tfrecord"
    found = results(run, f"--eval_data_pattern={test}")
    assert 0 < found["map_at_k"] <= 1
    said = passed(
        "inference", run, f"--input_data_pattern={test}", f"--output_file={folder}/one.parquet", f"--labels={test}"
    ).stdout
    # What is ranked by the same scores has the same MAP.
    assert f"MAP@100000 is {found['map_at_k']:.4f}" in said
    with Submission(f"{folder}/one.parquet") as one:
        listed = one[0].texts()
        assert len(listed) == 40 and {text.rpartition(":")[2] for text in listed} == {"0", "5"}
    passed(
        "inference",
        run,
        f"--input_data_pattern={test}",
        f"--output_file={folder}/nine.parquet",
        "--views=3",
        "--crops=3",
    )
    with Submission(f"{folder}/nine.parquet") as nine, Submission(f"{folder}/one.parquet") as one:
        assert sorted(nine[0].texts()) == sorted(one[0].texts()) and not np.allclose(nine[0].scores, one[0].scores)
    views = results(run, f"--eval_data_pattern={test}", "--views=3", "--crops=3")
    scored = results(f"--submission={folder}/nine.parquet", f"--labels={test}")
    assert abs(views["map_at_k"] - scored["map_at_k"]) < 1e-6


def test_scores_of_views_are_the_mean_of_each(folder):
    """What nine views score is the mean of what the model says of each of them."""
    from yt8m.config import ClipConfig
    from yt8m.data.pipeline import make_dataset
    from yt8m.inference.scorer import Scorer
    from yt8m.models.checkpoints import load_model

    model, run = load_model(f"{folder}/segments")
    config = run.data.replace(clip=run.data.clip.replace(views=3, crops=3))
    assert run.data.clip == ClipConfig(size=24)
    files = [f"{folder}/data/test/test0000.tfrecord"]
    (features, _), *_ = make_dataset(files, config, windows="all", batch_size=4).as_numpy_iterator()
    assert features["pictures"].shape == (4, 9, 6, 24, 24, 3)
    each = [np.asarray(model({name: values[:, view] for name, values in features.items()})) for view in range(9)]
    np.testing.assert_allclose(Scorer(model, batch_size=4)(features), np.mean(each, axis=0), atol=1e-6)
    assert np.std(each, axis=0).max() > 1e-4


@pytest.mark.slow
def test_clips_are_read_with_another_gamma_than_in_training(folder, tmp_path, monkeypatch):
    from yt8m.data.pipeline import make_dataset
    from yt8m.inference.scorer import Scorer
    from yt8m.models.checkpoints import load_model, read_run_config
    from yt8m.training import finishing

    run, test = f"--train_dir={folder}/whole", f"--input_data_pattern={folder}/data/test/test0000.tfrecord"
    model, config = load_model(f"{folder}/whole")
    assert config.data.clip.gamma == "off"

    def tagged(*flags):
        passed("inference", *flags, f"--output_file={tmp_path}/tags.csv")
        lines = [line.split(",") for line in (tmp_path / "tags.csv").read_text().splitlines()[1:]]
        pairs = {video_id: dict(zip(words.split()[::2], words.split()[1::2])) for video_id, words in lines}
        return np.array([[float(scores[str(label)]) for label in range(20)] for _, scores in sorted(pairs.items())])

    def scored(gamma):
        data = config.data.replace(clip=config.data.clip.replace(gamma=gamma))
        scores = {}
        files = [f"{folder}/data/test/test0000.tfrecord"]
        for features, _, info in make_dataset(files, data, windows="video", batch_size=10, with_info=True):
            of_batch = Scorer(model, batch_size=10)({name: values.numpy() for name, values in features.items()})
            scores |= dict(zip(info["id"].numpy().tolist(), of_batch))
        return np.array([values for _, values in sorted(scores.items())])

    lifted = tagged(run, test, "--clip_gamma=0.4")
    np.testing.assert_allclose(lifted, scored("0.4"), atol=2e-6)
    assert np.abs(lifted - scored("off")).max() > 1e-3
    # Adaptation reads with it, and so does the adapted run. The model has no batch norm.
    read = []
    monkeypatch.setattr(finishing, "batch_norm_layers", lambda model: [])
    monkeypatch.setattr(
        finishing, "adapt_batch_norm", lambda model, source, config, **_: read.append(config.clip.gamma) or 10
    )
    passed("adapt", run, test, "--clip_gamma=0.4", "--batch_size=4", f"--output_dir={tmp_path}/adapted")
    assert read == ["0.4"] and read_run_config(tmp_path / "adapted").data.clip.gamma == "0.4"


@pytest.mark.slow
def test_whole_clips_are_scored_and_tagged(folder):
    run, test = f"--train_dir={folder}/whole", f"{folder}/data/test/*.tfrecord"
    found = results(run, f"--eval_data_pattern={test}")
    assert {"gap_at_20", "hit_at_one", "f1"} <= set(found)
    passed("inference", run, f"--input_data_pattern={test}", f"--output_file={folder}/tags.csv")
    header, *lines = (folder / "tags.csv").read_text().splitlines()
    assert header == "VideoId,LabelConfidencePairs" and len(lines) == 20
    again = results(f"--submission={folder}/tags.csv", f"--labels={test}")
    assert abs(again["gap_at_20"] - found["gap_at_20"]) < 1e-4


def test_a_timeline_of_one_clip(folder):
    said = passed(
        "inference", f"--train_dir={folder}/segments", f"--input_data_pattern={folder}/data/test/*.tfrecord",
        "--video_id=bright-test00003", f"--intervals={folder}/one.json", "--threshold=0", "--top_k=3",
    ).stdout  # fmt: skip
    assert "wrote" in said
    assert {item["end"] for item in json.loads((folder / "one.json").read_text())["intervals"]} == {10}


@pytest.mark.slow
def test_training_goes_on_where_it_stopped_and_is_the_same(folder):
    flags = (
        "--model=tiny_clip", f"--train_data_pattern={folder}/data/train/*.tfrecord", "--holdout_fraction=0.2",
        "--clip_size=16", "--num_frames=4", "--batch_size=8", "--random_crop=0.5", "--sampling=sequence", "--clip_stride=2",
        "--segment_labels",
    )  # fmt: skip
    passed("train", *flags, f"--train_dir={folder}/once", "--num_epochs=2")
    for epochs in (1, 2):
        passed("train", *flags, f"--train_dir={folder}/twice", f"--num_epochs={epochs}")
    once, twice = (
        json.loads((folder / name / "metrics.jsonl").read_text().splitlines()[-1]) for name in ("once", "twice")
    )
    assert once["map_at_k"] == twice["map_at_k"]


def test_what_is_of_features_is_one_sentence(folder):
    run, test = f"--train_dir={folder}/segments", f"{folder}/data/test/*.tfrecord"
    said = refused("inference", run, f"--input_data_pattern={test}", f"--output_file={folder}/x.csv", "--tta=-1,1")
    assert "clips have --views and --crops" in said
    train = ("train", f"--train_data_pattern={test}", f"--train_dir={folder}/x")
    assert "takes frame or video-level features, and these are clip-level" in refused(*train, "--model=logistic")
    said = refused(*train, "--model=tiny_clip", f"--cache_dir={folder}/cache")
    assert "a cache holds frames, and clip-level records have none" in said
    assert "sampling is 'random'; valid for clips" in refused(*train, "--model=tiny_clip", "--sampling=random")
    assert "--actions_size and --actions_a_clip are of --actions" in refused("demo", "--actions_size=tiny")


def test_the_doctor_knows_clips(folder, tmp_path):
    test = sorted((folder / "data" / "test").iterdir())
    page = passed(
        "doctor", str(test[0]), str(test[1]), f"--vocabulary={folder}/data/vocabulary.csv", f"--json={tmp_path}/f.json"
    ).stdout
    assert page.startswith("usable: no errors, 0 warnings\n")
    facts = json.loads((tmp_path / "f.json").read_text())
    assert facts["level"] == "clip" and facts["records"] == 20 and facts["ratings"] == 800
    records = [ClipRecord.parse(item) for path in test for item in record_dataset(str(path)).as_numpy_iterator()]
    size = sum(len(picture) for record in records for picture in record.pictures)
    assert facts["pictures"] == {"total": 1600, "bytes": size, "sizes": {"64x64": 20}, "a_second": {"8": 20}}
    assert facts["seconds"] == {"total": 200, "least": 10, "median": 10, "most": 10, "histogram": {"10": 20}}
    assert f"pictures   1,600, of {size / 1.6e6:.1f} kB in the mean\n" in page
    assert "width x height: 64x64 in 20 clips\n" in page and "pictures a second: 8 in 20 clips\n" in page
    assert "seconds    200; a video has 10 to 10" in page
    records[3] = ClipRecord(
        video_id=records[4].video_id, pictures=(jpeg(flat(1, (10, 20))), jpeg(flat(1))), times=(0, 10**6), size=(10, 20),
        rate=1.0,
    )  # fmt: skip
    broken = records[6].pictures[:5] + (records[6].pictures[5][:400],) + records[6].pictures[6:]
    path = str(tmp_path / "bad.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for number, record in enumerate(records):
            import dataclasses

            record = dataclasses.replace(record, pictures=broken) if number == 6 else record
            writer.write(record.serialize())
    result = call("doctor", path, "--num_classes=20")
    assert result.returncode == 2
    assert f"{path}, record 6: frame 5 of image/encoded is broken: its 400 bytes" in result.stdout
    assert "records with the id of an earlier one" in result.stdout
    assert "NOTE: 1 x clips whose pictures differ in size" in result.stdout
    assert re.search(r"width x height: 64x64 in 18, 20x10 in 1 clips", result.stdout)


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    (folder / "clips").mkdir()
    for name in ("a", "b"):
        write_video(folder / "clips" / f"{name}.mp4", [k / 5 for k in range(35)])
    (folder / "intervals.csv").write_text("video_id,start,end,class\na,0,5,red\nb,5,7,blue\n")
    (folder / "names.csv").write_text("Index,Name\n0,red\n1,blue\n")
    return folder


def test_videos_become_clips(videos):
    shared = (f"--intervals_csv={videos}/intervals.csv", f"--vocabulary={videos}/names.csv", "--rate_the_rest")
    shared += ("--clip_rate=2", "--clip_side=16", "--jpeg_quality=80", "--min_overlap=1")
    said = passed("pack", f"--videos={videos}/clips/*.mp4", f"--output_dir={videos}/packed", *shared).stdout
    assert re.match(rf"stored 2 clips with 8 ratings in 1 file in {videos}/packed: 28 pictures of \d\.\d kB\n", said)
    said = passed("video", f"{videos}/clips", f"--output_dir={videos}/out", "--clips", *shared, "--workers=2").stdout
    assert said.startswith(f"stored 2 clips with 8 ratings in 1 file in {videos}/out/clips: 28 pictures")
    assert (videos / "packed" / "part0000.tfrecord").read_bytes() == (
        videos / "out" / "clips" / "part0000.tfrecord"
    ).read_bytes()
    assert not (videos / "out" / "features").exists()
    assert passed("doctor", f"{videos}/packed/*.tfrecord").stdout.startswith("usable: no errors")
    passed(
        "train", "--model=tiny_clip", f"--train_data_pattern={videos}/packed/*.tfrecord", f"--train_dir={videos}/run",
        "--segment_labels", "--num_epochs=1", "--batch_size=2", "--clip_size=16",
    )  # fmt: skip
    assert json.loads((videos / "run" / "config.json").read_text())["data"]["num_classes"] == 2


@pytest.mark.parametrize(
    "command, flags, sentence",
    [
        ("pack", ["--clip_rate=3", "--input_data_pattern=x"], "--clip_rate is for --videos: give it too, or leave it out"),
        ("pack", ["--videos=x.mp4", "--pca=rgb:3"], "--pca is for features, and --videos have pictures"),
        ("pack", ["--videos=x.mp4", "--resample=nearest"], "--resample is for features, and --videos have pictures"),
        ("pack", ["--videos=none/*.mp4"], "no file matches none/*.mp4"),
        ("video", ["x.mp4", "--clip_side=64"], "--clip_rate, --clip_side and --jpeg_quality are of --clips"),
        ("video", ["x.mp4", "--clips", "--backbone=logmel"], "--backbone is of features, and --clips stores pictures"),
        ("video", ["x.mp4", "--clips", "--keep_views"], "--keep_views is of features, and --clips stores pictures"),
    ],
)  # fmt: skip
def test_flags_that_contradict_clips(command, flags, sentence, tmp_path):
    assert sentence in refused(command, *flags, f"--output_dir={tmp_path}/out")


def test_pseudo_labels_of_clips(folder, tmp_path):
    """A round of self-training: what the teacher is sure of becomes clip records that students learn from."""
    from yt8m.data.pipeline import make_dataset
    from yt8m.data.splits import Source
    from yt8m.models.checkpoints import read_run_config
    from yt8m.training.pseudo_labels import Choice, write_pseudo_labels
    from yt8m.types import Segment

    config = read_run_config(str(folder / "segments")).data
    source = Source(tuple(sorted(map(str, (folder / "data" / "test").iterdir()))))
    chosen = {Segment("bright-test00002", 5): (2, {3: 0.75, 9: 0.25}), Segment("bright-test00007", 0): (1, {1: 1.0})}
    choice = Choice(chosen, {}, {}, _NoResampling())
    pattern = write_pseudo_labels(tmp_path / "pseudo", choice, source, config)
    files = [pattern.replace("*", "00000")]
    found = [ClipRecord.parse(item) for item in record_dataset(files[0]).as_numpy_iterator()]
    originals = {
        record.video_id: record
        for file in source.files
        for record in map(ClipRecord.parse, record_dataset(file).as_numpy_iterator())
    }
    parts = {"bright-test00002": slice(40, 80), "bright-test00007": slice(0, 40)}
    assert sorted(record.video_id for record in found) == ["bright-test00002"] * 2 + ["bright-test00007"]
    for record in found:
        assert record.pictures == originals[record.video_id].pictures[parts[record.video_id]]
    ((features, targets),) = make_dataset(files, config, windows="rated", batch_size=4)
    assert features["pictures"].shape == (3, 6, 24, 24, 3)
    assert sorted(map(tuple, targets["classes"].numpy()[:, :2].tolist())) == [(2, 0), (4, 10), (4, 10)]


class _NoResampling:
    def to_dict(self):
        return {}

    def told(self):
        return ""
