"""Trained models in the forms that other programs serve: SavedModel, ONNX, LiteRT.

SavedModel takes one video and ranks its segments; the signature ``serving_default``:

- in: for each feature (T, size) uint8, quantised as YouTube-8M has it, T any number of frames at 1 a second;
- out: ``start_time`` (S,) int32 seconds; ``class_ids`` (S, K) int32, ``class_names`` (S, K) string and ``scores`` (S,
K)
  float32, best class first; S = ceil(T / 5).

Of a model of clips it takes clips instead, ``pictures`` (N, T, side, side, 3) uint8 and ``num_frames`` (N,) int32, of
the frames and the size that it was trained on, and ranks their classes, (N, K) each, without times.

ONNX and LiteRT take segments and score them: in, for each feature (N, 5, size) uint8 and ``num_frames`` (N,) int32, the
real ones of the five, and for a model of whole videos ``video_`` and name (N, V, size) uint8 and ``num_video_frames``
(N,) int32, see DataConfig.video_frames, or clips as above; out, (N, C) float32. Their classes stand in a text file
beside them, one ``id,name`` a line.

A model of texts takes their numbers too, ``tokens`` and ``token_sources``, (L,) int32 of a video or (N, L) of segments,
see yt8m.data.tokens.
"""

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data.sampling import surrounding_frames
from yt8m.data.views import all_windows, window_frames
from yt8m.inference.scorer import check_views
from yt8m.models.base import VideoModel
from yt8m.runtime.files import atomic_folder, atomic_path, write_text
from yt8m.runtime.fused import graph_for_another_runtime
from yt8m.train_parts import CHANNELS
from yt8m.types import PICTURES, SEGMENT_SECONDS, TOKEN_SOURCES, TOKENS, InputError, StrPath

FORMATS = ("savedmodel", "onnx", "litert")
_SUFFIXES = {"onnx": ".onnx", "litert": ".tflite"}


def export(
    model: VideoModel,
    path: StrPath,
    *,
    form: str,
    config: DataConfig,
    class_ids: Sequence[int],
    class_names: dict[int, str] | None = None,
    top_k: int = 20,
    views: Sequence[Any] = (0,),
) -> None:
    """Writes ``model``, a VideoModel of frames or clips, to ``path``: a folder for "savedmodel", else a file.

    form: one of FORMATS. config: the DataConfig it was trained with. class_ids: the classes to give; class_names: dict
    of id to name, None for none. top_k: K of the SavedModel; views: of its segments, averaged as in inference, see
    yt8m.data.views; of clips one view alone. Raises InputError where the form cannot hold the model, or a
    package for it is missing.
    """
    if keras.backend.backend() != "tensorflow":
        raise InputError("export runs with the TensorFlow backend, whichever the model was trained with")
    if config.level == "video":
        raise InputError("the model takes means of whole videos: only models of frames and of clips are exported")
    if config.level == "clip" and tuple(views) != (0,):
        raise InputError("shifts and other views of segments are of features: a model of clips is exported without")
    check_views(model, views)
    # Not every runtime has bfloat16.
    whole = model if model.compute_dtype == "float32" else model.copied(dtype="float32")
    narrow = whole.for_classes(class_ids)
    names = [(class_names or {}).get(class_id, "") for class_id in class_ids]
    if form == "savedmodel":
        classes = _Classes(class_ids, names, top_k=min(top_k, len(class_ids)))
        is_of_clips = config.level == "clip"
        server = _ClipServer(narrow, config, classes) if is_of_clips else _VideoServer(narrow, config, classes, views)
        signature = server.rank.get_concrete_function(**server.inputs())
        with atomic_folder(path) as temporary:
            tf.saved_model.save(server, temporary, signatures={"serving_default": signature})
        return
    writers = {"onnx": _write_onnx, "litert": _write_litert}
    with atomic_path(path) as temporary:
        writers[form](_Scorer(narrow, config), temporary)
    lines = [f"{class_id},{name}\n" for class_id, name in zip(class_ids, names)]
    write_text(f"{path}.classes.csv", "".join(lines))


def default_path(folder: StrPath, form: str) -> str:
    """Default path of ``form`` in ``folder``."""
    return os.path.join(folder, "exported" + _SUFFIXES.get(form, ""))


class _Classes(tf.Module):
    """The classes of a model's columns, and the best ``top_k`` of scores."""

    def __init__(self, class_ids, class_names, *, top_k):
        super().__init__()
        self.class_ids = np.asarray(class_ids, np.int32)
        self.class_names = class_names
        self.top_k = top_k

    def ranked(self, scores):
        """Dict of class_ids, class_names and scores, (N, top_k), of scores (N, C)."""
        scores, columns = tf.math.top_k(scores, self.top_k)
        return {
            "class_ids": tf.gather(tf.constant(self.class_ids), columns),
            "class_names": tf.gather(tf.constant(self.class_names, tf.string), columns),
            "scores": scores,
        }


class _ClipServer(tf.Module):
    """Ranks the classes of clips."""

    def __init__(self, model, config, classes):
        super().__init__()
        self.model = model
        self.config = config
        self.classes = classes

    def inputs(self):
        return _clip_specs(self.config)

    @tf.function
    def rank(self, **clips):
        return self.classes.ranked(self.model(clips, training=False))


class _VideoServer(tf.Module):
    """Ranks the segments of one video, all in the graph."""

    def __init__(self, model, config, classes, views):
        super().__init__()
        self.model = model
        self.config = config
        self.classes = classes
        self.views = views

    def inputs(self):
        frames = {name: tf.TensorSpec((None, size), tf.uint8, name=name) for name, size in self.config.features.items()}
        return frames | _token_specs(self.config)

    @tf.function
    def rank(self, **inputs):
        frames = {name: inputs[name] for name in self.config.features}
        lengths = tf.stack([tf.shape(values)[0] for values in frames.values()])
        num_frames = tf.reduce_min(lengths)
        if self.config.max_frames:
            num_frames = tf.minimum(num_frames, self.config.max_frames)
        _, starts = all_windows(num_frames[None])
        lengths = tf.fill(tf.shape(starts), num_frames)
        indices, counts = window_frames(starts, lengths, views=self.views, border=self.config.border)
        indices = tf.reshape(indices, (-1, indices.shape[-1]))
        segments = {name: tf.gather(values, indices) for name, values in frames.items()}
        segments["num_frames"] = tf.reshape(counts, (-1,))
        segments |= self._beside(frames, starts, lengths)
        rows = tf.shape(indices)[0]
        segments |= {name: tf.repeat(inputs[name][None], rows, axis=0) for name in _token_specs(self.config)}
        scores = self.model(segments, training=False)
        scores = tf.reshape(scores, (-1, len(self.views), scores.shape[-1]))
        return {"start_time": starts} | self.classes.ranked(tf.reduce_mean(scores, axis=1))

    def _beside(self, frames, starts, num_frames):
        """Frames of the whole video beside every view of the segments at ``starts``, where the model takes such."""
        if not self.config.video_frames:
            return {}
        indices, counts = surrounding_frames(
            num_frames,
            starts=starts,
            lengths=tf.minimum(SEGMENT_SECONDS, num_frames - starts),
            radius=self.config.video_radius,
            length=self.config.video_frames,
        )
        indices, counts = (tf.repeat(values, len(self.views), axis=0) for values in (indices, counts))
        beside = {f"video_{name}": tf.gather(values, indices) for name, values in frames.items()}
        return beside | {"num_video_frames": counts}


class _Scorer(tf.Module):
    """Scores segments, or clips."""

    def __init__(self, model, config):
        super().__init__()
        self.model = model
        self.config = config
        specs = _clip_specs(config) if config.level == "clip" else _segment_specs(config)
        # As constants: variables come out of LiteRT's converter without their values.
        self._weights, self._state = (
            [np.asarray(variable) for variable in variables]
            for variables in (model.trainable_variables, model.non_trainable_variables)
        )
        self.score = tf.function(self._score, input_signature=[specs])

    def _score(self, examples):
        constants = ([tf.constant(value) for value in values] for values in (self._weights, self._state))
        with graph_for_another_runtime():
            return {"scores": self.model.stateless_call(*constants, examples, training=False)[0]}


def _clip_specs(config):
    side = config.clip.size
    pictures = tf.TensorSpec((None, config.num_frames, side, side, CHANNELS), tf.uint8, name=PICTURES)
    return {PICTURES: pictures, "num_frames": tf.TensorSpec((None,), tf.int32, name="num_frames")}


def _segment_specs(config):
    specs = _example_specs(config.features, SEGMENT_SECONDS, "num_frames")
    if config.video_frames:
        beside = {f"video_{name}": size for name, size in config.features.items()}
        specs |= _example_specs(beside, config.video_frames, "num_video_frames")
    return specs | _token_specs(config, rows=(None,))


def _example_specs(sizes, length, count):
    specs = {name: tf.TensorSpec((None, length, size), tf.uint8, name=name) for name, size in sizes.items()}
    return specs | {count: tf.TensorSpec((None,), tf.int32, name=count)}


def _token_specs(config, rows=()):
    """Numbers of tokens and of their sources, as yt8m.data.tokens has them, for a model of texts."""
    names = (TOKENS, TOKEN_SOURCES) if config.text.fields else ()
    return {name: tf.TensorSpec((*rows, config.text.max_tokens), tf.int32, name=name) for name in names}


def _write_onnx(scorer, path):
    try:
        import tf2onnx
    except ImportError as error:
        raise InputError("ONNX needs tf2onnx: pip install 'yt8m[onnx]'") from error
    specs = scorer.score.input_signature
    try:
        tf2onnx.convert.from_function(scorer.score, input_signature=specs, output_path=path, opset=18)
    except Exception as error:
        raise InputError(f"ONNX cannot hold this model: {error}") from error


def _write_litert(scorer, path):
    converter = tf.lite.TFLiteConverter.from_concrete_functions([scorer.score.get_concrete_function()], scorer)
    try:
        content = converter.convert()
    except Exception as error:
        raise InputError(f"LiteRT cannot hold this model: {str(error).splitlines()[0]}") from error
    with open(path, "wb") as file:
        file.write(content)
