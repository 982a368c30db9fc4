"""Rated segments packed once, so that later epochs need not read the records they came from.

Each record file has a packed twin in the cache's folder, which counts while the file's size and times and what of
DataConfig decides about segments are as they were, and while its own checksums are right; else it is packed anew. Any
files, in any order and with any ``keep``, are then read from it as make_dataset reads them from records: the same
batches, one for one.
"""

import concurrent.futures
import hashlib
import itertools
import json
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data import examples, record_checks, tfrecord
from yt8m.data.cache_file import CacheBlock, CacheFile, read_cache_file, write_cache_file
from yt8m.data.record_dataset import interleave_blocks, record_dataset
from yt8m.ranking.metrics import POSITIVE
from yt8m.runtime.progress import Progress
from yt8m.types import SEGMENT_SECONDS, DataWarning, InputError, StrPath, Tensor

_VERSION = 2
_READERS = 8
_FIELDS = ("feature_names", "feature_sizes", "level", "num_classes", "max_frames", "skip_corrupt")


def open_cache(folder: StrPath, files: Sequence[str], config: DataConfig, *, margin: int = 0) -> "SegmentCache":
    """The SegmentCache of ``files``, of which those that are not in ``folder`` yet, or not as they are now, are packed.

    files: list of str; config: DataConfig. margin: frames kept on either side of each segment, see
    yt8m.data.augment.margin_of. Several processes may do so at once. Raises InputError where a record is bad, where the
    folder cannot be written and where config wants frames of whole videos.
    """
    if config.video_frames:
        raise InputError(
            f"a cache holds segments alone, and video_frames is {config.video_frames}: give no cache_dir, or a model "
            "without them"
        )
    files = list(dict.fromkeys(files))
    headers = {file: _header(file, config, margin) for file in files}
    paths = {file: _packed_path(folder, header) for file, header in headers.items()}
    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        packed = dict(zip(files, pool.map(lambda file: _read(paths[file], headers[file]), files)))
    missing = [file for file in files if packed[file] is None]
    if missing:
        _pack(missing, config, headers=headers, paths=paths, margin=margin)
        packed |= {file: read_cache_file(paths[file]) for file in missing}
    return SegmentCache(packed, config, margin=margin)


class SegmentCache:
    """The packed segments of some files. Memory is that of the index, about 20 bytes a segment; frames are mapped.

    margin: frames on either side of each segment.
    """

    def __init__(self, packed: dict[str, CacheFile], config: DataConfig, *, margin: int):
        """packed: dict of file to CacheFile."""
        parts = list(packed.values())
        self.margin = margin
        self._border = config.border
        self._settings = _settings(config)
        self._features = config.features
        self._frames = [part.frames for part in parts]
        self._segment_bounds = _bounds([len(part.frames) for part in parts])
        self._record_bounds = _bounds([len(part.index["segment_ends"]) for part in parts])
        self._positions = {file: position for position, file in enumerate(packed)}
        self._index = {name: _joined([part.index[name] for part in parts], name) for name in parts[0].index}
        self._segments = np.concatenate([[0], self._index["segment_ends"]])

    def __len__(self) -> int:
        return int(self._segment_bounds[-1])

    def check(self, files: Sequence[str], config: DataConfig, *, windows: str, margin: int) -> None:
        """Raises ValueError unless this is a cache of ``files`` as make_dataset would read them; same arguments."""
        if windows != "rated":
            raise ValueError(f"a cache is for windows='rated', not {windows!r}")
        unknown = [file for file in files if file not in self._positions]
        if unknown or not self.fits(config, margin=margin):
            raise ValueError(f"the cache is of other files or settings: {unknown[0] if unknown else config}")

    def fits(self, config: DataConfig, *, margin: int = 0) -> bool:
        """Whether records read as ``config`` says would give the same segments, with at least ``margin``."""
        wanted = _settings(config)
        if config.video_frames or margin > self.margin or self.margin and config.border != self._border:
            return False
        # Where no record was skipped, none was skipped for its video labels.
        return self._settings == wanted or (
            not config.skip_corrupt and self._settings == wanted | {"video_labels": True}
        )

    def segment_numbers(
        self, files: Sequence[str], *, keep: Callable[[str], bool] | None, cycle_length: int
    ) -> tf.data.Dataset:
        """tf.data.Dataset of batches, of any size, of the numbers of the segments of ``files``.

        In the order in which make_dataset reads segments from records, of which ``cycle_length`` files are in turn.
        """
        positions = np.array([self._positions[file] for file in files])
        bounds = tf.data.Dataset.from_tensor_slices(
            (self._record_bounds[positions], self._record_bounds[positions + 1])
        )

        def blocks(first, last):
            starts = tf.data.Dataset.range(first, last, tfrecord.BLOCK)
            return starts.map(lambda start: tf.range(start, tf.minimum(start + tfrecord.BLOCK, last)))

        kept = None if keep is None else np.array([keep(text.decode(errors="replace")) for text in self._ids()], bool)

        def segments(records):
            if kept is not None:
                records = tf.boolean_mask(records, tf.gather(kept, records))
            return tf.ragged.range(tf.gather(self._segments, records), tf.gather(self._segments, records + 1)).values

        return interleave_blocks(bounds, blocks, cycle_length=cycle_length).map(segments)

    def largest(self, factors: np.ndarray) -> np.ndarray:
        """(N,) float32: of each segment the largest of the ``factors`` (C,) of the classes it has, at least 1."""
        index = self._index
        of_pairs = np.where(index["scores"] >= POSITIVE, np.concatenate([[1], factors])[index["classes"]], 1)
        starts = np.concatenate([[0], index["class_ends"][:-1]]).astype(np.int64)
        return np.maximum.reduceat(of_pairs, starts).astype(np.float32) if len(self) else np.ones(0, np.float32)

    def read_segments(
        self, numbers: Tensor, *, with_video_classes: bool = False, with_info: bool = False
    ) -> dict[str, Any]:
        """In the graph: the segments of ``numbers`` (B,) int64, as examples.decode_examples gives them.

        with_video_classes: with "video_classes"; with_info: with "id", too.
        """
        kinds = {"frames": tf.uint8, "num_frames": tf.int32, "start_time": tf.int32}
        kinds |= {"classes": tf.int32, "scores": tf.float32}
        if with_video_classes:
            kinds["video_classes"] = tf.int32
        if with_info:
            kinds["id"] = tf.string
        arrays = tf.numpy_function(lambda rows: self._gather(rows, kinds), [numbers], list(kinds.values()))
        batch = dict(zip(kinds, arrays))
        for name, values in batch.items():
            values.set_shape([None] if name in ("num_frames", "id", "start_time") else [None, None])
        length = _length(self.margin)
        sizes = [length * size for size in self._features.values()]
        parts = tf.split(batch.pop("frames"), sizes, axis=1)
        features = {
            name: tf.reshape(part, [-1, length, size]) for (name, size), part in zip(self._features.items(), parts)
        }
        return batch | {"features": features | {"num_frames": batch.pop("num_frames")}}

    def _gather(self, numbers, names):
        """List of what ``names`` ask for, of the segments of ``numbers`` (B,)."""
        index = self._index
        records = np.searchsorted(index["segment_ends"], numbers, side="right")
        ways = {
            "frames": lambda: self._take_frames(numbers),
            "num_frames": lambda: index["num_frames"][numbers].astype(np.int32),
            "classes": lambda: _padded(index["classes"], index["class_ends"], numbers),
            "scores": lambda: _padded(index["scores"], index["class_ends"], numbers),
            "video_classes": lambda: _padded(index["video_classes"], index["video_class_ends"], records),
            "id": lambda: np.array([self._id(record) for record in records.tolist()], object),
            "start_time": lambda: index["start_time"][numbers],
        }
        return [ways[name]() for name in names]

    def _take_frames(self, numbers):
        of = np.searchsorted(self._segment_bounds, numbers, side="right") - 1
        rows = numbers - self._segment_bounds[of]
        positions = np.unique(of).tolist()
        if len(positions) == 1:
            return self._frames[positions[0]][rows]
        taken = np.empty((len(numbers), self._frames[0].shape[1]), np.uint8)
        for position in positions:
            here = np.flatnonzero(of == position)
            taken[here] = self._frames[position][rows[here]]
        return taken

    def _id(self, record):
        ends = self._index["id_ends"]
        return self._index["ids"][ends[record - 1] if record else 0 : ends[record]].tobytes()

    def _ids(self):
        return map(self._id, range(int(self._record_bounds[-1])))


def _settings(config):
    """Fields of a DataConfig that determine what is packed, as JSON gives them back."""
    settings = {name: getattr(config, name) for name in _FIELDS}
    return json.loads(json.dumps(settings | {"video_labels": config.unrated == "video_negative"}))


def _length(margin):
    """Frames of a segment."""
    return SEGMENT_SECONDS + 2 * margin


def _header(file, config, margin):
    """Identity of ``file`` and of the settings it is packed with: a packed file counts while these are the same."""
    status = tf.io.gfile.stat(file)
    return {
        "version": _VERSION,
        "source": file if "://" in file else os.path.abspath(file),
        "settings": _settings(config) | ({"margin": margin, "border": config.border} if margin else {}),
        "size": status.length,
        "mtime_ns": status.mtime_nsec,
        # That of the inode, which nothing sets back as cp -p and os.utime do with the other.
        "ctime_ns": os.stat(file).st_ctime_ns if os.path.exists(file) else None,
    }


def _packed_path(folder, header):
    known = json.dumps([header[name] for name in ("version", "source", "settings")])
    digest = hashlib.blake2b(known.encode(), digest_size=8).hexdigest()
    return os.path.join(folder, f"{os.path.basename(header['source'])}-{digest}.segments")


def _read(path, header):
    """The CacheFile of ``path``, None where it has to be written (anew)."""
    try:
        packed = read_cache_file(path)
        if {name: packed.header[name] for name in header} != header:
            return None
        if packed.header["records"] != len(packed.index["segment_ends"]):
            return None
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"{path} is packed anew: {error}", DataWarning, stacklevel=2)
        return None
    return packed


def _pack(files, config, *, headers, paths, margin):
    """Packs ``files``, each atomically."""
    elements = _numbered_blocks(files, config).map(
        lambda position, block: (position, *examples.parse_rated(block, config=config, margin=margin)),
        num_parallel_calls=tf.data.AUTOTUNE,
        deterministic=True,
    )
    width = sum(config.feature_sizes) * _length(margin)

    def write(file, blocks):
        write_cache_file(paths[file], blocks, headers[file], width=width)
        progress.update()

    left = dict.fromkeys(range(len(files)))
    with (
        record_checks.explain_errors(files, config, windows="rated"),
        Progress("packing rated segments", total=len(files), unit="files") as progress,
    ):
        for position, group in itertools.groupby(elements.prefetch(2), key=lambda element: int(element[0])):
            write(files[position], (_block(*parts) for _, *parts in group))
            del left[position]
        # Where all records are skipped there are no blocks.
        for position in left:
            write(files[position], ())


def _numbered_blocks(files, config):
    """tf.data.Dataset of (position in ``files``, block of serialized records), file after file."""
    if config.skip_corrupt:

        def blocks():
            records = record_checks.good_records(files, config, windows="rated")
            for position, group in itertools.groupby(records, key=lambda record: record[0]):
                while block := [serialized for _, serialized in itertools.islice(group, tfrecord.BLOCK)]:
                    yield position, block

        signature = (tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.string))
        return tf.data.Dataset.from_generator(blocks, output_signature=signature)
    numbered = tf.data.Dataset.from_tensor_slices(files).enumerate()

    def blocks_of(position, file):
        blocks = record_dataset(file).batch(tfrecord.BLOCK)
        return blocks.map(lambda block: (position, block))

    return interleave_blocks(numbered, blocks_of, cycle_length=1)


def _block(segments, videos):
    """The CacheBlock of what parse_rated gives, eagerly."""
    features = {name: values.numpy() for name, values in segments["features"].items()}
    num_frames = features.pop("num_frames")
    frames = [values.reshape(len(values), np.prod(values.shape[1:])) for values in features.values()]
    return CacheBlock(
        frames=np.concatenate(frames, axis=1),
        ids=[np.frombuffer(video_id, np.uint8) for video_id in videos["id"].numpy()],
        video_classes=_rows(videos["classes"]) if "classes" in videos else [()] * len(videos["id"]),
        segments=np.bincount(segments["row"].numpy(), minlength=len(videos["id"])),
        start_time=segments["start_time"].numpy(),
        num_frames=num_frames,
        classes=_rows(segments["classes"]),
        scores=_rows(segments["scores"]),
    )


def _rows(ragged):
    return np.split(ragged.values.numpy(), ragged.row_splits.numpy()[1:-1]) if ragged.nrows() else []


def _joined(arrays, name):
    """One array of the index of all files; where it says where something ends, as if they were one file."""
    if not name.endswith("_ends"):
        return np.concatenate(arrays)
    shifts = np.cumsum([0, *(int(values[-1]) if len(values) else 0 for values in arrays[:-1])])
    return np.concatenate([values + shift for values, shift in zip(arrays, shifts)])


def _bounds(counts):
    return np.cumsum([0, *counts], dtype=np.int64)


def _padded(values, ends, rows):
    """(len(rows), K): the values of each row, which end at ``ends``, padded with 0 to one of the usual widths."""
    last = ends[rows]
    first = np.where(rows > 0, ends[rows - 1], 0)
    width = examples.WIDTHS[np.searchsorted(examples.WIDTHS, (last - first).max(initial=0))]
    places = first[:, None] + np.arange(width)
    inside = places < last[:, None]
    padded = np.zeros(places.shape, values.dtype)
    padded[inside] = values[places[inside]]
    return padded
