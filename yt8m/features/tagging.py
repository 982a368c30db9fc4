"""Timelines by the classes that a backbone knows itself, without any training."""

import numpy as np

from yt8m.features.backbones.base import LinearHead
from yt8m.ranking.timelines import Timeline
from yt8m.types import SEGMENT_SECONDS


def tag_segments(features: np.ndarray, head: LinearHead, *, video_id: str) -> Timeline:
    """The Timeline of a video: of each 5-second segment the mean score of its seconds, for each class of the head.

    features: (seconds, D) float32. The class ids are the places of the names in ``head.class_names``.
    """
    starts = np.arange(0, len(features), SEGMENT_SECONDS)
    sums = np.add.reduceat(head(features).astype(np.float64), starts, axis=0)
    counts = np.diff(np.append(starts, len(features)))
    return Timeline(
        video_id=video_id,
        starts=starts,
        end=len(features),
        class_ids=np.arange(len(head.class_names)),
        scores=(sums / counts[:, None]).T.astype(np.float32),
    )
