"""What packing cuts and drops is counted, with the first by file and line, and said."""

import json

import numpy as np
import pytest

from yt8m.data.making.annotations import Interval, rate_segments, unused_intervals
from yt8m.data.making.left_out import BEHIND, LABEL, PAST, SHORT, UNEVEN, LeftOut
from yt8m.data.making.packer import Packer, PackSettings
from yt8m.data.making.raw_videos import RawVideos

FACTS = {"csv": "i.csv", "num_intervals": 9, "min_overlap": 2.5, "num_videos": 3, "num_cut": 80}


def pack(folder, intervals, lengths, **options):
    """A Packer that has packed videos of (rgb, audio) lengths."""
    for name, (rgb, audio) in lengths.items():
        for feature, length in (("rgb", rgb), ("audio", audio)):
            (folder / feature).mkdir(exist_ok=True)
            np.save(folder / feature / f"{name}.npy", np.zeros((length, 4), np.float32))
    videos = RawVideos.of_features({name: f"{folder}/{name}/*.npy" for name in ("rgb", "audio")})
    packer = Packer(videos, str(folder / "out"), PackSettings(num_shards=2), intervals=intervals, **options)
    packer.run()
    return packer


def test_what_is_cut_and_dropped_is_counted(tmp_path):
    intervals = {
        "v1": [Interval(10, 20, 0, 1.0, line=2), Interval(60, 100, 1, 1.0, line=3)],
        "v2": [Interval(512, 586, 0, 1.0, line=9), Interval(1, 2.5, 3, 0.0, line=4), Interval(20, 90, 2, 1.0, line=5)],
        "v3": [],
    }
    packer = pack(tmp_path, intervals, {"v1": (112, 32), "v2": (48, 48), "v3": (20, 21)})
    assert packer.left_out().entries == {
        UNEVEN: [2, 0, "v1: 112 of rgb, 32 of audio"],
        BEHIND: [2, 3, "60-100 s of v1, which has 32 s"],
        LABEL: [2, 3, "class 1 of v1"],
        SHORT: [1, 4, "1-2.5 s of v2, which has 48 s"],
        PAST: [1, 5, "20-90 s of v2, which has 48 s"],
    }
    totals = packer.totals()
    assert {name: (counted["frames"], counted["cut"]) for name, counted in totals.items()} == {
        "rgb": (100, 80), "audio": (100, 1)
    }  # fmt: skip
    assert packer.num_intervals == 5
    said = list(packer.left_out().sentences(**FACTS))
    assert said[0].startswith(
        "2 of 3 videos have features of different lengths and are cut to the shortest, by 80 frames"
    )
    assert (
        "i.csv: 2 of 9 intervals rate nothing, because they lie behind the end of their video: the first on line 3"
        in said[1]
    )
    assert len(said) == 5
    # A JSON file, and a folder of files, have no lines to tell.
    whole = LeftOut({BEHIND: [2, 0, "60-100 s of v1"]})
    assert "behind the end of their video: the first 60-100 s of v1;" in next(whole.sentences(**FACTS))


def test_nothing_is_said_where_nothing_is_left_out(tmp_path):
    packer = pack(tmp_path, {"v1": [Interval(0, 20, 0, 1.0, line=1)]}, {"v1": (20, 20)})
    assert packer.left_out().entries == {} and list(packer.left_out().sentences(**FACTS)) == []


def test_labels_of_their_own_are_not_lost_with_intervals(tmp_path):
    packer = pack(tmp_path, {"v": [Interval(99, 120, 0, 1.0, line=1)]}, {"v": (20, 20)}, labels={"v": (0,)})
    assert set(packer.left_out().entries) == {BEHIND}


@pytest.mark.parametrize("seed", range(60))
def test_an_interval_is_unused_where_nothing_changes_without_it(seed):
    """Intervals of classes of their own: BEHIND and SHORT are those that rate nothing alone."""
    random = np.random.default_rng(seed)
    num_frames = int(random.integers(1, 60))
    starts = random.uniform(0, 80, 12).round(1)
    intervals = [
        Interval(start, start + random.choice([0.5, 2.4, 2.5, 4, 9, 30]), n, 1.0) for n, start in enumerate(starts)
    ]
    unused = {item.class_id: kind for kind, item in unused_intervals(intervals, num_frames)}
    for item in intervals:
        ratings = rate_segments([item], num_frames)
        longer = rate_segments([item], 200)
        kind = unused.get(item.class_id)
        if kind in (BEHIND, SHORT):
            assert ratings == () and (kind == BEHIND) == (item.start >= num_frames)
        else:
            assert ratings and (kind == PAST) == (len(longer) > len(ratings))


def test_parts_of_intervals_that_add_up_are_used():
    intervals = [Interval(0, 1.5, 1, 1.0), Interval(2, 3.5, 1, 1.0), Interval(7, 8, 1, 0.0)]
    assert [(kind, item.start) for kind, item in unused_intervals(intervals, 10)] == [(SHORT, 7)]


def test_a_folder_where_nothing_was_packed_yet_is_not_taken(tmp_path):
    """A call that fails at its first video leaves pack.json; another with other flags goes on there."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "pack.json").write_text(json.dumps({"inputs": "others", "shards": {}}))
    assert pack(tmp_path, None, {"v": (5, 5)}).log["shards"]
