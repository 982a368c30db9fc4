"""Filters against a slow twin, a video at a time."""

import numpy as np
import pytest

from yt8m.ranking.filters import SegmentFilter, put_behind, whole_videos
from yt8m.ranking.video_predictions import write_video_predictions
from yt8m.types import InputError

CLASS_IDS = (7, 2, 5, 9)
VIDEOS = {"a": 1, "b": 9, "c:d": 4, "e": 12, "f": 8}


@pytest.fixture
def segments():
    """(ids, starts, scores) of all segments of VIDEOS."""
    ids = [name.encode() for name, count in VIDEOS.items() for _ in range(count)]
    starts = np.concatenate([5 * np.arange(count, dtype=np.int32) for count in VIDEOS.values()])
    # Eighths, so that there are ties, also of means.
    return ids, starts, np.random.default_rng(0).integers(0, 9, (len(ids), 4)).astype(np.float32) / 8


def twin(segments, best_of, *, top_n=4, skip_first=0, skip_last=0):
    """What is kept; best_of: function of a video's id and scores (n, C) to its classes' scores (C,)."""
    _, _, scores = segments
    kept, begin = [], 0
    for name, count in VIDEOS.items():
        pooled = best_of(name, scores[begin : begin + count])
        best = sorted(range(4), key=lambda column: (-pooled[column], column))[:top_n]
        for number in range(count):
            inside = skip_first <= number < count - skip_last
            kept.append([inside and column in best for column in range(4)])
        begin += count
    return np.array(kept)


@pytest.mark.parametrize("top_n", [1, 2, 3])
@pytest.mark.parametrize("pooling", ["max", "mean"])
def test_the_best_classes_of_a_video_stay(segments, pooling, top_n):
    pool = {"max": lambda _, scores: scores.max(axis=0), "mean": lambda _, scores: scores.mean(axis=0)}[pooling]
    kept = SegmentFilter(top_n=top_n, pooling=pooling).kept(*segments, class_ids=CLASS_IDS)
    np.testing.assert_array_equal(kept, twin(segments, pool, top_n=top_n))


def test_both_ends_of_a_video_are_skipped(segments):
    kept = SegmentFilter(skip_first=6, skip_last=2).kept(*segments, class_ids=CLASS_IDS)
    np.testing.assert_array_equal(kept, twin(segments, lambda _, scores: scores[0], skip_first=6, skip_last=2))
    # Segments 6 of the nine of b and 6..9 of the twelve of e, and none of shorter videos.
    assert np.flatnonzero(kept[:, 0]).tolist() == [7, 20, 21, 22, 23]


def test_predictions_of_videos(segments, tmp_path):
    """The classes that the file has first, also where they are not ranked; they need not be in the order of scores."""
    best = {"a": (2, 9, 1), "b": (1, 3, 4), "c:d": (9, 5, 7), "e": (7, 2, 1), "f": (5, 1, 7)}
    path = tmp_path / "videos.csv"
    write_video_predictions(path, [(name, classes, (0.9, 0.5, 0.1)) for name, classes in best.items()])
    kept = SegmentFilter(top_n=2, video_predictions=str(path)).kept(*segments, class_ids=CLASS_IDS)
    listed = [set(classes[:2]) for name, classes in best.items() for _ in range(VIDEOS[name])]
    np.testing.assert_array_equal(kept, [[label in classes for label in CLASS_IDS] for classes in listed])
    with pytest.raises(InputError, match="videos.csv does not have video x: predict the same files"):
        SegmentFilter(top_n=1, video_predictions=str(path)).kept(
            [b"x"], np.zeros(1), np.zeros((1, 4)), class_ids=CLASS_IDS
        )


def test_what_is_filtered_goes_behind_in_its_own_order():
    scores = np.float32([[0.9], [0.0], [0.3], [-np.inf], [1e-30], [0.5], [1.0]])
    found = put_behind(scores, np.array([[False], [True], [True], [False], [False], [False], [False]]))
    assert found.dtype == np.float32 and found[1:3].tolist() == scores[1:3].tolist() and found[3] == -np.inf
    assert np.argsort(-found[:, 0], kind="stable").tolist() == [2, 1, 6, 0, 5, 4, 3]
    assert (found[[0, 4, 5, 6]] < 0).all() and np.isfinite(put_behind(np.float32([[0]]), np.array([[False]]))).all()


@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_no_video_spans_two_batches(segments, size):
    ids, starts, scores = segments
    info = {"id": np.array(ids, object), "start_time": starts}
    cuts = range(0, len(ids), size)
    batches = [(scores[cut : cut + size], {name: v[cut : cut + size] for name, v in info.items()}) for cut in cuts]
    whole = list(whole_videos(batches))
    np.testing.assert_array_equal(np.concatenate([scores for scores, _ in whole]), scores)
    assert np.concatenate([info["id"] for _, info in whole]).tolist() == ids
    names = [set(info["id"]) for _, info in whole]
    assert sum(map(len, names)) == len(VIDEOS) and all(info["start_time"][0] == 0 for _, info in whole)
    assert list(whole_videos([])) == []


def test_filters_are_checked():
    with pytest.raises(InputError, match="pooling is 'sum'; valid: max, mean"):
        SegmentFilter(top_n=1, pooling="sum")
    with pytest.raises(InputError, match="set its top_n"):
        SegmentFilter(video_predictions="a.csv")
