"""Predictions for every segment of every video, or for whole videos, in one pass over the data.

The input is cut into parts, each of them scored by itself: what comes out of a part does not depend on the process or
machine that scores it, nor on what was scored before. So a job that was killed goes on with the parts that are missing,
and several machines share one, to the same bytes.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable

import keras
import numpy as np
from keras import ops

from yt8m.config import DataConfig
from yt8m.data.pipeline import estimate_examples, make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.tfrecord import file_size
from yt8m.data.views import view_length
from yt8m.models.checkpoints import load_model
from yt8m.ranking.filters import SegmentFilter, put_behind, whole_videos
from yt8m.ranking.timelines import Timeline
from yt8m.ranking.top_segments import TopSegments
from yt8m.runtime import cluster, parallel
from yt8m.runtime.devices import default_jit_compile
from yt8m.runtime.interrupts import stopping_at_interrupt
from yt8m.runtime.parts import cut_into_parts
from yt8m.runtime.progress import Progress
from yt8m.types import MAX_SEGMENTS_PER_CLASS, SEGMENT_SECONDS, InputError

_BATCHES_PER_PART = 32
_PARTS_AT_A_TIME = 2


class Scorer:
    """Scores batches of any size up to ``batch_size`` with one compiled function, whatever their number of rows.

    model: a VideoModel; class_ids: the columns wanted, None for all. fixed: whether the smaller batches are all filled
    up to batch_size, so that scores do not depend on what was scored before; else to the largest batch so far.
    """

    def __init__(self, model, *, batch_size, class_ids=None, fixed=False):
        self.batch_size = batch_size
        self._rows = batch_size if fixed else 0
        self._model = _MeanOverViews(model if class_ids is None else model.for_classes(class_ids))
        self._model.compile(jit_compile=default_jit_compile())

    def __call__(self, features):
        """features: dict of arrays (n, T, size) or (n, S, T, size), n <= batch_size -> scores (n, C) float32.

        The S views of a segment are scored one by one, each beside the same frames (n, V, size) of the whole video where
        there are such, and their probabilities averaged.
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
    views=(0,),
    batch_size=512,
    top_n=MAX_SEGMENTS_PER_CLASS,
    top_k=None,
    filters=None,
    folder=None,
    ray="",
):
    """The ``top_n`` best segments of each class: a TopSegments, or with ``filters`` a list with one for each of these.

    model: a VideoModel, or the folder of a run, whose best model is meant. source: Source of frame-level records,
    labelled or not; config: DataConfig. class_ids: the classes to rank, in the vocabulary's ids. views: of each
    segment, see yt8m.data.views, all scored in the same pass and averaged (the paper's test-time augmentation, with
    its shifts as ints). top_k: classes a segment may be listed for, its best ones; None for all.
    filters: list of SegmentFilter, or None for no filter; what they put behind all others scores below 0.
    folder: PartsFolder for finished parts, which an earlier call may have left there; to be removed when the result is
    safe. ray: address of a Ray cluster that does the work, see yt8m.runtime.cluster; then model must be such a folder.
    Memory is bounded by top_n x classes (x filters), whatever the number of videos.
    """
    if top_k is not None and top_k >= len(class_ids):
        top_k = None
    job = _SegmentJob(
        config=config, keep=source.keep, batch_size=batch_size,
        class_ids=tuple(map(int, class_ids)), views=tuple(views), top_n=top_n, top_k=top_k,
        filters=tuple(filters or [None]),
    )  # fmt: skip
    tops = [TopSegments(job.class_ids, top_n=top_n) for _ in job.filters]
    floors = lambda: [top.floors() for top in tops]  # noqa: E731
    for arrays in part_results(model, source, job, folder=folder, ray=ray, hint=floors):
        for number, top in enumerate(tops):
            top.merge({name: arrays[f"{number}.{name}"] for name in TopSegments.ARRAYS})
    return tops if filters else tops[0]


def predict_videos(model, source, config, *, top_k=20, batch_size=512, folder=None, ray=""):
    """Yields (video id, class ids (top_k,), confidences (top_k,)) for every video, best class first.

    Arguments as of predict_segments. Memory is bounded by the results of a part, see _cut.
    """
    job = _VideoJob(config=config, keep=source.keep, batch_size=batch_size, top_k=top_k)
    for arrays in part_results(model, source, job, folder=folder, ray=ray):
        for video_id, classes, scores in zip(arrays["videos"].tolist(), arrays["classes"], arrays["scores"]):
            yield video_id.decode(), classes, scores


def predict_timelines(model, source, config, *, video_ids, class_ids, views=(0,), batch_size=512):
    """List of Timeline of those of ``video_ids`` that ``source`` holds, in their order, with the scores of ``model``.

    Other arguments as in predict_segments. Memory is that of the segments of these videos.
    """
    check_views(model, views)
    scorer = Scorer(model, batch_size=batch_size, class_ids=tuple(class_ids))
    wanted = frozenset(video_ids)
    keep = source.keep
    dataset = make_dataset(
        list(source.files), config, windows="all", batch_size=batch_size, views=views,
        keep=lambda video_id: video_id in wanted and (keep is None or keep(video_id)),
    )  # fmt: skip
    class_ids = np.asarray(class_ids, np.int64)
    found = {}
    with explain_errors(source.files, config):
        for features, info in dataset.as_numpy_iterator():
            scores = scorer(features)
            for video_id, *entry in zip(ids_of(info), info["start_time"].tolist(), info["end_time"].tolist(), scores):
                found.setdefault(video_id.decode(), []).append(entry)
    return [_timeline(video_id, found[video_id], class_ids) for video_id in video_ids if video_id in found]


def _timeline(video_id, entries, class_ids):
    # A video that the source holds twice is shown once.
    starts, ends, scores = zip(*{entry[0]: entry for entry in entries}.values())
    scores = np.stack(scores, axis=1)
    return Timeline(video_id=video_id, starts=np.array(starts), end=max(ends), class_ids=class_ids, scores=scores)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What becomes of a part: all that decides it, but for model and files; fields as in predict_segments."""

    config: DataConfig
    keep: Callable | None
    batch_size: int
    fixed: bool = False

    windows = None

    def scored_model(self, model):
        """What of a VideoModel is scored, see Scorer."""
        return model

    def described(self):
        """Dict of JSON values."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return fields | {"config": self.config.to_dict(), "keep": repr(self.keep), "windows": self.windows}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SegmentJob(Job):
    class_ids: tuple
    views: tuple
    top_n: int
    filters: tuple[SegmentFilter | None, ...]
    top_k: int | None

    windows = "all"

    def described(self):
        return super().described() | {"filters": [item and item.described() for item in self.filters]}

    def collect(self, scored, floors):
        """The result of a part, as TopSegments.to_arrays gives it for each filter, from an iterator of (scores, info)."""
        tops = [TopSegments(self.class_ids, top_n=self.top_n, floors=floor) for floor in floors]
        num_examples = 0
        for scores, info in whole_videos(scored) if any(self.filters) else scored:
            ids, starts = ids_of(info), info["start_time"]
            listed = scores if self.top_k is None else _only_best(scores, self.top_k)
            for top, item in zip(tops, self.filters):
                kept = item and item.kept(ids, starts, scores, class_ids=self.class_ids)
                top.add(ids, starts, listed if item is None else put_behind(listed, kept))
            num_examples += len(scores)
        arrays = {f"{n}.{name}": values for n, top in enumerate(tops) for name, values in top.to_arrays().items()}
        return arrays | {"num_examples": np.int64(num_examples)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _VideoJob(Job):
    top_k: int

    windows = "video"
    class_ids = None
    views = (0,)

    def collect(self, scored, _):
        """The result of a part, in the order of its videos, from an iterator of (scores, info)."""
        top_k = min(self.top_k, self.config.num_classes)
        videos, classes, confidences = [], [np.empty((0, top_k), np.int32)], [np.empty((0, top_k), np.float32)]
        for scores, info in scored:
            order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].astype(np.int32)
            videos += ids_of(info)
            classes.append(order)
            confidences.append(np.take_along_axis(scores, order, axis=1))
        return {
            "videos": np.array(videos, np.bytes_),
            "classes": np.concatenate(classes),
            "scores": np.concatenate(confidences),
            "num_examples": np.int64(len(videos)),
        }


class _PartScorer:
    """Task for map_in_order: (files of a part, hint) -> dict of plain arrays, as the job's ``collect`` makes them.

    Calls from several threads share the model, which scores a batch at a time: while one part is opened, read or
    merged, the model has another to score. on_batch: attribute, called with the number of examples of every batch.
    """

    def __init__(self, model, job):
        self.model = model
        self.job = job
        self.on_batch = lambda count: None
        self._lock = threading.Lock()
        self._scorer = None
        self._stopped = False

    def __reduce__(self):
        return _PartScorer, (self.model, self.job)

    def __call__(self, item):
        files, hint = item
        with explain_errors(files, self.job.config):
            return self.job.collect(self._scored(files), hint)

    def stop(self):
        """Ends calls under way before their next batch, with an error."""
        self._stopped = True

    def _scored(self, files):
        job = self.job
        options = {"views": job.views} if job.windows == "all" else {"with_info": True}
        dataset = make_dataset(
            list(files), job.config, windows=job.windows, batch_size=job.batch_size, keep=job.keep, **options
        )
        for features, *_, info in dataset.as_numpy_iterator():
            with self._lock:
                if self._stopped:
                    raise concurrent.futures.CancelledError
                scores = self._load()(features)
                self.on_batch(len(scores))
            yield scores, info

    def _load(self):
        if self._scorer is None:
            model = self.model if isinstance(self.model, keras.Model) else load_model(self.model)[0]
            check_views(model, self.job.views)
            options = {"batch_size": self.job.batch_size, "class_ids": self.job.class_ids, "fixed": self.job.fixed}
            self._scorer = Scorer(self.job.scored_model(model), **options)
        return self._scorer


def part_results(model, source, job, *, folder, ray, hint=lambda: None):
    """Yields the arrays of every part in order: from the folder where they are there, else as the job makes them.

    hint: called when a part is handed out, what its ``collect`` is given.
    """
    parts, plan = _cut(source, job)
    job = dataclasses.replace(job, fixed=len(parts) > 1)
    total = estimate_examples(source, job.config, windows=job.windows)
    unit = "segments" if job.windows == "all" else "videos"
    with Progress("predicting", total=total, unit=unit) as progress:
        finished = _opened(folder, plan, progress)
        items = ((files, hint()) for number, files in enumerate(parts) if number not in finished)
        task, interruptible = _PartScorer(model, job), contextlib.nullcontext()
        if ray:
            computed = cluster.map_in_order(
                task, items, address=ray, threads=_PARTS_AT_A_TIME, environment={"KERAS_BACKEND": keras.backend.backend()}
            )
        else:
            task.on_batch = progress.update
            computed = parallel.map_in_threads(task, items, threads=_PARTS_AT_A_TIME, stop=task.stop)
            interruptible = stopping_at_interrupt(task.stop)
        try:
            with interruptible:
                for number in range(len(parts)):
                    if number in finished:
                        arrays = folder.load(number)
                        progress.skip(int(arrays["num_examples"]))
                    else:
                        arrays = next(computed)
                        progress.update(int(arrays["num_examples"]) if ray else 0)
                        if folder is not None:
                            folder.save(number, arrays)
                    yield arrays
        finally:
            computed.close()
            if folder is not None and not folder.finished:
                folder.remove()
        progress.complete()


def _opened(folder, plan, progress):
    """Numbers of the parts that are done already, of which the user is told."""
    if folder is None:
        return frozenset()
    if folder.open(plan):
        progress.message(f"{folder.path} holds parts of another job: starting anew")
    if folder.finished:
        progress.message(f"{len(folder.finished)} of {len(plan['parts'])} parts are done: going on")
    return frozenset(folder.finished)


def _cut(source, job):
    """(parts, plan): lists of files, one a part, and what identifies the job, as PartsFolder.open takes it.

    A part is as many consecutive files as make about 32 full batches, because its last batch is filled up: files of
    YouTube-8M's 2019 test set have a dozen videos, about one batch, so that by themselves a third of the work would
    be filling. Depends on files, config and batch size alone.
    """
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        stamps = list(pool.map(_stamp, source.files))
    frames = SEGMENT_SECONDS if job.windows == "all" else job.config.max_frames if job.config.level == "frame" else 4
    least = _BATCHES_PER_PART * job.batch_size * frames * sum(job.config.feature_sizes)
    parts = [[source.files[place] for place in part] for part in cut_into_parts([s[1] for s in stamps], least=least)]
    return parts, {"job": job.described(), "files": stamps, "parts": [len(part) for part in parts]}


def _stamp(file):
    """[name, bytes, time of the last change in ns, or 0 where the file is not local]."""
    if os.path.exists(file):
        status = os.stat(file)
        return [file, status.st_size, status.st_mtime_ns]
    return [file, file_size(file), 0]


def check_views(model, views):
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

        def flat(values):
            if len(values.shape) in (2, 4):
                return ops.reshape(values, (-1, *values.shape[2:]))
            # Frames of the whole video are there once for all views.
            return ops.repeat(values, views, axis=0)

        scores = self.model({name: flat(values) for name, values in features.items()}, training=False)
        return ops.mean(ops.reshape(scores, (-1, views, scores.shape[-1])), axis=1)


def _filled(values, count):
    return np.concatenate([values, np.repeat(values[:1], count - len(values), axis=0)])


def ids_of(info):
    """Video ids of a batch as list of bytes that are UTF-8."""
    return [video_id.decode(errors="replace").encode() for video_id in info["id"].tolist()]


def _only_best(scores, top_k):
    """Scores with minus infinity, which is never listed, for all but each row's ``top_k`` best."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    kept = np.full_like(scores, -np.inf)
    np.put_along_axis(kept, best, np.take_along_axis(scores, best, axis=1), axis=1)
    return kept
