"""From serialized clip records to batches of pictures: which pictures an example shows, and those alone decoded.

An example is a segment, the pictures shown first in five seconds, or a whole clip. Which T of its pictures stand for it
is yt8m.data.sampling's; how each becomes a square of one size, yt8m.data.pictures'. Pictures stay as they are encoded
until examples are shuffled: a shuffled example takes the bytes of T of them.
"""

import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from yt8m.config import AugmentConfig, DataConfig
from yt8m.data.balance import repeat_segments
from yt8m.data.clip_records import MICROSECONDS, ParsedClips, parse_clips
from yt8m.data.examples import VIDEO_LISTS, decode_examples, encode_examples, rated_windows, rating_lists, video_labels
from yt8m.data.pictures import brightened, changed, decode_pictures, draw
from yt8m.data.record_dataset import parallel_map
from yt8m.data.sampling import sample_pictures
from yt8m.data.views import all_windows
from yt8m.types import PICTURES, SEGMENT_SECONDS, Tensor

_SHUFFLE_BYTES = 128 << 20
_PICTURE_BYTES = 8000
"""About the bytes of a JPEG of 128 by 227 pixels."""

_FEWEST_SHUFFLED = 128
_ROW = 2**40
"""Times row, plus microseconds, is one number for a time of a batch; a clip has less than half of it."""


# Graphs as they stand, as in yt8m.data.pipeline.
@tf.autograph.experimental.do_not_convert
def clip_batches(
    blocks: tf.data.Dataset,
    config: DataConfig,
    *,
    windows: str,
    batch_size: int | Sequence[int],
    num_frames: Sequence[int] = (),
    clip_sizes: Sequence[int] = (),
    augment: AugmentConfig = AugmentConfig(),
    factors: np.ndarray | None = None,
    seeds: tuple[int, int] | None = None,
    drop_remainder: bool = False,
) -> tf.data.Dataset:
    """Batches of examples of serialized clips, ``blocks``, each a dict: "features", "id", "start_time" and targets.

    Arguments as of yt8m.data.pipeline.make_dataset. seeds: of the shuffle and of all other draws, in training; else
    None. features: "pictures" uint8 (B, T, size, size, 3) and "num_frames" (B,) int32; for windows="all", and outside
    training where config.clip asks for several views, (B, S, T, size, size, 3) and (B, S). Pictures behind num_frames
    are zeros. "classes", "scores" and "video_classes" as examples.decode_examples gives them, not for "all", which has
    "end_time".
    """
    shuffle_seed, seed = seeds or (0, None)
    examples = read_examples(blocks, config, windows=windows, seed=seed)
    if factors is not None:
        examples = repeat_segments(examples, factors, seed=shuffle_seed)
    examples = examples.unbatch()
    if seeds:
        most = max(_FEWEST_SHUFFLED, _SHUFFLE_BYTES // (_PICTURE_BYTES * config.num_frames))
        examples = examples.shuffle(most, seed=shuffle_seed, reshuffle_each_iteration=False)
    sizes = [batch_size] if isinstance(batch_size, int) else list(batch_size)
    shapes = list(num_frames) or [config.num_frames] * len(sizes), list(clip_sizes) or [config.clip.size] * len(sizes)
    apart = windows == "all" or not seeds and config.clip.num_inputs > 1
    decode = functools.partial(
        _decode, config=config, augment=augment, seed=seed, shapes=shapes, turn=_turn(sizes), apart=apart
    )
    decoded = parallel_map(examples.enumerate(), decode)
    if len(sizes) > 1:
        # What takes turns has one shape in runs of the smallest size.
        batches = decoded.batch(min(sizes)).rebatch(sizes, drop_remainder=drop_remainder)
    else:
        batches = decoded.batch(sizes[0], drop_remainder=drop_remainder)
    return batches if windows == "all" else parallel_map(batches, decode_examples)


@tf.autograph.experimental.do_not_convert
def read_examples(blocks: tf.data.Dataset, config: DataConfig, *, windows: str, seed: int | None) -> tf.data.Dataset:
    """The examples of each block, a dict of tensors (W, ...), nothing decoded.

    "features": "encoded" (W, S, T) string, padded with "", and "shown" (W,) int32, those of the T that are none; the
    rest as examples.encode_examples gives it, or for windows="all" "id", "start_time" and "end_time".
    """
    parse = functools.partial(_parse, config=config, windows=windows, seed=seed)
    return parallel_map(blocks.enumerate(), parse)


def _parse(number, serialized, *, config, windows, seed):
    fields = VIDEO_LISTS if windows == "video" else {} if windows == "all" else rating_lists(config)
    clips = parse_clips(serialized, **fields)
    if windows == "rated":
        segments, videos = rated_windows(clips.context, clips.seconds, config, read=clips.seconds)
    elif windows == "all":
        rows, starts = all_windows(clips.seconds)
        segments, videos = {"row": rows, "start_time": starts}, {}
    else:
        columns, scores = video_labels(clips.context, config)
        rows = tf.range(tf.size(clips.counts))
        segments, videos = {"row": rows, "start_time": tf.zeros_like(rows), "classes": columns, "scores": scores}, {}
    segments["features"] = _sampled(clips, segments, config, windows, seed=seed, number=number)
    if windows != "all":
        return encode_examples(segments, videos | {"id": clips.ids})
    ends = tf.minimum(starts + SEGMENT_SECONDS, tf.gather(clips.seconds, rows))
    return {
        "features": segments["features"], "id": tf.gather(clips.ids, rows), "start_time": starts, "end_time": ends,
    }  # fmt: skip


def _sampled(clips, segments, config, windows, *, seed, number):
    """Features of examples, still encoded, see read_examples."""
    rows = segments["row"]
    if windows == "video":
        first, counts = tf.zeros_like(rows), clips.counts
    else:
        first, counts = pictures_of_segments(clips, rows, segments["start_time"])
    slots = config.num_frames if config.sampling == "uniform" else 1
    if seed is None:
        views = (tf.range(config.clip.views, dtype=tf.float32) + 0.5) / config.clip.views
        places = tf.broadcast_to(views[None, :, None], [tf.size(rows), config.clip.views, slots])
    else:
        seeds = tf.stack([seed, tf.cast(number, tf.int32)])
        places = tf.random.stateless_uniform([tf.size(rows), 1, slots], seeds)
    indices, shown = sample_pictures(
        counts, places, sampling=config.sampling, length=config.num_frames, stride=config.clip.stride
    )
    longest = tf.shape(clips.pictures)[1]
    taken = tf.gather(tf.reshape(clips.pictures, [-1]), rows[:, None, None] * longest + first[:, None, None] + indices)
    real = tf.sequence_mask(shown, config.num_frames)[:, None, :]
    return {"encoded": tf.where(real, taken, ""), "shown": shown}


def pictures_of_segments(clips: ParsedClips, rows: Tensor, starts: Tensor) -> tuple[Tensor, Tensor]:
    """The first picture of segments, (W,) int32, and their number: those shown first in [start, start + 5) seconds.

    rows, starts: (W,) int32, the clip and the second of each. A segment in which none is shown first has the one that
    is on the screen.
    """
    longest = tf.shape(clips.times)[1]
    offsets = tf.range(tf.size(clips.counts), dtype=tf.int64) * _ROW
    times = tf.reshape(clips.times + offsets[:, None], [-1])

    def place(seconds):
        wanted = tf.gather(offsets, rows) + tf.cast(seconds, tf.int64) * MICROSECONDS
        return tf.minimum(tf.searchsorted(times, wanted) - rows * longest, tf.gather(clips.counts, rows))

    last = place(starts + SEGMENT_SECONDS)
    first = tf.minimum(place(starts), last - 1)
    return first, last - first


def _decode(number, example, *, config, augment, seed, shapes, turn, apart):
    """An example with its pictures decoded.

    shapes: the T and the sides of pictures of the batches that take turns; turn: which one it will be in.
    """
    encoded, shown = (example["features"][name] for name in ("encoded", "shown"))
    length, size = (values[0] for values in shapes)
    fixed = len(shapes[0]) == 1
    if not fixed:
        length, size = (tf.gather(values, turn(number)) for values in shapes)
        few = tf.minimum(shown, length)
        encoded = tf.gather(encoded, (2 * tf.range(few) + 1) * shown // (2 * few), axis=1)
        shown = few
    seeds = None if seed is None else tf.stack([seed, tf.cast(number, tf.int32)])
    # Another stream than that of the sampling, whose numbers are those of records.
    draws = None if seeds is None else draw(tf.random.experimental.stateless_split(seeds, 2)[1])
    views, crops = (1, 1) if seed is not None else (config.clip.views, config.clip.crops)
    flat = tf.reshape(encoded[:, :shown], [-1])
    pictures = decode_pictures(flat, size=size, crops=crops, least_area=augment.crop_area, draws=draws)
    pictures = brightened(pictures, config.clip.gamma)
    pictures = pictures if draws is None else changed(pictures, augment, draws)
    # By places, because TensorFlow says an error of its own where it transposes integers.
    order = (tf.range(views)[:, None, None] * shown + tf.range(shown)) * crops + tf.range(crops)[:, None]
    pictures = tf.gather(tf.reshape(pictures, [-1, size, size, 3]), order)
    pictures = tf.reshape(pictures, [views * crops, shown, size, size, 3])
    pictures = tf.pad(pictures, [[0, 0], [0, length - shown], [0, 0], [0, 0], [0, 0]])
    known = [length, size, size] if fixed else [None, None, None]
    pictures = tf.ensure_shape(pictures, [views * crops, *known, 3])
    counts = tf.fill([views * crops], shown)
    features = {PICTURES: pictures, "num_frames": counts} if apart else {PICTURES: pictures[0], "num_frames": shown}
    return example | {"features": features}


def _turn(sizes: Sequence[int]) -> Callable[[Tensor], Tensor]:
    """Function of the number of an example to which of the batches that take turns it is in."""
    ends = np.cumsum(sizes)

    def turn(number):
        place = tf.cast(number % int(ends[-1]), tf.int64)
        return tf.searchsorted(tf.constant(ends, tf.int64), place[None], side="right")[0]

    return turn
