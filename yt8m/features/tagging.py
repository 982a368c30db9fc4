"""Timelines by the classes that a backbone knows itself, without any training."""

from collections.abc import Mapping

import numpy as np

from yt8m.features.backbones.base import LinearHead
from yt8m.ranking.timelines import Timeline
from yt8m.types import SEGMENT_SECONDS


def tag_segments(features: Mapping[str, np.ndarray], heads: Mapping[str, LinearHead], *, video_id: str) -> Timeline:
    """The Timeline of a video: of each 5-second segment the mean score of its seconds, for each class of the heads.

    features: dict of name to (seconds, D) float32; heads: dict of such a name to the LinearHead over it. The class ids
    are the places of the names in all heads together.
    """
    length = min(len(features[name]) for name in heads)
    starts = np.arange(0, length, SEGMENT_SECONDS)
    counts = np.diff(np.append(starts, length))
    scores = np.concatenate([head(features[name][:length]) for name, head in heads.items()], axis=1)
    means = np.add.reduceat(scores.astype(np.float64), starts, axis=0) / counts[:, None]
    return Timeline(
        video_id=video_id,
        starts=starts,
        end=length,
        class_ids=np.arange(scores.shape[1]),
        scores=means.T.astype(np.float32),
    )
