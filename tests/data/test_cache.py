"""Examples from the cache against the same examples from the records."""

import dataclasses

import pytest

from tests.helpers import fast
from tests.helpers.caches import assert_same, batches
from tests.helpers.records import CONFIG, make_video
from yt8m.data.cache import open_cache
from yt8m.data.pipeline import make_dataset
from yt8m.data.splits import IdSplit
from yt8m.types import UnevenLengthsWarning

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.LongVideosWarning")


OPTIONS = {
    "in order": {},
    "training": {"training": True, "seed": 3},
    "another epoch": {"training": True, "seed": 3, "epoch": 2},
    "kept": {"training": True, "keep": IdSplit(fraction=0.4).in_holdout},
    "no remainder": {"training": True, "drop_remainder": True},
}
CHANGES = {
    "none": {},
    "unrated": {"unrated": "video_negative"},
    "cut and skipped": {"skip_corrupt": True, "max_frames": 11},
}


@pytest.mark.parametrize("name", fast(["training", "kept"], OPTIONS))
@pytest.mark.parametrize("changed", fast(["cut and skipped"], CHANGES))
def test_the_same_batches_in_the_same_order(unchanged, cached, monkeypatch, name, changed):
    # Several pools, so that their borders are seen.
    monkeypatch.setattr("yt8m.data.pipeline._SHUFFLE_EXAMPLES", (50, 50))
    changes, options = CHANGES[changed], OPTIONS[name]
    config = CONFIG.replace(**changes)
    _, cache = cached(*changes.items())
    assert_same(batches(unchanged, config, cache=cache, **options), batches(unchanged, config, **options))


VIDEOS = {
    "in order": ({}, {}),
    "sequence": ({"sampling": "sequence"}, {"training": True, "seed": 3}),
    "random": ({"sampling": "random", "num_frames": 5}, {"training": True, "epoch": 2}),
    "random, ordered": ({"sampling": "random_ordered", "num_frames": 7}, {"training": True}),
    "uniform": ({"sampling": "uniform", "num_frames": 4}, {"training": True, "drop_remainder": True}),
    "all frames": ({"num_frames": 30}, {"training": True, "keep": IdSplit(fraction=0.4).in_holdout}),
    "multigrid": ({}, {"training": True, "batch_size": (24, 12), "num_frames": (4, 8)}),
    "cut and skipped": ({"max_frames": 11, "skip_corrupt": True}, {"training": True}),
    "beside frames of the whole": ({"video_frames": 6, "num_frames": 3}, {"training": True}),
}


@pytest.mark.parametrize("name", fast(["random", "multigrid", "cut and skipped"], VIDEOS))
def test_the_same_whole_videos_in_the_same_order(unchanged, cached, monkeypatch, name):
    monkeypatch.setattr("yt8m.data.pipeline._SHUFFLE_EXAMPLES", (50, 50))
    changes, options = VIDEOS[name]
    packed = {field: value for field, value in changes.items() if field in ("max_frames", "skip_corrupt")}
    _, cache = cached(*packed.items(), windows="video")
    config, options = CONFIG.replace(**changes), {"windows": "video"} | options
    assert len(cache) == 170
    assert_same(batches(unchanged, config, cache=cache, **options), batches(unchanged, config, **options))


def test_whole_videos_of_scored_labels_and_uneven_features(tmp_path, write):
    labelled = make_video("scored", labels=(7, 1, 7, 3))
    labelled = dataclasses.replace(labelled, label_scores=(0.25, 0.5, 0.75, 2.0))
    uneven, bare = make_video("uneven", frames=9, audio_frames=6), make_video("bare", labels=())
    path = write("a.tfrecord", labelled, *(make_video(f"v{number}") for number in range(4)), uneven, bare)
    with pytest.warns(UnevenLengthsWarning):
        cache = open_cache(tmp_path / "cache", [path], CONFIG, windows="video")
    options = {"windows": "video", "batch_size": 2}
    with pytest.warns(UnevenLengthsWarning):
        expected = batches([path], **options)
    assert_same(batches([path], cache=cache, **options), expected)
    assert expected[0]["scores"][0, :4].tolist() == [0.5, 1.0, 0.75, 0.0]


def test_one_cache_serves_parts_of_its_files_and_all_policies(unchanged, cached):
    files, (_, cache) = unchanged, cached()
    config = CONFIG.replace(unrated="negative")
    for part in (files[2:], files[::-2]):
        assert_same(batches(part, config, cache=cache, training=True), batches(part, config, training=True))
    with pytest.raises(ValueError, match="other files or settings"):
        batches(files, CONFIG.replace(max_frames=7), cache=cache)
    with pytest.raises(ValueError, match="other files"):
        batches([*files, "more"], cache=cache)
    for windows in ("all", "video"):
        with pytest.raises(ValueError, match="the cache is for windows='rated'"):
            make_dataset(files, CONFIG, windows=windows, batch_size=2, cache=cache)
