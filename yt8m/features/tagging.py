"""Timelines by the classes that backbones know themselves, or that are given by their names, without any training."""

from collections.abc import Mapping, Sequence

import numpy as np

from yt8m.features.backbones.base import Backbone, LinearHead
from yt8m.ranking.timelines import Timeline
from yt8m.types import SEGMENT_SECONDS, InputError

_BLOCK = 200 * SEGMENT_SECONDS
"""Seconds that are scored at once."""


class Tagger:
    """Scores of each 5-second segment of a video: the mean of its seconds' scores, for each class of some heads.

    heads: dict of feature name to the LinearHead over it. class_ids: ids of the classes of all heads together, in
    their order; None counts from 0. ``class_names``: dict of class id to name.
    """

    def __init__(self, heads: Mapping[str, LinearHead], class_ids: Sequence[int] | None = None):
        names = [name for head in heads.values() for name in head.class_names]
        self._heads = dict(heads)
        self._class_ids = np.arange(len(names)) if class_ids is None else np.asarray(class_ids, np.int64)
        self.class_names = dict(zip(self._class_ids.tolist(), names))

    @classmethod
    def of_backbones(cls, backbones: Mapping[str, Backbone]) -> "Tagger | None":
        """The Tagger of all classes that backbones, dict of feature name to Backbone, know; None where that is none."""
        heads = {name: backbone.head for name, backbone in backbones.items() if backbone.head is not None}
        return cls(heads) if heads else None

    @classmethod
    def of_names(cls, backbones: Mapping[str, Backbone], names: Mapping[int, str]) -> "Tagger":
        """The Tagger of classes given by their names, dict of class id to name, by the first backbone that knows texts.

        Raises InputError where none does.
        """
        ids = sorted(names)
        problem = None
        for feature, backbone in backbones.items():
            try:
                return cls({feature: backbone.head_for_names([names[class_id] for class_id in ids])}, ids)
            except InputError as error:
                problem = problem or error
        raise problem or InputError("classes by their names need a backbone")

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features that are looked at."""
        return tuple(self._heads)

    def __call__(self, features: Mapping[str, np.ndarray], *, video_id: str) -> Timeline:
        """The Timeline of a video. features: dict of name to (seconds, D) float32."""
        length = min(len(features[name]) for name in self._heads)
        # A block at a time: scores of all seconds of a long video are many times as large as its features.
        scores = [
            self._segment_scores({name: features[name][first : min(first + _BLOCK, length)] for name in self._heads})
            for first in range(0, length, _BLOCK)
        ]
        return Timeline(
            video_id=video_id,
            starts=segment_starts(length)[0],
            end=length,
            class_ids=self._class_ids,
            scores=np.concatenate(scores).T,
        )

    def _segment_scores(self, features):
        """(S, C) float32."""
        scores = np.concatenate([head(features[name]) for name, head in self._heads.items()], axis=1)
        starts, counts = segment_starts(len(scores))
        return (np.add.reduceat(scores.astype(np.float64), starts, axis=0) / counts[:, None]).astype(np.float32)


def segment_starts(length: int) -> tuple[np.ndarray, np.ndarray]:
    """(starts, numbers of seconds), (S,) int64 each, of the 5-second segments of ``length`` seconds."""
    starts = np.arange(0, length, SEGMENT_SECONDS)
    return starts, np.diff(np.append(starts, length))


def segment_embeddings(features: np.ndarray) -> np.ndarray:
    """(S, D) float32: of each segment the mean of its seconds' features, each of length 1. features: (seconds, D)."""
    starts, counts = segment_starts(len(features))
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = features.astype(np.float64) / np.maximum(lengths, 1e-12)
    return (np.add.reduceat(unit, starts, axis=0) / counts[:, None]).astype(np.float32)
