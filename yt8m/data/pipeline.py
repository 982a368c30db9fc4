"""From files to batches: ``make_dataset``, and the labels of a data set read whole.

Records are parsed 32 at a time, which is what makes reading fast, and frames stay strings until it is known which of
them are wanted. From then on they are uint8; the models dequantise.
"""

import functools

import numpy as np
import tensorflow as tf

from yt8m.data import doctor, tfrecord
from yt8m.data.sampling import sample_frames
from yt8m.data.segments import all_windows, window_frames
from yt8m.memory import reuse_freed_memory
from yt8m.types import InputError, SEGMENT_SECONDS, Segment

WINDOWS = ("video", "rated", "all")
_PARSE_BATCH = 32
_OPEN_FILES = 8
_SHUFFLE_BYTES = 128 << 20
_SHUFFLE_EXAMPLES = 128, 10_000
_ROW = 2**32
"""Times row plus start is one number for a segment of a batch."""


def make_dataset(
    files,
    config,
    *,
    windows,
    batch_size,
    training=False,
    seed=0,
    epoch=0,
    shifts=(0,),
    keep=None,
    drop_remainder=False,
    with_info=False,
):
    """One pass over the records of ``files`` as a tf.data.Dataset of batches of B examples.

    files: list of str, as list_files gives. config: DataConfig. windows:

    - "video": whole videos. Elements (features, targets). At frame level features are, for each feature, (B, T, size)
      uint8 and "num_frames" (B,) int32, with T = config.num_frames drawn by config.sampling; at video level (B, size)
      float32 each. Every pair counts: targets "rated" is one.
    - "rated": the segments with ratings, one example per start. Elements (features, targets), T = 5. A label is the
      score of its rating clipped to [0, 1], the highest if a class is rated twice; "rated" is as config.unrated says.
      Segments that start behind config.max_frames are left out.
    - "all": every segment, starts 0, 5, 10, ... Elements (features, info), with each segment under each of ``shifts``:
      (B, S, 5, size) uint8 and "num_frames" (B, S) int32, S = len(shifts). The files need no labels.

    Frames behind num_frames are zeros. targets: "labels" and "rated", both (B, config.num_classes) float32.
    info: "id" (B,) string and "start_time" (B,) int32, seconds (0 for whole videos); the third part of an element for
    "video" and "rated" where ``with_info``.

    training: files and examples in an order, and frames from a draw, that depend on ``seed`` and ``epoch`` alone; else
    in file order, nothing random. keep: predicate on the video id (str), for the videos to read, as IdSplit.in_train.
    The last batch may be smaller unless ``drop_remainder``.

    A bad record raises a tf.errors.OpError where the dataset is consumed; explain_errors makes it an InputError. With
    config.skip_corrupt bad records are left out, and counted on standard error at the end.
    """
    _check_arguments(config, windows, training, shifts)
    reuse_freed_memory()
    order, shuffle_seed, frame_seed = _random_state(seed, epoch, len(files))
    files = [files[index] for index in order] if training else list(files)
    records = _records(files, config, windows=windows, interleaved=training, keep=keep)

    def shuffle(examples, *, size):
        if not training:
            return examples
        buffer = max(_SHUFFLE_EXAMPLES[0], min(_SHUFFLE_EXAMPLES[1], _SHUFFLE_BYTES // size))
        return examples.shuffle(buffer, seed=shuffle_seed, reshuffle_each_iteration=False)

    if windows == "video":
        parse = functools.partial(
            _parse_videos, config=config, seed=frame_seed if training else None, with_info=with_info
        )
        size = sum(config.feature_sizes) * (config.max_frames if config.level == "frame" else 4)
        batches = _map(shuffle(records, size=size).batch(batch_size, drop_remainder=drop_remainder).enumerate(), parse)
    elif windows == "rated":
        parse = functools.partial(_parse_rated, config=config, with_info=with_info)
        segments = _map(records.batch(_PARSE_BATCH), parse).unbatch()
        segments = shuffle(segments, size=sum(config.feature_sizes) * SEGMENT_SECONDS)
        batches = segments.padded_batch(batch_size, drop_remainder=drop_remainder)
        batches = _map(batches, functools.partial(_finish_rated, config=config))
    else:
        parse = functools.partial(_parse_all, config=config, shifts=shifts)
        batches = _map(records.batch(_PARSE_BATCH), parse).rebatch(batch_size, drop_remainder=drop_remainder)
    return batches.prefetch(2)


def _map(dataset, function):
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _check_arguments(config, windows, training, shifts):
    if windows not in WINDOWS:
        raise ValueError(f"windows is {windows!r}; valid: {', '.join(WINDOWS)}")
    if windows != "video" and config.level == "video":
        raise InputError("video-level records have no segments: segments need frame-level records")
    if windows == "all" and training or windows != "all" and tuple(shifts) != (0,):
        raise ValueError("shifts are for windows='all', and windows='all' is not for training")


def _random_state(seed, epoch, num_files):
    """Order of the files, seed of the shuffle and seed of the drawn frames, of one epoch."""
    state = np.random.default_rng([seed % 2**32, epoch])
    shuffle_seed, frame_seed = state.integers(1, 2**31, size=2).tolist()
    return state.permutation(num_files), shuffle_seed, frame_seed


def _records(files, config, *, windows, interleaved, keep):
    if config.skip_corrupt:
        records = doctor.good_dataset(files, config, windows=windows)
    else:
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            tfrecord.record_dataset,
            cycle_length=min(len(files), _OPEN_FILES) if interleaved else 1,
            block_length=_PARSE_BATCH,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
    if keep is None:
        return records
    return _map(records.batch(_PARSE_BATCH), functools.partial(_keep_records, keep=keep)).unbatch()


def _keep_records(serialized, *, keep):
    def mask(ids):
        return np.array([keep(video_id) for video_id in _text(ids)], bool)

    ids, _ = tfrecord.parse_context(serialized)
    kept = tf.numpy_function(mask, [ids], tf.bool)
    kept.set_shape([None])
    return tf.boolean_mask(serialized, kept)


def _parse_videos(position, serialized, *, config, seed, with_info):
    if config.level == "video":
        ids, context, features = tfrecord.parse_videos(serialized, features=config.features, lists=("labels",))
    else:
        ids, context, frames, num_frames = _parse_frames(serialized, config, lists=("labels",))
        indices, counts = sample_frames(
            tf.minimum(num_frames, config.max_frames),
            sampling=config.sampling,
            length=config.num_frames,
            seed=None if seed is None else tf.stack([seed, tf.cast(position, tf.int32)]),
        )
        # Where all frames of all videos are wanted, as usual in pre-training, two copies of them can be saved.
        features = tf.cond(
            tf.reduce_max(num_frames) <= min(config.num_frames, config.max_frames),
            lambda: _all_frames(frames, config),
            lambda: _take_frames(frames, tf.range(tf.size(num_frames)), indices, counts, config),
        )
        features["num_frames"] = counts
    labels = _scatter(_class_columns(context["labels"], "labels", config), 1.0, config)
    targets = {"labels": labels, "rated": tf.ones_like(labels)}
    if with_info:
        return features, targets, {"id": ids, "start_time": tf.zeros_like(ids, tf.int32)}
    return features, targets


def _parse_rated(serialized, *, config, with_info):
    video_labels = ("labels",) if config.unrated == "video_negative" else ()
    ids, context, frames, num_frames = _parse_frames(
        serialized, config, lists=doctor.SEGMENT_LISTS + video_labels, float_lists=("segment_scores",)
    )
    _check_ratings(context)
    classes, starts, scores = (context[name] for name in ("segment_labels", "segment_start_times", "segment_scores"))
    rows = classes.value_rowids()
    inside = (starts.values >= 0) & (starts.values < tf.gather(tf.cast(num_frames, tf.int64), rows))
    tf.debugging.Assert(tf.reduce_all(inside), ["a segment starts outside its video"])
    read = starts.values < config.max_frames
    windows, window_of = tf.unique(tf.boolean_mask(rows * _ROW + starts.values, read))
    order = tf.argsort(window_of, stable=True)

    def by_window(values):
        values = tf.gather(tf.boolean_mask(values, read), order)
        return tf.RaggedTensor.from_value_rowids(values, tf.gather(window_of, order), nrows=tf.size(windows))

    rows, starts = tf.cast(windows // _ROW, tf.int32), tf.cast(windows % _ROW, tf.int32)
    indices, counts = window_frames(starts, tf.minimum(tf.gather(num_frames, rows), config.max_frames))
    features = _take_frames(frames, rows, indices, counts, config) | {"num_frames": counts}
    ratings = {
        "classes": _class_columns(by_window(classes.values), "segment_labels", config),
        "scores": tf.clip_by_value(by_window(scores.values).to_tensor(), 0.0, 1.0),
    }
    if video_labels:
        ratings["video_labels"] = tf.gather(_class_columns(context["labels"], "labels", config), rows)
    if with_info:
        return features, ratings, {"id": tf.gather(ids, rows), "start_time": starts}
    return features, ratings


def _finish_rated(features, ratings, *info, config):
    """Makes targets of ratings, for a whole batch at a time."""
    labels = _scatter(ratings["classes"], ratings["scores"], config)
    rated = _scatter(ratings["classes"], 1.0, config)
    if config.unrated == "negative":
        rated = tf.ones_like(rated)
    elif config.unrated == "video_negative":
        known = tf.maximum(rated, _scatter(ratings["video_labels"], 1.0, config))
        rated = tf.maximum(rated, 0.5 * (1.0 - known))
    return features, {"labels": labels, "rated": rated}, *info


def _check_ratings(context):
    lengths = context["segment_labels"].row_lengths()
    for name in ("segment_start_times", "segment_end_times", "segment_scores"):
        found = context[name].row_lengths()
        # End times follow from the starts, so files may do without.
        same = (found == lengths) | ((found == 0) & (name == "segment_end_times"))
        tf.debugging.Assert(tf.reduce_all(same), [f"segment_labels and {name} of a record differ in length"])


def _parse_all(serialized, *, config, shifts):
    ids, _, frames, num_frames = _parse_frames(serialized, config)
    num_frames = tf.minimum(num_frames, config.max_frames)
    rows, starts = all_windows(num_frames)
    indices, counts = window_frames(
        starts[:, None], tf.gather(num_frames, rows)[:, None], shift=tf.constant(shifts), border=config.border
    )
    features = _take_frames(frames, rows[:, None], indices, counts, config) | {"num_frames": counts}
    return features, {"id": tf.gather(ids, rows), "start_time": starts}


def _parse_frames(serialized, config, *, lists=(), float_lists=()):
    """As tfrecord.parse_frames, but checked, and with one number of frames (B,) int32 for all features."""
    ids, context, frames, lengths = tfrecord.parse_frames(
        serialized, features=config.feature_names, lists=lists, float_lists=float_lists
    )
    for name, size in config.features.items():
        bad = (tf.strings.length(frames[name]) != size) & tf.sequence_mask(lengths[name], tf.shape(frames[name])[1])
        tf.debugging.Assert(~tf.reduce_any(bad), [f"a frame of {name} does not have {size} bytes"])
    frames = {name: frames[name] for name in config.feature_names}
    lengths = tf.cast(tf.stack([lengths[name] for name in frames]), tf.int32)
    shortest = tf.reduce_min(lengths, axis=0)
    tf.debugging.Assert(tf.reduce_all(shortest > 0), ["a record has no frames"])
    if len(config.features) > 1:
        uneven = tf.reduce_any(lengths != shortest, axis=0)
        frames = tf.cond(
            tf.reduce_any(uneven), lambda: _cut_frames(ids, frames, lengths, shortest, uneven), lambda: frames
        )
    return ids, context, frames, shortest


def _cut_frames(ids, frames, lengths, shortest, uneven):
    """Frames without those behind the end of the shortest feature; warns of the first video that has such."""

    names = tuple(frames)

    def warn(video_id, found):
        found = " and ".join(f"{length} frames of {name}" for name, length in zip(names, found))
        video_id = video_id.decode(errors="replace")
        doctor.warn_once("lengths", f"video {video_id} has {found}: the shorter counts, here as in others")
        return np.int32(0)

    tf.numpy_function(warn, [tf.boolean_mask(ids, uneven)[0], tf.boolean_mask(lengths, uneven, axis=1)[:, 0]], tf.int32)

    def cut(strings):
        return tf.where(tf.sequence_mask(shortest, tf.shape(strings)[1]), strings, "")

    return {name: cut(strings) for name, strings in frames.items()}


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


def _all_frames(frames, config):
    """Decodes all frames of videos that have at most config.num_frames: dict of (B, num_frames, size) uint8."""
    features = {}
    for name, size in config.features.items():
        decoded = tf.io.decode_raw(frames[name][:, : config.num_frames], tf.uint8, fixed_length=size)
        padded = tf.pad(decoded, [[0, 0], [0, config.num_frames - tf.shape(decoded)[1]], [0, 0]])
        features[name] = tf.ensure_shape(padded, [None, config.num_frames, size])
    return features


def _class_columns(classes, field, config):
    """Ragged class ids (B, None) as (B, K) int32 of id + 1, because padding is 0."""
    inside = (classes.values >= 0) & (classes.values < config.num_classes)
    tf.debugging.Assert(tf.reduce_all(inside), [f"{field} holds a class outside [0, {config.num_classes})"])
    return tf.cast((classes + 1).to_tensor(), tf.int32)


def _scatter(columns, values, config):
    """(B, C) float32 that is ``values`` (B, K) at ``columns`` of _class_columns, and 0 elsewhere; repeats: the most."""
    present = tf.where(columns > 0)
    updates = tf.gather_nd(tf.broadcast_to(values, tf.shape(columns)), present)
    classes = tf.gather_nd(columns, present) - 1
    dense = tf.zeros([tf.shape(columns)[0], config.num_classes])
    return tf.tensor_scatter_nd_max(dense, tf.stack([present[:, 0], tf.cast(classes, tf.int64)], axis=1), updates)


def read_rated_labels(files, config):
    """All ratings of ``files``, in file order.

    Returns (segments, list of str "id:start"; class ids (N,) int64 array; scores (N,) float32 array).
    Raises InputError naming file, record and field of what cannot be read, or where nothing is rated.
    """
    segments, classes, scores = [], [], []
    for ids, context in _contexts(files, config, windows="rated"):
        starts = context["segment_start_times"]
        videos = ids[starts.value_rowids()]
        segments += [str(Segment(*pair)) for pair in zip(_text(videos), starts.values.numpy())]
        classes.append(context["segment_labels"].values.numpy())
        scores.append(context["segment_scores"].values.numpy())
    if not segments:
        raise InputError(f"{files[0]}{' and the others hold' if len(files) > 1 else ' holds'} no rated segments")
    return segments, np.concatenate(classes), np.concatenate(scores)


def read_video_labels(files, config):
    """The labels of every video of ``files``, in file order: (ids, list of str; labels, list of int64 arrays).

    Raises InputError naming file, record and field of what cannot be read.
    """
    videos, labels = [], []
    for ids, context in _contexts(files, config, windows="video"):
        videos += _text(ids)
        labels += np.split(context["labels"].values.numpy(), context["labels"].row_splits[1:-1].numpy())
    return videos, labels


def count_records(files, config):
    """Number of records in ``files``; bad ones raise InputError, or are left out with config.skip_corrupt."""
    with doctor.explain_errors(files, config):
        records = _records(files, config, windows=None, interleaved=False, keep=None)
        return int(records.reduce(np.int64(0), lambda count, _: count + 1))


def _contexts(files, config, *, windows):
    """Batches of (ids array, dict of RaggedTensors), with the frames left unread."""
    rated = windows == "rated"

    def parse(serialized):
        ids, context = tfrecord.parse_context(
            serialized,
            lists=doctor.SEGMENT_LISTS if rated else ("labels",),
            float_lists=("segment_scores",) if rated else (),
        )
        if rated:
            _check_ratings(context)
        field = "segment_labels" if rated else "labels"
        _class_columns(context[field], field, config)
        return ids, context

    with doctor.explain_errors(files, config, windows=windows):
        records = _records(files, config, windows=windows, interleaved=False, keep=None)
        for ids, context in _map(records.batch(_PARSE_BATCH), parse):
            yield ids.numpy(), context


def _text(ids):
    return [video_id.decode(errors="replace") for video_id in ids]


def estimate_examples(source, config, *, windows):
    """About how many examples a pass over ``source`` (a yt8m.data.splits.Source) has, from its first file's size.

    None where there is a single file: then only reading it all would tell.
    """
    first, *others = source.files
    if not others:
        return None
    examples = sum(
        len(batch["num_frames"] if config.level == "frame" else next(iter(batch.values())))
        for batch, *_ in make_dataset([first], config, windows=windows, batch_size=256, keep=source.keep)
    )
    sizes = [tfrecord.file_size(file) for file in source.files]
    return round(examples * sum(sizes) / sizes[0])
