"""Predictions for every segment of every video, or for whole videos, in one pass over the data."""

import keras
import numpy as np
from keras import ops

from yt8m.data.doctor import explain_errors
from yt8m.data.pipeline import estimate_examples, make_dataset
from yt8m.devices import default_jit_compile
from yt8m.files import atomic_path
from yt8m.progress import Progress
from yt8m.top_segments import TopSegments
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError


class Scorer:
    """Scores batches of any size up to ``batch_size`` with one compiled function, whatever their number of rows.

    model: a VideoModel; class_ids: the columns wanted, None for all.
    """

    def __init__(self, model, *, batch_size, class_ids=None):
        self.batch_size = batch_size
        self._rows = 0
        self._model = _MeanOverShifts(model, class_ids)
        self._model.compile(jit_compile=default_jit_compile())

    def __call__(self, features):
        """features: dict of arrays (n, T, size) or (n, S, T, size), n <= batch_size -> scores (n, C) float32.

        The S shifted views of a segment are scored one by one and their probabilities averaged.
        """
        count = len(next(iter(features.values())))
        self._rows = max(self._rows, count)
        if count < self._rows:
            # The last batch is filled up, because a new shape would be compiled anew.
            features = {name: _filled(values, self._rows) for name, values in features.items()}
        scores = np.asarray(self._model.predict_on_batch(features), np.float32)[:count]
        if not np.isfinite(scores).all():
            raise InputError("the model's scores are not finite: its training must have diverged")
        return scores


def predict_segments(
    model,
    source,
    config,
    *,
    class_ids,
    shifts=(0,),
    batch_size=512,
    top_n=MAX_SEGMENTS_PER_CLASS,
    top_k=None,
):
    """The ``top_n`` best segments of each class: a TopSegments.

    model: a VideoModel. source: Source of frame-level records, labelled or not; config: DataConfig.
    class_ids: the classes to rank, in the vocabulary's ids. shifts: temporal shifts in frames, all scored in the same
    pass and averaged (the paper's test-time augmentation). top_k: classes a segment may be listed for, its best ones;
    None for all.
    Memory is bounded by top_n x classes, whatever the number of videos.
    """
    scorer = Scorer(model, batch_size=batch_size, class_ids=class_ids)
    top = TopSegments(class_ids, top_n=top_n)
    dataset = make_dataset(
        list(source.files), config, windows="all", batch_size=batch_size, shifts=tuple(shifts), keep=source.keep
    )
    total = estimate_examples(source, config, windows="all")
    with explain_errors(source.files, config), Progress("predicting", total=total, unit="segments") as progress:
        for features, info in dataset.as_numpy_iterator():
            scores = scorer(features)
            if top_k is not None and top_k < len(class_ids):
                scores = _only_best(scores, top_k)
            top.add([video_id.decode() for video_id in info["id"].tolist()], info["start_time"], scores)
            progress.update(len(scores))
        progress.complete()
    return top


def predict_videos(model, source, config, *, top_k=20, batch_size=512):
    """Yields (video id, class ids (top_k,), confidences (top_k,)) for every video, best class first."""
    scorer = Scorer(model, batch_size=batch_size)
    dataset = make_dataset(
        list(source.files), config, windows="video", batch_size=batch_size, keep=source.keep, with_info=True
    )
    total = estimate_examples(source, config, windows="video")
    with explain_errors(source.files, config), Progress("predicting", total=total, unit="videos") as progress:
        for features, _, info in dataset.as_numpy_iterator():
            scores = scorer(features)
            order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
            for video_id, best, row in zip(info["id"].tolist(), order, scores):
                yield video_id.decode(), best, row[best]
            progress.update(len(scores))
        progress.complete()


class _MeanOverShifts(keras.Model):
    def __init__(self, model, class_ids):
        super().__init__(name="scorer")
        self.model = model
        self.class_ids = None if class_ids is None else np.asarray(class_ids, np.int32)

    def call(self, features):
        counts = features.get("num_frames")
        shifted = counts is not None and len(counts.shape) == 2
        if shifted:
            flat = {name: ops.reshape(values, (-1, *values.shape[2:])) for name, values in features.items()}
            scores = self.model(flat, training=False)
        else:
            scores = self.model(features, training=False)
        if self.class_ids is not None:
            scores = ops.take(scores, self.class_ids, axis=1)
        if shifted:
            scores = ops.mean(ops.reshape(scores, (-1, counts.shape[1], scores.shape[-1])), axis=1)
        return scores


def _filled(values, count):
    return np.concatenate([values, np.repeat(values[:1], count - len(values), axis=0)])


def _only_best(scores, top_k):
    """Scores with minus infinity, which is never listed, for all but each row's ``top_k`` best."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    kept = np.full_like(scores, -np.inf)
    np.put_along_axis(kept, best, np.take_along_axis(scores, best, axis=1), axis=1)
    return kept


def write_video_predictions(path, predictions):
    """Writes what predict_videos yields as ``VideoId,LabelConfidencePairs`` CSV, atomically; returns the count."""
    count = 0
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write("VideoId,LabelConfidencePairs\n")
        for video_id, class_ids, confidences in predictions:
            pairs = " ".join(f"{class_id} {score:.6f}" for class_id, score in zip(class_ids, confidences))
            file.write(f"{video_id},{pairs}\n")
            count += 1
    return count
