"""The file format: values, files, what is in them."""

import contextlib
import glob
import gzip
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.records import make_video
from yt8m.data import tfrecord
from yt8m.data.record_dataset import record_dataset
from yt8m.data.scan import probe
from yt8m.types import InputError


def test_dequantize_is_the_formula():
    assert tfrecord.dequantize(np.array([0, 255], np.uint8)).tolist() == [4 / 512 - 2, 4 + 4 / 512 - 2]
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(tfrecord.dequantize(every), np.arange(256) * 4 / 255 + 4 / 512 - 2, atol=1e-6)


def test_quantize_inverts_and_clips():
    every = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(tfrecord.quantize(tfrecord.dequantize(every)), every)
    assert tfrecord.quantize([-9.0, 9.0]).tolist() == [0, 255]
    values = np.linspace(-1.99, 2.0, 1000)
    assert np.abs(tfrecord.dequantize(tfrecord.quantize(values)) - values).max() <= 2 / 255 + 1e-6


@pytest.mark.parametrize("id_key", tfrecord.ID_KEYS)
def test_frame_record_holds_what_was_written(write, tmp_path, id_key):
    path = str(tmp_path / "a.tfrecord")
    assert tfrecord.write_records(path, [make_video("x:y")], id_key=id_key) == 1
    (serialized,) = tf.data.TFRecordDataset(path).as_numpy_iterator()
    example = tf.train.SequenceExample.FromString(serialized)
    context = example.context.feature
    assert context[id_key].bytes_list.value[:] == [b"x:y"]
    assert context["segment_start_times"].int64_list.value[:] == [0, 10]
    assert context["segment_end_times"].int64_list.value[:] == [5, 15]
    assert context["segment_labels"].int64_list.value[:] == [1, 2]
    assert context["segment_scores"].float_list.value[:] == [1.0, 0.0]
    rgb = example.feature_lists.feature_list["rgb"].feature
    assert [feature.bytes_list.value[0] for feature in rgb] == [bytes([t + 1] * 6) for t in range(12)]


def test_gzip_by_suffix(write):
    plain, packed = write("a.tfrecord", make_video("a")), write("b.tfrecord.gz", make_video("a"))
    with open(plain, "rb") as first, gzip.open(packed) as second:
        assert first.read() == second.read()
    assert list(record_dataset(packed).as_numpy_iterator()) == list(record_dataset(plain).as_numpy_iterator())


def test_list_files_takes_globs_and_lists(write, tmp_path):
    a, b, c = (write(f"{name}.tfrecord", make_video(name)) for name in "abc")
    assert tfrecord.list_files(f"{tmp_path}/*.tfrecord") == [a, b, c]
    assert tfrecord.list_files(f"{c}, {tmp_path}/[ac].tfrecord") == [a, c]
    assert tfrecord.list_files([b, a]) == [a, b]


def test_wildcards_leave_hidden_files_out(write, tmp_path):
    """As in a shell, whichever component is hidden; half-written files and folders have such names."""
    for folder in (".", ".hidden", "shown"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name in ("a.tfrecord", ".a.part.tfrecord", "..tfrecord"):
            write(f"{folder}/{name}", make_video("x"))
    with contextlib.chdir(tmp_path):
        for root in (".", str(tmp_path), "../" + tmp_path.name, "shown/.."):
            for pattern in ("*.tfrecord", "*/*.tfrecord", "sho*/*a.tfrecord", "[.a]*.tfrecord", "?hidden/?*.tfrecord"):
                shell = {os.path.realpath(file) for file in glob.glob(f"{root}/{pattern}")}
                try:
                    found = {os.path.realpath(file) for file in tfrecord.match_files(f"{root}/{pattern}")}
                except InputError as error:
                    assert "but 2 hidden ones, the first" in str(error) or "but 3 hidden ones" in str(error)
                    found = set()
                assert found == shell, (root, pattern)
        named = tfrecord.match_files(".hidden/.*.tfrecord")
    assert sorted(map(os.path.basename, named)) == ["..tfrecord", ".a.part.tfrecord"]


def test_list_files_refuses(tmp_path):
    (tmp_path / "empty.tfrecord").touch()
    for pattern, message in (
        (f"{tmp_path}/no*", f"no file matches {tmp_path}/no*"),
        (f"{tmp_path}/empty.tfrecord", f"{tmp_path}/empty.tfrecord is empty"),
        (str(tmp_path), "is a directory"),
        (" , ", "pattern is empty"),
    ):
        with pytest.raises(InputError) as error:
            tfrecord.list_files(pattern)
        assert message in str(error.value)


def test_probe_frame_level(write):
    path = write("a.tfrecord", make_video("a", labels=None, segments=None), make_video("b"))
    found = probe([path])
    assert found == tfrecord.Probe(
        level="frame", features={"audio": 4, "rgb": 6}, id_key="id", has_labels=True, has_segment_labels=True
    )
    found = probe([path], num_records=1)
    assert not found.has_labels and not found.has_segment_labels


def test_probe_video_level(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    record = tfrecord.VideoRecord(video_id="a", features={"mean_rgb": np.arange(3.0)}, labels=(1,))
    tfrecord.write_records(path, [record], id_key="video_id")
    assert probe([path]) == tfrecord.Probe(
        level="video", features={"mean_rgb": 3}, id_key="video_id", has_labels=True, has_segment_labels=False
    )


def test_probe_looks_past_bad_records_and_names_a_bad_file(write, tmp_path):
    good = write("good.tfrecord", make_video("a"), make_video("b"))
    with open(good, "rb+") as file:
        file.truncate(os.path.getsize(good) - 5)
    assert probe([good]).features == {"audio": 4, "rgb": 6}
    bad = tmp_path / "bad.tfrecord"
    bad.write_bytes(b"this is not a TFRecord file")
    with pytest.raises(InputError, match="bad.tfrecord, record 0"):
        probe([str(bad)])


def test_a_failed_write_leaves_nothing(tmp_path):
    def records():
        yield make_video("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tfrecord.write_records(tmp_path / "a.tfrecord", records())
    assert not list(tmp_path.iterdir())
