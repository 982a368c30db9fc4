"""Equal parts of batches, for processes that train in step."""

from typing import Any

import tensorflow as tf


def take_share(batch: Any, share: tuple[int, int]) -> Any:
    """In the graph: the i-th of n equal parts of the rows of a structure of tensors (B, ...); share: (i, n).

    Rows behind the last equal part are left out.
    """
    index, count = share
    if count == 1:
        return batch

    def take(values):
        rows = tf.shape(values)[0] // count
        return values[index * rows : (index + 1) * rows]

    return tf.nest.map_structure(take, batch)
