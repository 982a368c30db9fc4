"""What a survey finds in clip records: sizes, rates and bytes of their pictures, each of which is decoded."""

import collections
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.data.clip_records import MICROSECONDS, parse_clips
from yt8m.data.pictures import decode_picture
from yt8m.data.record_checks import SEGMENT_LISTS
from yt8m.types import Tensor

MEDIASEQUENCE_SEGMENTS = b"segment/start/timestamp"
"""A field of MediaSequence's timed labels, which are read by nothing here."""


def clip_parser() -> Callable[[Tensor], dict[str, Any]]:
    """Parser of clips, as yt8m.data.survey.survey.frame_parser is of frames, with "lengths" (B, 1) in seconds.

    And "pictures", "bytes" (B,), of all pictures of a clip; "sizes" (B, 2), the height and width of the first; "uneven"
    (B,) bool, whether others have another; "rates" (B,) pictures a second, 0 where there is one. A picture that
    cannot be decoded raises tf.errors.OpError, as all that is bad does.
    """

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
    def parse(serialized):
        lists, float_lists = ("labels", *SEGMENT_LISTS), ("label_scores", "segment_scores")
        clips = parse_clips(serialized, lists=lists, float_lists=float_lists)
        real = tf.sequence_mask(clips.counts, tf.shape(clips.pictures)[1])
        shapes = tf.map_fn(
            lambda encoded: tf.shape(decode_picture(encoded))[:2],
            tf.boolean_mask(clips.pictures, real),
            fn_output_signature=tf.TensorSpec([2], tf.int32),
        )
        shapes = tf.RaggedTensor.from_row_lengths(shapes, clips.counts)
        first = shapes.to_tensor()[:, 0]
        other = tf.reduce_any(tf.gather(first, shapes.value_rowids()) != shapes.values, axis=1)
        numbers = {
            "lengths": clips.seconds[:, None],
            "pictures": clips.counts,
            "bytes": tf.reduce_sum(tf.strings.length(clips.pictures), axis=1),
            "sizes": first,
            "uneven": tf.math.segment_max(tf.cast(other, tf.int32), shapes.value_rowids()) > 0,
            "rates": _rates(clips),
        }
        flat = {name: (ragged.values, ragged.row_lengths()) for name, ragged in clips.context.items()}
        return clips.ids, numbers, flat

    traced = parse.get_concrete_function()

    def run(serialized):
        ids, numbers, context = traced(serialized)
        flat = {name: tuple(part.numpy() for part in parts) for name, parts in context.items()}
        found = {name: values.numpy() for name, values in numbers.items()}
        return {"id": ids.numpy().tolist(), "right": np.ones(len(ids), bool)} | found | flat

    return run


def _rates(clips):
    """(B,) pictures a second."""
    span = tf.cast(tf.reduce_max(clips.times, axis=1), tf.float64) / MICROSECONDS
    return tf.math.divide_no_nan(tf.cast(clips.counts - 1, tf.float64), span)


class PictureTally:
    """Counts of pictures: pictures, bytes, and Counters of clips by the size, (height, width), and by the rate."""

    def __init__(self):
        self.pictures = self.bytes = 0
        self.sizes: collections.Counter = collections.Counter()
        self.rates: collections.Counter = collections.Counter()

    def add(self, parsed: dict[str, Any], good: np.ndarray) -> None:
        """Counts the ``good`` (B,) bool of what clip_parser gives."""
        self.pictures += int(parsed["pictures"][good].sum())
        self.bytes += int(parsed["bytes"][good].sum())
        self.sizes.update(map(tuple, parsed["sizes"][good].tolist()))
        self.rates.update(f"{rate:.3g}" if rate else "one picture" for rate in parsed["rates"][good].tolist())

    def facts(self) -> dict[str, Any]:
        """The counts, as JSON has them; sizes and rates by their number of clips, most first."""
        sizes = {f"{width}x{height}": count for (height, width), count in self.sizes.most_common()}
        return {
            "total": self.pictures,
            "bytes": self.bytes,
            "sizes": sizes,
            "a_second": dict(self.rates.most_common()),
        }
