"""Bad records: named, or counted and skipped."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import fast
from tests.helpers.bad_records import BAD, damage, drop_a_score, edited, write_raw
from tests.helpers.records import CONFIG, make_video
from yt8m.data import record_checks
from yt8m.data.pipeline import count_records, make_dataset
from yt8m.data.tfrecord import VideoRecord, write_records
from yt8m.models.targets import dense_targets
from yt8m.types import DataWarning, InputError


def consume(files, config, windows, **options):
    """Number of examples, read as a script would."""
    with record_checks.explain_errors(files, config, windows=windows):
        dataset = make_dataset(files, config, windows=windows, batch_size=4, **options)
        return sum(len(next(iter(element[0].values()))) for element in dataset)


def skip(files, config, windows, **options):
    """(number of examples, text of the one warning) where bad records are skipped."""
    with pytest.warns(DataWarning) as told:
        count = consume(files, config.replace(skip_corrupt=True), windows, **options)
    (text,) = [str(warning.message) for warning in told if issubclass(warning.category, DataWarning)]
    return count, text


@pytest.mark.parametrize("case", fast(BAD.keys() - {"other level"}, BAD))
def test_a_bad_record_is_named(write, case):
    bad, windows, problem = BAD[case]
    files = [write("a.tfrecord", make_video("a")), write("b.tfrecord", make_video("b"), make_video("c"), bad)]
    with pytest.raises(InputError) as error:
        consume(files, CONFIG, windows)
    assert str(error.value) == f"{files[1]}, record 2: {problem}"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_record_is_skipped_and_counted(write, case):
    bad, windows, problem = BAD[case]
    path = write("a.tfrecord", make_video("a"), bad, make_video("b"), bad, make_video("c"))
    count, told = skip([path], CONFIG, windows, training=windows != "all")
    assert count == 3 * {"video": 1, "rated": 2, "all": 3}[windows]
    assert told == f"skipped 2 corrupt records; the first: {path}, record 1: {problem}"


@pytest.mark.parametrize("case", ["label", "rating", "past"])
def test_fields_that_are_not_read_are_not_judged(write, case):
    windows = {"label": "rated", "rating": "video", "past": "all"}[case]
    files = [write("a.tfrecord", BAD[case][0])]
    assert consume(files, CONFIG, windows) == consume(files, CONFIG.replace(skip_corrupt=True), windows) > 0
    with pytest.raises(InputError, match="record 0"):
        record_checks.diagnose(files, CONFIG)


def test_segment_lists_of_different_lengths(tmp_path):
    good = make_video("a")
    path = write_raw(str(tmp_path / "a.tfrecord"), good.serialize(), edited(good, drop_a_score))
    with pytest.raises(InputError) as error:
        consume([path], CONFIG, "rated")
    assert str(error.value).startswith(f"{path}, record 1: segment_labels, segment_start_times, segment_end_times, ")
    assert "have 2, 2, 2, 1 values" in str(error.value)
    assert skip([path], CONFIG, "rated")[0] == 2


def test_end_times_may_be_absent(tmp_path):
    path = write_raw(str(tmp_path / "a"), edited(make_video("a"), lambda context: context.pop("segment_end_times")))
    assert consume([path], CONFIG, "rated") == 2
    assert record_checks.diagnose([path], CONFIG) is None


def test_fields_of_another_type(tmp_path):
    def as_floats(context):
        context["labels"].float_list.value.append(1.0)

    path = write_raw(str(tmp_path / "a.tfrecord"), edited(make_video("a"), as_floats))
    with pytest.raises(InputError, match="record 0: labels is a float_list, not an int64_list"):
        consume([path], CONFIG, "video")


def test_video_level(tmp_path, write):
    config = CONFIG.replace(feature_names=("mean_rgb",), feature_sizes=(6,), level="video")
    records = [VideoRecord(video_id=str(size), features={"mean_rgb": np.zeros(size)}, labels=()) for size in (6, 5, 6)]
    path = str(tmp_path / "a.tfrecord")
    write_records(path, records)
    with pytest.raises(InputError) as error:
        consume([path], config, "video")
    assert str(error.value) == f"{path}, record 1: mean_rgb has 5 floats, not 6"
    assert skip([path], config, "video")[0] == 2
    with pytest.raises(InputError, match="record 0: mean_rgb is missing; the record has id, labels"):
        consume([write("b.tfrecord", make_video("b"))], config, "video")


@pytest.mark.parametrize(
    "name, skipped, left",
    [
        pytest.param("body", 1, 3, marks=pytest.mark.slow),
        ("two bodies", 2, 2),
        pytest.param("length", 1, 3, marks=pytest.mark.slow),
        pytest.param("tail", 1, 1, marks=pytest.mark.slow),
    ],
)
def test_damaged_files(write, name, skipped, left):
    path = write("a.tfrecord", *(make_video(video) for video in "abcd"))
    damage(path, name)
    with pytest.raises(InputError) as error:
        consume([path], CONFIG, "all")
    assert str(error.value).startswith(f"{path}, record 1: it is truncated or corrupt")
    with pytest.raises(InputError, match="record 1: it is truncated"):
        count_records([path], CONFIG)
    count, told = skip([path], CONFIG, "video")
    assert count == left and told.startswith(f"skipped {skipped} corrupt record")
    with pytest.warns(DataWarning, match=f"skipped {skipped} corrupt record"):
        assert count_records([path], CONFIG.replace(skip_corrupt=True)) == left


def test_a_record_that_is_no_example(tmp_path):
    good = make_video("a").serialize()
    path = write_raw(str(tmp_path / "a.tfrecord"), good, b"\x99junk", good)
    with pytest.raises(InputError, match="record 1: it is not a SequenceExample"):
        consume([path], CONFIG, "all")
    assert skip([path], CONFIG, "video")[0] == 2


def test_a_truncated_gzip_file(write):
    path = write("a.tfrecord.gz", *(make_video(video) for video in "abcd"))
    os.truncate(path, os.path.getsize(path) // 2)
    with pytest.raises(InputError, match="a.tfrecord.gz, record "):
        consume([path], CONFIG, "video")


@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_a_file_that_disappears(tmp_path, skip_corrupt):
    path = str(tmp_path / "gone.tfrecord")
    with pytest.raises(InputError, match=f"cannot read {path}: .*No such file"):
        consume([path], CONFIG.replace(skip_corrupt=skip_corrupt), "video")


def test_errors_inside_fit_are_explained(write):
    path = write("a.tfrecord", make_video("a"), make_video("b", rgb_size=5))
    model = keras.Sequential([keras.layers.Dense(10)])
    model.compile("sgd", "mse")
    dataset = make_dataset([path], CONFIG, windows="video", batch_size=1)
    dataset = dataset.map(
        lambda features, targets: (
            tf.cast(features["rgb"][:, 0], tf.float32),
            dense_targets(targets, num_classes=10)["labels"],
        )
    )
    with (
        pytest.raises(InputError, match="a.tfrecord, record 1: frame 0 of rgb"),
        record_checks.explain_errors([path], CONFIG),
    ):
        model.fit(dataset, verbose=0)


def test_other_errors_pass_unchanged(write):
    path = write("a.tfrecord", make_video("a"))
    with pytest.raises(tf.errors.InvalidArgumentError), record_checks.explain_errors([path], CONFIG):
        tf.reshape(tf.zeros(3), [2])
    with pytest.raises(KeyError), record_checks.explain_errors([path], CONFIG):
        raise KeyError
