"""Warnings, from within the graph, about videos that are not read as they are."""

import warnings

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.types import LongVideosWarning, NoFramesWarning, Tensor, UnevenLengthsWarning


def tell_uneven(ids: Tensor, found: Tensor, uneven: Tensor, names: tuple[str, ...]) -> None:
    """Warns of the first video whose features differ in length.

    ids: (B,) string; found: (F, B) int32, frames of each of ``names``; uneven: (B,) bool, one of them at least.
    """

    def warn(video_id, lengths):
        counts = " and ".join(f"{length} frames of {name}" for name, length in zip(names, lengths))
        text = f"video {video_id.decode(errors='replace')} has {counts}: the shorter counts, here as in others"
        warnings.warn(text, UnevenLengthsWarning, stacklevel=2)
        return np.int32(0)

    tf.numpy_function(warn, [tf.boolean_mask(ids, uneven)[0], tf.boolean_mask(found, uneven, axis=1)[:, 0]], tf.int32)


def tell_long(ids: Tensor, lengths: Tensor, long: Tensor, config: DataConfig) -> None:
    """Warns of the first video that is longer than what is read. lengths: (B,) int32; otherwise as tell_uneven."""

    def warn(video_id, length):
        text = f"video {video_id.decode(errors='replace')} has {length} frames, of which the first {config.max_frames} "
        warnings.warn(f"{text}are read, as --max_frames says, here as in others", LongVideosWarning, stacklevel=2)
        return np.int32(0)

    tf.numpy_function(warn, [tf.boolean_mask(ids, long)[0], tf.boolean_mask(lengths, long)[0]], tf.int32)


def tell_frameless(ids: Tensor, frameless: Tensor) -> None:
    """Warns of the first video that has no frames; otherwise as tell_uneven."""

    def warn(video_id):
        text = (
            f"video {video_id.decode(errors='replace')} has no frames: its texts are read where whole videos are, and "
        )
        warnings.warn(f"{text}segments it has none, here as in others", NoFramesWarning, stacklevel=2)
        return np.int32(0)

    tf.numpy_function(warn, [tf.boolean_mask(ids, frameless)[0]], tf.int32)
