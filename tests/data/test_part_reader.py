"""Datasets of many lists of files that are traced once, and what all datasets have set."""

import concurrent.futures
import os
import shutil

import numpy as np
import pytest

from tests.helpers.records import CONFIG
from yt8m.data import part_reader as part_reader_module
from yt8m.data.part_reader import part_reader
from yt8m.data.pipeline import make_dataset
from yt8m.types import DataWarning

WAYS = {
    "all": {"windows": "all", "views": (-2, 0)},
    "video": {"windows": "video", "with_info": True},
    "kept": {"windows": "all", "keep": lambda video_id: video_id.endswith("3")},
}

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.LongVideosWarning")


def flat(dataset):
    """Names and arrays of all batches of ``dataset``, in order."""
    return [
        (name, values)
        for element in dataset.as_numpy_iterator()
        for part in element
        for name, values in sorted(part.items())
    ]


def assert_equal(found, expected):
    """Checks that two lists of flat() hold the same."""
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (name, values), (_, other) in zip(found, expected):
        np.testing.assert_array_equal(values, other, err_msg=name)


@pytest.mark.parametrize("way", WAYS)
def test_same_batches_as_make_dataset_traced_once(way, unchanged, monkeypatch):
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments)
        return make_dataset(*arguments, **options)

    monkeypatch.setattr(part_reader_module, "make_dataset", counted)
    read = part_reader(CONFIG, batch_size=7, **WAYS[way])
    parts = [unchanged, unchanged[:1], unchanged[2:], unchanged[::-1]]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda files: flat(read(files)), parts))
    for files, batches in zip(parts, found):
        expected = flat(make_dataset(files, CONFIG, batch_size=7, **WAYS[way]))
        assert expected
        assert_equal(batches, expected)
    assert len(calls) == 1


def test_corrupt_records_are_skipped_and_counted_in_each_part(files):
    damaged = bytearray(open(files[1], "rb").read())
    damaged[-10] ^= 1
    with open(files[1], "wb") as file:
        file.write(damaged)
    config = CONFIG.replace(skip_corrupt=True)
    read = part_reader(config, batch_size=64, windows="all")
    for part in (files[:2], files[1:], files[:2]):
        with pytest.warns(DataWarning, match=f"skipped 1 corrupt record; the first: {files[1]}, record 2"):
            found = flat(read(part))
        with pytest.warns(DataWarning):
            assert_equal(found, flat(make_dataset(part, config, batch_size=64, windows="all")))


@pytest.mark.parametrize("skip_corrupt", [False, True])
def test_names_of_files_need_not_be_utf8(skip_corrupt, unchanged, tmp_path):
    name = os.fsdecode(os.fsencode(str(tmp_path / "a")) + b"\xff.tfrecord")
    shutil.copy(unchanged[0], name)
    config = CONFIG.replace(skip_corrupt=skip_corrupt)
    expected = flat(make_dataset(unchanged[:1], config, windows="all", batch_size=64))
    assert_equal(flat(make_dataset([name], config, windows="all", batch_size=64)), expected)
    assert_equal(flat(part_reader(config, windows="all", batch_size=64)([name])), expected)


@pytest.mark.parametrize("skip_corrupt", [False, True])
@pytest.mark.parametrize("windows", ["video", "rated", "all", "unlabelled"])
def test_no_dataset_waits_for_the_tuner_at_its_end(windows, skip_corrupt, unchanged):
    config = CONFIG.replace(skip_corrupt=skip_corrupt)
    dataset = make_dataset(unchanged, config, windows=windows, batch_size=4, training=windows != "all")
    assert dataset.options().autotune.enabled is False


def test_nor_does_one_of_a_cache(unchanged, cached):
    dataset = make_dataset(unchanged, CONFIG, windows="rated", batch_size=4, training=True, cache=cached()[1])
    assert dataset.options().autotune.enabled is False
