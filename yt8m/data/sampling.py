"""Sampling of the frames of a video that an example holds."""

import tensorflow as tf

from yt8m.types import Tensor


def sample_frames(
    num_frames: Tensor, *, sampling: str, length: int, seed: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Draws ``length`` frames of each video.

    num_frames: (B,) int32, at least 1. length: wanted frames T. sampling: "random" (T frames with replacement, as
    drawn; the paper), or up to T frames in time order: "sequence" (on end, at a random start), "random_ordered"
    (without replacement) or "uniform" (the middles of T equal parts).
    seed: (2,) int tensor for the stateless draw; None is deterministic: the middle sequence, uniform for both random.
    Returns (indices (B, T) int32, counts (B,) int32 = min(n, T), for draws with replacement T): what stands behind the
    first ``counts`` indices of a row is padding, in [0, n) nevertheless.
    """
    counts = tf.minimum(num_frames, length)
    slots = tf.range(length)
    if sampling == "random" and seed is not None:
        draw = tf.random.stateless_uniform([tf.size(num_frames), length], seed)
        indices = tf.cast(draw * tf.cast(num_frames, tf.float32)[:, None], tf.int32)
        counts = tf.fill(tf.shape(num_frames), length)
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


def _distinct_frames(num_frames, length, seed):
    longest = tf.maximum(tf.reduce_max(num_frames), length)
    draw = tf.random.stateless_uniform([tf.size(num_frames), longest], seed)
    draw = tf.where(tf.range(longest) < num_frames[:, None], draw, 2.0)
    order = tf.argsort(draw)[:, :length]
    # Those past the end sort behind those of the video, whether by the draw or by their index.
    return tf.sort(order)
