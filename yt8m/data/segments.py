"""Segment windows: which frames a segment holds, also when it is shifted in time.

The window at start s under shift d, of a video of n frames, is the L = min(5, n - s) frames s + d .. s + d + L - 1.
Border policies say what stands for those outside [0, n):

- clamp: the first or the last frame (the default);
- roll: the frames at the other end of the video, padding excluded;
- reflect: the video mirrored at its ends, the end frames not repeated;
- mask: nothing, the window is shorter; where it would be empty, as clamp.
"""

import tensorflow as tf

from yt8m.types import SEGMENT_SECONDS


def window_frames(starts, num_frames, *, shift=0, border="clamp"):
    """Frames of each window.

    starts, num_frames: (W,) int32, in frames, starts < num_frames. shift: frames, a Python int or a tensor that
    broadcasts against (W,).
    Returns (indices (..., 5) int32, counts (...) int32): the first ``counts`` indices of a window are its frames, at
    least one; those behind are padding, and are valid indices nevertheless.
    """
    slots = tf.range(SEGMENT_SECONDS)
    first = starts + shift
    last = tf.broadcast_to(num_frames - 1, tf.shape(first))
    counts = tf.broadcast_to(tf.minimum(SEGMENT_SECONDS, num_frames - starts), tf.shape(first))
    if border == "mask":
        # The frames inside are one interval: start at its first and count what remains.
        inside = tf.maximum(first, 0)
        left = tf.minimum(first + counts, last + 1) - inside
        first = tf.where(left > 0, inside, first)
        counts = tf.where(left > 0, left, counts)
    wanted = first[..., None] + slots
    last = last[..., None]
    if border == "roll":
        return wanted % (last + 1), counts
    if border == "reflect":
        # Mirroring at both ends has period 2 (n - 1).
        phase = wanted % tf.maximum(2 * last, 1)
        return tf.minimum(phase, 2 * last - phase), counts
    return tf.clip_by_value(wanted, 0, last), counts


def all_windows(num_frames):
    """Every window with a start in 0, 5, 10, ... < n of a batch of videos of ``num_frames`` (B,) int32.

    Returns (rows (W,) int32, starts (W,) int32): the video and the start of each window, video by video.
    """
    windows = tf.ragged.range((num_frames + SEGMENT_SECONDS - 1) // SEGMENT_SECONDS)
    return tf.cast(windows.value_rowids(), tf.int32), windows.values * SEGMENT_SECONDS
