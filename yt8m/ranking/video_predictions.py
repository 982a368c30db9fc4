"""Files of whole videos' classes: header ``VideoId,LabelConfidencePairs``, then ``id,class confidence class ...``."""

import dataclasses
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np

from yt8m.runtime.files import atomic_path
from yt8m.types import InputError, StrPath

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
        seen = set()
        for where, video_id, classes, confidences in _lines(path):
            if video_id in seen:
                raise InputError(f"{where}: video {video_id} stands in the file twice")
            if len(set(classes)) < len(classes):
                raise InputError(f"{where}: a class of video {video_id} stands there twice")
            if not all(math.isfinite(score) and score >= 0 for score in confidences):
                raise InputError(f"{where}: a confidence is no number from 0 on")
            seen.add(video_id)
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
            return file.readline(len(HEADER) + 8).strip() == HEADER.encode()
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
    lines = _numbered(path)
    if next(lines, (1, ""))[1].strip() != HEADER:
        raise InputError(f"{path} holds no predictions of videos: its first line is not {HEADER}")
    for number, line in lines:
        where = f"{path}, line {number}"
        video_id, _, pairs = line.strip().rpartition(",")
        numbers = pairs.split()
        try:
            classes, scores = list(map(int, numbers[::2])), list(map(float, numbers[1::2]))
        except ValueError:
            classes, scores = [], []
        if not video_id or len(numbers) % 2 or not classes or min(classes) < 0:
            raise InputError(f"{where}: expected id,class confidence class confidence ...")
        yield where, video_id, classes, scores


def _numbered(path):
    try:
        with open(path, encoding="utf-8") as file:
            yield from enumerate(file, 1)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
