"""Clip records: the pictures of a video, encoded one by one, with their times, under the names of MediaSequence.

A SequenceExample a video. Feature lists: ``image/encoded``, a JPEG or PNG each, and ``image/timestamp``, microseconds,
ascending; without the latter the pictures are as far apart as ``image/frame_rate`` says. Context: ``image/format``,
``image/height``, ``image/width`` and ``image/frame_rate``; id, labels and ratings as in records of frames. Those that
MediaPipe writes are read too: ``example/id`` or ``clip/media_id`` is the id, ``clip/label/index`` the labels and
``clip/label/confidence`` their scores. Times count from the first picture.
Source: ai.google.dev/edge/mediapipe, MediaSequence.
"""

import bisect
import dataclasses
from collections.abc import Iterable
from typing import Any, NamedTuple

import tensorflow as tf

from yt8m.data.text_fields import set_texts
from yt8m.data.tfrecord import (
    ID_KEYS,
    PICTURE_LIST,
    checked,
    context_schema,
    parse_context,
    set_labels,
    set_ratings,
    take_ids,
)
from yt8m.types import Tensor, TimedText

TIME_LIST = "image/timestamp"
RATE, HEIGHT, WIDTH, FORMAT = "image/frame_rate", "image/height", "image/width", "image/format"
MICROSECONDS = 10**6

MEDIASEQUENCE = {"labels": "clip/label/index", "label_scores": "clip/label/confidence"}
"""Fields of ours to those that MediaSequence has in their place."""

LONGEST = 24 * 3600
"""Seconds of the longest clip: times in another unit than microseconds would make millions of segments."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipRecord:
    """A video as its encoded pictures.

    pictures: JPEGs, bytes each. times: microseconds of each, ascending. size: (height, width) of the pictures. rate:
    pictures a second. labels, label_scores, segments, texts: as in FrameRecord.
    """

    video_id: str
    pictures: tuple[bytes, ...]
    times: tuple[int, ...]
    size: tuple[int, int]
    rate: float
    labels: tuple | None = None
    label_scores: tuple | None = None
    segments: tuple | None = None
    texts: tuple[TimedText, ...] = ()

    def serialize(self, *, id_key: str = "id") -> bytes:
        """Bytes of the SequenceExample."""
        example = tf.train.SequenceExample()
        context = example.context.feature
        context[id_key].bytes_list.value.append(self.video_id.encode())
        set_labels(context, self)
        set_ratings(context, self.segments)
        set_texts(context, self.texts)
        context[FORMAT].bytes_list.value.append(b"JPEG")
        context[HEIGHT].int64_list.value.append(self.size[0])
        context[WIDTH].int64_list.value.append(self.size[1])
        context[RATE].float_list.value.append(self.rate)
        lists = example.feature_lists.feature_list
        for picture, time in zip(self.pictures, self.times, strict=True):
            lists[PICTURE_LIST].feature.add().bytes_list.value.append(picture)
            lists[TIME_LIST].feature.add().int64_list.value.append(time)
        return example.SerializeToString(deterministic=True)

    @classmethod
    def parse(cls, serialized: bytes) -> "ClipRecord":
        """The record, a good one, that was serialized, without labels and ratings."""
        example = tf.train.SequenceExample.FromString(serialized)
        context, lists = example.context.feature, example.feature_lists.feature_list
        pictures = tuple(feature.bytes_list.value[0] for feature in lists[PICTURE_LIST].feature)
        (rate,) = context[RATE].float_list.value or [0.0]
        if TIME_LIST in lists and lists[TIME_LIST].feature:
            times = tuple(feature.int64_list.value[0] for feature in lists[TIME_LIST].feature)
        else:
            times = tuple(int(place * MICROSECONDS / rate) for place in range(len(pictures)))
        return cls(
            video_id=next(context[key].bytes_list.value[0] for key in ID_KEYS if key in context).decode(),
            pictures=pictures,
            times=times,
            size=tuple((context[name].int64_list.value or [0])[0] for name in (HEIGHT, WIDTH)),
            rate=rate,
        )

    def part(self, start: int, end: int) -> "ClipRecord":
        """The pictures shown first in [start, end) seconds from the first one on, or that on the screen then."""
        bounds = [bisect.bisect_left(self.times, self.times[0] + second * MICROSECONDS) for second in (start, end)]
        first = min(bounds[0], bounds[1] - 1)
        kept = slice(first, bounds[1])
        return dataclasses.replace(self, pictures=self.pictures[kept], times=self.times[kept])


class ParsedClips(NamedTuple):
    """A batch of B clips, parsed: K pictures in the longest.

    ids: (B,) string. context: dict of field to RaggedTensor (B, None). pictures: (B, K) string, still encoded, padded
    with "". times: (B, K) int64, microseconds from the first picture. counts: (B,) int32, pictures of each. seconds:
    (B,) int32, those in which one is shown first, at least 1.
    """

    ids: Tensor
    context: dict[str, Tensor]
    pictures: Tensor
    times: Tensor
    counts: Tensor
    seconds: Tensor


def parse_clips(serialized: Tensor, *, lists: Iterable[str] = (), float_lists: Iterable[str] = ()) -> ParsedClips:
    """Parses (B,) serialized clips in the graph. lists, float_lists: context fields of int64 and float32, of ours.

    Raises tf.errors.InvalidArgumentError on a bad record.
    """
    lists, float_lists = _with_mediasequence(lists), _with_mediasequence(float_lists)
    context, frames, lengths = tf.io.parse_sequence_example(
        serialized,
        context_features=context_schema(lists, float_lists) | {RATE: tf.io.FixedLenFeature([], tf.float32, 0.0)},
        sequence_features={
            PICTURE_LIST: tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
            TIME_LIST: tf.io.FixedLenSequenceFeature([], tf.int64, allow_missing=True),
        },
    )
    ids, rates = take_ids(context), context.pop(RATE)
    counts, timed = (tf.cast(lengths[name], tf.int32) for name in (PICTURE_LIST, TIME_LIST))
    counts = checked(counts, tf.reduce_all(counts > 0), "a clip has no pictures")
    same = (timed == counts) | (timed == 0) & (rates > 0)
    counts = checked(counts, tf.reduce_all(same), f"{PICTURE_LIST} and {TIME_LIST} of a record differ in length")
    times = _times(frames[TIME_LIST], counts, timed, rates)
    last = tf.reduce_max(times, axis=1)
    last = checked(last, tf.reduce_all(last <= LONGEST * MICROSECONDS), f"a clip is longer than {LONGEST} seconds")
    seconds = tf.cast(last // MICROSECONDS, tf.int32) + 1
    return ParsedClips(ids, _merged(context), frames[PICTURE_LIST], times, counts, seconds)


def parse_clip_context(
    serialized: Tensor, *, lists: Iterable[str] = (), float_lists: Iterable[str] = ()
) -> tuple[Tensor, dict[str, Tensor]]:
    """Ids and context of ParsedClips, with the pictures left unread."""
    lists, float_lists = _with_mediasequence(lists), _with_mediasequence(float_lists)
    ids, context = parse_context(serialized, lists=lists, float_lists=float_lists)
    return ids, _merged(context)


def _times(stored, counts, timed, rates):
    """(B, K) int64 from the first picture; behind a clip's own, its last."""
    length = tf.reduce_max(counts)
    places = tf.minimum(tf.range(length), counts[:, None] - 1)
    # Where there are times the rate may be absent, 0.
    apart = MICROSECONDS / tf.cast(tf.maximum(rates, 1e-6), tf.float64)
    steps = tf.cast(tf.cast(places, tf.float64) * apart[:, None], tf.int64)
    stored = tf.pad(stored, [[0, 0], [0, length - tf.shape(stored)[1]]])
    stored = tf.gather(stored, places, batch_dims=1)
    times = tf.where(timed[:, None] > 0, stored - stored[:, :1], steps)
    return checked(times, tf.reduce_all(times[:, 1:] >= times[:, :-1]), f"{TIME_LIST} of a record goes back")


def _with_mediasequence(names):
    return [*names, *(MEDIASEQUENCE[name] for name in names if name in MEDIASEQUENCE)]


def _merged(context: dict[str, Any]) -> dict[str, Any]:
    """The context with MediaSequence's labels in place of ours where a record has none of these."""
    context = dict(context)
    found = {name: context.pop(other) for name, other in MEDIASEQUENCE.items() if other in context}
    if not found:
        return context
    # Of any of them: scores of ours without labels stay, and are refused.
    bare = tf.reduce_all([context[name].row_lengths() == 0 for name in found], axis=0)
    rows = tf.range(tf.size(bare))
    # Rows are chosen, and not joined: TensorFlow says an error of its own where it transposes integers.
    chosen = tf.where(bare, rows + tf.size(bare), rows)
    return context | {
        name: tf.gather(tf.concat([context[name], values], axis=0), chosen) for name, values in found.items()
    }
