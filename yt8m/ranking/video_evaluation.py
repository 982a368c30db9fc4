"""Scores of predictions of whole videos against their labels: GAP, Hit@1, PERR, MAP."""

import itertools
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
    # A column for each class that is named, so that memory does not depend on the highest id.
    class_ids = np.unique([*predictions.class_ids.tolist(), *itertools.chain.from_iterable(labels.values())])
    metrics = VideoMetrics(len(class_ids), top_k=top_k, class_ids=class_ids)
    columns = np.searchsorted(class_ids, predictions.class_ids)
    bounds = np.searchsorted(predictions.videos, np.arange(len(known) + 1))
    ids = list(labels)
    for first in range(0, len(ids), _VIDEOS_AT_ONCE):
        batch = ids[first : first + _VIDEOS_AT_ONCE]
        scores = np.full((len(batch), metrics.num_classes), -1.0, np.float32)
        positive = np.zeros(scores.shape, np.float32)
        for row, video_id in enumerate(batch):
            positive[row, np.searchsorted(class_ids, labels[video_id])] = 1
            if (place := known.get(video_id)) is not None:
                listed = slice(*bounds[place : place + 2])
                scores[row, columns[listed]] = predictions.scores[listed]
        metrics.update(scores, positive, listed=scores >= 0)
    return metrics
