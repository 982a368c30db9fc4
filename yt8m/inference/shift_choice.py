"""Choice of the range of temporal shifts that are averaged, by the holdout of the run."""

import dataclasses

import numpy as np

from yt8m.config import DataConfig
from yt8m.data.labels import read_rated_labels
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.splits import Source
from yt8m.inference.scorer import Scorer
from yt8m.models.base import VideoModel
from yt8m.ranking.bootstrap import paired_difference
from yt8m.ranking.evaluation import evaluate_scores
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.runtime.progress import Progress

MOST_FRAMES = 3
"""The largest shift that is tried, in either direction; the paper's table has none beyond 2."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShiftChoice:
    """shifts: the (first, last) shift with the highest MAP@K on rated segments, the shorter and earlier of equals.

    maps: MAP@K of every range tried, by (first, last). low, high: 95% interval of the difference from no shifts.
    """

    shifts: tuple[int, int]
    maps: dict[tuple[int, int], float]
    low: float
    high: float

    def __str__(self):
        best, none = self.maps[self.shifts], self.maps[0, 0]
        first, last = self.shifts
        return (
            f"shifts {first} to {last} rank the holdout best of {len(self.maps)} ranges: MAP {best:.4f}, "
            f"{best - none:+.4f} ({self.low:+.4f} to {self.high:+.4f}) from none"
        )


def choose_shifts(
    model: VideoModel, source: Source, config: DataConfig, *, batch_size: int = 64, most: int = MOST_FRAMES
) -> ShiftChoice:
    """The ShiftChoice of ``model`` on the rated segments of ``source``, a holdout, among ranges with 0 in them.

    most: the largest shift tried, in frames; (most + 1)^2 ranges. Every shift is scored once. Raises InputError where
    nothing is rated.
    """
    labels = RatedLabels(*read_rated_labels(list(source.files), config, keep=source.keep))
    shifts = range(-most, most + 1)
    scores = _scores(model, source, config, labels, shifts, batch_size)
    evaluations = {}
    for first in range(-most, 1):
        for last in range(most + 1):
            mean = scores[first + most : last + most + 1].mean(axis=0)
            evaluations[first, last] = evaluate_scores(labels, mean)
    best = max(evaluations, key=lambda e: (evaluations[e].map_at_k, e[0] - e[1], -e[0]))
    interval = paired_difference(evaluations[best], evaluations[0, 0])
    maps = {shifts: evaluation.map_at_k for shifts, evaluation in evaluations.items()}
    return ShiftChoice(shifts=best, maps=maps, low=interval["low"], high=interval["high"])


def _scores(model, source, config, labels, shifts, batch_size):
    """(S, N) scores of the rated pairs under each shift."""
    rows: dict[bytes, list[int]] = {}
    for row, text in enumerate(labels.texts):
        rows.setdefault(text, []).append(row)
    scorer = Scorer(model, batch_size=batch_size)
    scores = np.zeros((len(shifts), len(labels)), np.float32)
    dataset = make_dataset(
        list(source.files), config, windows="all", batch_size=batch_size, views=tuple(shifts), keep=source.keep
    )
    with explain_errors(source.files, config), Progress("choosing shifts", unit="segments") as progress:
        for features, info in dataset.as_numpy_iterator():
            texts = [b"%b:%d" % pair for pair in zip(info["id"].tolist(), info["start_time"].tolist())]
            rated = np.array([text in rows for text in texts])
            if rated.any():
                kept = {name: values[rated] for name, values in features.items()}
                where = [rows[text] for text in texts if text in rows]
                for place in range(len(shifts)):
                    found = scorer(_one_view(kept, config, place))
                    for pairs, values in zip(where, found):
                        scores[place, pairs] = values[labels.class_ids[pairs]]
            progress.update(len(texts))
        progress.complete()
    return scores


def _one_view(features, config, place):
    """The features under one of their views; frames of the whole video are there once for all."""
    shifted = {*config.features, "num_frames"}
    return {name: values[:, place] if name in shifted else values for name, values in features.items()}
