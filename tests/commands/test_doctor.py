"""yt8m-doctor: what it counts and finds in data sets made to be bad, and how it says so."""

import gzip
import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import shared_path
from tests.helpers.bad_records import BAD, damage, drop_a_score, edited, write_raw
from tests.helpers.commands import call, passed
from tests.helpers.records import CONFIG, make_video
from yt8m.config import DataConfig
from yt8m.data.survey.duplicates import note_leaks, note_repeats, note_split_leaks
from yt8m.data.survey.id_index import IdIndex
from yt8m.data.survey.summary import page, summarize
from yt8m.data.survey.survey import Survey
from yt8m.data.tfrecord import VideoRecord, list_files, write_records
from yt8m.types import InputError

SILENT = {"errors": [], "warnings": [], "notes": []}


def facts_of(files, config=CONFIG, **options):
    survey = Survey(files, config)
    note_repeats(survey)
    return summarize(survey, **options)


def found(facts):
    return {severity: [(item["what"], item["count"]) for item in facts[severity]] for severity in SILENT}


def test_counts_of_a_clean_set(write):
    videos = [make_video(f"v{frames}", frames=frames, labels=(1, frames % 3)) for frames in range(12, 52)]
    facts = facts_of([write("a.tfrecord", *videos[:33]), write("b.tfrecord.gz", *videos[33:])])
    assert found(facts) == SILENT | {"notes": [("ratings of segments that their video ends within", 3)]}
    assert (facts["files"], facts["records"], facts["bad_records"]) == (2, 40, 0)
    assert facts["frames"]["histogram"] == {frames: 1 for frames in range(12, 52)}
    assert (facts["frames"]["total"], facts["frames"]["median"]) == (sum(range(12, 52)), 31)
    assert (facts["ratings"], facts["positive_ratings"], facts["rated_segments"], facts["rated_videos"]) == (
        80,
        40,
        80,
        40,
    )
    assert facts["classes"][1] == {"name": None, "videos": 40, "ratings": 40, "positive_ratings": 40}
    assert facts["classes"][2] == {"name": None, "videos": 13, "ratings": 40, "positive_ratings": 0}
    assert facts["classes_never_seen"] == [3, 4, 5, 6, 7, 8, 9]
    assert facts["id_keys"] == {"id": 2} and facts["features"] == CONFIG.features


@pytest.mark.parametrize("case", BAD)
def test_bad_records_are_named_and_the_others_counted(write, case):
    bad, _, problem = BAD[case]
    videos = [make_video(f"v{number}") for number in range(40)]
    path = write("a.tfrecord", *videos[:35], bad, *videos[35:], bad)
    facts = facts_of([path])
    assert [(item["count"], item["examples"]) for item in facts["errors"]] == [
        (2, [f"{path}, record {index}: {problem}" for index in (35, 41)])
    ]
    assert (facts["records"], facts["bad_records"]) == (42, 2)
    assert facts["frames"]["histogram"] == {12: 40} and facts["classes"][1]["videos"] == 40
    assert page(facts).startswith("NOT USABLE as it is: 2 errors, 0 warnings\n")


def test_problems_that_differ_in_numbers_are_one_kind(write):
    path = write("a.tfrecord", make_video("a", rgb_size=5), make_video("b", rgb_size=4))
    assert found(facts_of([path]))["errors"] == [("frame # of rgb has # bytes, not # bytes", 2)]


@pytest.mark.parametrize(
    "name, bad, records", [("body", [1], 4), ("two bodies", [1, 2], 4), ("length", [1], 4), ("tail", [1], 2)]
)
def test_damaged_files(write, name, bad, records):
    path = write("a.tfrecord", *(make_video(video) for video in "abcd"))
    damage(path, name)
    facts = facts_of([path])
    for index, example in zip(bad, facts["errors"][0]["examples"], strict=True):
        assert example.startswith(f"{path}, record {index}: it is truncated or corrupt")
    assert (facts["records"], facts["bad_records"]) == (records, len(bad))


def test_files_that_are_no_record_files(write, tmp_path):
    good = write("a.tfrecord", make_video("a"))
    (tmp_path / "empty.tfrecord").touch()
    (tmp_path / "plain.tfrecord.gz").write_bytes((tmp_path / "a.tfrecord").read_bytes())
    (tmp_path / "packed.tfrecord").write_bytes(gzip.compress((tmp_path / "a.tfrecord").read_bytes()))
    (tmp_path / "none.tfrecord.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "bare.pb").write_bytes(make_video("a").serialize())
    names = ("empty.tfrecord", "plain.tfrecord.gz", "packed.tfrecord", "none.tfrecord.gz", "bare.pb")
    empty, plain, packed, none, bare = paths = [str(tmp_path / name) for name in names]
    facts = facts_of([good, *paths])
    examples = [example for item in facts["errors"] for example in item["examples"]]
    assert examples == [
        f"{empty} is empty",
        f"{plain}, record 0: the file is not gzipped, but its name ends in .gz",
        f"{packed}, record 0: the file is gzipped, but its name does not end in .gz, not a TFRecord file",
        f"{bare}, record 0: the file is a bare SequenceExample or Example; a TFRecord file has a length and checksums "
        "around each",
    ]
    assert facts["warnings"] == [{"what": "files without records", "count": 1, "examples": [none]}]


def test_what_a_killed_writer_left_is_named(write, tmp_path):
    files = [write(f"{name}.tfrecord", make_video(name)) for name in "ab"]
    (tmp_path / ".yt8m-k1ll3d" / "made").mkdir(parents=True)
    (tmp_path / ".yt8m-k1ll3d" / "made" / "c.tfrecord").touch()
    told = {"what": "temporary folders of commands that are at work or were killed", "count": 1}
    assert told | {"examples": [str(tmp_path / ".yt8m-k1ll3d")]} in facts_of(files)["warnings"]


def test_warnings_and_notes(tmp_path):
    def odd(context):
        context["segment_scores"].float_list.value[0] = 7.0
        context["segment_end_times"].int64_list.value[1] = 11

    records = [
        make_video("uneven", audio_frames=10, segments=()),
        make_video("odd_start", segments=((1, 3, 1.0), (0, 1, 0.0))),
        make_video("behind", frames=310, segments=((300, 1, 1.0), (5, 2, 1.0))),
    ]
    path = write_raw(
        str(tmp_path / "a"), *(record.serialize(id_key="video_id") for record in records), edited(make_video("x"), odd)
    )
    facts = facts_of([path], CONFIG.replace(max_frames=300))
    assert found(facts) == {
        "errors": [],
        "warnings": [
            ("videos whose features differ in length; the shorter counts", 1),
            ("ratings of segments behind the frames that are read", 1),
            ("scores outside [0, 1], read as the nearer end", 1),
        ],
        "notes": [
            ("ratings of segments that their video ends within", 1),
            ("segment starts that are no multiple of 5", 1),
            ("segments that are not 5 s long, read as if they were", 1),
        ],
    }
    assert facts["warnings"][0]["examples"] == [
        f"{path}, record 0, video uneven: 12 frames of rgb and 10 frames of audio"
    ]
    assert facts["warnings"][1]["examples"] == [f"{path}, record 2, video behind, start 300"]
    assert facts["id_keys"] == {"video_id": 1} and facts["frames"]["histogram"] == {10: 1, 12: 2, 310: 1}


def test_lists_of_different_lengths_beside_records_without_ratings(tmp_path):
    good = make_video("a")
    plain = make_video("b", segments=None).serialize()
    path = write_raw(str(tmp_path / "a"), plain, edited(good, drop_a_score), good.serialize())
    facts = facts_of([path])
    assert facts["errors"][0]["what"].endswith("have #, #, #, # values, and must have equally many")
    assert facts["errors"][0]["examples"][0].startswith(f"{path}, record 1: segment_labels, ")
    assert (facts["ratings"], facts["positive_ratings"], facts["bad_records"]) == (2, 1, 1)


def test_the_vocabulary(write):
    path = write("a.tfrecord", make_video("a", labels=(1, 4)), make_video("b", labels=()))
    facts = facts_of([path], names={1: "Car", 3: "Cat"}, segment_classes={1})
    assert found(facts)["warnings"] == [
        ("labels of classes that the vocabulary does not name", 1),
        ("ratings of classes that segments are not ranked for", 2),
    ]
    assert facts["warnings"][0]["examples"] == ["class 4"] and facts["warnings"][1]["examples"] == ["class 2"]
    assert facts["classes_never_seen"] == [3] and facts["videos_without_labels"] == 1
    assert "Car" in page(facts) and "never seen: 3" in page(facts)


def test_repeated_ids(write):
    first = write("a.tfrecord", *(make_video(f"v{number}") for number in range(40)))
    second = write("b.tfrecord", make_video("w"), make_video("v35"), make_video("w"), make_video("w"))
    (item,) = facts_of([first, second])["warnings"]
    assert item["what"] == "records with the id of an earlier one" and item["count"] == 3
    assert sorted(item["examples"]) == [
        f"video v35 is in {first}, record 35 and in {second}, record 1",
        f"video w is in {second}, record 0 and in {second}, record 2",
    ]


def test_hashes_that_only_look_alike_are_not_called_repeated(write, monkeypatch):
    monkeypatch.setattr(
        "yt8m.data.survey.id_index._hash", lambda video_id: 7 if video_id in (b"a", b"b") else len(video_id)
    )
    assert facts_of([write("a.tfrecord", make_video("a"), make_video("b"))])["warnings"] == []


def test_leaks(write):
    first = write("a.tfrecord", make_video("a"), make_video("b"))
    other = write("b.tfrecord", make_video("c"), make_video("b"))
    for note in (lambda survey: note_leaks(survey, [other]), lambda survey: note_split_leaks(survey, [first], [other])):
        survey = Survey([first, other], CONFIG)
        note(survey)
        (item,) = summarize(survey)["errors"]
        if item["what"] == "videos in both train and holdout":
            assert item["count"] == 1
            assert item["examples"] == [f"video b is in {first}, record 1 and in {other}, record 1"]
        else:
            assert item["what"] == "videos that the other files hold too" and item["count"] == 2
    survey = Survey([first], CONFIG)
    note_leaks(survey, [write("c.tfrecord", make_video("d"))])
    assert summarize(survey)["errors"] == []


def test_the_index_is_small():
    index = IdIndex()
    index.add("a", 0, [b"%d" % number for number in range(1000)] + [b""])
    index.add("b", 5, [b"999", b"1000"])
    assert sum(part.nbytes for parts in index._files.values() for _, part in parts) == 8 * 1003
    (hashed,) = index.repeated()
    assert index.places([hashed]) == {int(hashed): [("a", 999), ("b", 5)]} and len(index.hashes()) == 1002


def test_video_level(tmp_path):
    config = CONFIG.replace(feature_names=("mean_rgb",), feature_sizes=(6,), level="video")
    values = [np.zeros(6), np.zeros(5), np.full(6, np.nan)]
    path = str(tmp_path / "a.tfrecord")
    write_records(
        path, [VideoRecord(video_id=str(n), features={"mean_rgb": v}, labels=(2,)) for n, v in enumerate(values)]
    )
    facts = facts_of([path], config)
    assert facts["errors"][0]["examples"] == [f"{path}, record 1: mean_rgb has 5 floats, not 6"]
    assert facts["errors"][1]["examples"] == [f"{path}, record 2: mean_rgb holds nan"]
    assert facts["classes"][2]["videos"] == 1 and "frames" not in facts


def test_the_command(write, tmp_path):
    good, bad = write("a.tfrecord", make_video("a")), write("b.tfrecord", make_video("b", rgb_size=5))
    (tmp_path / "0.tfrecord").touch()
    result = call("doctor", good, f"--json={tmp_path}/facts.json")
    assert result.returncode == 0 and result.stdout.startswith("usable: no errors, 0 warnings\n"), result.stderr
    assert json.loads((tmp_path / "facts.json").read_text())["classes"]["1"]["videos"] == 1
    result = call("doctor", f"{tmp_path}/*.tfrecord")
    assert result.returncode == 2 and f"{bad}, record 0: frame 0 of rgb has 5 bytes, not 6" in result.stdout
    assert f"{tmp_path}/0.tfrecord is empty" in result.stdout and "Traceback" not in result.stderr
    result = call("doctor")
    assert result.returncode == 2 and "no files are named" in result.stderr


def test_real_records():
    path = str(shared_path("data") / "desed_segments" / "validate0000.tfrecord")
    facts = facts_of([path], DataConfig(feature_names=("audio",), feature_sizes=(128,), num_classes=10))
    assert found(facts)["errors"] == found(facts)["warnings"] == []
    assert (facts["records"], facts["ratings"], facts["rated_segments"]) == (415, 1294, 821)
    assert facts["frames"]["total"] == sum(
        len(tf.train.SequenceExample.FromString(item.numpy()).feature_lists.feature_list["audio"].feature)
        for item in tf.data.TFRecordDataset([path])
    )


def test_a_file_that_was_cut_between_records_is_told_by_what_packed_it(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((9, 4), np.float32))
    np.save(tmp_path / "b.npy", np.zeros((9, 4), np.float32))
    records = tmp_path / "records"
    passed("pack", f"--features=rgb:{tmp_path}/*.npy", f"--output_dir={records}", "--num_shards=1")
    (shard,) = records.glob("*.tfrecord")
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 2])
    told = f"{shard} has {len(whole) // 2:,} bytes, and pack.json beside it says {len(whole):,}: it was cut or changed"
    result = call("doctor", str(shard))
    assert result.returncode == 2 and told in result.stdout + result.stderr
    with pytest.raises(InputError) as error:
        list_files(str(shard))
    assert str(error.value) == told
    # The same command makes it anew.
    passed("pack", f"--features=rgb:{tmp_path}/*.npy", f"--output_dir={records}", "--num_shards=1")
    assert shard.read_bytes() == whole and call("doctor", str(shard)).returncode == 0


def test_bytes_behind_a_gzipped_file_are_told(write, tmp_path):
    path = write("a.tfrecord.gz", make_video("a"), make_video("b"))
    packed = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(packed + packed)
    assert found(facts_of([path]))["errors"] == []
    pathlib.Path(path).write_bytes(packed + b"garbage")
    facts = facts_of([path])
    told = "it is no record: bytes that are not gzipped stand behind the end of those that are"
    assert facts["errors"][0]["examples"] == [f"{path}, record 2: {told}"] and facts["records"] == 3


def test_the_number_of_records_that_is_expected(write):
    paths = [write("a.tfrecord", make_video("a")), write("b.tfrecord", make_video("b"), make_video("c"))]
    assert call("doctor", *paths, "--expect_records=3").returncode == 0
    result = call("doctor", *paths, "--expect_records=4")
    assert result.returncode == 2 and "3 records, and 4 are expected" in result.stdout
