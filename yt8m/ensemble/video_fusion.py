"""Fusion of predictions of whole videos by means of their confidences, and its GAP as a function of the weights."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from yt8m.ensemble.fusion import Fusion, FusionReport
from yt8m.ensemble.objective import Objective, fused_sums
from yt8m.ranking.overlap import check_videos
from yt8m.ranking.video_predictions import VideoPredictions, write_video_predictions
from yt8m.types import InputError, StrPath

_VIDEOS_AT_ONCE = 20_000


def fuse_videos(paths: Sequence[StrPath], output: StrPath, *, fusion: Fusion, top_k: int = 20) -> FusionReport:
    """Fuses files of yt8m.ranking.video_predictions into ``output``, the ``top_k`` best classes of each video.

    fusion: by mean or geometric_mean; a class that a file does not list for a video has confidence 0 there. Videos
    stand in the order of the first file, those that it lacks behind. Equal scores go to the smaller class. Returns a
    FusionReport whose rows are pairs of video and class. Raises InputError where a file is bad.
    """
    check_method(fusion)
    if len(fusion.weights) != len(paths):
        raise InputError(f"{len(fusion.weights)} weights for {len(paths)} files of predictions: one each is needed")
    used = [(path, weight) for path, weight in zip(paths, fusion.weights) if weight > 0]
    fusion = Fusion(tuple(weight for _, weight in used), method=fusion.method)
    predictions = [VideoPredictions.read(path) for path, _ in used]
    index = {video_id: place for place, video_id in enumerate(_all_videos(predictions))}
    rows, classes = 0, set()

    def fused():
        nonlocal rows
        names = list(index)
        for videos, class_ids, distances in join(predictions, index):
            sums = fused_sums(distances, fusion, longest=0)
            order = np.lexsort((-sums, videos))
            order = order[_places(videos) < top_k]
            scores = fusion.scores_of(sums[order])
            begins = np.flatnonzero(np.diff(videos[order], prepend=-1))
            rows += len(order)
            classes.update(class_ids[order].tolist())
            for begin, end in zip(begins, [*begins[1:], len(order)]):
                of_video = slice(begin, end)
                yield names[videos[order[begin]]], class_ids[order[of_video]], scores[of_video]

    write_video_predictions(output, fused(), number_format=".9g")
    missing = [(part.path, len(index) - len(part.video_ids)) for part in predictions]
    notes = tuple(f"{path} lacks {count} of {len(index)} videos" for path, count in missing if count)
    return FusionReport(len(classes), sum(len(part.scores) for part in predictions), rows, notes)


class VideoObjective(Objective):
    """GAP of the fusion of predictions of whole videos, called with a Fusion by mean or geometric_mean.

    top_k: classes of a video that count. Attributes beside those of Objective: classes (P,), of the pairs, which are
    all those that a file lists or the labels name, by video and class.
    """

    def __init__(
        self, distances: np.ndarray, positive: np.ndarray, videos: np.ndarray, classes: np.ndarray, *, top_k: int
    ):
        super().__init__(distances, positive, np.zeros(len(positive), np.int64), videos)
        self.metric = f"gap_at_{top_k}"
        self.classes = classes
        self.top_k = top_k

    @classmethod
    def from_predictions(
        cls, paths: Sequence[StrPath], labels: Mapping[str, Sequence[int]], *, top_k: int = 20
    ) -> "VideoObjective":
        """Of files, and of the labelled videos alone. labels: dict of video id to its classes."""
        predictions = [VideoPredictions.read(path) for path in paths]
        for part in predictions:
            check_videos(part.path, dict.fromkeys(part.video_ids), labels)
        index = {video_id: place for place, video_id in enumerate(sorted(labels))}
        parts = list(join([*predictions, VideoPredictions.from_labels(labels)], index))
        videos, classes = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
        distances = np.concatenate([part[2] for part in parts], axis=1)
        return cls(distances[:-1], np.isfinite(distances[-1]), videos, classes, top_k=top_k)

    def keys(self, fusion: Fusion) -> np.ndarray:
        """(P,) float64, the sums times -1, infinite for what is not among the best of its video."""
        check_method(fusion)
        sums = fused_sums(self.distances, fusion, longest=0)
        listed = np.isfinite(self.distances[np.asarray(fusion.weights) > 0]).any(axis=0)
        keys = np.where(listed, -sums, np.inf)
        order = np.lexsort((keys, self.videos))
        keys[order[_places(self.videos) >= self.top_k]] = np.inf
        return keys

    def restrict(self, kept: np.ndarray) -> "VideoObjective":
        """The objective of the pairs where ``kept`` (P,) bool alone."""
        if not (kept & self.positive).any():
            raise InputError("a part of the labels has no positives: use fewer folds")
        parts = (self.positive[kept], self.videos[kept], self.classes[kept])
        return VideoObjective(self.distances[:, kept], *parts, top_k=self.top_k)


def check_method(fusion: Fusion) -> None:
    """Raises InputError where a method ranks: ranks of a video's classes say nothing across videos."""
    if not fusion.by_score:
        raise InputError(
            f"--method={fusion.method} is for ranked segments: predictions of whole videos are fused by mean or "
            "geometric_mean"
        )


def join(
    predictions: Sequence[VideoPredictions], index: Mapping[str, int]
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields (videos (P,), class_ids (P,), distances (F, P) as of Fusion.share) of some videos after others.

    index: dict of video id to its place; other videos are left out. Pairs ascend by video, then class.
    """
    files = [_by_video(part, index) for part in predictions]
    for first in range(0, len(index), _VIDEOS_AT_ONCE):
        pieces = []
        for videos, class_ids, scores in files:
            piece = slice(*np.searchsorted(videos, [first, first + _VIDEOS_AT_ONCE]))
            pieces.append((videos[piece], class_ids[piece], scores[piece]))
        keys = [videos.astype(np.int64) << 32 | class_ids for videos, class_ids, _ in pieces]
        pairs = np.unique(np.concatenate(keys))
        distances = np.full((len(files), len(pairs)), np.inf)
        for row, own, (_, _, scores) in zip(distances, keys, pieces):
            row[np.searchsorted(pairs, own)] = -scores
        if len(pairs):
            yield (pairs >> 32).astype(np.int64), (pairs & 0xFFFFFFFF).astype(np.int64), distances


def _by_video(part, index):
    """(videos, class_ids, scores) of the videos of ``index``, by their places in it."""
    places = np.array([index.get(video_id, -1) for video_id in part.video_ids], np.int32)[part.videos]
    order = np.argsort(places, kind="stable")
    order = order[np.searchsorted(places[order], 0) :]
    return places[order], part.class_ids[order], part.scores[order]


def _all_videos(predictions):
    return dict.fromkeys(video_id for part in predictions for video_id in part.video_ids)


def _places(videos):
    """(P,) places from 0 within runs of equal ``videos``."""
    begins = np.flatnonzero(np.diff(videos, prepend=-1))
    return np.arange(len(videos)) - np.repeat(begins, np.diff(begins, append=len(videos)))
