"""Scores of a model on held-out records."""

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
from yt8m.similarity.pairs import spearman
from yt8m.types import MAX_SEGMENTS_PER_CLASS, DataWarning, DivergedError, InputError, Segment, Tensor

_MASKED = ("masked_frames", "masked_tokens")
"""Tasks of a Learner whose guesses are scored, the first one that it has as the headline."""


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
    placement: Placement = Placement(),
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
    placement: the processes that call this together, each of which reads and scores a part of the files; every one
    returns the scores of all.
    Returns a dict; every result has ``loss``, the rated cross-entropy an example. Raises InputError where there is
    nothing to score.
    """
    tally = _RatedSegments(top_n) if segment_labels else _Videos(config.num_classes, top_k)

    def score():
        part = source.part(placement.process_id, placement.num_processes)
        sums = np.zeros(2)
        for features, targets, info in _elements(scorer, part, config, tally.windows, cache, show_progress):
            scores = scorer(features)
            tally.add(scores, targets, info)
            if overlap is not None:
                overlap.add(info["id"].tolist())
            sums += _summed_loss(scores, targets), len(scores)
        return tally.arrays() | {"sums": sums}

    parts = placement.gather(score)
    loss, examples = np.sum([part.pop("sums") for part in parts], axis=0).tolist()
    if not examples:
        kind = "rated segments" if segment_labels else "videos"
        raise InputError(f"there are no {kind} to evaluate on in {source.files[0]} and {len(source.files) - 1} more")
    results = tally.result(parts) | {"loss": loss / examples}
    pairs = {"pairs": tally.merged.pairs()} if with_pairs and isinstance(tally, _Videos) else {}
    return results | pairs


def _elements(scorer, source, config, windows, cache, show_progress):
    """Generator of the elements to score, as arrays."""
    if not source.files:
        return
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
    total = estimate_examples(source, config, windows=windows) if show_progress else None
    progress = Progress("evaluating", total=total, unit="examples", shown=show_progress)
    with explain_errors(source.files, config), progress:
        for element in dataset.as_numpy_iterator():
            yield element
            progress.update(len(element[2]["id"]))
        progress.complete()


def evaluate_masked(
    scorer: Any, source: Source, config: DataConfig, *, segment_labels: bool, batch_size: int, cache: Any = None
) -> dict[str, float]:
    """Dict of ``masked_frames_quality``, ``masked_tokens_quality`` and ``loss``, the mean loss of a task: how well the
    model of ``scorer``, a MaskedScorer, guesses what is hidden, as far as it learns that.

    Other arguments as in evaluate_model. The same is hidden each time.
    """
    windows = "rated" if segment_labels else "video"
    dataset = make_dataset(
        list(source.files), config, windows=windows, batch_size=batch_size, keep=source.keep, cache=cache
    )
    random = [task.seed_generator.state for task in scorer.tasks.values()]
    earlier = [np.array(state) for state in random]
    for state in random:
        state.assign(np.zeros_like(np.array(state)))
    sums, examples = np.zeros((len(random), 2)), 0
    with explain_errors(source.files, config):
        for features, _ in dataset.as_numpy_iterator():
            count = len(next(iter(features.values())))
            sums += count * scorer.predict_on_batch(features)[0].astype(np.float64)
            examples += count
    for state, values in zip(random, earlier):
        state.assign(values)
    if not examples:
        raise InputError(f"there is nothing to evaluate on in {source.files[0]} and {len(source.files) - 1} more")
    losses, qualities = (sums / examples).T.tolist()
    return {f"{name}_quality": value for name, value in zip(scorer.tasks, qualities)} | {
        "loss": sum(losses) / len(losses)
    }


class MaskedScorer(keras.Model):
    """Loss and quality, [[[loss, quality], ...]], of the guesses of a Learner's model on a batch, a row a task.

    tasks: dict of name to MaskedFrames or MaskedTokens.
    """

    def __init__(self, learner: Any):
        super().__init__(name="masked_scorer")
        self.learner = learner
        tasks = {name: getattr(learner, name) for name in _MASKED}
        self.tasks = {name: task for name, task in tasks.items() if task is not None}

    def call(self, inputs: dict[str, Any]) -> Tensor:
        """Output of the layer or model, see the class."""
        scores = self.learner.masked_scores(inputs, training=False)
        return ops.stack([ops.stack(scores[name]) for name in self.tasks])[None]


def evaluate_pairs(scorer: Any, batches: Any) -> dict[str, float | int]:
    """Dict of ``spearman`` of cosines and annotation, ``mse`` and ``num_pairs``.

    scorer: a PairScorer. batches: of yt8m.data.pair_records.make_pairs.
    """
    found, wanted = [], []
    for features, targets in batches.as_numpy_iterator():
        found.append(scorer.predict_on_batch(features))
        wanted.append(targets["similarity"])
    cosines, scores = np.concatenate(found).astype(np.float64), np.concatenate(wanted).astype(np.float64)
    if not np.isfinite(cosines).all():
        raise DivergedError("cosines of pairs are not finite: lower base_learning_rate")
    # Where a model says the same of all, it ranks nothing.
    correlation = spearman(cosines, scores) if np.ptp(cosines) else 0.0
    return {
        "spearman": correlation,
        "mse": float(np.mean((cosines - scores) ** 2)),
        "num_pairs": len(scores),
    }


class PairScorer(keras.Model):
    """Cosines (B,) of a batch of pairs by a PairLearner."""

    def __init__(self, learner: Any):
        super().__init__(name="pair_scorer")
        self.learner = learner

    def call(self, inputs: dict[str, Any]) -> Tensor:
        """Output of the layer or model, see the class."""
        return self.learner(inputs, training=False)


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
    known = ("map_at_k", "spearman", *(f"{name}_quality" for name in _MASKED))
    name = next(name for name in results if name in known or name.startswith("gap_at_"))
    return name, results[name]


class _Videos:
    """Whole videos against their labels, each by its first record in any of the parts."""

    windows = "video"

    def __init__(self, num_classes, top_k):
        self.metrics = VideoMetrics(num_classes, top_k=top_k)
        self.merged = VideoMetrics(num_classes, top_k=top_k)
        self.ids = []
        self.labelled = False

    def add(self, scores, targets, info):
        rows, classes, values = rated_pairs(targets)
        labels = np.zeros(scores.shape, np.float32)
        labels[rows, classes] = values
        self.metrics.update(scores, labels)
        self.ids += info["id"].tolist()
        self.labelled |= len(rows) > 0

    def arrays(self):
        return self.metrics.arrays() | {"ids": np.array(self.ids, bytes), "labelled": np.array(self.labelled)}

    def result(self, parts):
        is_first = FirstRecords()
        if not any([part.pop("labelled") for part in parts]):
            raise InputError("the videos to evaluate on have no labels")
        for part in parts:
            kept = np.array([is_first(video_id) for video_id in part.pop("ids").tolist()], bool)
            self.merged.add_arrays(part, kept)
        is_first.warn("scored")
        return self.merged.result()


class _RatedSegments:
    """Rated pairs only: a few a segment, out of thousands of classes."""

    windows = "rated"

    def __init__(self, top_n):
        self.top_n = top_n
        self.pairs = []

    def add(self, scores, targets, info):
        rows, classes, labels = rated_pairs(targets)
        self.pairs.append((info["id"][rows], info["start_time"][rows], classes, labels, scores[rows, classes]))

    def arrays(self):
        names = ("ids", "start_time", "class_ids", "labels", "scores")
        joined = [np.concatenate(arrays) for arrays in zip(*self.pairs)] or [np.zeros(0)] * len(names)
        return dict(zip(names, joined)) | {"ids": np.array(list(joined[0]), bytes)}

    def result(self, parts):
        parts = [part for part in parts if len(part["ids"])]
        joined = {name: np.concatenate([part[name] for part in parts]).tolist() for name in parts[0]}
        ids, class_ids, scores = joined["ids"], joined["class_ids"], joined["scores"]
        segments = [Segment(*key) for key in zip(map(bytes.decode, ids), joined["start_time"])]
        best: dict[tuple[int, Segment], float] = {}
        for segment, class_id, score in zip(segments, class_ids, scores):
            best[class_id, segment] = max(best.get((class_id, segment), -np.inf), score)
        if len(best) < len(scores):
            text = f"{len(scores) - len(best)} of {len(scores)} rated pairs are of segments in more than one record: "
            warnings.warn(text + "each is scored once, by its best score and rating", DataWarning, stacklevel=2)
        rated = RatedLabels(segments, class_ids, joined["labels"])
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
