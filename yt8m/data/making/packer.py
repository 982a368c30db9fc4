"""Videos with features of one's own as TFRecords that the reader reads: resampled, projected, quantised, sharded."""

import collections
import dataclasses
import hashlib
import json
import math
import os
import warnings
from collections import Counter
from typing import Any

import numpy as np

from yt8m.data.making.annotations import Interval, Labelling
from yt8m.data.making.left_out import UNEVEN, LeftOut
from yt8m.data.making.projection import Moments, Projection
from yt8m.data.making.raw_videos import RawVideos, resample
from yt8m.data.making.settings import STANDARDIZE, PackSettings
from yt8m.data.making.shard_folder import ShardFolder, make_shards
from yt8m.data.making.text_tables import Texts, described_texts
from yt8m.data.tfrecord import FrameRecord, dequantize, quantize
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.types import QUANTIZED_OFFSET, QUANTIZED_SCALE, DataWarning, InputError, StrPath, id_problem, sanitized_id

_SAMPLED = 32
_STATISTICS = ("frames", "cut", "values", "clipped", "sum", "sum_of_squares")


class Packer:
    """Packs ``videos``, a RawVideos, into ``output_dir``; shards that an earlier, stopped call has written are kept.

    labels: dict of video id to class ids; intervals: dict of video id to list of Interval; None where there are none.
    Without labels, a video has those classes that are rated positive in it. texts: dict of video id to TimedTexts.
    num_classes: size of the vocabulary, which training finds in pack.json. replace: whether records that were packed of
    other videos, or with other settings, are replaced; else they are an error. After ``run``, ``log`` is what that
    holds: the shards and what was counted in each; ``projections`` has the Projection of each feature that has one;
    ``renamed``: dict of id to what it is in records, where settings.sanitize_ids has changed it.
    Raises InputError for an id that no submission can hold, unless sanitize_ids.
    """

    def __init__(
        self,
        videos: RawVideos,
        output_dir: StrPath,
        settings: PackSettings,
        *,
        labels: dict[str, tuple[int, ...]] | None = None,
        intervals: dict[str, list[Interval]] | None = None,
        texts: Texts | None = None,
        num_classes: int | None = None,
        replace: bool = False,
    ):
        self.videos, self.output_dir, self.settings = videos, output_dir, settings
        self._texts = texts or {}
        self._labelling = Labelling(labels, intervals, min_overlap=settings.min_overlap, rest=settings.rest)
        if not videos.ids:
            raise InputError("no video has all of the features: the names of their files, without suffix, must agree")
        for what in (settings.rates, settings.fit, settings.use, settings.views):
            for name in what:
                if name not in videos.names:
                    raise InputError(f"there is no feature {name}; there are {', '.join(videos.names)}")
        self.projections = {name: Projection.load(path) for name, path in settings.use.items()}
        self.renamed = self._renamed()
        facts = {"num_classes": num_classes, "renamed": self.renamed}
        self._folder = ShardFolder(
            output_dir, prefix=settings.prefix, inputs=self._digest(), facts=facts, replace=replace
        )

    @property
    def log(self) -> dict[str, Any]:
        """What pack.json says."""
        return self._folder.log

    def run(self) -> None:
        """Packs what is not packed yet. Raises InputError where another process is packing into the folder."""
        with locked_folder(self.output_dir):
            self._folder.resume()
            self._fit()
            self._write_shards()

    def _write_shards(self):
        shards = self._shards()
        with Progress("packing", total=len(self.videos.ids), unit="videos") as progress:
            for name, ids in shards.items():
                if self._folder.is_whole(name):
                    progress.skip(len(ids))
                    continue
                self._write_shard(name, ids, progress)

    def totals(self) -> dict[str, Counter]:
        """Dict of feature to a Counter of frames, those cut to the length of other features, values, and
        what was clipped of them, over all shards.
        """
        total = {name: collections.Counter() for name in self.videos.names}
        for counted in self.log["shards"].values():
            for name, values in counted["features"].items():
                total[name].update(values)
        return total

    @property
    def num_intervals(self) -> int:
        """Intervals of the videos that are packed."""
        return self._labelling.num_intervals(self.videos.ids)

    def left_out(self) -> LeftOut:
        """What is in no record, over all shards."""
        return LeftOut.merged(shard.get("left_out", {}) for shard in self.log["shards"].values())

    def projection_path(self, name: str) -> str:
        """Path of the projection that is fitted on a feature."""
        return os.path.join(self.output_dir, f"{name}.projection.npz")

    def _renamed(self):
        renamed, taken = {}, {}
        for video_id in self.videos.ids:
            problem = id_problem(video_id)
            name = sanitized_id(video_id)
            if problem and not self.settings.sanitize_ids:
                path = self.videos.path(video_id, self.videos.names[0])
                raise InputError(f"{path}: the id {video_id!r} {problem}: rename the file, or give --sanitize_ids")
            if name in taken:
                raise InputError(f"the ids {taken[name]!r} and {video_id!r} would both be {name}: rename a file")
            taken[name] = video_id
            if problem:
                renamed[video_id] = name
        return renamed

    def _digest(self):
        """Of all that decides about the records."""
        stats = [(*entry, *size_and_time(entry[-1])) for entry in self.videos.files()]
        used = [size_and_time(path) for path in self.settings.use.values()]
        settings = dataclasses.asdict(self.settings)
        # Folders that were packed before there were these options stay what they are.
        if not self.renamed:
            del settings["sanitize_ids"]
        if not settings["views"]:
            del settings["views"]
        known = [settings, stats, used, *self._labelling.described(), *described_texts(self._texts, self.videos.ids)]
        return hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16).hexdigest()

    def _fit(self):
        """Fits the projections that are asked for, in one pass over all videos."""
        for name in self.settings.fit:
            if os.path.exists(self.projection_path(name)):
                self.projections[name] = Projection.load(self.projection_path(name))
        missing = [name for name in self.settings.fit if name not in self.projections]
        if not missing:
            return
        moments = {}
        with Progress("fitting projections", total=len(self.videos.ids), unit="videos") as progress:
            for video_id in self.videos.ids:
                for name, frames in self.videos.read(video_id).items():
                    if name in missing:
                        frames = _as_floats(self._resampled(name, frames))
                        moments.setdefault(name, Moments(frames.shape[1])).add(frames)
                progress.update()
        for name in missing:
            size = self.settings.fit[name]
            if size == STANDARDIZE:
                projection = Projection.standardizing(moments[name])
            else:
                projection = Projection.whitening(moments[name], size)
                _say_what_is_noise(name, size, moments[name].count)
            projection.save(self.projection_path(name))
            self.projections[name] = projection

    def _shards(self):
        """Dict of file name to the ids of its videos."""
        ids, number = self.videos.ids, self.settings.num_shards
        if number is None:
            sampled = ids[:_SAMPLED]
            size = sum(array.size for video_id in sampled for array in self._features(video_id).values())
            number = math.ceil(size / len(sampled) * len(ids) / (self.settings.shard_megabytes * 10**6))
        return make_shards(ids, number, prefix=self.settings.prefix)

    def _write_shard(self, name, ids, progress):
        counted = {feature: dict.fromkeys(_STATISTICS, 0) for feature in self.videos.names}
        ratings, left_out = 0, LeftOut()

        def records():
            nonlocal ratings
            for video_id in ids:
                record = self._record(video_id, counted, left_out)
                ratings += len(record.segments or ())
                yield record
                progress.update()

        self._folder.write(
            name, records(), lambda: {"ratings": ratings, "features": counted, "left_out": left_out.entries}
        )

    def _record(self, video_id, counted, left_out):
        features = self._features(video_id)
        # The reader would cut them too, and warn each time.
        lengths = {name: len(frames) for name, frames in features.items()}
        shortest = min(lengths.values())
        if max(lengths.values()) > shortest:
            said = ", ".join(f"{length} of {name}" for name, length in lengths.items())
            left_out.add(UNEVEN, 0, f"{video_id}: {said}")
        for name, length in lengths.items():
            counted[name]["cut"] += length - shortest
        stored = {name: _store(frames[:shortest], counted[name]) for name, frames in features.items()}
        labels, segments = self._labelling(video_id, shortest, left_out)
        name = self.renamed.get(video_id, video_id)
        texts = self._texts.get(video_id, ())
        return FrameRecord(video_id=name, features=stored, labels=labels, segments=segments, texts=texts)

    def _features(self, video_id):
        """Dict of feature to (seconds, size) array: uint8 where it is to be stored as it is, else float32."""
        return {name: self._projected(name, frames, video_id) for name, frames in self.videos.read(video_id).items()}

    def _projected(self, name, frames, video_id):
        frames = self._resampled(name, frames)
        projection = self.projections.get(self.settings.views.get(name, name))
        if projection is None:
            return frames
        try:
            return projection(_as_floats(frames))
        except InputError as error:
            raise InputError(f"{self.videos.path(video_id, name)}, array {name}: {error}") from None

    def _resampled(self, name, frames):
        return resample(frames, self.settings.rates.get(name, 1), method=self.settings.method)


def _say_what_is_noise(name, size, count):
    """Warns of principal components that ``count`` frames cannot have."""
    if count <= size:
        noise = f"the last {size - count + 1:,} of its {size:,} dimensions are noise"
        text = f"PCA of {name} is fitted on {count:,} frames, and {noise}: give more videos, or a smaller size"
        warnings.warn(text, DataWarning, stacklevel=2)


def _as_floats(frames):
    return dequantize(frames) if frames.dtype == np.uint8 else frames


def _store(frames, counted):
    """The bytes of frames; adds to ``counted``, a dict of _STATISTICS, what was lost of floats."""
    counted["frames"] += len(frames)
    if frames.dtype == np.uint8:
        return frames
    stored = quantize(frames)
    steps = (frames - QUANTIZED_OFFSET) / QUANTIZED_SCALE
    counted["values"] += frames.size
    counted["clipped"] += int(((steps < -0.5) | (steps > 255.5)).sum())
    wide = stored.astype(np.int64)
    counted["sum"] += int(wide.sum())
    counted["sum_of_squares"] += int((wide * wide).sum())
    return stored


def size_and_time(path: StrPath) -> tuple[int, int]:
    """Bytes and time of change, ns, of a local file, by which a changed one is known."""
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns
