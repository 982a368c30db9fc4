"""The file format: YouTube-8M records as TFRecords, found, looked at, written and parsed.

Frame level: a SequenceExample a video. Context: ``id`` (``video_id`` in old files) bytes, ``labels`` int64 list, and in
segment files ``segment_labels``, ``segment_start_times``, ``segment_end_times`` int64 lists and ``segment_scores``
float list, all of one length. Feature lists: one bytes value of as many bytes as the feature has dimensions a frame,
1 frame a second. Video level: an Example with id, ``labels`` and one float list a feature. Clip level: see
yt8m.data.clip_records.
Source: research.google.com/youtube8m/download.html.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from yt8m.data.text_fields import PREFIX, fields_of, set_texts
from yt8m.runtime.files import atomic_path, read_json
from yt8m.train_parts import CHANNELS
from yt8m.types import (
    MAX_ID_BYTES,
    NOT_IN_IDS,
    PICTURES,
    QUANTIZED_OFFSET,
    QUANTIZED_SCALE,
    SEGMENT_SECONDS,
    InputError,
    StrPath,
    Tensor,
    TimedText,
)

ID_KEYS = ("id", "video_id", "example/id", "clip/media_id")
"""Fields of the id, of which the first that is there counts: ours, that of old files, and MediaSequence's two."""

PICTURE_LIST = "image/encoded"
"""Feature list that makes a record a clip, see yt8m.data.clip_records."""

_ID_PATTERN = "[^{}]+".format("".join(rf"\x{{{first:x}}}-\x{{{last:x}}}" for first, last in NOT_IN_IDS))
BLOCK = 32
"""Records that are read and parsed together."""

PACK_LOG = "pack.json"
"""File beside packed records that says what was packed."""

READ_BYTES = 4 << 20
"""Read buffer of a file; more than 8 MB makes reading slower."""


def dequantize(values: np.ndarray) -> np.ndarray:
    """uint8 array -> float32 array of the same shape in [-1.99, 2.01]: q * 4 / 255 + 4 / 512 - 2.

    Source: ``utils.Dequantize`` of the YouTube-8M starter program.
    """
    return np.asarray(values, np.float32) * QUANTIZED_SCALE + QUANTIZED_OFFSET


def quantize(values: np.ndarray) -> np.ndarray:
    """Float array -> the uint8 array of the same shape whose ``dequantize`` is nearest."""
    return np.clip(np.rint((np.asarray(values) - QUANTIZED_OFFSET) / QUANTIZED_SCALE), 0, 255).astype(np.uint8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrameRecord:
    """A video as its frames.

    features: dict of name to (frames, size) uint8 array. labels: class ids, None to write no such field.
    label_scores: a score in [0, 1] for each of labels, None where each is 1. segments: (start_time, class_id, score)
    triples, None to write no segment fields. texts: see yt8m.data.text_fields.
    """

    video_id: str
    features: dict
    labels: tuple | None = None
    label_scores: tuple | None = None
    segments: tuple | None = None
    texts: tuple[TimedText, ...] = ()

    def serialize(self, *, id_key: str = "id") -> bytes:
        """Bytes of the SequenceExample."""
        example = tf.train.SequenceExample()
        context = example.context.feature
        context[id_key].bytes_list.value.append(self.video_id.encode())
        set_labels(context, self)
        set_ratings(context, self.segments)
        set_texts(context, self.texts)
        for name, frames in self.features.items():
            feature = example.feature_lists.feature_list[name].feature
            for frame in np.asarray(frames, np.uint8):
                feature.add().bytes_list.value.append(frame.tobytes())
        return example.SerializeToString(deterministic=True)


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoRecord:
    """A video as the mean of its frames. features: dict of name to (size,) float array; the rest as in FrameRecord."""

    video_id: str
    features: dict
    labels: tuple | None = None
    label_scores: tuple | None = None
    texts: tuple[TimedText, ...] = ()

    def serialize(self, *, id_key: str = "id") -> bytes:
        """Bytes of the Example."""
        example = tf.train.Example()
        feature = example.features.feature
        feature[id_key].bytes_list.value.append(self.video_id.encode())
        set_labels(feature, self)
        set_texts(feature, self.texts)
        for name, values in self.features.items():
            feature[name].float_list.value.extend(np.asarray(values, np.float32).tolist())
        return example.SerializeToString(deterministic=True)


def set_labels(context: Any, record: Any) -> None:
    """Writes the labels of a record, and their scores, into the map of its context."""
    if record.labels is not None:
        context["labels"].int64_list.value.extend(record.labels)
    if record.label_scores is not None:
        context["label_scores"].float_list.value.extend(record.label_scores)


def set_ratings(context: Any, segments: tuple | None) -> None:
    """Writes (start_time, class_id, score) triples into the map of a record's context; None writes no field."""
    if segments is None:
        return
    starts, classes, scores = zip(*segments) if segments else ((), (), ())
    context["segment_labels"].int64_list.value.extend(classes)
    context["segment_start_times"].int64_list.value.extend(starts)
    context["segment_end_times"].int64_list.value.extend(start + SEGMENT_SECONDS for start in starts)
    context["segment_scores"].float_list.value.extend(scores)


def write_records(path: StrPath, records: Iterable[Any], *, id_key: str = "id") -> int:
    """Writes FrameRecords, VideoRecords, ClipRecords or serialized ones to ``path``, and returns how many.

    Atomically, gzipped where it ends in .gz. id_key: name of the id, but of what is serialized.
    """
    count = 0
    with atomic_path(path) as temporary:
        with tf.io.TFRecordWriter(temporary, options="GZIP" if is_gzip(path) else "") as writer:
            for record in records:
                writer.write(record if isinstance(record, bytes) else record.serialize(id_key=id_key))
                count += 1
    return count


def list_files(pattern: str | Sequence[str]) -> list[str]:
    """The files that ``pattern`` names: sorted list of str without repetitions.

    pattern: paths or globs, separated by commas, or a list of such; local or whatever tf.io.gfile opens (gs://).
    Raises InputError where a part matches nothing or a file is empty, a directory or unreadable.
    """
    files = match_files(pattern)
    # Over a network each look costs a round trip.
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        list(pool.map(check_file, files))
    return files


def match_files(pattern: str | Sequence[str]) -> list[str]:
    """The files that ``pattern`` matches, as list_files, without a look at them.

    Names that begin with a dot are left out, as in shells, unless the pattern has the dot: half-written files do.
    """
    parts = [pattern] if isinstance(pattern, str) else list(pattern)
    parts = [part.strip() for item in parts for part in item.split(",") if part.strip()]
    if not parts:
        raise InputError("the data pattern is empty: give files or globs, separated by commas")
    files = set()
    for part in parts:
        try:
            found = tf.io.gfile.glob(part)
        except tf.errors.OpError as error:
            raise InputError(f"cannot list {part}: {error.message}") from error
        shown = [file for file in found if not _is_hidden(file, part)]
        if not shown:
            hidden = f" but {len(found)} hidden ones, the first {found[0]}" if found else ""
            raise InputError(f"no file matches {part}{hidden}")
        files.update(shown)
    return sorted(files)


def _is_hidden(file, pattern):
    """Whether a wildcard of ``pattern`` stands for a leading dot in ``file``."""
    # From the end, because a relative pattern may give absolute names.
    pairs = zip(reversed(file.split("/")), reversed(pattern.split("/")))
    return any(name.startswith(".") and not part.startswith(".") for name, part in pairs)


def check_file(file: str) -> int:
    """Bytes of ``file``; raises InputError where it is empty, a directory or unreadable."""
    try:
        status = tf.io.gfile.stat(file)
    except tf.errors.OpError as error:
        raise InputError(f"cannot read {file}: {error.message}") from error
    if status.is_directory:
        raise InputError(f"{file} is a directory: name its files, as in {file.rstrip('/')}/*.tfrecord")
    if status.length == 0:
        raise InputError(f"{file} is empty")
    expected = packed_numbers(file).get("bytes", status.length)
    if expected != status.length:
        raise InputError(
            f"{file} has {status.length:,} bytes, and {PACK_LOG} beside it says {expected:,}: it was cut or changed"
        )
    return status.length


def packed_numbers(file: str) -> dict[str, int]:
    """What pack.json beside a local file says of it: "bytes" and "records"; empty where it says nothing."""
    path = os.path.join(os.path.dirname(file), PACK_LOG)
    try:
        changed = os.stat(path).st_mtime_ns
    except OSError:
        return {}
    return _read_packed_numbers(path, changed).get(os.path.basename(file), {})


@functools.lru_cache(256)
def _read_packed_numbers(path, _):
    shards = read_json(path, what="yt8m-pack's list of files").get("shards")
    if not isinstance(shards, dict):
        return {}
    return {
        name: {key: shard[key] for key in ("bytes", "records") if isinstance(shard.get(key), int)}
        for name, shard in shards.items()
        if isinstance(shard, dict)
    }


def is_gzip(path: StrPath) -> bool:
    """Whether the file at ``path`` (str or path) is gzipped, by its suffix."""
    return str(path).endswith(".gz")


def is_plain(path: str) -> bool:
    """Whether a file is local and not gzipped, so that a record of it can be looked at in its place."""
    return "://" not in path and not is_gzip(path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Probe:
    """Contents of the first records of a file; ``features`` is a dict of name to size in the file's order.

    floats: names of feature lists of floats, which are read by yt8m-pack alone. texts: names of fields of texts.
    """

    level: str
    features: dict
    id_key: str | None
    has_labels: bool
    has_segment_labels: bool
    floats: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


def describe(records: Sequence[bytes]) -> Probe | None:
    """The Probe of serialized ``records``, None where none of them is a SequenceExample or Example."""
    examples = []
    for serialized in records:
        with contextlib.suppress(DecodeError):
            examples.append(tf.train.SequenceExample.FromString(serialized))
    if not examples:
        return None
    # Example.features and SequenceExample.context have the same field number, so one parses as the other.
    contexts = [example.context.feature for example in examples]
    lists = [example.feature_lists.feature_list for example in examples]
    level = "clip" if any(PICTURE_LIST in item for item in lists) else "frame" if any(lists) else "video"
    features = {PICTURES: CHANNELS} if level == "clip" else {}
    for name, value in itertools.chain.from_iterable(item.items() for item in (lists if any(lists) else contexts)):
        if level == "frame" and value.feature and value.feature[0].bytes_list.value:
            features.setdefault(name, len(value.feature[0].bytes_list.value[0]))
        elif level == "video" and value.WhichOneof("kind") == "float_list" and not name.startswith(PREFIX):
            features.setdefault(name, len(value.float_list.value))
    floats = {
        name
        for name, value in itertools.chain.from_iterable(item.items() for item in lists)
        if value.feature and value.feature[0].WhichOneof("kind") == "float_list"
    }
    return Probe(
        level=level,
        floats=tuple(sorted(floats)),
        texts=tuple(sorted(set().union(*map(fields_of, contexts)))),
        features=dict(sorted(features.items())),
        id_key=next((key for key in ID_KEYS if key in contexts[0]), None),
        has_labels=any("labels" in context or "clip/label/index" in context for context in contexts),
        has_segment_labels=any("segment_labels" in context for context in contexts),
    )


def parse_frames(
    serialized: Tensor,
    *,
    features: Iterable[str],
    lists: Iterable[str] = (),
    float_lists: Iterable[str] = (),
    may_lack: bool = False,
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
    """Parses a batch of SequenceExamples in the graph; frames stay strings, so that unwanted ones are never decoded.

    serialized: (B,) string. features: names of feature lists. lists, float_lists: context fields of int64 and float32.
    may_lack: whether a record may be without a feature list, whose number of frames is 0 then.
    Returns (ids (B,) string, dict of context field to RaggedTensor (B, None), dict of feature to (B, T) string padded
    with "", dict of feature to (B,) int64 number of frames). Raises tf.errors.InvalidArgumentError on a bad record.
    """
    context, frames, lengths = tf.io.parse_sequence_example(
        serialized,
        context_features=context_schema(lists, float_lists),
        sequence_features={
            name: tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=may_lack) for name in features
        }
        or None,
    )
    return take_ids(context), context, frames, lengths


def parse_videos(
    serialized: Tensor, *, features: Mapping[str, int], lists: Iterable[str] = (), float_lists: Iterable[str] = ()
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Parses a batch of Examples. features: dict of name to size. lists, float_lists: as in parse_frames.

    Returns (ids (B,) string, dict of context field to RaggedTensor (B, None), dict of feature to (B, size) float32).
    Raises tf.errors.InvalidArgumentError on a bad record.
    """
    schema = {name: tf.io.FixedLenFeature([size], tf.float32) for name, size in features.items()}
    context = tf.io.parse_example(serialized, context_schema(lists, float_lists) | schema)
    return take_ids(context), context, {name: context.pop(name) for name in features}


def parse_context(
    serialized: Tensor, *, lists: Iterable[str] = (), float_lists: Iterable[str] = ()
) -> tuple[Tensor, dict[str, Tensor]]:
    """Ids (B,) and dict of context field to RaggedTensor (B, None), of records of either level; frames are skipped."""
    ids, context, _, _ = parse_frames(serialized, features=(), lists=lists, float_lists=float_lists)
    return ids, context


def context_schema(lists: Iterable[str], float_lists: Iterable[str]) -> dict[str, Any]:
    """What to parse of the context of records: the id, and fields of int64 and float32."""
    return (
        {key: tf.io.FixedLenFeature([], tf.string, "") for key in ID_KEYS}
        | {key: tf.io.RaggedFeature(tf.int64, row_splits_dtype=tf.int64) for key in lists}
        | {key: tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64) for key in float_lists}
    )


def take_ids(context: dict[str, Tensor]) -> Tensor:
    """Takes the ids (B,) string out of what was parsed of a context; asserts in the graph that they are such."""
    ids, *others = (context.pop(key) for key in ID_KEYS)
    for other in others:
        ids = tf.where(ids == "", other, ids)
    # The rule of yt8m.types.id_problem.
    fine = tf.strings.regex_full_match(ids, _ID_PATTERN) & is_utf8(ids) & (tf.strings.length(ids) <= MAX_ID_BYTES)
    return checked(ids, tf.reduce_all(fine), "a record has no id, or one that no submission can hold")


def is_utf8(texts: Tensor) -> Tensor:
    """Whether each string of a tensor is UTF-8, bool of its shape; regular expressions take some halves of pairs."""
    return tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace") == texts


def checked(values: Tensor, condition: Tensor, problem: str) -> Tensor:
    """``values`` as they are, a tensor, once ``condition``, a bool scalar, holds: what is made of them comes after.

    Raises tf.errors.InvalidArgumentError, in the graph, where it does not. An assertion alone runs beside what follows
    it, and some kernels end the process at indices that it would have refused.
    """
    # The plain op: tf.debugging.Assert makes a conditional of it, which takes longer to trace than all around it.
    with tf.control_dependencies([tf.raw_ops.Assert(condition=condition, data=[problem])]):
        return tf.identity(values)


def file_size(file: str) -> int:
    """Bytes of a file, wherever tf.io.gfile finds it."""
    return tf.io.gfile.stat(file).length
