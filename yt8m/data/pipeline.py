"""From files to batches: ``make_dataset``."""

import functools

import numpy as np
import tensorflow as tf

from yt8m.data import doctor, examples, tfrecord
from yt8m.memory import reuse_freed_memory
from yt8m.types import InputError, SEGMENT_SECONDS

WINDOWS = ("video", "rated", "all")
_OPEN_FILES = 8
_SHUFFLE_BYTES = 128 << 20
_SHUFFLE_EXAMPLES = 128, 10_000
_POOLS = 3
"""Pools of segments in memory: one is used, the next one waits, another one fills."""

_UNRATED_WEIGHTS = {"masked": 0.0, "negative": 1.0, "video_negative": 0.5}


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
    cache=None,
    share=(0, 1),
):
    """One pass over the records of ``files`` as a tf.data.Dataset of batches of B examples.

    files: list of str, as list_files gives. config: DataConfig. windows:

    - "video": whole videos. Elements (features, targets). At frame level features are, for each feature, (B, T, size)
      uint8 and "num_frames" (B,) int32, with T = config.num_frames drawn by config.sampling; at video level (B, size)
      float32 each. Every pair (example, class) counts.
    - "rated": the segments with ratings, one example per start. Elements (features, targets), T = 5. A label is the
      score of its rating clipped to [0, 1], the highest if a class is rated twice; pairs without rating count as
      config.unrated says. Segments that start behind config.max_frames are left out.
    - "all": every segment, starts 0, 5, 10, ... Elements (features, info), with each segment under each of ``shifts``:
      (B, S, 5, size) uint8 and "num_frames" (B, S) int32, S = len(shifts). The files need no labels.

    Frames behind num_frames are zeros. targets: sparse, see yt8m.targets. info: "id" (B,) string and "start_time" (B,)
    int32, seconds (0 for whole videos); the third part of an element for "video" and "rated" where ``with_info``.

    training: files and examples in an order, and frames from a draw, that depend on ``seed`` and ``epoch`` alone; else
    in file order, nothing random. keep: predicate on the video id (str), for the videos to read, as IdSplit.in_train.
    The last batch may be smaller unless ``drop_remainder``. cache: a yt8m.data.cache.SegmentCache of ``files``, for
    windows="rated": the same batches in the same order, without reading the records. share: (i, n) gives the i-th of n
    equal parts of every batch, for processes that train in step.

    A bad record raises a tf.errors.OpError where the dataset is consumed; explain_errors makes it an InputError. With
    config.skip_corrupt bad records are left out, and counted on standard error at the end.
    """
    _check_arguments(config, windows, training, shifts)
    if cache is not None:
        cache.check(files, config, windows=windows)
    reuse_freed_memory()
    order, *seeds = _random_state(seed, epoch, len(files))
    shuffle_seed, frame_seed = seeds if training else (None, None)
    files = [files[index] for index in order] if training else list(files)
    if cache is None:
        blocks = read_blocks(files, config, windows=windows, interleaved=training, keep=keep)
    if windows == "all":
        parse = functools.partial(examples.parse_all, config=config, shifts=shifts)
        return parallel_map(blocks, parse).rebatch(batch_size, drop_remainder=drop_remainder).prefetch(2)
    if windows == "video":
        videos = _batch_videos(blocks, config, batch_size, drop_remainder=drop_remainder, seed=shuffle_seed)
        parse = functools.partial(examples.parse_videos, config=config, seed=frame_seed, with_info=with_info)
        batches = parallel_map(videos.enumerate(), parse)
    else:
        if cache is None:
            segments, finish = _read_segments(blocks, config), examples.unpack_examples
        else:
            cycle_length = open_files(len(files), config, interleaved=training)
            segments = cache.segment_numbers(files, keep=keep, cycle_length=cycle_length)
            wanted = {"with_video_classes": config.unrated == "video_negative", "with_info": with_info}
            finish = functools.partial(cache.read_segments, **wanted)
        if training:
            segments = _shuffle_segments(segments, config, seed=shuffle_seed)
        segments = segments.rebatch(batch_size, drop_remainder=drop_remainder)
        batches = parallel_map(segments, lambda batch: _as_element(finish(batch), config, with_info=with_info))
    if share[1] > 1:
        batches = batches.map(functools.partial(_take_share, share=share))
    return batches.prefetch(2)


def _take_share(*element, share):
    index, count = share

    def take(values):
        rows = tf.shape(values)[0] // count
        return values[index * rows : (index + 1) * rows]

    return tf.nest.map_structure(take, element)


def parallel_map(dataset, function):
    """dataset.map on all cores, in order."""
    return dataset.map(function, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)


def _batch_videos(blocks, config, batch_size, *, drop_remainder, seed):
    """Batches of serialized records, shuffled unless ``seed`` is None."""
    if seed is None:
        return blocks.rebatch(batch_size, drop_remainder=drop_remainder)
    size = sum(config.feature_sizes) * (config.max_frames if config.level == "frame" else 4)
    records = blocks.unbatch().shuffle(_shuffled_at_once(size), seed=seed, reshuffle_each_iteration=False)
    return records.batch(batch_size, drop_remainder=drop_remainder)


def _read_segments(blocks, config):
    """Rated segments in batches of any size, as examples.pack_examples gives them."""
    return parallel_map(blocks, lambda block: examples.pack_examples(*examples.parse_rated(block, config=config)))


def _shuffle_segments(segments, config, *, seed):
    """Batches of any size as pools of equal size, the segments of each in random order.

    A shuffle of single segments would take more time than reading them.
    """

    def permute(number, pool):
        seeds = tf.stack([seed, tf.cast(number, tf.int32)])
        count = tf.shape(tf.nest.flatten(pool)[0])[0]
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds)
        return tf.nest.map_structure(lambda values: tf.gather(values, order), pool)

    size = _POOLS * sum(config.feature_sizes) * SEGMENT_SECONDS
    return segments.rebatch(_shuffled_at_once(size)).enumerate().map(permute).prefetch(1)


def _shuffled_at_once(size):
    """How many examples of ``size`` bytes."""
    return max(_SHUFFLE_EXAMPLES[0], min(_SHUFFLE_EXAMPLES[1], _SHUFFLE_BYTES // size))


def _as_element(batch, config, *, with_info):
    """(features, targets) or (features, targets, info) of a batch of segments."""
    targets = {name: batch[name] for name in ("classes", "scores", "video_classes") if name in batch}
    targets["unrated"] = tf.fill([tf.shape(batch["classes"])[0], 1], _UNRATED_WEIGHTS[config.unrated])
    if with_info:
        return batch["features"], targets, {"id": batch["id"], "start_time": batch["start_time"]}
    return batch["features"], targets


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


def read_blocks(files, config, *, windows, interleaved=False, keep=None):
    """tf.data.Dataset of the serialized records of ``files``, in blocks of at most 32, none empty.

    config: DataConfig; windows, keep: as in make_dataset, windows=None where it is only ids that are read.
    interleaved: blocks of several files in turn, instead of file after file.
    """
    if config.skip_corrupt:
        blocks = doctor.good_dataset(files, config, windows=windows).batch(tfrecord.BLOCK)
    else:
        blocks = tfrecord.interleave_blocks(
            tf.data.Dataset.from_tensor_slices(files),
            lambda file: tfrecord.record_dataset(file).batch(tfrecord.BLOCK),
            cycle_length=open_files(len(files), config, interleaved=interleaved),
        )
    if keep is None:
        return blocks
    kept = parallel_map(blocks, functools.partial(_keep_records, keep=keep))
    return kept.filter(lambda block: tf.size(block) > 0)


def open_files(num_files, config, *, interleaved):
    """How many files are read in turn."""
    return min(num_files, _OPEN_FILES) if interleaved and not config.skip_corrupt else 1


def _keep_records(serialized, *, keep):
    def mask(ids):
        return np.array([keep(video_id) for video_id in _text(ids)], bool)

    ids, _ = tfrecord.parse_context(serialized)
    kept = tf.numpy_function(mask, [ids], tf.bool)
    kept.set_shape([None])
    return tf.boolean_mask(serialized, kept)


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
