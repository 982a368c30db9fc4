"""Texts of records, read in the graph: which of them an example has.

An example of a whole video has all of its texts; a segment those that are of the whole video, and of the others those
that are seen or heard within its seconds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data.text_fields import keys_of
from yt8m.data.tfrecord import checked, is_utf8
from yt8m.types import SEGMENT_SECONDS, TEXTS, Tensor


class ParsedTexts(NamedTuple):
    """Texts of one field of N records: RaggedTensors (N, None), string, and float32 seconds."""

    texts: Tensor
    starts: Tensor
    ends: Tensor


def parse_texts(serialized: Tensor, fields: Sequence[str]) -> dict[str, ParsedTexts]:
    """Dict of field to ParsedTexts of (N,) serialized records of any level; frames are skipped.

    Raises tf.errors.InvalidArgumentError, in the graph, for what yt8m.data.text_fields.text_problem finds.
    """
    kinds = (tf.string, tf.float32, tf.float32)
    schema = {
        key: tf.io.RaggedFeature(kind, row_splits_dtype=tf.int64)
        for field in fields
        for key, kind in zip(keys_of(field), kinds)
    }
    context, _, _ = tf.io.parse_sequence_example(serialized, context_features=schema)
    return {field: _checked(field, *(context[key] for key in keys_of(field))) for field in fields}


def _checked(field, texts, starts, ends):
    counts, timed = texts.row_lengths(), starts.row_lengths() > 0
    same = (starts.row_lengths() == ends.row_lengths()) & (~timed | (starts.row_lengths() == counts))
    values = checked(texts.values, tf.reduce_all(same), f"texts and times of {field} differ in number")
    fine = tf.reduce_all(is_utf8(values))
    values = checked(values, fine, f"a text of {field} is not UTF-8")
    given = (starts.values >= 0) & (starts.values < np.inf) & (starts.values <= ends.values)
    values = checked(values, tf.reduce_all(given), f"a text of {field} has no interval of seconds")
    places = tf.where(tf.gather(timed, texts.value_rowids()))
    zeros = tf.zeros(tf.shape(values), tf.float32)
    starts = tf.tensor_scatter_nd_update(zeros, places, starts.values)
    ends = tf.tensor_scatter_nd_update(zeros + np.inf, places, ends.values)
    return ParsedTexts(texts.with_values(values), texts.with_values(starts), texts.with_values(ends))


def text_features(
    serialized: Tensor, config: DataConfig, *, rows: Tensor | None = None, starts: Tensor | None = None
) -> dict[str, Any]:
    """Texts of examples by field, "texts" (W, F) string, those of a field joined by blanks; {} where none are read.

    serialized: (N,) records. rows, starts: (W,) int32, the record and second of segments; None for the whole videos.
    """
    if not config.text.fields:
        return {}
    parsed = parse_texts(serialized, config.text.fields)
    return {TEXTS: tf.stack([_joined(of, rows, starts) for of in parsed.values()], axis=1)}


def _joined(parsed, rows, starts):
    texts = parsed.texts
    if rows is not None:
        places = tf.gather(texts.with_values(tf.range(tf.size(texts.values))), rows)
        begin = tf.gather(tf.cast(starts, tf.float32), places.value_rowids())
        first, last = (tf.gather(of.values, places.values) for of in (parsed.starts, parsed.ends))
        # A text of no length is of the second that it stands at.
        shown = (first < begin + SEGMENT_SECONDS) & ((last > begin) | (first >= begin))
        places = tf.ragged.boolean_mask(places, places.with_values(shown))
        texts = places.with_values(tf.gather(texts.values, places.values))
    return tf.strings.reduce_join(texts, axis=-1, separator=" ")
