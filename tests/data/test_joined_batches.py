import functools

import numpy as np
import pytest
import tensorflow as tf

from yt8m.data.joined_batches import attach_unlabelled, join_batches
from yt8m.models.losses import focal, rated_binary_crossentropy
from yt8m.models.targets import dense_targets

C = 9
"""Classes of the targets whose loss is worked out."""


def batch(first, rows, *, width=32, extra=False):
    features = {"rgb": np.arange(first, first + rows, dtype=np.uint8)[:, None, None] * np.ones((1, 5, 2), np.uint8)}
    features["num_frames"] = np.full(rows, 5, np.int32)
    targets = {
        "classes": np.full((rows, width), first + 1, np.int32),
        "scores": np.full((rows, width), 0.5, np.float32),
        "unrated": np.full((rows, 1), first, np.float32),
    }
    if extra:
        targets["video_classes"] = np.full((rows, 32), 7, np.int32)
    return features, targets


def dataset(*batches):
    def elements():
        yield from batches

    signature = tf.nest.map_structure(
        lambda v: tf.TensorSpec([None, *v.shape[1:-1], None] if v.ndim > 1 else [None], v.dtype), batches[0]
    )
    return tf.data.Dataset.from_generator(elements, output_signature=signature)


def test_batches_are_joined_in_proportion_and_the_second_starts_over():
    first = dataset(batch(0, 4, extra=True), batch(4, 4, extra=True), batch(8, 2, extra=True))
    second = dataset(batch(100, 8, width=64), batch(108, 8, width=64))
    joined = list(join_batches(first, second, ratio=2.0, weight=1.0, num_classes=200).as_numpy_iterator())
    assert [features["rgb"][:, 0, 0].tolist() for features, _ in joined] == [
        [0, 1, 2, 3, *range(100, 108)],
        [4, 5, 6, 7, *range(108, 116)],
        [8, 9, 100, 101, 102, 103],
    ]
    _, targets = joined[2]
    assert targets["classes"].shape == (6, 64)
    assert targets["classes"][:, :32].tolist() == [[9] * 32] * 2 + [[101] * 32] * 4
    assert not targets["classes"][:2, 32:].any()
    assert targets["unrated"][:, 0].tolist() == [8, 8, 100, 100, 100, 100]
    # What only the first has is empty in the other.
    assert targets["video_classes"].tolist() == [[7] * 32] * 2 + [[0] * 32] * 4


def test_targets_within_targets_are_joined_too():
    one, other = batch(0, 2), batch(50, 4)
    for features, targets in (one, other):
        targets["partner"] = dict(targets)
        targets["share"] = np.full_like(targets["unrated"], 0.5)
    joined = next(
        join_batches(dataset(one), dataset(other), ratio=1.0, weight=1.0, num_classes=200).as_numpy_iterator()
    )[1]
    assert joined["partner"]["unrated"][:, 0].tolist() == [0, 0, 50, 50]


def drawn(rng, rows, *, unrated, video_classes=False):
    """(sparse targets, labels (rows, C), rated (rows, C)), the last two by definition."""
    classes, scores = np.zeros((rows, 32), np.int32), np.zeros((rows, 32), np.float32)
    labels, rated = np.zeros((rows, C)), np.full((rows, C), unrated)
    videos = np.zeros((rows, 32), np.int32)
    for row in range(rows):
        chosen = rng.choice(C, size=rng.integers(1, 4), replace=False)
        classes[row, : len(chosen)], scores[row, : len(chosen)] = chosen + 1, rng.random(len(chosen))
        if video_classes:
            of_video = rng.choice(C, size=3, replace=False)
            videos[row, :3] = of_video + 1
            rated[row, of_video] = 0
        labels[row, chosen], rated[row, chosen] = scores[row, : len(chosen)], 1
    targets = {"classes": classes, "scores": scores, "unrated": np.full((rows, 1), unrated, np.float32)}
    return targets | ({"video_classes": videos} if video_classes else {}), labels, rated


def mixed(rng, rows, **options):
    """As drawn, each example a mixture of two."""
    (one, *dense), (other, *other_dense) = (drawn(rng, rows, **options) for _ in range(2))
    share = rng.random((rows, 1)).astype(np.float32)
    rated = share * dense[1] + (1 - share) * other_dense[1]
    positive = share * dense[0] * dense[1] + (1 - share) * other_dense[0] * other_dense[1]
    labels = positive / np.where(rated > 0, rated, 1)
    return one | {"share": share, "partner": other}, labels, rated


@pytest.mark.parametrize("weight", [0.0, 0.5])
@pytest.mark.parametrize("make", [drawn, mixed])
@pytest.mark.parametrize("policy", [{"unrated": 0.0}, {"unrated": 0.5, "video_classes": True}], ids=["masked", "half"])
def test_each_part_of_a_batch_counts_by_its_own_mean_loss(policy, make, weight):
    rng = np.random.default_rng(3)
    own, labels, rated = make(rng, 3, **policy)
    other, other_labels, other_rated = make(rng, 6, unrated=1.0)
    features = {"x": np.zeros((3, 1), np.float32)}, {"x": np.zeros((6, 1), np.float32)}
    joined = join_batches(
        *(tf.data.Dataset.from_tensors(pair) for pair in zip(features, (own, other))),
        ratio=2.0, weight=weight, num_classes=C,
    )  # fmt: skip
    ((_, targets),) = joined.take(1).as_numpy_iterator()
    dense = dense_targets(targets, num_classes=C)
    p = rng.uniform(0.05, 0.95, (9, C))

    def mean_loss(labels, rated, p, gamma):
        """Mean over the pairs that count, one by one."""
        total = count = 0.0
        for y, r, q in zip(labels.ravel(), rated.ravel(), p.ravel()):
            total -= r * (y * (1 - q) ** gamma * np.log(q + 1e-6) + (1 - y) * q**gamma * np.log(1 - q + 1e-6))
            count += r
        return total / count

    for gamma, loss in enumerate((rated_binary_crossentropy, functools.partial(focal, gamma=1.0))):
        parts = mean_loss(labels, rated, p[:3], gamma), mean_loss(other_labels, other_rated, p[3:], gamma)
        wanted = rated.sum() / 3 * (parts[0] + weight * parts[1]) / (1 + weight)
        found = float(loss(dense["labels"], p.astype(np.float32), dense["rated"]))
        assert found == pytest.approx(wanted, rel=1e-5)


def test_unlabelled_segments_are_dealt_to_examples():
    views = np.arange(12, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 5, 2), np.uint8)
    other = tf.data.Dataset.from_tensors(({"rgb": views, "num_frames": np.full((12, 2), 5, np.int32)}, {}))
    attached = list(
        attach_unlabelled(dataset(batch(0, 4), batch(4, 3)), other, ratio=3, batch_size=4).as_numpy_iterator()
    )
    rgb = attached[0][0]["unlabelled"]["rgb"]
    assert rgb.shape == (4, 3, 2, 5, 2)
    np.testing.assert_array_equal(rgb[:, :, 1, 0, 0], np.arange(12).reshape(4, 3))
    # Twelve a batch, of passes of twelve; the last batch takes as many as it has examples for.
    assert attached[1][0]["unlabelled"]["num_frames"].shape == (3, 3, 2)
    np.testing.assert_array_equal(attached[1][0]["unlabelled"]["rgb"][:, :, 0, 0, 0], np.arange(9).reshape(3, 3))
    assert attached[1][1]["unrated"].tolist() == [[4]] * 3


def test_passes_over_unlabelled_segments_follow_each_other_without_a_gap():
    views = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 5, 2), np.uint8)
    other = tf.data.Dataset.from_tensors(({"rgb": views, "num_frames": np.full((5, 2), 5, np.int32)}, {}))
    attached = attach_unlabelled(dataset(batch(0, 4), batch(4, 4)), other, ratio=1, batch_size=4).as_numpy_iterator()
    seen = [features["unlabelled"]["rgb"][:, 0, 0, 0, 0].tolist() for features, _ in attached]
    assert seen == [[0, 1, 2, 3], [4, 0, 1, 2]]
