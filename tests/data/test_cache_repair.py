"""A cache that is stale, damaged or of bad records: packed anew, or refused in a sentence."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil

import numpy as np
import pytest

from tests.helpers.caches import assert_same, batches
from tests.helpers.records import CONFIG, make_video
from yt8m.data.cache import open_cache
from yt8m.data.cache_file import FINGERPRINT_BYTES, fingerprints, read_cache_file
from yt8m.data.packing import settings_of
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.types import DataWarning, InputError

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.LongVideosWarning")


def stamps(folder):
    return {path.name: path.stat().st_mtime_ns for path in pathlib.Path(folder).iterdir()}


@pytest.mark.slow
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


def is_damaged(path, header):
    """Whether the checks of opening or reading a packed file notice it."""
    try:
        packed = read_cache_file(path)
    except ValueError:
        return True
    start = 0
    for number, size in enumerate(CONFIG.feature_sizes):
        place = sum(CONFIG.feature_sizes) + number * FINGERPRINT_BYTES
        told = packed.rows[:, place : place + FINGERPRINT_BYTES]
        if (fingerprints(packed.rows[:, start : start + size]) != told).any():
            return True
        start += size
    return packed.header != header


@pytest.mark.parametrize("windows", ["rated", "video"])
def test_any_changed_byte_of_a_packed_file_is_noticed(unchanged, cached, tmp_path, windows):
    folder = tmp_path / "cache"
    shutil.copytree(cached(windows=windows)[0], folder)
    path = max(folder.iterdir(), key=os.path.getsize)
    whole = path.read_bytes()
    header = read_cache_file(path).header
    assert not is_damaged(path, header)
    for seed in range(200):
        random = np.random.default_rng(seed)
        data = bytearray(whole)
        # One bit, or a run of bytes that a hole or another page has put there.
        place, length = int(random.integers(len(data))), int(random.integers(1, 40))
        if seed % 2:
            data[place] ^= 1 << int(random.integers(8))
        else:
            data[place : place + length] = bytes(len(data[place : place + length]))
        path.write_bytes(data)
        assert data == whole or is_damaged(path, header), f"seed {seed}"


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


DAMAGE = {
    cut: "its end is missing",
    cut_to_nothing: "its end is missing",
    change_the_index: "its index is damaged",
    add_frames: "its frames are not as many as its index says",
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


@pytest.mark.parametrize("windows", ["rated", "video"])
@pytest.mark.slow
def test_a_damaged_frame_is_told_with_its_place_and_its_file_packed_anew(unchanged, cached, tmp_path, windows):
    """Also where it happens, or is met, after the opening."""
    folder = tmp_path / "cache"
    shutil.copytree(cached(windows=windows)[0], folder)
    paths = sorted(folder.iterdir())
    whole = [path.read_bytes() for path in paths]
    options = {"windows": windows, "training": True}
    expected = batches(unchanged, **options)
    cache = open_cache(folder, unchanged, CONFIG, windows=windows)
    before = stamps(folder)
    with open(paths[2], "r+b") as file:
        # Rows of 6 and 4 bytes and two fingerprints; here a bit of row 7's first byte of audio.
        file.seek(26 * 7 + 6)
        byte = file.read(1)[0]
        file.seek(26 * 7 + 6)
        file.write(bytes([byte ^ 4]))
    told = rf"{paths[2].name} is packed anew: its row 7 is damaged, a frame of audio of video v20\d"
    with pytest.warns(DataWarning, match=told):
        found = batches(unchanged, cache=cache, **options)
    assert_same(found, expected)
    assert [path.read_bytes() for path in paths] == whole
    assert [name for name, stamp in stamps(folder).items() if stamp != before[name]] == [paths[2].name]
    assert_same(batches(unchanged, cache=cache, **options), expected)


def test_a_damaged_frame_of_a_file_that_has_changed_since_ends_the_run(files, tmp_path, write):
    folder = tmp_path / "cache"
    cache = open_cache(folder, files[:1], CONFIG, windows="video")
    (path,) = folder.iterdir()
    path.write_bytes(b"x" + path.read_bytes()[1:])
    write("0.tfrecord", make_video("another"))
    said = pytest.raises(InputError, match="0.tfrecord has changed since .* was opened, which is damaged: start again$")
    with pytest.warns(DataWarning), said, explain_errors(files[:1], CONFIG, windows="video"):
        batches(files[:1], cache=cache, windows="video")


def test_a_bad_record_is_named_and_leaves_nothing_half_written(files, tmp_path, write):
    bad = write("bad.tfrecord", *(make_video(f"v{video}") for video in range(40)), make_video("x", labels=(77,)))
    config = CONFIG.replace(unrated="video_negative")
    with pytest.raises(InputError, match="bad.tfrecord, record 40: labels holds class 77"):
        open_cache(tmp_path / "cache", [files[1], bad, files[2]], config)
    whole = {name.partition("-")[0] for name in stamps(tmp_path / "cache")}
    assert "1.tfrecord" in whole and whole <= {"1.tfrecord", "2.tfrecord"}
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


REFUSED = {
    "a cache holds segments alone, and video_frames is 4: give no cache_dir": ({"video_frames": 4}, {}),
    "a cache holds frames, and video-level records have none": ({"level": "video"}, {"windows": "video"}),
    "margin is 2, and whole videos have none": ({}, {"windows": "video", "margin": 2}),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_is_not_packed_is_refused(files, tmp_path, message):
    changes, options = REFUSED[message]
    with pytest.raises(InputError, match=message):
        open_cache(tmp_path / "cache", files[:1], CONFIG.replace(**changes), **options)


def test_nothing_is_pickled(files, tmp_path):
    """An index with objects, as an attacker would make it, is refused, and packed anew."""
    open_cache(tmp_path / "cache", files[:1], CONFIG)
    path = next((tmp_path / "cache").iterdir())
    assert json.dumps(read_cache_file(path).header["settings"]) == json.dumps(settings_of(CONFIG, "rated"))
    index = {"start_time": np.array([object()])}
    with pytest.raises(ValueError, match="allow_pickle=False"):
        from yt8m.data import cache_file

        cache_file._from_bytes(cache_file._to_bytes(index))


def test_a_folder_that_cannot_be_written(files, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        open_cache(tmp_path / "file", files[:1], CONFIG)
