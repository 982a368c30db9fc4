"""Examples packed once, so that later epochs need not read the records they came from.

Each record file has a packed twin in the cache's folder, which counts while the file's size and times and what of
DataConfig decides about examples are as they were, and while its own checksums are right; else it is packed anew. Any
files, in any order and with any ``keep``, are then read from it as make_dataset reads them from records: the same
batches, one for one, of which only the frames that they hold are looked at.
"""

import threading
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data import examples, tfrecord
from yt8m.data.cache_file import FINGERPRINT_BYTES, CacheFile, fingerprints, read_cache_file, row_width
from yt8m.data.packing import WHAT, Packing, segment_length
from yt8m.data.python_calls import python_call
from yt8m.data.record_dataset import interleave_blocks
from yt8m.data.sampling import sample_frames
from yt8m.data.sharing import take_share
from yt8m.ranking.metrics import POSITIVE
from yt8m.runtime.devices import Placement
from yt8m.types import TEXTS, DataWarning, InputError, StrPath, Tensor

_FROM_DISK = 4e-6
"""Seconds that a frame takes at least which is not in memory; one that is takes a tenth of that."""


def open_cache(
    folder: StrPath,
    files: Sequence[str],
    config: DataConfig,
    *,
    windows: str = "rated",
    margin: int = 0,
    placement: Placement = Placement(),
) -> "RecordCache":
    """The RecordCache of ``files``, of which those that are not in ``folder`` yet, or not as they are now, are packed.

    files: list of str; config: DataConfig. windows: "rated" or "video", as in make_dataset. margin: frames kept on
    either side of each rated segment, see yt8m.data.augment.margin_of. placement: the processes that open it together,
    each of which packs its share of the files. Others may pack at the same time, too. Raises InputError where a record
    is bad, where the folder cannot be written, and for what is not packed: means of videos, and beside segments frames
    of their whole videos.
    """
    if windows not in WHAT:
        raise ValueError(f"windows is {windows!r}; valid: {', '.join(WHAT)}")
    if config.level != "frame":
        raise InputError(f"a cache holds frames, and {config.level}-level records have none: read them without")
    if windows == "rated" and config.video_frames:
        raise InputError(
            f"a cache holds segments alone, and video_frames is {config.video_frames}: give no cache_dir, or a model "
            "without them"
        )
    if windows == "video" and margin:
        raise InputError(f"margin is {margin}, and whole videos have none: it is for rated segments")
    packing = Packing(folder, config, windows=windows, margin=margin)
    files = list(dict.fromkeys(files))

    def pack(some):
        found = packing.read(some)
        missing = [file for file in some if found[file] is None]
        if missing:
            packing.pack(missing, shown=placement.is_chief)
            found |= {file: read_cache_file(packing.path(file)) for file in missing}
        return found

    if placement.num_processes > 1:
        placement.gather(lambda: pack(files[placement.process_id :: placement.num_processes]) and {})
    # Of several processes, what the others have packed elsewhere is packed here, too.
    return RecordCache(pack(files), packing)


class RecordCache:
    """The packed examples of some files. Memory is that of the index, 30 to 80 bytes an example; frames are mapped.

    margin: frames on either side of each segment.
    """

    def __init__(self, packed: dict[str, CacheFile], packing: Packing):
        """packed: dict of file to CacheFile."""
        parts = list(packed.values())
        self.margin = packing.margin
        self._packing = packing
        self._features = packing.config.features
        self._num_fields = len(packing.config.text.fields)
        self._packed = parts
        self._files = list(packed)
        self._lock = threading.Lock()
        # Whether the last batch was; what is in memory need not be announced, which would take as long as reading it.
        self._from_disk = True
        self._record_bounds = _bounds([len(part.index["example_ends"]) for part in parts])
        self._row_bounds = _bounds([len(part.rows) for part in parts])
        self._positions = {file: position for position, file in enumerate(packed)}
        self._index = {name: _joined([part.index[name] for part in parts], name) for name in parts[0].index}
        self._examples = np.concatenate([[0], self._index["example_ends"]])
        self._first_rows = np.concatenate([[0], self._index["frame_ends"]])

    def __len__(self) -> int:
        return int(self._examples[-1])

    def check(self, files: Sequence[str], config: DataConfig, *, windows: str, margin: int) -> None:
        """Raises ValueError unless this is a cache of ``files`` as make_dataset would read them; same arguments."""
        if windows != self._packing.windows:
            raise ValueError(f"the cache is for windows={self._packing.windows!r}, not {windows!r}")
        unknown = [file for file in files if file not in self._positions]
        if unknown or not self.fits(config, windows=windows, margin=margin):
            raise ValueError(f"the cache is of other files or settings: {unknown[0] if unknown else config}")

    def fits(self, config: DataConfig, *, windows: str = "rated", margin: int = 0) -> bool:
        """Whether records read as ``config`` says would give the same examples, with at least ``margin``."""
        return self._packing.fits(config, windows=windows, margin=margin)

    def numbers(
        self, files: Sequence[str], *, keep: Callable[[str], bool] | None, cycle_length: int
    ) -> tf.data.Dataset:
        """tf.data.Dataset of batches, of any size, of the numbers of the examples of ``files``.

        In the order in which make_dataset reads examples from records, of which ``cycle_length`` files are in turn.
        """
        positions = np.array([self._positions[file] for file in files])
        bounds = tf.data.Dataset.from_tensor_slices(
            (self._record_bounds[positions], self._record_bounds[positions + 1])
        )

        def blocks(first, last):
            starts = tf.data.Dataset.range(first, last, tfrecord.BLOCK)
            return starts.map(lambda start: tf.range(start, tf.minimum(start + tfrecord.BLOCK, last)))

        kept = None if keep is None else np.array([keep(text.decode(errors="replace")) for text in self._ids()], bool)

        def of_records(records):
            if kept is not None:
                records = tf.boolean_mask(records, tf.gather(kept, records))
            return tf.ragged.range(tf.gather(self._examples, records), tf.gather(self._examples, records + 1)).values

        return interleave_blocks(bounds, blocks, cycle_length=cycle_length).map(of_records)

    def largest(self, factors: np.ndarray) -> np.ndarray:
        """(N,) float32: of each example the largest of the ``factors`` (C,) of the classes it has, at least 1."""
        index = self._index
        of_pairs = np.where(index["scores"] >= POSITIVE, np.concatenate([[1], factors])[index["classes"]], 1)
        starts = np.concatenate([[0], index["class_ends"][:-1]]).astype(np.int64)
        return np.maximum.reduceat(of_pairs, starts).astype(np.float32) if len(self) else np.ones(0, np.float32)

    def read_segments(
        self,
        numbers: Tensor,
        *,
        with_video_classes: bool = False,
        with_info: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> dict[str, Any]:
        """In the graph: the segments of ``numbers`` (B,) int64, as examples.decode_examples gives them.

        with_video_classes: with "video_classes"; with_info: with "id", too. share: (i, n) leaves out of the features
        what is not of the i-th of n equal parts of the batch; the rest is of all of it.
        """
        batch = self._look_up(numbers, with_video_classes=with_video_classes, with_info=with_info)
        counts = batch.pop("num_frames")
        indices = tf.minimum(tf.range(segment_length(self.margin)), counts[:, None] - 1)
        frames = self._read_frames(*take_share((numbers, indices, counts), share))
        texts = take_share(self._texts_of(batch), share)
        return batch | {"features": frames | texts | {"num_frames": take_share(counts, share)}}

    def read_videos(
        self,
        position: Tensor,
        numbers: Tensor,
        *,
        config: DataConfig,
        seed: int | None,
        with_info: bool,
        share: tuple[int, int] = (0, 1),
    ) -> tuple[dict[str, Any], ...]:
        """In the graph: the whole videos of ``numbers`` (B,) int64, as examples.parse_videos gives them.

        share: as in read_segments; what is drawn for a video does not depend on it.
        """
        batch = self._look_up(numbers, with_info=with_info)
        draws = {"": examples.draw_frames(position, batch["num_frames"], config=config, seed=seed)}
        if config.video_frames:
            draws["video_"] = sample_frames(batch["num_frames"], sampling="uniform", length=config.video_frames)
        features = {}
        for prefix, (indices, counts) in draws.items():
            frames = self._read_frames(*take_share((numbers, indices, counts), share))
            features |= {f"{prefix}{name}": values for name, values in frames.items()}
            features[f"num_{prefix}frames"] = take_share(counts, share)
        features |= take_share(self._texts_of(batch), share)
        targets = {name: batch[name] for name in ("classes", "scores")}
        targets["unrated"] = tf.ones([tf.size(numbers), 1])
        info = {name: batch[name] for name in ("id", "start_time") if name in batch}
        return (features, targets, info) if with_info else (features, targets)

    def _look_up(self, numbers, *, with_video_classes=False, with_info=False):
        """In the graph: what the index says of examples, as a dict of tensors (B, ...)."""
        index = self._index
        kinds = {"num_frames": tf.int32, "start_time": tf.int32, "classes": tf.int32, "scores": tf.float32}
        kinds |= {"video_classes": tf.int32} if with_video_classes else {}
        kinds |= {"id": tf.string} if with_info else {}
        kinds |= {TEXTS: tf.string} if self._num_fields else {}

        def look_up(numbers):
            records = np.searchsorted(index["example_ends"], numbers, side="right")
            ways = {
                "num_frames": lambda: (self._first_rows[numbers + 1] - self._first_rows[numbers]).astype(np.int32),
                "classes": lambda: _padded(index["classes"], index["class_ends"], numbers),
                "scores": lambda: _padded(index["scores"], index["class_ends"], numbers),
                "video_classes": lambda: _padded(index["video_classes"], index["video_class_ends"], records),
                "id": lambda: np.array([self._id(record) for record in records.tolist()], object),
                "start_time": lambda: index["start_time"][numbers],
                TEXTS: lambda: self._texts(numbers),
            }
            return [ways[name]() for name in kinds]

        batch = dict(zip(kinds, tf.numpy_function(look_up, [numbers], list(kinds.values()))))
        for name, values in batch.items():
            values.set_shape([None] if name in ("num_frames", "id", "start_time") else [None, None])
        return batch

    def _read_frames(self, numbers, indices, counts):
        """In the graph: frames ``indices`` (B, T) of examples, zero behind ``counts`` (B,): dict of (B, T, size)."""
        taken = python_call(self._take_frames, [numbers, indices, counts], [tf.uint8] * len(self._features))
        frames = dict(zip(self._features, taken))
        for name, values in frames.items():
            values.set_shape([None, indices.shape[1], self._features[name]])
        return frames

    def _take_frames(self, numbers, indices, counts):
        if not self._first_rows[-1]:
            return [np.zeros((*indices.shape, size), np.uint8) for size in self._features.values()]
        # Videos of texts alone have no row of their own.
        rows = np.clip(self._first_rows[numbers][:, None] + indices, 0, self._first_rows[-1] - 1)
        for _ in range(2):
            frames, damaged = self._checked_frames(rows)
            if damaged is None:
                break
            self._mend(*damaged)
        else:
            raise InputError(f"{self._packing.folder} cannot be read: what is packed anew is damaged again")
        padding = np.arange(indices.shape[1]) >= counts[:, None]
        if padding.any():
            for values in frames:
                values[padding] = 0
        return frames

    def _checked_frames(self, rows):
        """(list of (B, T, size) uint8 of ``rows`` (B, T), (number of a damaged row, its feature) or None)."""
        taken, place = self._take_rows(rows)
        frames, start, print_start = [], 0, sum(self._features.values())
        for name, size in self._features.items():
            values = taken[place, :, start : start + size]
            expected = taken[place, :, print_start : print_start + FINGERPRINT_BYTES]
            found = fingerprints(values.reshape(-1, size)).reshape(expected.shape)
            if not np.array_equal(found, expected):
                first = np.flatnonzero((found != expected).any(axis=-1))[0]
                return [], (int(rows.ravel()[first]), name)
            frames.append(values)
            start, print_start = start + size, print_start + FINGERPRINT_BYTES
        return frames, None

    def _take_rows(self, rows):
        """(rows as they are in the files (B, T, width), file by file; where each of B is among them)."""
        of = np.searchsorted(self._row_bounds, rows[:, 0], side="right") - 1
        order = np.argsort(of, kind="stable")
        rows, of = rows[order], of[order]
        taken = np.empty((*rows.shape, row_width(tuple(self._features.values()))), np.uint8)
        bounds = np.flatnonzero(np.diff(of, prepend=-1, append=-1))
        announced, began = self._from_disk, time.perf_counter()
        for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
            packed, within = self._packed[of[first]], rows[first:last] - self._row_bounds[of[first]]
            if announced:
                packed.announce(within)
            # Clipping, which never happens, spares the copy that a check of the rows would make.
            np.take(packed.rows, within, axis=0, out=taken[first:last], mode="clip")
        self._from_disk = time.perf_counter() - began > _FROM_DISK * rows.size
        return taken, np.argsort(order, kind="stable")

    def _mend(self, row, feature):
        """Packs the file of a damaged row anew, from its records."""
        position = int(np.searchsorted(self._row_bounds, row, side="right")) - 1
        file, before = self._files[position], self._packed[position]
        path = self._packing.path(file)
        number = int(np.searchsorted(self._first_rows, row, side="right")) - 1
        record = int(np.searchsorted(self._index["example_ends"], number, side="right"))
        with self._lock:
            if self._checked_frames(np.array([[row]]))[1] is None:
                # Another thread has met it first.
                return
            within = row - self._row_bounds[position]
            text = f"{path} is packed anew: its row {within} is damaged, a frame of {feature} of video "
            warnings.warn(text + self._id(record).decode(errors="replace"), DataWarning, stacklevel=2)
            self._packing.pack([file], shown=False)
            packed = read_cache_file(path)
            if packed.header["index_crc"] != before.header["index_crc"]:
                raise InputError(f"{file} has changed since {path} was opened, which is damaged: start again")
            self._packed[position] = packed

    def _texts_of(self, batch):
        """Takes what features have of texts out of what was looked up: "texts" (B, F), {} where none are read."""
        return {TEXTS: tf.ensure_shape(batch.pop(TEXTS), [None, self._num_fields])} if self._num_fields else {}

    def _texts(self, numbers):
        """(B, F) texts of examples, as bytes."""
        rows = (numbers[:, None] * self._num_fields + np.arange(self._num_fields)).ravel()
        last = self._index["text_ends"][rows]
        first = np.where(rows > 0, self._index["text_ends"][rows - 1], 0)
        texts = [self._index["texts"][start:end].tobytes() for start, end in zip(first.tolist(), last.tolist())]
        return np.array(texts, object).reshape(-1, self._num_fields)

    def _id(self, record):
        ends = self._index["id_ends"]
        return self._index["ids"][ends[record - 1] if record else 0 : ends[record]].tobytes()

    def _ids(self):
        return map(self._id, range(int(self._record_bounds[-1])))


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
