import numpy as np
import pytest

from yt8m import top_segments
from yt8m.top_segments import TopSegments


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
    assert [(class_id, segments.texts()) for class_id, segments, _ in TopSegments((3, 1), top_n=5)] == [(1, []), (3, [])]
