"""Small records with known contents."""

import numpy as np

from yt8m.config import DataConfig
from yt8m.data.tfrecord import FrameRecord

CONFIG = DataConfig(feature_names=("rgb", "audio"), feature_sizes=(6, 4), num_classes=10, num_frames=8)

SEGMENTS = ((0, 1, 1.0), (10, 2, 0.0))


def make_video(video_id, *, frames=12, audio_frames=None, rgb_size=6, labels=(1, 2), segments=SEGMENTS):
    """A FrameRecord whose rgb frame t is filled with t + 1 and whose audio frame t is filled with 100 + t."""
    audio_frames = frames if audio_frames is None else audio_frames
    features = {
        "rgb": np.repeat(np.arange(1, frames + 1)[:, None], rgb_size, axis=1),
        "audio": np.repeat(np.arange(100, 100 + audio_frames)[:, None], 4, axis=1),
    }
    return FrameRecord(video_id=video_id, features=features, labels=labels, segments=segments)
