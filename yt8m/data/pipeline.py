"""From files to batches: ``make_dataset``."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import AugmentConfig, DataConfig, TextConfig
from yt8m.data import examples, record_checks, tfrecord
from yt8m.data.augment import augment_batch, check_augment, margin_of, mix_batch, original_and_augmented, with_place
from yt8m.data.balance import repeat_segments
from yt8m.data.clips import clip_batches, read_examples
from yt8m.data.record_dataset import interleave_blocks, names_of, parallel_map, record_dataset
from yt8m.data.sharing import take_share
from yt8m.data.splits import Source
from yt8m.data.tokens import with_tokens
from yt8m.runtime.memory import reuse_freed_memory
from yt8m.types import MAX_FRAMES, SEGMENT_SECONDS, InputError, Tensor

WINDOWS = ("video", "rated", "all", "unlabelled")
_OPEN_FILES = 8
_SHUFFLE_BYTES = 128 << 20
_SHUFFLE_EXAMPLES = 128, 10_000
_POOLS = 3
"""Pools of segments in memory: one is used, the next one waits, another one fills."""

_UNRATED_WEIGHTS = {"masked": 0.0, "negative": 1.0, "video_negative": 0.5}
_INFO = ("id", "start_time", "end_time")


# Its functions are graphs as they stand: to rewrite their Python would take most of the time until the first batch.
@tf.autograph.experimental.do_not_convert
def make_dataset(
    files: Sequence[str] | Tensor,
    config: DataConfig,
    *,
    windows: str,
    batch_size: int | Sequence[int],
    training: bool = False,
    seed: int = 0,
    epoch: int = 0,
    views: Sequence[Any] = (0,),
    num_frames: Sequence[int] = (),
    clip_sizes: Sequence[int] = (),
    augment: AugmentConfig | None = None,
    factors: np.ndarray | None = None,
    keep: Callable[[str], bool] | None = None,
    drop_remainder: bool = False,
    with_info: bool = False,
    cache: Any = None,
    share: tuple[int, int] = (0, 1),
    note_ids: Callable[[list[bytes]], None] | None = None,
) -> tf.data.Dataset:
    """One pass over the records of ``files`` as a tf.data.Dataset of batches of B examples.

    files: list of str, as list_files gives, or a string tensor unless ``training``. config: DataConfig. windows:

    - "video": whole videos. Elements (features, targets). At frame level features are, for each feature, (B, T, size)
      uint8 and "num_frames" (B,) int32, with T = config.num_frames drawn by config.sampling; at video level (B, size)
      float32 each. Every pair (example, class) counts.
    - "rated": the segments with ratings, one example per start. Elements (features, targets), T = 5. A label is the
      score of its rating clipped to [0, 1], the highest if a class is rated twice; pairs without rating count as
      config.unrated says. Segments that start behind config.max_frames, where that is set, are left out.
    - "all": every segment, starts 0, 5, 10, ... Elements (features, info), with each segment under each of S ``views``,
      see yt8m.data.views: (B, S, T, size) uint8 and "num_frames" (B, S) int32, T of the longest view. The files need
      no labels.
    - "unlabelled": every segment, for training without its labels. Elements (features, info), with two versions of each
      segment, itself and as ``augment`` changes it, but for mixup: (B, 2, T, size) uint8 and "num_frames" (B, 2) int32.

    At clip level a frame is a picture, uint8 (H, W, 3), every example has T = config.num_frames, and views are those of
    config.clip, see yt8m.data.clips.

    With config.text.fields, features have "tokens", "token_sources" and "token_words", (B, L) int32 each, see
    yt8m.data.tokens, L = config.text.max_tokens, for "unlabelled" (B, 2, L); of segments the texts within them, see
    yt8m.data.texts.

    Frames behind num_frames are zeros. With config.video_frames V, features are also "video_" and name, (B, V, size)
    uint8, and "num_video_frames" (B,) int32: frames of the whole video. targets: sparse, see yt8m.models.targets.
    info: "id" (B,) string, "start_time" and, for "all", "end_time" (B,) int32, seconds (0 for whole videos); the third
    part of an element for "video" and "rated" where ``with_info``.

    batch_size, num_frames, clip_sizes: for "video", and of clips for "rated" too, also as many sizes of batches, frames
    in place of config.num_frames and sides in place of config.clip.size, that take turns, as in multigrid training; T,
    H and W are None then.

    training: files and examples in an order, and frames from a draw, that depend on ``seed`` and ``epoch`` alone; else
    in file order, nothing random. augment: AugmentConfig for training, None changes nothing; what it draws depends on
    seed, epoch and the batch's number alone; T is 9 where it enlarges. factors: (C,) float32 for training on "rated",
    how often segments of each class are seen, see yt8m.data.balance. keep: predicate on the video id (str), for the
    videos to read, as IdSplit.in_train. The last batch may be smaller unless ``drop_remainder``. cache: a
    yt8m.data.cache.RecordCache of ``files``, for windows="rated" or "video", with at least the margin that augment
    needs: the same batches in the same order, without reading the records. share: (i, n) gives the i-th of n equal
    parts of every batch, for processes that train in step; from a cache, without augment, frames of that part alone are
    read. note_ids: called with the ids of the videos of each batch, before it is shared, for windows "video" and
    "rated".

    A bad record raises a tf.errors.OpError where the dataset is consumed; explain_errors makes it an InputError. With
    config.skip_corrupt bad records are left out, and counted on standard error at the end.
    """
    augment = AugmentConfig() if augment is None else augment
    _check_arguments(config, windows, training, views, augment, batch_size)
    margin = margin_of(augment)
    if cache is not None:
        cache.check(files, config, windows=windows, margin=margin)
        margin = cache.margin
    reuse_freed_memory()
    order, *seeds, augment_seed = _random_state(seed, epoch, len(files) if training else 0)
    shuffle_seed, frame_seed = seeds if training else (None, None)
    files = [files[index] for index in order] if training else files
    if cache is None:
        blocks = read_blocks(files, config, windows=windows, interleaved=training, keep=keep)
    else:
        cycle_length = open_files(len(files), config) if training else 1
        blocks = cache.numbers(files, keep=keep, cycle_length=cycle_length)
    if windows == "all" and config.level == "frame":
        parse_all = functools.partial(examples.parse_all, config=config, views=views)
        batches = parallel_map(blocks, parse_all).rebatch(batch_size, drop_remainder=drop_remainder)
        return tokenized(batches, config).prefetch(2)
    changed = margin or windows == "unlabelled" or augment.of_batches
    options = {"cache": cache, "with_info": with_info or note_ids is not None}
    # What changes a batch draws for all of it.
    options["share"] = (0, 1) if cache is None or changed else share
    if config.level == "clip":
        seeds = (shuffle_seed, frame_seed) if training else None
        read = {"windows": windows, "factors": factors, "seeds": seeds, "augment": augment}
        turns = {"num_frames": num_frames, "clip_sizes": clip_sizes}
        clips = clip_batches(blocks, config, batch_size=batch_size, drop_remainder=drop_remainder, **read, **turns)
        finish = {"windows": windows, "margin": 0, "with_info": options["with_info"]}
        batches = parallel_map(clips, functools.partial(_as_element, config=config, **finish))
    elif windows == "video":
        videos = _batch_videos(blocks, config, batch_size, drop_remainder=drop_remainder, seed=shuffle_seed)
        configs = [config.replace(num_frames=length) for length in num_frames] or [config]
        batches = read_videos(videos, configs, seed=frame_seed, **options)
    else:
        segments = blocks if cache is not None else _read_segments(blocks, config, windows, margin)
        if factors is not None:
            segments = repeat_segments(segments, factors, seed=shuffle_seed or 0, cache=cache)
        if training:
            segments = _shuffle_segments(segments, config, seed=shuffle_seed)
        segments = segments.rebatch(batch_size, drop_remainder=drop_remainder)
        batches = _finish_segments(segments, config, windows=windows, margin=margin, **options)
    if changed:
        batches = augmented(batches, augment, windows=windows, seed=augment_seed)
    if note_ids is not None:
        batches = batches.map(functools.partial(_note, note_ids=note_ids, with_info=with_info))
    if share[1] > 1:
        batches = batches.map(functools.partial(_share, share=share, features_too=options["share"][1] == 1))
    return tokenized(batches, config).prefetch(2)


def tokenized(batches: tf.data.Dataset, config: DataConfig) -> tf.data.Dataset:
    """Batches of (features, ...) whose texts are tokens, where texts are read."""
    if not config.text.fields:
        return batches
    return parallel_map(batches, lambda features, *others: (with_tokens(features, config), *others))


def _share(features, *others, share, features_too):
    return take_share(features, share) if features_too else features, *take_share(others, share)


def _note(*element, note_ids, with_info):
    """An element as it is, but for its info where that is not wanted, once the ids of its videos are noted."""

    def note(ids):
        note_ids(ids.tolist())
        return np.int32(0)

    tf.numpy_function(note, [element[-1]["id"]], tf.int32)
    return element if with_info else element[:-1]


def _batch_videos(blocks, config, batch_size, *, drop_remainder, seed):
    """Batches of serialized records, shuffled unless ``seed`` is None."""
    if seed is None:
        return blocks.rebatch(batch_size, drop_remainder=drop_remainder)
    size = sum(config.feature_sizes) * ((config.max_frames or MAX_FRAMES) if config.level == "frame" else 4)
    records = blocks.unbatch().shuffle(_shuffled_at_once(size), seed=seed, reshuffle_each_iteration=False)
    if isinstance(batch_size, int):
        return records.batch(batch_size, drop_remainder=drop_remainder)
    return records.batch(min(batch_size)).rebatch(list(batch_size), drop_remainder=drop_remainder)


def read_videos(
    videos: tf.data.Dataset, configs: Sequence[DataConfig], *, cache: Any, share: tuple[int, int], **options: Any
) -> tf.data.Dataset:
    """Elements of batches of videos, serialized or numbers in ``cache``, as the one of ``configs`` has them whose turn
    it is.

    share: of the frames that are read from a cache; options: of examples.parse_videos.
    """
    read = examples.parse_videos if cache is None else functools.partial(cache.read_videos, share=share)

    def read_in_turn(position, batch):
        ways = [functools.partial(read, position, batch, config=config, **options) for config in configs]
        return tf.switch_case(tf.cast(position % len(ways), tf.int32), ways) if len(ways) > 1 else ways[0]()

    return parallel_map(videos.enumerate(), read_in_turn)


def _finish_segments(segments, config, *, windows, margin, cache, with_info, share):
    """Elements of batches of segments, as _read_segments gives them or numbers in ``cache``; share: as above."""
    if cache is not None:
        with_classes = config.unrated == "video_negative"
        finish = functools.partial(
            cache.read_segments, with_video_classes=with_classes, with_info=with_info, share=share
        )
    else:
        finish = examples.decode_examples if windows == "rated" else dict
    element = functools.partial(_as_element, config=config, windows=windows, margin=margin, with_info=with_info)
    return parallel_map(segments, lambda batch: element(finish(batch)))


def _read_segments(blocks, config, windows, margin):
    """Segments in batches of any size, the rated ones as examples.encode_examples gives them."""
    if windows == "unlabelled":
        return parallel_map(blocks, functools.partial(examples.parse_unlabelled, config=config, margin=margin))
    parse = functools.partial(examples.parse_rated, config=config, margin=margin)
    return parallel_map(blocks, lambda block: examples.encode_examples(*parse(block)))


def _shuffle_segments(segments, config, *, seed):
    """Batches of any size as pools of equal size, the segments of each in random order.

    A shuffle of single segments would take more time than reading them.
    """

    def permute(number, pool):
        seeds = tf.stack([seed, tf.cast(number, tf.int32)])
        count = tf.shape(tf.nest.flatten(pool)[0])[0]
        order = tf.random.experimental.stateless_shuffle(tf.range(count), seeds)
        return tf.nest.map_structure(lambda values: tf.gather(values, order), pool)

    # Without the margin, so that the order does not depend on it.
    size = _POOLS * sum(config.feature_sizes) * (SEGMENT_SECONDS + config.video_frames)
    return segments.rebatch(_shuffled_at_once(size)).enumerate().map(permute).prefetch(1)


def _shuffled_at_once(size):
    """Number of examples of ``size`` bytes that are shuffled at once."""
    return max(_SHUFFLE_EXAMPLES[0], min(_SHUFFLE_EXAMPLES[1], _SHUFFLE_BYTES // size))


def _as_element(batch, config, *, windows, margin, with_info):
    """(features, targets) or (features, targets, info) of a batch of examples; (features, info) without labels."""
    features, info = batch["features"], {name: batch[name] for name in _INFO if name in batch}
    if margin or windows == "unlabelled":
        features = with_place(features, batch["start_time"], margin=margin, border=config.border)
    if windows in ("unlabelled", "all"):
        return features, info
    targets = {name: batch[name] for name in ("classes", "scores", "video_classes") if name in batch}
    weight = 1.0 if windows == "video" else _UNRATED_WEIGHTS[config.unrated]
    targets["unrated"] = tf.fill([tf.shape(batch["classes"])[0], 1], weight)
    return (features, targets, info) if with_info else (features, targets)


def augmented(batches: tf.data.Dataset, config: AugmentConfig, *, windows: str, seed: int) -> tf.data.Dataset:
    """Batches of (features, ...), each changed as ``config`` says by a draw from ``seed`` and its number."""
    return parallel_map(batches.enumerate(), functools.partial(_augment, config=config, windows=windows, seed=seed))


def _augment(position, element, *, config, windows, seed):
    """An element changed as ``config``, an AugmentConfig, says; ``position``: number of the batch."""
    features, *others = element
    seeds = tf.random.experimental.stateless_split(tf.stack([seed, tf.cast(position, tf.int32)]), 2)
    if windows == "unlabelled":
        return original_and_augmented(features, config, seed=seeds[0]), *others
    features = augment_batch(features, config, seed=seeds[0])
    if config.mixup:
        features, others[0] = mix_batch(features, others[0], alpha=config.mixup, seed=seeds[1])
    return features, *others


def _check_arguments(config, windows, training, views, augment, batch_size):
    if windows not in WINDOWS:
        raise ValueError(f"windows is {windows!r}; valid: {', '.join(WINDOWS)}")
    if windows != "video" and config.level == "video":
        raise InputError("video-level records have no segments: segments need frame-level records")
    if config.level == "clip" and windows == "unlabelled":
        raise InputError("consistency on unlabelled segments is of features of frames, and these records are clips")
    if config.level == "clip" and tuple(views) != (0,):
        raise InputError(
            "shifted and other views of segments are of features of frames: clips have --views and --crops"
        )
    if windows == "all" and training or windows != "all" and tuple(views) != (0,):
        raise ValueError("views are for windows='all', and windows='all' is not for training")
    if not training and (windows == "unlabelled" or augment != AugmentConfig()):
        raise ValueError("augment and windows='unlabelled' are for training")
    check_augment(augment, config, windows=windows)
    if not isinstance(batch_size, int) and windows != "video" and (config.level != "clip" or windows != "rated"):
        raise ValueError("sizes of batches that take turns are for windows='video', of clips for 'rated' too")


def _random_state(seed, epoch, num_files):
    """Order of the files and seeds of the shuffle, of the drawn frames and of augmentation, of one epoch."""
    state = np.random.default_rng([seed % 2**32, epoch])
    shuffle_seed, frame_seed = state.integers(1, 2**31, size=2).tolist()
    return state.permutation(num_files), shuffle_seed, frame_seed, int(state.integers(1, 2**31))


def read_blocks(
    files: Sequence[str] | Tensor,
    config: DataConfig,
    *,
    windows: str | None,
    interleaved: bool = False,
    keep: Callable[[str], bool] | None = None,
) -> tf.data.Dataset:
    """tf.data.Dataset of the serialized records of ``files``, in blocks of at most 32, none empty; of clips one by one.

    config: DataConfig; windows, keep: as in make_dataset, windows=None where it is only ids that are read.
    interleaved: blocks of several files in turn, instead of file after file.
    """
    if config.skip_corrupt:
        blocks = record_checks.good_dataset(files, config, windows=windows).batch(block_of(config))
    else:
        blocks = interleave_blocks(
            tf.data.Dataset.from_tensor_slices(names_of(files)),
            lambda file: record_dataset(file).batch(block_of(config)),
            cycle_length=open_files(len(files), config) if interleaved else 1,
        )
    if keep is None:
        return blocks
    kept = parallel_map(blocks, functools.partial(_keep_records, keep=keep))
    return kept.filter(lambda block: tf.size(block) > 0)


def block_of(config: DataConfig) -> int:
    """Records that are read together: a clip is as large as a block of features."""
    return 1 if config.level == "clip" else tfrecord.BLOCK


def open_files(num_files: int, config: DataConfig) -> int:
    """Number of files that are read in turn, where they are interleaved."""
    return 1 if config.skip_corrupt else min(num_files, _OPEN_FILES)


def _keep_records(serialized, *, keep):
    def mask(ids):
        return np.array([keep(video_id) for video_id in _text(ids)], bool)

    ids, _ = tfrecord.parse_context(serialized)
    kept = tf.numpy_function(mask, [ids], tf.bool)
    kept.set_shape([None])
    return tf.boolean_mask(serialized, kept)


def _text(ids):
    return [video_id.decode(errors="replace") for video_id in ids]


def estimate_examples(source: Source, config: DataConfig, *, windows: str) -> int | None:
    """About how many examples a pass over ``source`` (a yt8m.data.splits.Source) has, from its first file's size.

    None where there is a single file: then only reading it all would tell.
    """
    first, *others = source.files
    if not others:
        return None
    examples = count_examples([first], config, windows=windows, keep=source.keep)
    sizes = [tfrecord.file_size(file) for file in source.files]
    return round(examples * sum(sizes) / sizes[0])


def count_examples(
    files: Sequence[str], config: DataConfig, *, windows: str, keep: Callable[[str], bool] | None = None
) -> int:
    """Number of examples of a pass over ``files``, of segments by making it; of clips no picture is decoded.

    windows, keep: as in make_dataset. A damaged file is an InputError, of segments any bad record.
    """
    if windows == "video":
        return count_records(files, config, keep=keep)
    with record_checks.explain_errors(files, config, windows=windows):
        return sum(_count_batches(files, config, windows, keep))


def count_records(files: Sequence[str], config: DataConfig, *, keep: Callable[[str], bool] | None = None) -> int:
    """Number of records in ``files``; bad ones raise InputError, or are left out with config.skip_corrupt.

    keep: predicate on the video id (str), for the videos to count.
    """
    with record_checks.explain_errors(files, config):
        blocks = read_blocks(files, config, windows=None, keep=keep)
        return int(blocks.reduce(np.int64(0), lambda count, block: count + tf.size(block, tf.int64)))


def _count_batches(files, config, windows, keep):
    """Yields the numbers of examples of the batches of a pass."""
    if config.level == "clip":
        # Without decoding any picture.
        blocks = read_blocks(files, config, windows=windows, keep=keep)
        for batch in read_examples(blocks, config, windows=windows, seed=None):
            yield len(batch["id"])
        return
    config = config.replace(text=TextConfig())
    for batch, *_ in make_dataset(files, config, windows=windows, batch_size=256, keep=keep):
        yield len(batch["num_frames"])
