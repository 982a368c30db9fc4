"""Scores of predictions of whole videos against their labels: GAP, Hit@1, PERR, MAP."""

from collections.abc import Mapping, Sequence

import numpy as np

from yt8m.ranking.metrics import VideoMetrics
from yt8m.ranking.overlap import check_videos
from yt8m.ranking.video_predictions import VideoPredictions
from yt8m.types import StrPath

_VIDEOS_AT_ONCE = 1000


def evaluate_videos(path: StrPath, labels: Mapping[str, Sequence[int]], *, top_k: int = 20) -> VideoMetrics:
    """The VideoMetrics of a file of yt8m.ranking.video_predictions on the labelled videos.

    labels: dict of video id to its classes. Labelled videos that the file lacks count as such of which nothing is
    found, and a DataWarning says how many; videos without labels do not count. Raises InputError where the file is bad
    or has none of the labelled videos.
    """
    predictions = VideoPredictions.read(path)
    known = {video_id: place for place, video_id in enumerate(predictions.video_ids)}
    check_videos(predictions.path, known, labels)
    highest = max(label for classes in labels.values() for label in classes)
    metrics = VideoMetrics(max(highest, int(predictions.class_ids.max())) + 1, top_k=top_k)
    bounds = np.searchsorted(predictions.videos, np.arange(len(known) + 1))
    ids = list(labels)
    for first in range(0, len(ids), _VIDEOS_AT_ONCE):
        batch = ids[first : first + _VIDEOS_AT_ONCE]
        scores = np.full((len(batch), metrics.num_classes), -1.0, np.float32)
        positive = np.zeros(scores.shape, np.float32)
        for row, video_id in enumerate(batch):
            positive[row, list(labels[video_id])] = 1
            if (place := known.get(video_id)) is not None:
                listed = slice(*bounds[place : place + 2])
                scores[row, predictions.class_ids[listed]] = predictions.scores[listed]
        metrics.update(scores, positive, listed=scores >= 0)
    return metrics
