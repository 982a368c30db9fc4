"""Batches of several sources: what is rated beside what is only pseudo-labelled, or not labelled at all."""

from typing import Any

import tensorflow as tf


def join_batches(
    labelled: tf.data.Dataset, pseudo_labelled: tf.data.Dataset, *, ratio: float, weight: float, num_classes: int
) -> tf.data.Dataset:
    """Batches of both as one batch each, first an example's own, then ``ratio`` times as many of the other.

    Both: tf.data.Dataset of (features, targets) as make_dataset gives them, the second one's batches ``ratio`` times as
    large but for the last of a pass; it starts over as often as it must, until the first one ends. num_classes: C.

    The targets get a "weight" (see yt8m.models.targets) with which the loss of a batch is n / b (m + w m') / (1 + w):
    m and m' the mean losses over the pairs (example, class) that count, of the labelled and of the pseudo-labelled
    examples, w = ``weight``, and n / b the pairs that count of a labelled example, so that the loss is on the scale
    that it has without pseudo-labels. Of the former a few pairs are rated, of the latter all C count: a plain sum
    would be theirs.
    """

    def join(first, second):
        kept = tf.cast(tf.round(ratio * tf.cast(_rows(first), tf.float32)), tf.int32)
        second = tf.nest.map_structure(lambda values: values[:kept], second)
        (features, targets), (other_features, other_targets) = first, second
        joined = {name: tf.concat([values, other_features[name]], 0) for name, values in features.items()}
        weights = {"weight": _weights(targets, other_targets, weight, num_classes)}
        return joined, _join_targets(targets, other_targets) | weights

    both = tf.data.Dataset.zip(labelled, pseudo_labelled.repeat())
    return both.map(join, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(1)


def attach_unlabelled(
    labelled: tf.data.Dataset, unlabelled: tf.data.Dataset, *, ratio: int, batch_size: int
) -> tf.data.Dataset:
    """Batches (features, targets) of ``labelled`` with "unlabelled" among the features: ``ratio`` segments an example.

    unlabelled: tf.data.Dataset of (features, info) in batches of any size, features (N, 2, T, size) and num_frames
    (N, 2): each segment and its augmented view. They become (B, ratio, 2, ...), and start over as often as they must.
    batch_size: the largest B.
    """

    def attach(element, other):
        features, targets = element
        rows = _rows(element)

        def take(values):
            shape = tf.concat([[rows, ratio], tf.shape(values)[1:]], 0)
            return tf.ensure_shape(tf.reshape(values[: rows * ratio], shape), [None, ratio, *values.shape[1:]])

        return features | {"unlabelled": {name: take(values) for name, values in other.items()}}, targets

    views = unlabelled.map(lambda features, info: features).repeat().rebatch(ratio * batch_size)
    both = tf.data.Dataset.zip(labelled, views)
    return both.map(attach, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(1)


def _weights(targets, other_targets, weight, num_classes):
    """The weight of each example of a joined batch, (B, 1), see join_batches."""
    rows, other_rows = _rows(targets), _rows(other_targets)
    pairs, other_pairs = (tf.reduce_sum(counted_pairs(part, num_classes)) for part in (targets, other_targets))
    share = tf.where(other_pairs > 0, weight / (1 + weight), 0.0)
    scale = tf.cast(rows + other_rows, tf.float32) / tf.cast(rows, tf.float32)
    own = tf.fill([rows, 1], scale * (1 - share))
    return tf.concat([own, tf.fill([other_rows, 1], scale * share * tf.math.divide_no_nan(pairs, other_pairs))], 0)


def counted_pairs(targets: dict[str, Any], num_classes: int) -> tf.Tensor:
    """(B, 1) float32, the sum of the weights of all pairs of each example. targets: sparse, see yt8m.models.targets."""
    if "partner" in targets:
        own = {name: values for name, values in targets.items() if name not in ("share", "partner")}
        share = targets["share"]
        return share * counted_pairs(own, num_classes) + (1 - share) * counted_pairs(targets["partner"], num_classes)
    classes = targets["classes"]
    rated = _count(classes > 0)
    others = num_classes - rated
    if "video_classes" in targets:
        also_rated = tf.reduce_any(targets["video_classes"][:, :, None] == classes[:, None, :], axis=2)
        others -= _count((targets["video_classes"] > 0) & ~also_rated)
    return rated + targets["unrated"] * others


def _count(mask):
    return tf.reduce_sum(tf.cast(mask, tf.float32), axis=1, keepdims=True)


def _rows(element):
    return tf.shape(tf.nest.flatten(element)[0])[0]


def _join_targets(first, second):
    """Sparse targets of two batches, padded to the wider one; what one of them lacks is 0 there."""
    return {name: _join(name, first, second) for name in dict.fromkeys([*first, *second])}


def _join(name, first, second):
    if isinstance(first.get(name, second.get(name)), dict):
        return _join_targets(first[name], second[name])
    dtype = first.get(name, second.get(name)).dtype
    parts = [targets.get(name, tf.zeros([tf.shape(targets["classes"])[0], 1], dtype)) for targets in (first, second)]
    width = tf.maximum(*(tf.shape(part)[1] for part in parts))
    return tf.concat([tf.pad(part, [[0, 0], [0, width - tf.shape(part)[1]]]) for part in parts], 0)
