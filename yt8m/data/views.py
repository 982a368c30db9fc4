"""Views of segments: which frames of its video stand for a segment.

The segment at start s of a video of n frames has the L = min(5, n - s) frames s .. s + L - 1. Views of it are:

- a shift by d frames, an int: s - d .. s - d + L - 1, what stands at s once the video is moved d frames later, as by
  numpy's roll(frames, d); 0 is the segment itself. So the authors' program and table count shifts;
- "dilute": L frames, every second one, centred on it: s - 2, s, s + 2, s + 4, s + 6 for L = 5;
- "enlarge": L + 4 frames, two more on either side: s - 2 .. s + L + 1.

Border policies say what stands for those outside [0, n):

- clamp: the first or the last frame (the default);
- roll: the frames at the other end of the video, padding excluded;
- reflect: the video mirrored at its ends, the end frames not repeated;
- mask: nothing, the view is shorter; where it would be empty, as clamp.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from yt8m.types import SEGMENT_SECONDS, InputError, Tensor


class View(NamedTuple):
    """L + extra frames, ``stride`` apart, from s + offset on, or half the frames that the stride skips before that."""

    offset: int = 0
    stride: int = 1
    extra: int = 0


NAMED_VIEWS = {"dilute": View(stride=2), "enlarge": View(offset=-2, extra=4)}


def margin_view(frames: int) -> View:
    """The View of a segment with ``frames`` more on either side."""
    return View(offset=-frames, extra=2 * frames)


def as_view(view: Any) -> View:
    """The View that an int (a shift, in frames) or a name of NAMED_VIEWS means; a View is returned as it is."""
    if isinstance(view, View):
        return view
    if isinstance(view, str):
        if view not in NAMED_VIEWS:
            raise InputError(
                f"there is no view {view!r} of a segment; valid: {', '.join(NAMED_VIEWS)} or a shift, in frames"
            )
        return NAMED_VIEWS[view]
    return View(offset=-int(view))


def view_length(views: Sequence[Any]) -> int:
    """The most frames that any of ``views`` has."""
    return SEGMENT_SECONDS + max(as_view(view).extra for view in views)


def window_frames(
    starts: Tensor, num_frames: Tensor, *, views: Sequence[Any] = (0,), border: str = "clamp"
) -> tuple[Tensor, Tensor]:
    """Frames of segments under each of S ``views``.

    starts, num_frames: (W,) int32, in frames, starts < num_frames.
    Returns (indices (W, S, T) int32, counts (W, S) int32), T = view_length(views): the first ``counts`` indices of a
    view are its frames, at least one; those behind are padding, and are valid indices nevertheless.
    """
    offset, stride, extra = tf.unstack(tf.constant([as_view(view) for view in views]), axis=1)
    return view_frames(
        starts, tf.minimum(SEGMENT_SECONDS, num_frames - starts), num_frames,
        offset=offset, stride=stride, extra=extra, length=view_length(views), border=border,
    )  # fmt: skip


def view_frames(
    starts: Tensor,
    lengths: Tensor,
    num_frames: Tensor,
    *,
    offset: Tensor,
    stride: Tensor,
    extra: Tensor,
    length: int,
    border: str,
) -> tuple[Tensor, Tensor]:
    """Frames of window_frames, with the segments' L ``lengths`` (W,), and views as tensors that broadcast against (W,
    S).

    length: T.
    """
    last = num_frames[:, None] - 1
    counts = lengths[:, None] + extra
    first = starts[:, None] + offset - (stride - 1) * (lengths[:, None] - 1) // 2
    stride, last = (tf.broadcast_to(values, tf.shape(first)) for values in (stride, last))
    if border == "mask":
        # The frames inside are one interval: start at its first and count what remains.
        skipped = tf.maximum(-(first // stride), 0)
        inside = first + skipped * stride
        left = tf.minimum(counts - skipped, (last - inside) // stride + 1)
        first = tf.where(left > 0, inside, first)
        counts = tf.where(left > 0, left, counts)
    wanted = first[..., None] + stride[..., None] * tf.range(length)
    last = last[..., None]
    if border == "roll":
        return wanted % (last + 1), counts
    if border == "reflect":
        # Mirroring at both ends has period 2 (n - 1).
        phase = wanted % tf.maximum(2 * last, 1)
        return tf.minimum(phase, 2 * last - phase), counts
    return tf.clip_by_value(wanted, 0, last), counts


def all_windows(num_frames: Tensor) -> tuple[Tensor, Tensor]:
    """Every window with a start in 0, 5, 10, ... < n of a batch of videos of ``num_frames`` (B,) int32.

    Returns (rows (W,) int32, starts (W,) int32): the video and the start of each window, video by video.
    """
    windows = tf.ragged.range((num_frames + SEGMENT_SECONDS - 1) // SEGMENT_SECONDS)
    return tf.cast(windows.value_rowids(), tf.int32), windows.values * SEGMENT_SECONDS
