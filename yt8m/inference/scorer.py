"""Scores of batches by one compiled function, averaged over views."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from yt8m.data.views import view_length
from yt8m.models.base import VideoModel
from yt8m.runtime.devices import default_jit_compile
from yt8m.types import TOKEN_INPUTS, DivergedError, InputError


class Scorer:
    """Scores of batches of any size up to ``batch_size``, by one compiled function.

    The scores of an example do not depend on the batches before: TensorFlow's own kernels take batches of all sizes by
    one graph, and where a new shape would be compiled anew, smaller batches are filled up to batch_size.
    model: a VideoModel; class_ids: the columns wanted, None for all.
    """

    def __init__(self, model: keras.Model, *, batch_size: int, class_ids: Sequence[int] | None = None):
        self.batch_size = batch_size
        narrow = _MeanOverViews(model if class_ids is None else model.for_classes(class_ids))
        jit_compile = default_jit_compile()
        self._fills = bool(jit_compile)
        self._predict = _compiled(narrow, jit_compile) if jit_compile else _graph_of_any_size(narrow)

    def __call__(self, features: dict[str, np.ndarray]) -> np.ndarray:
        """Scores (n, C) float32 of a dict of arrays (n, T, size) or (n, S, T, size), n <= batch_size; of clips
        pictures have (H, W, 3) in place of size.

        The S views of a segment are scored one by one, each beside the same frames (n, V, size) of the whole video
        and texts where there are such, and their probabilities averaged. Raises DivergedError where a score is not
        finite.
        """
        count = len(next(iter(features.values())))
        scores = np.asarray(self._predict(self._filled(features)), np.float32)[:count]
        if not np.isfinite(scores).all():
            raise DivergedError("the model's scores are not finite: its training must have diverged")
        return scores

    def _filled(self, features):
        missing = self.batch_size - len(next(iter(features.values())))
        if not self._fills or not missing:
            return features
        return {
            name: np.concatenate([values, np.repeat(values[:1], missing, axis=0)]) for name, values in features.items()
        }


def _compiled(model, jit_compile):
    model.compile(jit_compile=jit_compile)
    return model.predict_on_batch


def _graph_of_any_size(model):
    import tensorflow as tf

    graph = tf.function(lambda features: model(features), autograph=False)

    def predict(features):
        # Traced for any number of examples at the first batch, and not for the size of that one.
        any_size = {name: tf.TensorSpec((None, *values.shape[1:]), values.dtype) for name, values in features.items()}
        return graph.get_concrete_function(any_size)(features)

    return predict


def check_views(model: VideoModel, views: Sequence[int | str]) -> None:
    """Raises InputError where ``model``, a VideoModel, cannot take examples as long as the longest of ``views``."""
    length, fixed = view_length(views), model.fixed_frames
    if fixed is not None and length != fixed:
        raise InputError(
            f"this {model.name} takes segments of {fixed} frames, and the view enlarge has {length}: leave it out"
        )


class _MeanOverViews(keras.Model):
    def __init__(self, model):
        super().__init__(name="scorer")
        self.model = model

    def call(self, features):
        counts = features.get("num_frames")
        if counts is None or len(counts.shape) == 1:
            return self.model(features, training=False)
        views = counts.shape[1]

        def flat(name, values):
            if len(values.shape) in (2, 4, 6) and name not in TOKEN_INPUTS:
                return ops.reshape(values, (-1, *values.shape[2:]))
            # Texts, and frames of the whole video, are there once for all views.
            return ops.repeat(values, views, axis=0)

        scores = self.model({name: flat(name, values) for name, values in features.items()}, training=False)
        return ops.mean(ops.reshape(scores, (-1, views, scores.shape[-1])), axis=1)
