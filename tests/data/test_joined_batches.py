import numpy as np
import tensorflow as tf

from yt8m.data.joined_batches import attach_unlabelled, join_batches


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
    joined = list(join_batches(first, second, ratio=2.0).as_numpy_iterator())
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
    joined = next(join_batches(dataset(one), dataset(other), ratio=1.0).as_numpy_iterator())[1]
    assert joined["partner"]["unrated"][:, 0].tolist() == [0, 0, 50, 50]


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
