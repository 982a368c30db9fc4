"""Sampling of the frames of a video that an example holds."""

import tensorflow as tf

from yt8m.types import Tensor


def sample_frames(
    num_frames: Tensor, *, sampling: str, length: int, seed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draws ``length`` frames of each video.

    num_frames: (B,) int32, 0 for a video of texts alone. length: wanted frames T. sampling: "random" (T frames with
    replacement, as drawn; the paper), or up to T frames in time order: "sequence" (on end, at a random start),
    "random_ordered" (without replacement) or "uniform" (the middles of T equal parts).
    seed: (2,) int tensor for the stateless draw; None is deterministic: the middle sequence, uniform for both random.
    Returns (indices (B, T) int32, counts (B,) int32 = min(n, T), for draws with replacement T): what stands behind the
    first ``counts`` indices of a row is padding, in [0, n) nevertheless where there are frames.
    """
    counts = tf.minimum(num_frames, length)
    slots = tf.range(length)
    if sampling == "random" and seed is not None:
        draw = tf.random.stateless_uniform([tf.size(num_frames), length], seed)
        indices = tf.cast(draw * tf.cast(num_frames, tf.float32)[:, None], tf.int32)
        counts = tf.where(num_frames > 0, length, 0)
    elif sampling == "random_ordered" and seed is not None:
        indices = _distinct_frames(num_frames, length, seed)
    elif sampling == "sequence":
        room = num_frames - counts
        if seed is None:
            first = room // 2
        else:
            draw = tf.random.stateless_uniform(tf.shape(num_frames), seed)
            # In float32 a draw just below 1 times room + 1 may round up to it.
            first = tf.minimum(tf.cast(draw * tf.cast(room + 1, tf.float32), tf.int32), room)
        indices = first[:, None] + slots
    else:
        # floor((slot + 0.5) * n / T), in integers.
        indices = (2 * slots + 1) * num_frames[:, None] // (2 * tf.maximum(counts, 1)[:, None])
    return tf.minimum(indices, num_frames[:, None] - 1), counts


def surrounding_frames(
    num_frames: Tensor, *, starts: Tensor, lengths: Tensor, radius: int | None, length: int
) -> tuple[Tensor, Tensor]:
    """Up to ``length`` evenly spaced frames from within ``radius`` frames of segments, None for the whole video.

    num_frames, starts, lengths: (W,) int32, frames of each segment's video, its first one and how many it has.
    Returns as sample_frames.
    """
    if radius is None:
        return sample_frames(num_frames, sampling="uniform", length=length)
    first = tf.maximum(starts - radius, 0)
    near = tf.minimum(starts + lengths + radius, num_frames) - first
    indices, counts = sample_frames(near, sampling="uniform", length=length)
    return first[:, None] + indices, counts


def sample_pictures(
    counts: Tensor, places: Tensor, *, sampling: str, length: int, stride: int = 1
) -> tuple[Tensor, Tensor]:
    """Up to ``length`` pictures T of clips, in order of time.

    counts: (W,) int32, pictures of each clip, at least 1. sampling: "uniform", one picture of each of T equal parts
    (Wang et al. 2016, TSN), where in its part says a place; or "sequence", T pictures ``stride`` apart, where between
    the first and the last that are possible says the place. places: (W, S, T) for the one, (W, S, 1) for the other,
    float in [0, 1), 0.5 for the middle; S views of each clip.

    Returns (indices (W, S, T) int32, shown (W,) int32, at most T): what stands behind the first ``shown`` indices is
    padding, a valid index nevertheless. A clip of fewer than T pictures shows each of them once.
    """
    places, slots = tf.cast(places, tf.float64), tf.range(length)
    if sampling == "uniform":
        shown = tf.minimum(counts, length)
        parts = tf.cast(counts, tf.float64) / tf.cast(shown, tf.float64)
        indices = tf.cast((tf.cast(slots, tf.float64) + places) * parts[:, None, None], tf.int32)
    else:
        shown = tf.minimum((counts + stride - 1) // stride, length)
        room = counts - (shown - 1) * stride - 1
        first = tf.cast(places * tf.cast(room + 1, tf.float64)[:, None, None], tf.int32)
        indices = tf.minimum(first, room[:, None, None]) + slots * stride
    return tf.minimum(indices, counts[:, None, None] - 1), shown


def _distinct_frames(num_frames, length, seed):
    longest = tf.maximum(tf.reduce_max(num_frames), length)
    draw = tf.random.stateless_uniform([tf.size(num_frames), longest], seed)
    draw = tf.where(tf.range(longest) < num_frames[:, None], draw, 2.0)
    order = tf.argsort(draw)[:, :length]
    # Those past the end sort behind those of the video, whether by the draw or by their index.
    return tf.sort(order)
