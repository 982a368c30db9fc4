"""Files of whole videos' classes: header ``VideoId,LabelConfidencePairs``, then ``id,class confidence class ...``."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from yt8m.runtime.files import atomic_path
from yt8m.tables import is_class_id, is_number, read_columns
from yt8m.types import InputError, StrPath, id_problem

HEADER = "VideoId,LabelConfidencePairs"


@dataclasses.dataclass(frozen=True)
class VideoPredictions:
    """Classes of videos with their confidences.

    path: where they come from; video_ids: list of str, each once; videos (N,) int32, indices into video_ids, ascending;
    class_ids (N,) int32, scores (N,) float32, best first within a video, as the file has them.
    """

    path: str
    video_ids: list
    videos: np.ndarray
    class_ids: np.ndarray
    scores: np.ndarray

    @classmethod
    def read(cls, path: StrPath) -> Self:
        """The predictions of a file. Raises InputError naming file and line of what is malformed or stands twice."""
        video_ids, counts, class_ids, scores = [], [], [], []
        for _, video_id, classes, confidences in _lines(path):
            video_ids.append(video_id)
            counts.append(len(classes))
            class_ids.append(np.array(classes, np.int32))
            scores.append(np.array(confidences, np.float32))
        if not video_ids:
            raise InputError(f"{path} holds no videos")
        videos = np.repeat(np.arange(len(video_ids), dtype=np.int32), counts)
        return cls(str(path), video_ids, videos, np.concatenate(class_ids), np.concatenate(scores))

    @classmethod
    def from_labels(cls, labels: Mapping[str, Sequence[int]]) -> Self:
        """The labels of videos, each with confidence 1."""
        counts = [len(classes) for classes in labels.values()]
        videos = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        class_ids = np.array([label for classes in labels.values() for label in classes], np.int32)
        return cls("labels", list(labels), videos, class_ids, np.ones(len(videos), np.float32))


def is_video_predictions(path: StrPath) -> bool:
    """Whether the first line of a file says that it holds predictions of whole videos; a pipe does not."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(len(HEADER) + 8).decode("utf-8-sig", errors="replace").splitlines()
        return bool(start) and [field.strip() for field in start[0].split(",")] == HEADER.split(",")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def write_video_predictions(
    path: StrPath, predictions: Iterable[tuple[str, Any, Any]], *, number_format: str = ".6f"
) -> int:
    """Writes what prediction.predict_videos yields, atomically; returns the count."""
    count = 0
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"{HEADER}\n")
        for video_id, class_ids, confidences in predictions:
            if problem := id_problem(video_id):
                raise InputError(f"the id {video_id!r} {problem}")
            pairs = " ".join(f"{class_id} {score:{number_format}}" for class_id, score in zip(class_ids, confidences))
            file.write(f"{video_id},{pairs}\n")
            count += 1
    return count


def read_video_predictions(path: StrPath, *, top_n: int) -> dict[str, tuple[int, ...]]:
    """Dict of video id to its ``top_n`` best classes, tuple of int, best first.

    Raises InputError naming file and line of what is malformed, and of a video that lists fewer classes.
    """
    videos = {}
    for where, video_id, classes, scores in _lines(path):
        if len(classes) < top_n:
            raise InputError(
                f"{where}: {len(classes)} classes, and the {top_n} best of each video are wanted: ask for fewer, or "
                "write it with a greater --top_k"
            )
        order = sorted((-score, label) for score, label in zip(scores, classes))
        videos[video_id] = tuple(label for _, label in order[:top_n])
    return videos


def _lines(path: StrPath) -> Iterator[tuple[str, str, list[int], list[float]]]:
    """Yields (words on where, video id, classes, confidences) of every line."""
    seen = set()
    for row in read_columns(path, HEADER.split(","), what="predictions of videos"):
        video_id, pairs = row.fields
        if problem := id_problem(video_id):
            raise InputError(f"{row.where}: the id {video_id[:80]!r} {problem}")
        if video_id in seen:
            raise InputError(f"{row.where}: video {video_id} stands in the file twice")
        seen.add(video_id)
        numbers = pairs.split()
        if not numbers or len(numbers) % 2 or not all(map(is_class_id, numbers[::2])):
            raise InputError(f"{row.where}: expected id,class confidence class confidence ...")
        if len(set(numbers[::2])) < len(numbers) // 2:
            raise InputError(f"{row.where}: a class of video {video_id} stands there twice")
        scores = [float(text) if is_number(text) else -1.0 for text in numbers[1::2]]
        if not 0 <= min(scores) <= max(scores) <= np.finfo(np.float32).max:
            raise InputError(f"{row.where}: a confidence is no number from 0 on")
        yield row.where, video_id, list(map(int, numbers[::2])), scores
