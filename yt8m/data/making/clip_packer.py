"""Videos as clip records: their pictures as JPEGs, with labels and ratings, in files as they are trained on."""

import dataclasses
import hashlib
import itertools
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from yt8m.data.clip_records import MICROSECONDS, ClipRecord
from yt8m.data.making.annotations import Labelling
from yt8m.data.making.left_out import LeftOut
from yt8m.data.making.packer import size_and_time
from yt8m.data.making.raw_videos import mixed
from yt8m.data.making.settings import PackSettings
from yt8m.data.making.shard_folder import ShardFolder, make_shards
from yt8m.data.making.text_tables import Texts, described_texts
from yt8m.features.clips import ClipPictures, ClipReader
from yt8m.features.decoding import stated_seconds
from yt8m.features.decoding.sources import is_local
from yt8m.features.readers import resolving
from yt8m.features.settings import ClipSettings
from yt8m.runtime import cluster, parallel
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.types import DataWarning, InputError, StrPath

_BYTES_A_PIXEL = 0.25
_WIDE = 16 / 9
"""About the bytes of a JPEG of quality 90 for each pixel, and its width to height: for the number of files."""


class ClipPacker:
    """Packs ``sources``, dict of video id to path or address, into ``output_dir``; whole files of an earlier call stay.

    settings: PackSettings, of which those of features say nothing here. clips: ClipSettings. labelling: Labelling.
    texts: dict of video id to TimedTexts.
    num_classes: size of the vocabulary, which training finds in pack.json. workers: processes that decode; ray: address
    of a cluster that does so instead. skip_unreadable: leave out and count what cannot be read; else it is an error.
    replace: as of Packer. Attributes: ``log``, what pack.json says after ``run``.
    """

    def __init__(
        self,
        sources: Mapping[str, str],
        output_dir: StrPath,
        settings: PackSettings,
        *,
        clips: ClipSettings,
        labelling: Labelling,
        texts: Texts | None = None,
        num_classes: int | None = None,
        workers: int = 1,
        ray: str = "",
        skip_unreadable: bool = False,
        replace: bool = False,
    ):
        self.sources = {video_id: sources[video_id] for video_id in mixed(sources)}
        self.output_dir, self.settings, self.clips = os.fspath(output_dir), settings, clips
        self._labelling, self._skip = labelling, skip_unreadable
        self._texts = texts or {}
        self._workers, self._ray = workers, ray
        self._folder = ShardFolder(
            output_dir,
            prefix=settings.prefix,
            inputs=self._digest(),
            facts={"num_classes": num_classes},
            replace=replace,
        )

    @property
    def log(self) -> dict[str, Any]:
        """What pack.json says."""
        return self._folder.log

    @property
    def num_intervals(self) -> int:
        """Intervals of the videos that are packed."""
        return self._labelling.num_intervals(self.sources)

    def left_out(self) -> LeftOut:
        """What is in no record, over all files."""
        return LeftOut.merged(shard["left_out"] for shard in self.log["shards"].values())

    def run(self) -> None:
        """Packs what is not packed yet. Raises InputError for a video that cannot be read, and for a folder in use."""
        with locked_folder(self.output_dir):
            self._folder.resume()
            shards = make_shards(list(self.sources), self._number(), prefix=self.settings.prefix)
            missing = {name: ids for name, ids in shards.items() if not self._folder.is_whole(name)}
            for name in shards.keys() - missing.keys():
                for note in self.log["shards"][name]["notes"]:
                    warnings.warn(note, DataWarning, stacklevel=2)
            with Progress("storing clips", total=len(self.sources), unit="videos") as progress:
                progress.skip(sum(len(ids) for name, ids in shards.items() if name not in missing))
                clips = self._read([(key, self.sources[key]) for ids in missing.values() for key in ids])
                for name, ids in missing.items():
                    self._write_shard(name, itertools.islice(clips, len(ids)), progress)
        if not any(shard["records"] for shard in self.log["shards"].values()):
            raise InputError(f"none of the {len(self.sources):,} videos can be read")

    def _read(self, items):
        """Iterator of (id, ClipPictures or sentence) of all ``items``, in order."""
        task = ClipReader(self.clips)
        if self._ray:
            return cluster.map_in_order(task, items, address=self._ray)
        return parallel.map_in_order(task, items, workers=self._workers)

    def _write_shard(self, name: str, clips: Iterator[tuple[str, ClipPictures | str]], progress: Progress) -> None:
        counted = {"ratings": 0, "pictures": 0, "picture_bytes": 0}
        left_out, notes = LeftOut(), []

        def records():
            for video_id, clip in clips:
                if isinstance(clip, str):
                    if not self._skip:
                        raise InputError(f"{clip}: leave it out, or give --skip_unreadable")
                    notes.append(f"{clip}: it is left out")
                else:
                    record = self._record(video_id, clip, left_out)
                    notes.extend(clip.notes)
                    counted["ratings"] += len(record.segments or ())
                    counted["pictures"] += len(record.pictures)
                    counted["picture_bytes"] += sum(map(len, record.pictures))
                    yield record
                for note in notes[len(told) :]:
                    warnings.warn(note, DataWarning, stacklevel=2)
                told[:] = notes
                progress.update(note=video_id)

        told: list[str] = []
        self._folder.write(name, records(), lambda: {**counted, "left_out": left_out.entries, "notes": notes})
        if not self.log["shards"][name]["records"]:
            # What holds nothing no reader takes.
            os.unlink(os.path.join(self.output_dir, name))

    def _record(self, video_id, clip, left_out):
        seconds = clip.times[-1] // MICROSECONDS + 1
        labels, segments = self._labelling(video_id, seconds, left_out)
        return ClipRecord(
            video_id=video_id,
            pictures=clip.pictures,
            times=clip.times,
            size=clip.size,
            rate=self.clips.rate,
            labels=labels,
            segments=segments,
            texts=self._texts.get(video_id, ()),
        )

    def _number(self):
        """Number of files."""
        if self.settings.num_shards is not None:
            return self.settings.num_shards
        most = self.clips.max_seconds or math.inf
        seconds = sum(min(stated_seconds(source), most) for source in self.sources.values())
        size = seconds * self.clips.rate * self.clips.side**2 * _WIDE * _BYTES_A_PIXEL
        return max(1, math.ceil(size / (self.settings.shard_megabytes * 10**6)))

    def _digest(self):
        """Of all that decides about the records."""
        stats = [
            (key, source, *(size_and_time(source) if is_local(source) else ())) for key, source in self.sources.items()
        ]
        network = self.clips.super_resolve
        # A network is what it is, wherever it lies.
        clips = self.clips.to_dict() | {"super_resolve": resolving(network).digest if network else ""}
        settings = [dataclasses.asdict(self.settings), clips]
        known = [settings, stats, *self._labelling.described(), *described_texts(self._texts, self.sources)]
        return hashlib.blake2b(json.dumps(known, sort_keys=True).encode(), digest_size=16).hexdigest()
