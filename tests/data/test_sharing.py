"""Processes that read from one cache: together they have the batches of one, and each looks at its own frames alone."""

import numpy as np
import pytest

from tests.helpers import fast
from tests.helpers.processes import in_step
from tests.helpers.records import CONFIG, make_video
from yt8m.config import AugmentConfig
from yt8m.data.cache import RecordCache, open_cache
from yt8m.data.packing import Packing
from yt8m.data.pipeline import make_dataset
from yt8m.data.splits import IdSplit
from yt8m.data.tfrecord import write_records
from yt8m.types import InputError

FACTORS = np.array([1, 2.5, 1, 4, 1, 1, 3.3, 1, 1, 1.5], np.float32)

WAYS = {
    "rated": ("rated", {}, {"factors": FACTORS}),
    "rated, kept": ("rated", {"unrated": "video_negative"}, {"keep": IdSplit(fraction=0.3).in_train}),
    "rated, changed": ("rated", {}, {"augment": AugmentConfig(mixup=0.2, frame_masking=0.1)}),
    "videos": ("video", {"sampling": "random", "num_frames": 4}, {"keep": IdSplit(fraction=0.3).in_train}),
    "videos, ordered": ("video", {"sampling": "random_ordered", "num_frames": 9, "video_frames": 3}, {}),
    "videos, multigrid": ("video", {}, {"batch_size": (24, 12), "num_frames": (4, 8)}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Three files of 60, 45 and 70 videos, one of which has more labels than the usual width."""
    folder, paths = tmp_path_factory.mktemp("records"), []
    for number, count in enumerate((60, 45, 70)):
        random = np.random.default_rng(number)
        videos = []
        for video in range(count):
            frames = int(random.integers(5, 24))
            starts = 5 * random.integers(0, (frames + 4) // 5, 3)
            segments = tuple((int(start), int(random.integers(10)), 1.0) for start in starts)
            labels = tuple(range(40)) if number == 1 and video == 7 else (video % 10, video % 7)
            videos.append(make_video(f"v{number}_{video}", frames=frames, labels=labels, segments=segments))
        paths.append(str(folder / f"{number}.tfrecord"))
        write_records(paths[-1], videos)
    return paths


@pytest.fixture(scope="module")
def make_cache(files, tmp_path_factory):
    """Function that gives a cache of the files."""
    caches = {}

    def make(windows, config):
        known = (windows, config.unrated)
        if known not in caches:
            caches[known] = open_cache(tmp_path_factory.mktemp("cache"), files, config, windows=windows)
        return caches[known]

    return make


def epoch(files, config, **options):
    """List of flat dicts of arrays of the batches, and the ids that were noted."""
    noted: list[bytes] = []
    options = {"training": True, "seed": 5, "batch_size": 12, "drop_remainder": True} | options
    elements = make_dataset(files, config, with_info=True, note_ids=noted.extend, **options)

    def flat(element):
        arrays = {}
        for part in element:
            partner = part.get("partner", {})
            arrays |= {name: values.numpy() for name, values in part.items() if name != "partner"}
            arrays |= {f"partner_{name}": values.numpy() for name, values in partner.items()}
        return arrays

    return [flat(element) for element in elements], sorted(noted)


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", fast(["rated", "rated, changed", "videos, multigrid"], WAYS))
def test_the_shares_of_a_step_are_the_batch_of_one_process(files, make_cache, way, count):
    windows, changes, options = WAYS[way]
    config = CONFIG.replace(**{"num_classes": 50} | changes)
    if "factors" in options:
        options = options | {"factors": np.resize(FACTORS, 50)}
    options = {"windows": windows, "cache": make_cache(windows, config)} | options
    whole, noted = epoch(files, config, **options)
    shares = [epoch(files, config, share=(index, count), **options) for index in range(count)]
    assert len(whole) > 5 and all(len(batches) == len(whole) for batches, _ in shares)
    assert all(ids == noted for _, ids in shares)
    for step, batch in enumerate(whole):
        parts = [batches[step] for batches, _ in shares]
        for name, values in batch.items():
            # Of one shape: that of the compiled step, which all processes take together.
            assert len({part[name].shape for part in parts}) == 1, name
            np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values, err_msg=name)
    widths = {batch["classes"].shape[1] for batch in whole}
    assert windows == "rated" or widths == {32, 64}


@pytest.mark.parametrize("windows", ["rated", "video"])
@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_each_process_looks_at_its_own_frames_alone(files, make_cache, monkeypatch, windows, count):
    config = CONFIG.replace(num_classes=50, sampling="random", num_frames=4)
    looked_at = []
    take_rows = RecordCache._take_rows

    def counting(cache, rows):
        looked_at.append(rows.size)
        return take_rows(cache, rows)

    monkeypatch.setattr(RecordCache, "_take_rows", counting)
    options = {"windows": windows, "cache": make_cache(windows, config)}
    epoch(files, config, **options)
    whole = sum(looked_at)
    for index in range(count):
        looked_at.clear()
        epoch(files, config, share=(index, count), **options)
        assert sum(looked_at) * count == whole > 500


@pytest.mark.parametrize("windows", [pytest.param("rated", marks=pytest.mark.slow), "video"])
def test_each_process_packs_its_share_of_the_files(files, tmp_path, monkeypatch, windows):
    packed = []
    pack = Packing.pack

    def noting(packing, files, **options):
        packed.append(tuple(files))
        pack(packing, files, **options)

    monkeypatch.setattr(Packing, "pack", noting)
    config = CONFIG.replace(num_classes=50)
    options = {"windows": windows}
    caches = in_step(lambda placement: open_cache(tmp_path, files, config, placement=placement, **options), processes=2)
    assert sorted(packed) == [(files[0], files[2]), (files[1],)]
    expected = epoch(files, config, **options)
    for cache in caches:
        found = epoch(files, config, cache=cache, **options)
        assert found[1] == expected[1] and len(found[0]) == len(expected[0])
        for one, other in zip(found[0], expected[0]):
            assert all(np.array_equal(values, one[name]) for name, values in other.items())


def test_a_bad_record_that_one_process_packs_is_told_by_all(files, tmp_path):
    config = CONFIG.replace(num_classes=20)
    found = in_step(
        lambda placement: open_cache(tmp_path, files, config, windows="video", placement=placement), processes=3
    )
    assert all(isinstance(error, InputError) and "1.tfrecord, record 7: labels" in str(error) for error in found)
