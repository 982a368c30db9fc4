"""Jobs: a model applied to much data in parts, of which each is scored by itself.

What comes out of a part does not depend on the process or machine that scores it, nor on what was scored before. So a
job that was killed resumes with the parts that are missing, and several machines share one, to the same bytes.
"""

import concurrent.futures
import contextlib
import dataclasses
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from yt8m.config import DataConfig
from yt8m.data.part_reader import part_reader
from yt8m.data.record_checks import explain_errors
from yt8m.data.seen_videos import Overlap
from yt8m.data.splits import Source
from yt8m.data.tfrecord import file_size
from yt8m.inference.scorer import Scorer, check_views
from yt8m.models.base import VideoModel
from yt8m.models.checkpoints import load_model
from yt8m.runtime import cluster, parallel
from yt8m.runtime.interrupts import stopping_at_interrupt
from yt8m.runtime.parts import PartsFolder, cut_into_parts
from yt8m.runtime.progress import Progress
from yt8m.types import MAX_FRAMES, SEGMENT_SECONDS

_BATCHES_PER_PART = 32
_PARTS_AT_A_TIME = 2
_CLIP_BYTES = 320_000
"""About those of a segment of clip records: 40 JPEGs of 128 by 227 pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Execution:
    """Means of doing a job, which do not change its result.

    folder: PartsFolder for finished parts, which an earlier call may have left there; to be removed when the result is
    safe. ray: address of a Ray cluster that does the work, see yt8m.runtime.cluster, "" for this machine; then the
    model must be given as the folder of a run.
    """

    folder: PartsFolder | None = None
    ray: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """Everything but model and files that determines a part's result; fields as in predict_segments.

    A subclass has ``windows``, ``class_ids``, ``views``, and ``collect``, which makes the result of a part, a dict of
    plain arrays with "num_examples" among them, of an iterator of (scores, info).
    """

    config: DataConfig
    keep: Callable[[str], bool] | None
    batch_size: int
    overlap: Overlap | None = None

    windows = ""

    def scored_model(self, model: VideoModel) -> keras.Model:
        """The part of a VideoModel that is applied, see Scorer."""
        return model

    def described(self) -> dict[str, Any]:
        """Dict of JSON values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "overlap"}
        return fields | {"config": self.config.to_dict(), "keep": repr(self.keep), "windows": self.windows}


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
        options = {"views": job.views} if job.windows == "all" else {"with_info": True}
        self._read = part_reader(job.config, windows=job.windows, batch_size=job.batch_size, keep=job.keep, **options)
        self._scorer = None
        self._stopped = False

    def __reduce__(self):
        return _PartScorer, (self.model, self.job)

    def __call__(self, item):
        files, hint = item
        ids: set[bytes] = set()
        with explain_errors(files, self.job.config):
            arrays = self.job.collect(self._scored(files, ids), hint)
        return arrays if self.job.overlap is None else arrays | {"video_ids": np.array(sorted(ids), np.bytes_)}

    def stop(self):
        """Ends calls under way before their next batch, with an error."""
        self._stopped = True

    def _scored(self, files, ids):
        job = self.job
        for features, *_, info in self._read(files).as_numpy_iterator():
            with self._lock:
                if self._stopped:
                    raise concurrent.futures.CancelledError
                scores = self._load()(features)
                self.on_batch(len(scores))
            if job.overlap is not None:
                ids.update(ids_of(info))
            yield scores, info

    def _load(self):
        if self._scorer is None:
            model = self.model if isinstance(self.model, keras.Model) else load_model(self.model)[0]
            check_views(model, self.job.views)
            options = {"batch_size": self.job.batch_size, "class_ids": self.job.class_ids}
            self._scorer = Scorer(self.job.scored_model(model), **options)
        return self._scorer


def part_results(
    model: VideoModel | str,
    source: Source,
    job: Job,
    *,
    execution: Execution = Execution(),
    hint: Callable[[], Any] = lambda: None,
) -> Iterator[dict[str, np.ndarray]]:
    """Yields the arrays of every part in order: from the folder where they are there, else as the job makes them.

    model: a VideoModel, or the folder of a run. hint: called when a part is handed out; its ``collect`` is given what
    that returns.
    """
    parts, sizes, plan = _cut(source, job)
    folder, ray = execution.folder, execution.ray
    unit = "segments" if job.windows == "all" else "videos"
    with Progress("predicting", unit=unit) as progress:
        finished = _opened(folder, plan, progress)
        items = ((files, hint()) for number, files in enumerate(parts) if number not in finished)
        task = _PartScorer(model, job)
        interruptible: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if ray:
            computed = cluster.map_in_order(
                task,
                items,
                address=ray,
                threads=_PARTS_AT_A_TIME,
                environment={"KERAS_BACKEND": keras.backend.backend()},
            )
        else:
            task.on_batch = progress.update
            computed = parallel.map_in_threads(task, items, threads=_PARTS_AT_A_TIME, stop=task.stop)
            interruptible = stopping_at_interrupt(task.stop)
        complete, examples = False, 0
        try:
            with interruptible:
                for number in range(len(parts)):
                    if folder is not None and number in finished:
                        arrays = folder.load(number)
                        progress.skip(int(arrays["num_examples"]))
                    else:
                        arrays = next(computed)
                        progress.update(int(arrays["num_examples"]) if ray else 0)
                        if folder is not None:
                            folder.save(number, arrays)
                    examples += int(arrays["num_examples"])
                    # As many a byte in the parts that are to come; exact after the last.
                    progress.total = round(examples * sum(sizes) / max(sum(sizes[: number + 1]), 1))
                    if job.overlap is not None:
                        job.overlap.add(arrays.get("video_ids", np.empty(0, np.bytes_)).tolist())
                    yield arrays
            complete = True
        finally:
            computed.close()
            # Of a whole job the parts stay locked until its result is safe.
            if folder is not None and not complete:
                (folder.close if folder.finished else folder.remove)()


def _opened(folder, plan, progress):
    """Numbers of the parts that are done already, of which the user is told."""
    if folder is None:
        return frozenset()
    if folder.open(plan):
        progress.message(f"{folder.path} holds parts of another job: starting over")
    if folder.finished:
        progress.message(f"{len(folder.finished)} of {len(plan['parts'])} parts are done: resuming")
    return frozenset(folder.finished)


def _cut(source, job):
    """(parts, sizes, plan): lists of files, one a part, their bytes, and what identifies the job for PartsFolder.open.

    A part is as many consecutive files as make about 32 full batches, because its last batch is filled up: files of
    YouTube-8M's 2019 test set have a dozen videos, about one batch, so that by themselves a third of the work would
    be filling. Depends on files, config and batch size alone.
    """
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        stamps = list(pool.map(_stamp, source.files))
    size = 4 * sum(job.config.feature_sizes)
    if job.config.level == "frame":
        frames = SEGMENT_SECONDS if job.windows == "all" else job.config.max_frames or MAX_FRAMES
        size = frames * sum(job.config.feature_sizes)
    elif job.config.level == "clip":
        size = _CLIP_BYTES
    least = _BATCHES_PER_PART * job.batch_size * size
    places = cut_into_parts([stamp[1] for stamp in stamps], least=least)
    parts = [[source.files[place] for place in part] for part in places]
    sizes = [sum(stamps[place][1] for place in part) for part in places]
    return parts, sizes, {"job": job.described(), "files": stamps, "parts": [len(part) for part in parts]}


def _stamp(file):
    """[name, bytes, time of the last change in ns, or 0 where the file is not local]."""
    if os.path.exists(file):
        status = os.stat(file)
        return [file, status.st_size, status.st_mtime_ns]
    return [file, file_size(file), 0]


def ids_of(info: dict[str, np.ndarray]) -> list[bytes]:
    """Video ids of a batch as list of bytes that are UTF-8."""
    return [video_id.decode(errors="replace").encode() for video_id in info["id"].tolist()]
