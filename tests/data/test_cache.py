"""Segments from the cache against the same segments from the records."""

import concurrent.futures
import contextlib
import functools
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.data import cache as cache_module
from yt8m.data.cache import open_cache
from yt8m.data.cache_file import read_cache_file
from yt8m.data.pipeline import make_dataset
from yt8m.data.splits import IdSplit
from yt8m.data.tfrecord import write_records
from yt8m.types import DataWarning, InputError

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.LongVideosWarning")


def ratings(video, frames):
    """Some ratings, of which a few are of one segment, of one class, or of none."""
    random = np.random.default_rng(video)
    count = int(random.integers(0, 6))
    starts = 5 * random.integers(0, (frames + 4) // 5, count)
    return tuple((int(start), int(random.integers(10)), float(random.integers(3)) / 2) for start in starts)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """Files of which blocks end in different places: of 70, 3, 33 and 64 records, with uneven lengths and labels."""
    folder, paths = tmp_path_factory.mktemp("records"), []
    for number, count in enumerate((70, 3, 33, 64)):
        videos = []
        for video in range(100 * number, 100 * number + count):
            frames = 5 + video % 19
            labels = tuple({video % 10, video % 7})
            videos.append(make_video(f"v{video}", frames=frames, labels=labels, segments=ratings(video, frames)))
        paths.append(str(folder / f"{number}.tfrecord"))
        write_records(paths[-1], videos)
    return paths


@pytest.fixture
def files(unchanged, tmp_path):
    """A copy of those for a test to change."""
    return [shutil.copy(path, tmp_path) for path in unchanged]


@pytest.fixture(scope="module")
def cached(unchanged, tmp_path_factory):
    """Function that gives (folder, cache) of those with changes of CONFIG, none of which may change either."""

    @functools.cache
    def make(*changes):
        folder = tmp_path_factory.mktemp("cache")
        return folder, open_cache(folder, unchanged, CONFIG.replace(**dict(changes)))

    return make


@pytest.fixture(scope="module")
def expected(unchanged):
    """The batches of an epoch of training, read from the records."""
    return batches(unchanged, training=True)


def batches(files, config=CONFIG, **options):
    """List of flat dicts of arrays."""
    found = []
    for element in make_dataset(files, config, windows="rated", batch_size=16, with_info=True, **options):
        found.append({name: value.numpy() for part in element for name, value in part.items()})
    return found


def assert_same(one, other):
    assert len(one) == len(other) > 3
    for left, right in zip(one, other):
        assert left.keys() == right.keys()
        for name in left:
            assert left[name].dtype == right[name].dtype, name
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


OPTIONS = {
    "in order": {},
    "training": {"training": True, "seed": 3},
    "another epoch": {"training": True, "seed": 3, "epoch": 2},
    "kept": {"training": True, "keep": IdSplit(fraction=0.4).in_holdout},
    "no remainder": {"training": True, "drop_remainder": True},
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("changes", [{}, {"unrated": "video_negative"}, {"skip_corrupt": True, "max_frames": 11}])
def test_the_same_batches_in_the_same_order(unchanged, cached, monkeypatch, name, changes):
    # Several pools, so that their borders are seen.
    monkeypatch.setattr("yt8m.data.pipeline._SHUFFLE_EXAMPLES", (50, 50))
    config, options = CONFIG.replace(**changes), OPTIONS[name]
    _, cache = cached(*changes.items())
    assert_same(batches(unchanged, config, cache=cache, **options), batches(unchanged, config, **options))


def test_one_cache_serves_parts_of_its_files_and_all_policies(unchanged, cached):
    files, (_, cache) = unchanged, cached()
    config = CONFIG.replace(unrated="negative")
    for part in (files[2:], files[::-2]):
        assert_same(batches(part, config, cache=cache, training=True), batches(part, config, training=True))
    with pytest.raises(ValueError, match="other files or settings"):
        batches(files, CONFIG.replace(max_frames=7), cache=cache)
    with pytest.raises(ValueError, match="other files"):
        batches([*files, "more"], cache=cache)
    with pytest.raises(ValueError, match="windows='rated'"):
        make_dataset(files, CONFIG, windows="all", batch_size=2, cache=cache)


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in pathlib.Path(folder).iterdir()}


def test_only_what_is_stale_is_packed_anew(files, tmp_path, write, capfd):
    folder = tmp_path / "cache"
    segments = len(open_cache(folder, files, CONFIG))
    assert "packing rated segments: 4/4" in capfd.readouterr().err
    first = stamps(folder)
    assert len(first) == 4 and len(open_cache(folder, files[1:], CONFIG)) < segments
    assert stamps(folder) == first and "packing" not in capfd.readouterr().err
    os.utime(files[0], ns=(1, 1))
    write("1.tfrecord", make_video("new", segments=((5, 3, 1.0),)))
    cache = open_cache(folder, files, CONFIG)
    changed = {name.partition("-")[0] for name, stamp in stamps(folder).items() if stamp != first[name]}
    assert changed == {"0.tfrecord", "1.tfrecord"} and len(stamps(folder)) == 4
    assert_same(batches(files, cache=cache), batches(files))
    open_cache(folder, files, CONFIG.replace(max_frames=9))
    assert len(stamps(folder)) == 8


def test_two_may_pack_at_once(unchanged, expected, tmp_path):
    """They write the same files under names of their own first, and leave no other behind."""
    folder = tmp_path / "cache"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        caches = list(pool.map(lambda _: open_cache(folder, unchanged, CONFIG), range(2)))
    assert len(list(folder.iterdir())) == 4
    for cache in (*caches, open_cache(folder, unchanged, CONFIG)):
        assert_same(batches(unchanged, cache=cache, training=True), expected)


def test_any_changed_byte_of_a_packed_file_is_noticed(unchanged, cached, tmp_path):
    folder = tmp_path / "cache"
    shutil.copytree(cached()[0], folder)
    path = max(folder.iterdir(), key=os.path.getsize)
    whole = path.read_bytes()
    header = {name: value for name, value in read_cache_file(path).header.items()}
    for seed in range(200):
        random = np.random.default_rng(seed)
        data = bytearray(whole)
        data[int(random.integers(len(data)))] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            assert read_cache_file(path).header != header, f"seed {seed}"
        except ValueError:
            pass


def test_a_source_of_the_same_size_and_date_and_other_content_is_packed_anew(files, tmp_path):
    folder = tmp_path / "cache"
    open_cache(folder, files, CONFIG)
    before, status = stamps(folder), os.stat(files[0])
    same = pathlib.Path(files[0]).read_bytes()
    pathlib.Path(files[0]).write_bytes(same)
    os.utime(files[0], ns=(status.st_atime_ns, status.st_mtime_ns))
    open_cache(folder, files, CONFIG)
    assert [name.partition("-")[0] for name, stamp in stamps(folder).items() if stamp != before[name]] == ["0.tfrecord"]


def cut(path):
    os.truncate(path, os.path.getsize(path) - 5)


def cut_to_nothing(path):
    os.truncate(path, 0)


def change_the_index(path):
    packed = read_cache_file(path)
    with open(path, "r+b") as file:
        file.seek(packed.rows.size + 100)
        file.write(b"damage")


def change_the_count(path):
    data = pathlib.Path(path).read_bytes()
    records = len(read_cache_file(path).index["example_ends"])
    pathlib.Path(path).write_bytes(data.replace(b'"records": %d' % records, b'"records": %d' % (records - 1)))


def add_frames(path):
    data = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(bytes(50) + data)


def change_a_frame(path):
    """A single bit."""
    data = bytearray(pathlib.Path(path).read_bytes())
    data[read_cache_file(path).rows.size // 2] ^= 4
    pathlib.Path(path).write_bytes(data)


DAMAGE = {
    change_a_frame: "its frames are damaged",
    cut: "its end is missing",
    cut_to_nothing: "its end is missing",
    change_the_index: "its index is damaged",
    add_frames: "its frames are not as many as its segments",
}


@pytest.mark.parametrize("damage", [*DAMAGE, change_the_count])
def test_a_damaged_file_is_packed_anew(unchanged, cached, expected, tmp_path, damage):
    folder = tmp_path / "cache"
    shutil.copytree(cached()[0], folder)
    broken = sorted(folder.iterdir())[2]
    whole = broken.read_bytes()
    damage(broken)
    assert broken.read_bytes() != whole
    with pytest.warns(DataWarning, match=DAMAGE[damage]) if damage in DAMAGE else contextlib.nullcontext():
        cache = open_cache(folder, unchanged, CONFIG)
    assert broken.read_bytes() == whole
    assert_same(batches(unchanged, cache=cache, training=True), expected)


def test_a_bad_record_is_named_and_leaves_nothing_half_written(files, tmp_path, write):
    bad = write("bad.tfrecord", *(make_video(f"v{video}") for video in range(40)), make_video("x", labels=(77,)))
    config = CONFIG.replace(unrated="video_negative")
    with pytest.raises(InputError, match="bad.tfrecord, record 40: labels holds class 77"):
        open_cache(tmp_path / "cache", [files[1], bad, files[2]], config)
    assert [name.partition("-")[0] for name in stamps(tmp_path / "cache")] == ["1.tfrecord"]
    skipping = config.replace(skip_corrupt=True)
    told = pytest.warns(DataWarning, match="skipped 1 corrupt record; the first: .*, record 40: labels holds class 77")
    for other, segments, context in ((skipping, 80, told), (CONFIG, 82, contextlib.nullcontext())):
        with context:
            cache = open_cache(tmp_path / "cache", [bad], other)
            assert len(cache) == segments
            assert_same(batches([bad], other, cache=cache), batches([bad], other))


def test_video_labels_are_judged_where_they_are_read(files, tmp_path):
    """A cache with them serves a config that does not need them, unless it may lack a record for their sake."""
    for skip_corrupt in (False, True):
        with_labels = CONFIG.replace(unrated="video_negative", skip_corrupt=skip_corrupt)
        without = CONFIG.replace(skip_corrupt=skip_corrupt)
        cache = open_cache(tmp_path / str(skip_corrupt), files, with_labels)
        assert cache.fits(with_labels) and cache.fits(without) == (not skip_corrupt)
        assert not open_cache(tmp_path / str(skip_corrupt), files, without).fits(with_labels)


def test_files_without_ratings_or_good_records(tmp_path, write):
    unrated = write("a.tfrecord", make_video("a", segments=None))
    bad = write("b.tfrecord", make_video("b", rgb_size=5))
    config = CONFIG.replace(skip_corrupt=True)
    for told in (pytest.warns(DataWarning, match="b.tfrecord, record 0: frame 0 of rgb"), contextlib.nullcontext()):
        with told:
            cache = open_cache(tmp_path / "cache", [unrated, bad], config)
        assert len(cache) == 0
        assert list(make_dataset([unrated, bad], config, windows="rated", batch_size=2, cache=cache)) == []


def test_frames_of_whole_videos_are_not_packed(files, tmp_path):
    with pytest.raises(InputError, match="a cache holds segments alone, and video_frames is 4: give no cache_dir"):
        open_cache(tmp_path / "cache", files[:1], CONFIG.replace(video_frames=4))


def test_nothing_is_pickled(files, tmp_path):
    """An index with objects, as an attacker would make it, is refused, and packed anew."""
    open_cache(tmp_path / "cache", files[:1], CONFIG)
    path = next((tmp_path / "cache").iterdir())
    assert json.dumps(read_cache_file(path).header["settings"]) == json.dumps(cache_module._settings(CONFIG))
    index = {"start_time": np.array([object()])}
    with pytest.raises(ValueError, match="allow_pickle=False"):
        from yt8m.data import cache_file

        cache_file._from_bytes(cache_file._to_bytes(index))


def test_a_folder_that_cannot_be_written(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        open_cache(tmp_path / "file", files[:1], CONFIG)
