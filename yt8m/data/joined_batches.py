"""Batches of several sources: what is rated beside what is only pseudo-labelled, or not labelled at all."""

import tensorflow as tf


def join_batches(labelled: tf.data.Dataset, pseudo_labelled: tf.data.Dataset, *, ratio: float) -> tf.data.Dataset:
    """Batches of both as one batch each, first an example's own, then ``ratio`` times as many of the other.

    Both: tf.data.Dataset of (features, targets) as make_dataset gives them, the second one's batches ``ratio`` times as
    large but for the last of a pass; it starts over as often as it must, until the first one ends.
    """

    def join(first, second):
        kept = tf.cast(tf.round(ratio * tf.cast(_rows(first), tf.float32)), tf.int32)
        second = tf.nest.map_structure(lambda values: values[:kept], second)
        (features, targets), (other_features, other_targets) = first, second
        joined = {name: tf.concat([values, other_features[name]], 0) for name, values in features.items()}
        return joined, _join_targets(targets, other_targets)

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
