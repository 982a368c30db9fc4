"""Repeating the segments of rare classes: repeat factor sampling (Gupta et al. 2019, LVIS, section 5.1)."""

import numpy as np
import tensorflow as tf

from yt8m.data.cache import RecordCache
from yt8m.data.examples import decode_examples
from yt8m.ranking.metrics import POSITIVE

_BLOCK = 256


def repeat_segments(
    segments: tf.data.Dataset, factors: np.ndarray, *, seed: int, cache: RecordCache | None = None
) -> tf.data.Dataset:
    """Segments in batches of any size, each as often as the rarest class that it has asks for.

    segments: tf.data.Dataset as examples.encode_examples gives them, or of numbers of segments of ``cache``. A factor
    of 2.3 is two times, and with a probability of 0.3 a third one; the draw depends on seed and place in the order
    alone.
    """
    by_segment = None if cache is None else tf.constant(cache.largest(factors))
    by_class = tf.concat([[1.0], factors], 0)

    def repeat(number, batch):
        if by_segment is not None:
            factor = tf.gather(by_segment, batch)
        else:
            unpacked = decode_examples(batch)
            of_pairs = tf.where(unpacked["scores"] >= POSITIVE, tf.gather(by_class, unpacked["classes"]), 1.0)
            factor = tf.reduce_max(of_pairs, axis=1)
        draw = tf.random.stateless_uniform(tf.shape(factor), tf.stack([seed, tf.cast(number, tf.int32)]))
        times = tf.cast(tf.floor(factor + draw), tf.int32)
        rows = tf.repeat(tf.range(tf.size(times)), times)
        return tf.nest.map_structure(lambda values: tf.gather(values, rows), batch)

    # Blocks of one size, so that draws do not depend on how segments were read.
    return segments.rebatch(_BLOCK).enumerate().map(repeat, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
