"""Scores of a model on held-out records."""

import itertools
import warnings
from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.config import DataConfig
from yt8m.data.pipeline import estimate_examples, make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.seen_videos import FirstRecords, Overlap
from yt8m.data.splits import Source
from yt8m.inference.scorer import Scorer
from yt8m.models.base import VideoModel
from yt8m.models.targets import rated_pairs
from yt8m.ranking.evaluation import RatedLabels, evaluate_scores
from yt8m.ranking.metrics import VideoMetrics
from yt8m.runtime.devices import Placement
from yt8m.runtime.progress import Progress
from yt8m.types import MAX_SEGMENTS_PER_CLASS, DataWarning, InputError, Segment, Tensor


def evaluate_model(
    scorer: Scorer,
    source: Source,
    config: DataConfig,
    *,
    segment_labels: bool,
    top_k: int = 20,
    top_n: int = MAX_SEGMENTS_PER_CLASS,
    cache: Any = None,
    show_progress: bool = False,
    overlap: Overlap | None = None,
    with_pairs: bool = False,
) -> dict[str, Any]:
    """Scores of the model of ``scorer`` (a Scorer of all classes) on the videos of ``source`` (a Source of records
    that ``config``, a DataConfig, describes).

    segment_labels: False scores whole videos against their labels, see yt8m.ranking.metrics.VideoMetrics, each by its
    ``top_k``
        best classes. True scores rated segments, over ``top_n`` a class: the summary of a
        yt8m.ranking.evaluation.Evaluation, and that itself as ``evaluation``.
    cache: a yt8m.data.cache.RecordCache of the files, which is used where it holds what ``config`` reads.
    overlap: told the ids of what is scored.
    with_pairs: of whole videos, their ScoredPairs too, as ``pairs``.
    Returns a dict; every result has ``loss``, the rated cross-entropy an example. Raises InputError where there is
    nothing to score.
    """
    windows = "rated" if segment_labels else "video"
    tally = _RatedSegments(top_n) if segment_labels else _Videos(config.num_classes, top_k)
    # A policy for unrated pairs is for training: only rated ones are scored.
    config = config.replace(unrated="masked")
    dataset = make_dataset(
        list(source.files),
        config,
        windows=windows,
        batch_size=scorer.batch_size,
        keep=source.keep,
        with_info=True,
        cache=cache if cache is not None and cache.fits(config, windows=windows) else None,
    )
    loss = examples = 0
    total = estimate_examples(source, config, windows=windows) if show_progress else None
    progress = Progress("evaluating", total=total, unit="examples", shown=show_progress)
    with explain_errors(source.files, config), progress:
        for features, targets, info in dataset.as_numpy_iterator():
            scores = scorer(features)
            tally.add(scores, targets, info)
            if overlap is not None:
                overlap.add(info["id"].tolist())
            loss += _summed_loss(scores, targets)
            examples += len(scores)
            progress.update(len(scores))
        progress.complete()
    if not examples:
        kind = "rated segments" if segment_labels else "videos"
        raise InputError(f"there are no {kind} to evaluate on in {source.files[0]} and {len(source.files) - 1} more")
    pairs = {"pairs": tally.metrics.pairs()} if with_pairs and isinstance(tally, _Videos) else {}
    return tally.result() | {"loss": loss / examples} | pairs


def evaluate_masked_frames(
    scorer: Any, source: Source, config: DataConfig, *, segment_labels: bool, batch_size: int
) -> dict[str, float]:
    """Dict of ``masked_frames_quality`` and ``loss``: how well the model of ``scorer`` predicts hidden frames.

    scorer: a MaskedFramesScorer.

    Other arguments as in evaluate_model. The same frames are hidden each time.
    """
    windows = "rated" if segment_labels else "video"
    dataset = make_dataset(list(source.files), config, windows=windows, batch_size=batch_size, keep=source.keep)
    random = scorer.learner.masked_frames.seed_generator.state
    earlier = np.array(random)
    random.assign(np.zeros_like(earlier))
    sums, examples = np.zeros(2), 0
    with explain_errors(source.files, config):
        for features, _ in dataset.as_numpy_iterator():
            count = len(features["num_frames"])
            sums += count * scorer.predict_on_batch(features)[0].astype(np.float64)
            examples += count
    random.assign(earlier)
    if not examples:
        raise InputError(f"there is nothing to evaluate on in {source.files[0]} and {len(source.files) - 1} more")
    loss, quality = (sums / examples).tolist()
    return {"masked_frames_quality": quality, "loss": loss}


class MaskedFramesScorer(keras.Model):
    """Loss and quality, [[loss, quality]], of the masked-frame predictions of a Learner's model on a batch."""

    def __init__(self, learner: Any):
        super().__init__(name="masked_frames_scorer")
        self.learner = learner

    def call(self, inputs: dict[str, Any]) -> Tensor:
        """Output of the layer or model, see the class."""
        return ops.stack(self.learner.masked_frames_scores(inputs, training=False))[None]


class ModelScorer:
    """Context manager that gives a Scorer of a model in training.

    Where several processes hold the model together (``placement``, a Placement), it is of a copy that each has to
    itself.
    """

    def __init__(self, model: VideoModel, *, batch_size: int, placement: Placement):
        self.model, self.placement = model, placement
        self.copy = None
        if placement.num_processes > 1:
            with placement.alone():
                self.copy = type(model).from_config(model.get_config())
                self.copy.build()
        self.scorer = Scorer(self.copy or model, batch_size=batch_size)
        self.alone: Any = None

    def __enter__(self) -> Scorer:
        self.alone = self.placement.alone()
        self.alone.__enter__()
        if self.copy is not None:
            for variable, value in zip(self.copy.variables, self.model.variables, strict=True):
                variable.assign(np.asarray(value))
        return self.scorer

    def __exit__(self, *exception):
        return self.alone.__exit__(*exception)


def headline(results: dict[str, Any]) -> tuple[str, float]:
    """(name, value) of the number that a model is chosen by: MAP@K of segments, GAP of videos."""
    known = ("map_at_k", "masked_frames_quality")
    name = next(name for name in results if name in known or name.startswith("gap_at_"))
    return name, results[name]


class _Videos:
    def __init__(self, num_classes, top_k):
        self.metrics = VideoMetrics(num_classes, top_k=top_k)
        self.labelled = False
        self.is_first = FirstRecords()

    def add(self, scores, targets, info):
        rows, classes, values = rated_pairs(targets)
        labels = np.zeros(scores.shape, np.float32)
        labels[rows, classes] = values
        first = list(map(self.is_first, info["id"].tolist()))
        self.metrics.update(scores[first], labels[first])
        self.labelled |= len(rows) > 0

    def result(self):
        if not self.labelled:
            raise InputError("the videos to evaluate on have no labels")
        self.is_first.warn("scored")
        return self.metrics.result()


class _RatedSegments:
    """Rated pairs only: a few a segment, out of thousands of classes."""

    def __init__(self, top_n):
        self.top_n = top_n
        self.pairs = []

    def add(self, scores, targets, info):
        segments = [Segment(*key) for key in zip(map(bytes.decode, info["id"].tolist()), info["start_time"].tolist())]
        rows, classes, labels = rated_pairs(targets)
        self.pairs.append(([segments[row] for row in rows], classes, labels, scores[rows, classes]))

    def result(self):
        segments, class_ids, labels, scores = ([*itertools.chain(*part)] for part in zip(*self.pairs))
        best: dict[tuple[int, Segment], float] = {}
        for segment, class_id, score in zip(segments, class_ids, scores):
            best[class_id, segment] = max(best.get((class_id, segment), -np.inf), score)
        if len(best) < len(scores):
            text = f"{len(scores) - len(best)} of {len(scores)} rated pairs are of segments in more than one record: "
            warnings.warn(text + "each is scored once, by its best score and rating", DataWarning, stacklevel=2)
        rated = RatedLabels(segments, class_ids, labels)
        # RatedLabels come sorted in this very order.
        ordered = np.array([best[key] for key in sorted(best)], np.float32)
        evaluation = evaluate_scores(rated, ordered, top_n=self.top_n)
        return evaluation.summary() | {"evaluation": evaluation}


def _summed_loss(scores, targets):
    epsilon = 1e-6
    rows, classes, labels = rated_pairs(targets)
    rated = scores[rows, classes]
    total = np.sum(labels * np.log(rated + epsilon) + (1 - labels) * np.log(1 - rated + epsilon))
    if targets["unrated"].any():
        others = np.log(1 - scores + epsilon)
        others[rows, classes] = 0
        total += np.sum(others * targets["unrated"])
    return -float(total)
