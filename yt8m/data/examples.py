"""From serialized records to examples, in the graph: which frames an example holds, and what is known of its classes.

Records come in batches, which is what makes reading fast, and frames stay strings until it is known which of them are
wanted. From then on they are uint8; the models dequantise.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data import record_checks, tfrecord
from yt8m.data.reading_notes import tell_frameless, tell_long, tell_uneven
from yt8m.data.sampling import sample_frames, surrounding_frames
from yt8m.data.texts import text_features
from yt8m.data.views import all_windows, margin_view, window_frames
from yt8m.types import SEGMENT_SECONDS, Tensor, by_view, names_of_views

WIDTHS = [2**power for power in range(5, 21)]
"""Columns that targets may have: few, because the model is compiled anew for each."""
VIDEO_LISTS = {"lists": ("labels",), "float_lists": ("label_scores",)}
"""Fields of the labels of whole videos."""

_ROW = 2**32
"""Times row, plus start or class, is one number for a pair of a batch."""

_BYTES = np.array([bytes([value]) for value in range(256)], object)


def parse_videos(
    position: Tensor, serialized: Tensor, *, config: DataConfig, seed: int | None, with_info: bool
) -> tuple[dict[str, Any], ...]:
    """Whole videos of a batch of records: an element as make_dataset gives it for windows="video".

    position: number of the batch, from which, with ``seed``, frames are drawn; seed None draws nothing.
    """
    if config.level == "video":
        ids, context, features = tfrecord.parse_videos(serialized, features=config.features, **VIDEO_LISTS)
        features = {name: finite(values, name) for name, values in features.items()}
    else:
        ids, context, frames, num_frames, _ = _parse_frames(serialized, config, **VIDEO_LISTS)
        indices, counts = draw_frames(position, num_frames, config=config, seed=seed)
        drawn = config.sampling == "random" and seed is not None
        # Where all frames of all videos are wanted, once each, two copies of them can be saved.
        features = tf.cond(
            tf.reduce_max(num_frames) <= (0 if drawn else config.num_frames),
            lambda: _all_frames(frames, config),
            lambda: _take_frames(frames, tf.range(tf.size(num_frames)), indices, counts, config),
        )
        features["num_frames"] = counts
        features |= _video_frames(frames, num_frames, config)
    features |= text_features(serialized, config)
    columns, scores = (ragged.to_tensor() for ragged in video_labels(context, config))
    padding = [[0, 0], [0, _width(tf.shape(columns)[1]) - tf.shape(columns)[1]]]
    columns, scores = tf.pad(columns, padding), tf.pad(scores, padding)
    targets = {"classes": columns, "scores": scores, "unrated": tf.ones([tf.size(ids), 1])}
    if with_info:
        return features, targets, {"id": ids, "start_time": tf.zeros_like(ids, tf.int32)}
    return features, targets


def parse_whole(serialized: Tensor, *, config: DataConfig) -> dict[str, Any]:
    """All frames of a batch of N records, F in all, video after video.

    Dict of "features", dict of feature to (F, size) uint8; "num_frames" (N,) int32; "id" (N,) string; "classes" and
    "scores" as in parse_rated, of the labels of the videos.
    """
    ids, context, frames, num_frames, _ = _parse_frames(serialized, config, **VIDEO_LISTS)
    features = {}
    for name, size in config.features.items():
        real = tf.sequence_mask(num_frames, tf.shape(frames[name])[1])
        features[name] = tf.io.decode_raw(tf.boolean_mask(frames[name], real), tf.uint8, fixed_length=size)
    columns, scores = video_labels(context, config)
    return {"features": features, "num_frames": num_frames, "id": ids, "classes": columns, "scores": scores}


def draw_frames(position: Tensor, num_frames: Tensor, *, config: DataConfig, seed: int | None) -> tuple[Tensor, Tensor]:
    """The frames that examples of whole videos hold, as sample_frames gives them; arguments as of parse_videos."""
    seeds = None if seed is None else tf.stack([seed, tf.cast(position, tf.int32)])
    return sample_frames(num_frames, sampling=config.sampling, length=config.num_frames, seed=seeds)


def video_labels(context: dict[str, Tensor], config: DataConfig) -> tuple[Tensor, Tensor]:
    """Ragged columns (N, None) of whole videos' labels, each once a row and ascending, and their scores."""
    columns = class_columns(context["labels"], "labels", config)
    return _distinct(columns, columns.with_values(_label_scores(context)))


def _label_scores(context):
    """The score of each of all videos' labels, float32 in [0, 1]: 1 in a video that has no label_scores."""
    labels, scores = context["labels"], context["label_scores"]
    given = scores.row_lengths() > 0
    same = ~given | (scores.row_lengths() == labels.row_lengths())
    given = tfrecord.checked(given, tf.reduce_all(same), "labels and label_scores of a record differ in length")
    places = tf.where(tf.gather(given, labels.value_rowids()))
    values = tf.clip_by_value(finite(scores.values, "label_scores"), 0.0, 1.0)
    return tf.tensor_scatter_nd_update(tf.ones_like(labels.values, tf.float32), places, values)


def parse_rated(serialized: Tensor, *, config: DataConfig, margin: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """The rated segments of a batch of N records: (segments, videos), two dicts.

    segments: "features", dict of feature to (W, 5 + 2 margin, size) uint8 and "num_frames" (W,) int32, the segments
    with ``margin`` frames more on either side, see segments.margin_view; "start_time" (W,) int32; "row" (W,) int32,
    their record, ascending; "classes" and "scores", RaggedTensors (W, None), the int32 class ids + 1, each once and
    ascending, and their float32 scores, the highest of each. videos: "id" (N,) string and, if config.unrated asks for
    it, "classes", a RaggedTensor (N, None) like that of the segments.
    """
    ids, context, frames, num_frames, lengths = _parse_frames(serialized, config, **rating_lists(config))
    segments, videos = rated_windows(context, lengths, config, read=num_frames)
    rows, starts = segments["row"], segments["start_time"]
    features = _segment_frames(frames, rows, starts, num_frames, config, margin=margin)
    features |= text_features(serialized, config, rows=rows, starts=starts)
    return segments | {"features": features}, videos | {"id": ids}


def rating_lists(config: DataConfig) -> dict[str, tuple[str, ...]]:
    """Fields of ratings, and of the labels of whole videos where config.unrated asks for them."""
    labels = ("labels",) if config.unrated == "video_negative" else ()
    return {"lists": record_checks.SEGMENT_LISTS + labels, "float_lists": ("segment_scores",)}


def rated_windows(
    context: dict[str, Tensor], lengths: Tensor, config: DataConfig, *, read: Tensor
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What parse_rated gives, without features and ids, of the ``context`` of N records, the fields of rating_lists.

    lengths: (N,) int32, seconds of each video, within which segments must start. read: seconds that are read of them.
    """
    starts, scores = check_ratings(context)
    columns = class_columns(context["segment_labels"], "segment_labels", config)
    rows = columns.value_rowids()
    inside = (starts >= 0) & (starts < tf.gather(tf.cast(lengths, tf.int64), rows))
    starts = tfrecord.checked(starts, tf.reduce_all(inside), "a segment starts outside its video")
    kept = starts < tf.gather(tf.cast(read, tf.int64), rows)
    windows, window_of = tf.unique(tf.boolean_mask(rows * _ROW + starts, kept), out_idx=tf.int64)
    order = tf.argsort(window_of, stable=True)

    def by_window(values):
        values, of = tf.gather(tf.boolean_mask(values, kept), order), tf.gather(window_of, order)
        return tf.RaggedTensor.from_value_rowids(values, of, nrows=tf.size(windows, tf.int64), validate=False)

    rows, starts = tf.cast(windows // _ROW, tf.int32), tf.cast(windows % _ROW, tf.int32)
    columns, scores = _distinct(by_window(columns.values), by_window(tf.clip_by_value(scores, 0.0, 1.0)))
    segments = {"start_time": starts, "row": rows, "classes": columns, "scores": scores}
    if config.unrated != "video_negative":
        return segments, {}
    return segments, {"classes": _distinct(class_columns(context["labels"], "labels", config))}


def encode_examples(segments: dict[str, Any], videos: dict[str, Any]) -> dict[str, Any]:
    """Rated segments of parse_rated as one dict of tensors (W, ...), which can be shuffled and batched again.

    "features" and "start_time" as there; "id" (W,) string; "classes", "scores" and, where known, "video_classes" (W,)
    string, the numbers of a row as bytes.
    """
    examples = {name: segments[name] for name in ("features", "start_time")}
    examples |= {name: _to_bytes(segments[name]) for name in ("classes", "scores")}
    examples["id"] = tf.gather(videos["id"], segments["row"])
    if "classes" in videos:
        examples["video_classes"] = tf.gather(_to_bytes(videos["classes"]), segments["row"])
    return examples


def decode_examples(examples: dict[str, Any]) -> dict[str, Any]:
    """A batch of encode_examples with the numbers of each row as rows of (B, K) arrays, padded with 0."""
    packed = [name for name in ("classes", "scores", "video_classes") if name in examples]
    unpacked = {name: _from_bytes(examples[name]) for name in packed}
    unpacked["scores"] = tf.bitcast(unpacked["scores"], tf.float32)
    return examples | unpacked


def parse_unlabelled(serialized: Tensor, *, config: DataConfig, margin: int) -> dict[str, Any]:
    """Every segment of a batch of records, as a dict of "features" and "start_time" as in parse_rated, and "id"."""
    ids, _, frames, num_frames, _ = _parse_frames(serialized, config)
    rows, starts = all_windows(num_frames)
    features = _segment_frames(frames, rows, starts, num_frames, config, margin=margin)
    features |= text_features(serialized, config, rows=rows, starts=starts)
    return {"features": features, "start_time": starts, "id": tf.gather(ids, rows)}


def parse_all(
    serialized: Tensor, *, config: DataConfig, views: Sequence[Any]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Every segment of a batch of records: (features, info) as make_dataset gives them for windows="all".

    Views that the records hold, config.record_views, are views of segments too, each under all of ``views``: S is their
    product. Of a feature that has fewer than others its own one stands in all of them.
    """
    views_of_features = config.views_of_features
    stored = {name: config.features[feature] for name, feature in names_of_views(views_of_features).items()}
    whole = config.replace(feature_names=tuple(stored), feature_sizes=tuple(stored.values()), record_views=())
    ids, _, frames, num_frames, _ = _parse_frames(serialized, whole)
    rows, starts = all_windows(num_frames)
    lengths = tf.gather(num_frames, rows)
    indices, counts = window_frames(starts, lengths, views=views, border=config.border)
    take = _take_frames if len(views) == 1 else _take_overlapping
    taken = [take(of_view, rows[:, None], indices, counts, config) for of_view in by_view(frames, views_of_features)]
    features = {name: tf.concat([each[name] for each in taken], axis=1) for name in config.features}
    features["num_frames"] = tf.tile(counts, [1, len(taken)])
    features |= _video_frames(frames, num_frames, config, rows=rows, starts=starts)
    features |= text_features(serialized, config, rows=rows, starts=starts)
    ends = tf.minimum(starts + SEGMENT_SECONDS, lengths)
    return features, {"id": tf.gather(ids, rows), "start_time": starts, "end_time": ends}


def _segment_frames(frames, rows, starts, num_frames, config, *, margin):
    """Features of the segments at ``starts`` (W,) of records ``rows`` (W,), with ``margin`` frames on either side.

    num_frames: (N,), of the records.
    """
    lengths = tf.gather(num_frames, rows)
    indices, counts = window_frames(starts, lengths, views=(margin_view(margin),), border=config.border)
    features = _take_frames(frames, rows, indices[:, 0], counts[:, 0], config) | {"num_frames": counts[:, 0]}
    return features | _video_frames(frames, num_frames, config, rows=rows, starts=starts)


def _video_frames(frames, num_frames, config, *, rows=None, starts=None):
    """config.video_frames frames of the videos, or around segments, of which rows and starts are given.

    Dict of "video_" and feature to (B, V, size) uint8 and "num_video_frames" (B,) int32; empty if none are wanted.
    """
    length = config.video_frames
    if not length:
        return {}
    if rows is None or config.video_radius is None:
        indices, counts = sample_frames(num_frames, sampling="uniform", length=length)
        features = _take_frames(frames, tf.range(tf.size(num_frames)), indices, counts, config)
        if rows is not None:
            features, counts = tf.nest.map_structure(lambda values: tf.gather(values, rows), (features, counts))
    else:
        num_frames = tf.gather(num_frames, rows)
        lengths = tf.minimum(SEGMENT_SECONDS, num_frames - starts)
        indices, counts = surrounding_frames(
            num_frames, starts=starts, lengths=lengths, radius=config.video_radius, length=length
        )
        features = _take_frames(frames, rows, indices, counts, config)
    return {f"video_{name}": values for name, values in features.items()} | {"num_video_frames": counts}


def _parse_frames(serialized, config, *, lists=(), float_lists=()):
    """(ids, context, frames, num_frames, lengths): frames of tfrecord.parse_frames, checked.

    lengths (B,) int32: frames that all features have; num_frames (B,) int32: how many of them are read.
    """
    ids, context, frames, found = tfrecord.parse_frames(
        serialized,
        features=config.feature_names,
        lists=lists,
        float_lists=float_lists,
        may_lack=bool(config.text.fields),
    )
    for name, size in config.features.items():
        bad = (tf.strings.length(frames[name]) != size) & tf.sequence_mask(found[name], tf.shape(frames[name])[1])
        problem = f"a frame of {name} does not have {size} bytes"
        frames[name] = tfrecord.checked(frames[name], ~tf.reduce_any(bad), problem)
    frames = {name: frames[name] for name in config.feature_names}
    found = tf.cast(tf.stack([found[name] for name in frames]), tf.int32)
    lengths = tf.reduce_min(found, axis=0)
    frameless = tf.reduce_all(found == 0, axis=0) & bool(config.text.fields)
    lengths = tfrecord.checked(lengths, tf.reduce_all((lengths > 0) | frameless), "a record has no frames")
    if config.text.fields:
        frames = _cut_frames(frames, lengths, of=frameless, tell=lambda: tell_frameless(ids, frameless))
    num_frames = lengths
    if len(config.features) > 1:
        uneven = tf.reduce_any(found != lengths, axis=0)
        frames = _cut_frames(frames, lengths, of=uneven, tell=lambda: tell_uneven(ids, found, uneven, tuple(frames)))
    if config.max_frames:
        num_frames = tf.minimum(lengths, config.max_frames)
        long = lengths > num_frames
        frames = _cut_frames(frames, num_frames, of=long, tell=lambda: tell_long(ids, lengths, long, config))
    return ids, context, frames, num_frames, lengths


def _cut_frames(frames, num_frames, *, of, tell):
    """Frames without those behind the first num_frames (B,), where ``of`` (B,) has any to cut; then calls ``tell``."""

    def cut():
        tell()
        return {
            name: tf.where(tf.sequence_mask(num_frames, tf.shape(strings)[1]), strings, "")
            for name, strings in frames.items()
        }

    return tf.cond(tf.reduce_any(of), cut, lambda: frames)


def _take_frames(frames, rows, indices, counts, config):
    """Decodes frames ``indices`` (..., T) of videos ``rows`` (...): dict of (..., T, size) uint8.

    What stands behind the first ``counts`` (...) frames is zero.
    """
    shape, length = tf.shape(indices), indices.shape[-1]
    valid = tf.sequence_mask(counts, length)
    features = {}
    for name, size in config.features.items():
        stored = tf.shape(frames[name])[1]
        places = tf.boolean_mask(rows[..., None] * stored + indices, valid)
        decoded = tf.io.decode_raw(tf.gather(tf.reshape(frames[name], [-1]), places), tf.uint8, fixed_length=size)
        # Faster than decoding the padding too.
        padded = tf.RaggedTensor.from_row_lengths(decoded, tf.reshape(counts, [-1]), validate=False)
        padded = padded.to_tensor(shape=[None, length, size])
        features[name] = tf.ensure_shape(tf.reshape(padded, tf.concat([shape, [size]], 0)), [*indices.shape, size])
    return features


def _take_overlapping(frames, rows, indices, counts, config):
    """As _take_frames, where most frames are taken several times: each is decoded once."""
    valid = tf.sequence_mask(counts, indices.shape[-1])
    features = {}
    for name, size in config.features.items():
        there = tf.strings.length(frames[name]) > 0
        first = tf.cumsum(tf.reduce_sum(tf.cast(there, tf.int32), axis=1), exclusive=True)
        decoded = tf.io.decode_raw(tf.boolean_mask(frames[name], there), tf.uint8, fixed_length=size)
        # Behind the last frame are zeros, for padding.
        places = tf.where(valid, tf.gather(first, rows)[..., None] + indices, tf.shape(decoded)[0])
        decoded = tf.pad(decoded, [[0, 1], [0, 0]])
        features[name] = tf.ensure_shape(tf.gather(decoded, places), [*indices.shape, size])
    return features


def _all_frames(frames, config):
    """Decodes all frames of videos that have at most config.num_frames: dict of (B, num_frames, size) uint8."""
    features = {}
    for name, size in config.features.items():
        decoded = tf.io.decode_raw(frames[name][:, : config.num_frames], tf.uint8, fixed_length=size)
        padded = tf.pad(decoded, [[0, 0], [0, config.num_frames - tf.shape(decoded)[1]], [0, 0]])
        features[name] = tf.ensure_shape(padded, [None, config.num_frames, size])
    return features


def check_ratings(context: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Start times (N,) int64 and scores (N,) float32 of all ratings of ``context``, as parse_context gives it.

    Asserts, in the graph, that the rating fields of a record are of one length, times not negative and scores finite.
    """
    lengths = context["segment_labels"].row_lengths()
    starts, scores = context["segment_start_times"].values, context["segment_scores"].values
    starts = tfrecord.checked(starts, tf.reduce_all(starts >= 0), "a segment starts before its video")
    for name in ("segment_start_times", "segment_end_times", "segment_scores"):
        found = context[name].row_lengths()
        # End times follow from the starts, so files may do without.
        same = tf.reduce_all((found == lengths) | ((found == 0) & (name == "segment_end_times")))
        problem = f"segment_labels and {name} of a record differ in length"
        starts, scores = (tfrecord.checked(values, same, problem) for values in (starts, scores))
    return starts, finite(scores, "segment_scores")


def finite(values: Tensor, field: str) -> Tensor:
    """``values`` as they are; asserts in the graph that none is NaN or infinite."""
    return tfrecord.checked(
        values, tf.reduce_all(tf.math.is_finite(values)), f"{field} holds a value that is no number"
    )


def class_columns(classes: Tensor, field: str, config: DataConfig) -> Tensor:
    """Ragged class ids (B, None) as int32 of id + 1, because padding is 0; asserts in the graph that they are such."""
    inside = (classes.values >= 0) & (classes.values < config.num_classes)
    problem = f"{field} holds a class outside [0, {config.num_classes})"
    return classes.with_values(tf.cast(tfrecord.checked(classes.values, tf.reduce_all(inside), problem) + 1, tf.int32))


def _distinct(columns, scores=None):
    """Ragged columns (B, None), each once a row and ascending; and the highest of the ``scores`` of each, if given."""
    pairs, place = tf.unique(columns.value_rowids() * _ROW + tf.cast(columns.values, tf.int64))
    order = tf.argsort(pairs)
    pairs = tf.gather(pairs, order)

    def ragged(values):
        return tf.RaggedTensor.from_value_rowids(values, pairs // _ROW, nrows=columns.nrows(), validate=False)

    distinct = ragged(tf.cast(pairs % _ROW, tf.int32))
    if scores is None:
        return distinct
    return distinct, ragged(tf.gather(tf.math.unsorted_segment_max(scores.values, place, tf.size(pairs)), order))


def _width(longest):
    """The least of WIDTHS that ``longest`` fits in."""
    return tf.gather(WIDTHS, tf.searchsorted(WIDTHS, [longest])[0])


def _to_bytes(numbers):
    """Ragged (W, None) int32 or float32 -> (W,) string."""
    characters = tf.gather(_BYTES, tf.cast(tf.bitcast(numbers.values, tf.uint8), tf.int32))
    return tf.strings.reduce_join(numbers.with_values(tf.strings.reduce_join(characters, axis=-1)), axis=-1)


def _from_bytes(strings):
    """(B,) string -> (B, K) int32."""
    longest = tf.reduce_max(tf.strings.length(strings)) // 4
    return tf.io.decode_raw(strings, tf.int32, fixed_length=4 * _width(longest))
