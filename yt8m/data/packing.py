"""Packing of records: which packed file of a cache's folder is whose, whether it still counts, and how it is made."""

import concurrent.futures
import functools
import hashlib
import json
import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data import examples, record_checks, tfrecord
from yt8m.data.cache_file import CacheBlock, CacheFile, read_cache_file, write_cache_file
from yt8m.data.record_dataset import record_dataset
from yt8m.data.texts import text_features
from yt8m.runtime.parallel import map_in_threads, processors
from yt8m.runtime.progress import Progress
from yt8m.types import SEGMENT_SECONDS, TEXTS, DataWarning, StrPath

WHAT = {"rated": "rated segments", "video": "whole videos"}
"""Windows of make_dataset that can be packed, and what they are called."""

_VERSION = 3
_READERS = 8
_FIELDS = ("feature_names", "feature_sizes", "level", "num_classes", "max_frames", "skip_corrupt")
_SUFFIXES = {"rated": "segments", "video": "videos"}


class Packing:
    """The packed files of a folder that hold records read in one way.

    config: DataConfig; windows, margin: see yt8m.data.cache.open_cache.
    """

    def __init__(self, folder: StrPath, config: DataConfig, *, windows: str, margin: int):
        self.folder = os.fspath(folder)
        self.config = config
        self.windows = windows
        self.margin = margin

    def fits(self, config: DataConfig, *, windows: str = "rated", margin: int = 0) -> bool:
        """Whether records read as the arguments say would give the same examples, with at least ``margin``."""
        packed = self.config
        if windows != self.windows or margin > self.margin or self.margin and config.border != packed.border:
            return False
        if windows == "rated" and config.video_frames:
            return False
        there, wanted = settings_of(packed, windows), settings_of(config, windows)
        # Where no record was skipped, none was skipped for its video labels.
        return there == wanted or (not config.skip_corrupt and there == wanted | {"video_labels": True})

    def read(self, files: Sequence[str]) -> dict[str, CacheFile | None]:
        """Dict of file to its CacheFile, None where it has to be packed (anew)."""
        with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
            return dict(zip(files, pool.map(self._read, files)))

    def path(self, file: str) -> str:
        """Where the packed ``file`` is."""
        return self._path_of(self._header(file))

    def _path_of(self, header):
        known = json.dumps([header[name] for name in ("version", "source", "settings")])
        digest = hashlib.blake2b(known.encode(), digest_size=8).hexdigest()
        name = f"{os.path.basename(header['source'])}-{digest}.{_SUFFIXES[self.windows]}"
        return os.path.join(self.folder, name)

    def pack(self, files: Sequence[str], *, shown: bool = True) -> None:
        """Packs ``files``, several at a time, each atomically. Raises InputError where a record is bad."""
        stopped = threading.Event()
        parse = _parser(self.config, self.windows, self.margin)

        def pack(file):
            with record_checks.explain_errors([file], self.config, windows=self.windows):
                blocks = map(_block, map(parse, self._serialized(file, stopped)))
                header = self._header(file)
                with_texts = bool(self.config.text.fields)
                path, sizes = self._path_of(header), self.config.feature_sizes
                write_cache_file(path, blocks, header, sizes=sizes, with_texts=with_texts)

        threads = processors()
        with Progress(f"packing {WHAT[self.windows]}", total=len(files), unit="files", shown=shown) as progress:
            for _ in map_in_threads(pack, files, threads=threads, stop=stopped.set):
                progress.update()

    def _header(self, file):
        """Identity of ``file`` and of the settings it is packed with: a packed file counts while these are the same."""
        status = tf.io.gfile.stat(file)
        margins = {"margin": self.margin, "border": self.config.border} if self.margin else {}
        return {
            "version": _VERSION,
            "source": file if "://" in file else os.path.abspath(file),
            "settings": settings_of(self.config, self.windows) | margins,
            "size": status.length,
            "mtime_ns": status.mtime_nsec,
            # That of the inode, which nothing sets back as cp -p and os.utime do with the other.
            "ctime_ns": os.stat(file).st_ctime_ns if os.path.exists(file) else None,
        }

    def _read(self, file):
        header = self._header(file)
        path = self._path_of(header)
        try:
            packed = read_cache_file(path)
            if {name: packed.header[name] for name in header} != header:
                return None
            if packed.header["records"] != len(packed.index["example_ends"]):
                return None
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"{path} is packed anew: {error}", DataWarning, stacklevel=2)
            return None
        return packed

    def _serialized(self, file, stopped):
        """Generator of the blocks of the records of ``file``."""
        if self.config.skip_corrupt:
            records = record_checks.good_dataset([file], self.config, windows=self.windows)
        else:
            records = record_dataset(file)
        for block in records.batch(tfrecord.BLOCK).prefetch(1):
            if stopped.is_set():
                raise concurrent.futures.CancelledError
            yield block


@functools.lru_cache(8)
def _parser(config, windows, margin):
    """Function of a block of serialized records, in the graph: what a CacheBlock is made of."""

    def parse(serialized):
        if windows == "video":
            videos = examples.parse_whole(serialized, config=config) | text_features(serialized, config)
            return videos | {"row": tf.range(tf.size(videos["id"])), "start_time": tf.zeros_like(videos["num_frames"])}
        segments, videos = examples.parse_rated(serialized, config=config, margin=margin)
        features = dict(segments.pop("features"))
        num_frames = features.pop("num_frames")
        texts = {TEXTS: features.pop(TEXTS)} if TEXTS in features else {}
        real = tf.sequence_mask(num_frames, segment_length(margin))
        features = {name: tf.boolean_mask(values, real) for name, values in features.items()}
        labels = {"video_classes": videos["classes"]} if "classes" in videos else {}
        return segments | labels | texts | {"features": features, "num_frames": num_frames, "id": videos["id"]}

    return tf.function(parse, input_signature=[tf.TensorSpec([None], tf.string)])


def segment_length(margin: int) -> int:
    """Frames of a segment, margins included."""
    return SEGMENT_SECONDS + 2 * margin


def settings_of(config: DataConfig, windows: str) -> dict[str, Any]:
    """What of a DataConfig determines what is packed, as JSON gives it back."""
    settings = {name: getattr(config, name) for name in _FIELDS} | {"windows": windows}
    if windows == "rated":
        settings["video_labels"] = config.unrated == "video_negative"
    if config.text.fields:
        settings["text_fields"] = config.text.fields
    return json.loads(json.dumps(settings))


def _block(parsed):
    """The CacheBlock of what Packing._parse gives, eagerly."""
    ids = parsed["id"].numpy()
    return CacheBlock(
        frames=[values.numpy() for values in parsed["features"].values()],
        ids=[np.frombuffer(video_id, np.uint8) for video_id in ids],
        video_classes=_rows(parsed["video_classes"]) if "video_classes" in parsed else [()] * len(ids),
        examples=np.bincount(parsed["row"].numpy(), minlength=len(ids)),
        num_frames=parsed["num_frames"].numpy(),
        start_time=parsed["start_time"].numpy(),
        classes=_rows(parsed["classes"]),
        scores=_rows(parsed["scores"]),
        texts=[np.frombuffer(text, np.uint8) for text in parsed[TEXTS].numpy().ravel()] if TEXTS in parsed else None,
    )


def _rows(ragged):
    return np.split(ragged.values.numpy(), ragged.row_splits.numpy()[1:-1]) if ragged.nrows() else []
