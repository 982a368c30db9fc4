import numpy as np
import pytest

from yt8m.ranking import top_segments
from yt8m.ranking.top_segments import TopSegments


def twin(video_ids, starts, scores, class_ids, top_n):
    """The obvious way: sort everything."""
    result = {}
    for column, class_id in enumerate(class_ids):
        ranked = sorted(
            (-float(score), video, int(start)) for video, start, score in zip(video_ids, starts, scores[:, column])
        )
        ranked = [entry for entry in ranked if entry[0] < np.inf][:top_n]
        result[class_id] = ([f"{video}:{start}" for _, video, start in ranked], [-score for score, _, _ in ranked])
    return result


@pytest.mark.parametrize("levels", [3, 50, 10**6], ids=["many ties", "some ties", "no ties"])
@pytest.mark.parametrize("top_n", [1, 7, 40, 10_000])
def test_equals_sorting_everything_in_any_order_and_batching(levels, top_n, monkeypatch):
    monkeypatch.setattr(top_segments, "_BUFFERED_ROWS", 16)
    monkeypatch.setattr(top_segments, "_TRANSPOSED_ROWS", 5)
    # Some in one thread, some in several.
    monkeypatch.setattr(top_segments, "_MANY_ENTRIES", 1500)
    random = np.random.default_rng(levels + top_n)
    class_ids = (9, 2, 5)
    videos = [f"v{i % 60}" for i in range(600)]
    starts = np.array([5 * (i // 60) for i in range(600)])
    scores = (random.integers(-levels // 2, levels, (600, 3)) / levels).astype(np.float32)
    scores[random.random((600, 3)) < 0.1] = -np.inf
    expected = twin(videos, starts, scores, class_ids, top_n)
    for batch in (1, 37, 600):
        order = random.permutation(600)
        top = TopSegments(class_ids, top_n=top_n)
        for rows in np.split(order, range(batch, 600, batch)):
            top.add([videos[i].encode() for i in rows], starts[rows], scores[rows])
        found = {class_id: (segments.texts(), [float(s) for s in kept]) for class_id, segments, kept in top}
        assert list(found) == [2, 5, 9]
        for class_id, (segments, kept) in expected.items():
            assert found[class_id][0] == segments
            np.testing.assert_array_equal(found[class_id][1], np.float32(kept))


@pytest.mark.parametrize("levels", [3, 10**6], ids=["many ties", "no ties"])
@pytest.mark.parametrize("pruned", [False, True])
def test_merged_parts_equal_sorting_everything(levels, pruned, monkeypatch):
    monkeypatch.setattr(top_segments, "_BUFFERED_ROWS", 64)
    random = np.random.default_rng(levels)
    videos = np.array([b"v%d" % (i // 12) for i in range(6000)])
    starts = np.array([5 * (i % 12) for i in range(6000)])
    scores = (random.integers(0, levels, (6000, 2)) / levels).astype(np.float32)
    whole = TopSegments((4, 1), top_n=50)
    sizes = []
    for rows in np.split(random.permutation(6000), 20):
        part = TopSegments((4, 1), top_n=50, floors=whole.floors() if pruned else None)
        part.add(videos[rows], starts[rows], scores[rows])
        arrays = part.to_arrays()
        sizes.append(arrays["counts"].sum())
        assert all(values.dtype.kind in "Sifu" for values in arrays.values())
        whole.merge(arrays)
    expected = twin([video.decode() for video in videos], starts, scores, (4, 1), 50)
    for class_id, segments, kept in whole:
        assert segments.texts() == expected[class_id][0]
        np.testing.assert_array_equal(kept, np.float32(expected[class_id][1]))
    assert all(len(column.scores) <= 50 + 75 for column in whole._columns)
    if pruned and levels > 3:
        assert max(sizes[10:]) < 0.25 * min(sizes[:2])


def test_memory_does_not_grow_with_the_number_of_segments(monkeypatch):
    monkeypatch.setattr(top_segments, "_BUFFERED_ROWS", 64)
    top = TopSegments((0, 1), top_n=20)
    random = np.random.default_rng(0)
    held = []
    for batch in range(400):
        top.add([b"v%d" % batch] * 50, np.arange(0, 250, 5), random.random((50, 2), np.float32))
        held.append(len(top._videos))
    assert max(held[200:]) <= max(held[:200]) and max(held) < 1000
    assert all(len(column.scores) <= 200 for column in top._columns)


def test_nothing_seen_lists_nothing():
    assert [(class_id, segments.texts()) for class_id, segments, _ in TopSegments((3, 1), top_n=5)] == [
        (1, []),
        (3, []),
    ]
