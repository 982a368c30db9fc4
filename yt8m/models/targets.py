"""Targets, labels and their weights: sparse where they are read, dense on the device.

Sparse targets, dict of arrays, as yt8m.data.pipeline.make_dataset gives them:

- ``classes`` (B, K) int32: class id + 1, each at most once a row; padding is 0. K is a power of two, at least 32.
- ``scores`` (B, K) float32: the labels of these pairs (example, class), in [0, 1]. They count in full.
- ``unrated`` (B, 1) float32: the weight of all other pairs, whose label is 0.
- ``video_classes`` (B, K') int32, where present: as ``classes``; pairs that are here and not there count for nothing.
- ``weight`` (B, 1) float32, where present: a factor on the weights of all pairs of an example.
- ``share`` (B, 1) float32 and ``partner``, where present (mixup): the example is a mixture, of which this is its share;
  the rest has the targets ``partner``, a dict like this one.

Dense targets: ``labels`` (B, C) and ``rated`` (B, C), float32 both, the label and the weight of every pair.
"""

from typing import Any

import numpy as np
from keras import ops

from yt8m.types import Tensor


def dense_targets(targets: dict[str, Any], *, num_classes: int) -> dict[str, Tensor]:
    """Dense targets of sparse ones, on the device; what is dense already is returned as it is. num_classes: C."""
    if "labels" in targets:
        return targets
    if "weight" in targets:
        targets = dict(targets)
        weight = ops.cast(targets.pop("weight"), "float32")
        dense = dense_targets(targets, num_classes=num_classes)
        return dense | {"rated": dense["rated"] * weight}
    if "partner" in targets:
        return _mixture(targets, num_classes)
    classes = ops.cast(targets["classes"], "int32")
    # Column 0 takes the padding.
    empty = ops.zeros((ops.shape(classes)[0], num_classes + 1), "float32")
    rated = empty + ops.cast(targets["unrated"], "float32")
    if "video_classes" in targets:
        rated = _with_values(rated, ops.cast(targets["video_classes"], "int32"), 0.0)
    rated = _with_values(rated, classes, 1.0)
    labels = _with_values(empty, classes, ops.cast(targets["scores"], "float32"))
    return {"labels": labels[:, 1:], "rated": rated[:, 1:]}


def _mixture(targets, num_classes):
    """Dense targets with which the cross-entropy is that of both examples, each weighted by its share.

    It is linear in rated and in rated * labels, so both are weighted means; labels are 0 where nothing is rated.
    """
    share = ops.cast(targets["share"], "float32")
    own = {name: values for name, values in targets.items() if name not in ("share", "partner")}
    pairs = [(share, own), (1 - share, targets["partner"])]
    dense = [(weight, dense_targets(part, num_classes=num_classes)) for weight, part in pairs]
    rated = sum(weight * part["rated"] for weight, part in dense)
    positive = sum(weight * part["rated"] * part["labels"] for weight, part in dense)
    return {"labels": positive / ops.where(rated > 0, rated, 1.0), "rated": rated}


def rated_pairs(targets: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pairs of sparse targets of NumPy arrays: (rows (N,), class ids (N,), labels (N,) float32), row by row."""
    rows, places = np.nonzero(targets["classes"])
    return rows, targets["classes"][rows, places] - 1, targets["scores"][rows, places]


def _with_values(dense, columns, values):
    rows = ops.broadcast_to(ops.arange(ops.shape(columns)[0], dtype="int32")[:, None], ops.shape(columns))
    places = ops.stack([ops.reshape(rows, (-1,)), ops.reshape(columns, (-1,))], axis=1)
    return ops.scatter_update(dense, places, ops.reshape(ops.broadcast_to(values, ops.shape(columns)), (-1,)))
