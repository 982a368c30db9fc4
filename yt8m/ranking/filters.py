"""Filters of segments by what is known of the whole video.

Filters put (segment, class) pairs behind all others of the class, instead of leaving them out: a list that is not full
then still has them, which can only add to MAP@K, and in one that is full others take their places either way.
"""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from yt8m.options import check_options, option
from yt8m.ranking.video_predictions import read_video_predictions
from yt8m.types import InputError

POOLINGS = ("max", "mean")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SegmentFilter:
    """Filter of (segment, class) pairs: which keep their place.

    A video's classes are the ``top_n`` with the best pooled scores of its segments among the classes that are ranked;
    or those that ``video_predictions`` lists, a file as yt8m.ranking.video_predictions has it, "" for none.
    """

    top_n: int | None = option(
        None,
        "Rank a segment behind all others of a class that is not among the N best of its video.",
        unit="classes",
        low=1,
        flag="video_filter_top_n",
        defaults_to="off",
    )
    pooling: str = option(
        "max",
        "Pooling of the scores of a video's segments to its score of a class.",
        choices=POOLINGS,
        flag="video_filter_pooling",
    )
    video_predictions: str = option(
        "",
        "CSV of whole videos' classes, as --nosegment_labels writes it, for --video_filter_top_n to go by instead.",
    )
    skip_first: int = option(
        0,
        "Segments at the beginning of each video that are ranked last; 6 were never rated in YouTube-8M's 2019 set.",
        unit="segments",
        low=0,
        flag="skip_first_segments",
    )
    skip_last: int = option(
        0,
        "Segments at the end of each video that are ranked last; 2 were never rated in that set.",
        unit="segments",
        low=0,
        flag="skip_last_segments",
    )

    def __post_init__(self):
        check_options(self)
        if self.video_predictions and not self.top_n:
            raise InputError("video_predictions are for a filter by the best classes of a video: set its top_n")

    @property
    def active(self) -> bool:
        """Whether it filters anything."""
        return bool(self.top_n or self.skip_first or self.skip_last)

    def described(self) -> dict[str, Any]:
        """Dict of JSON values, on which alone the result depends."""
        described = dataclasses.asdict(self)
        if self.video_predictions:
            status = os.stat(self.video_predictions)
            described["video_predictions"] = [self.video_predictions, status.st_size, status.st_mtime_ns]
        return described

    def kept(self, video_ids: Any, starts: np.ndarray, scores: np.ndarray, *, class_ids: Sequence[int]) -> np.ndarray:
        """Which pairs keep their place: (n, C) bool.

        video_ids: n bytes, starts (n,), scores (n, C) of all segments of some videos, one video after another, each
        from its start 0 on; class_ids: of the columns.
        """
        begins = np.flatnonzero(starts == 0)
        counts = np.diff(begins, append=len(starts))
        numbers = np.arange(len(starts)) - np.repeat(begins, counts)
        inside = (numbers >= self.skip_first) & (numbers < np.repeat(counts, counts) - self.skip_last)
        kept = np.broadcast_to(inside[:, None], scores.shape)
        if self.top_n is None:
            return kept
        if self.video_predictions:
            best = self._listed([video_ids[begin] for begin in begins], class_ids)
        else:
            best = self._best(scores, begins, counts)
        return kept & np.repeat(best, counts, axis=0)

    def _best(self, scores, begins, counts):
        """(videos, C) bool; of equal scores the first columns."""
        if self.pooling == "max":
            pooled = np.maximum.reduceat(scores, begins, axis=0)
        else:
            pooled = np.add.reduceat(scores, begins, axis=0, dtype=np.float64) / counts[:, None]
        best = np.zeros(pooled.shape, bool)
        np.put_along_axis(best, np.argsort(-pooled, axis=1, kind="stable")[:, : self.top_n], True, axis=1)
        return best

    def _listed(self, video_ids, class_ids):
        predictions = _predictions(self.video_predictions, self.top_n)
        listed = []
        for video_id in map(bytes.decode, video_ids):
            if video_id not in predictions:
                raise InputError(
                    f"{self.video_predictions} does not have video {video_id}: predict the same files for it"
                )
            listed.append(np.isin(class_ids, predictions[video_id]))
        return np.array(listed)


def put_behind(scores: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Scores (n, C) float32, of which those that are not ``kept`` are negative, in the same order among themselves.

    scores: probabilities, or minus infinity, which stays.
    """
    tiny = np.finfo(np.float32).tiny
    behind = np.where(scores > tiny, -1 / np.maximum(scores, tiny), np.finfo(np.float32).min)
    return np.where(kept | np.isneginf(scores), scores, behind).astype(np.float32)


def whole_videos(
    batches: Iterable[tuple[np.ndarray, dict[str, np.ndarray]]],
) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Batches of segments of any size as such that no video spans two: generator of (scores, info), info as given.

    batches: iterable of (scores (n, C), info) of segments in order, each video from its start 0 on.
    """
    waiting = None
    for scores, info in batches:
        if waiting is not None:
            scores = np.concatenate([waiting[0], scores])
            info = {name: np.concatenate([waiting[1][name], values]) for name, values in info.items()}
        end = np.flatnonzero(info["start_time"] == 0)[-1]
        if end:
            yield scores[:end], {name: values[:end] for name, values in info.items()}
        waiting = scores[end:], {name: values[end:] for name, values in info.items()}
    if waiting is not None:
        yield waiting


@functools.lru_cache(maxsize=1)
def _predictions(path, top_n):
    return read_video_predictions(path, top_n=top_n)
