"""Checks of records: the file, record and field of what is wrong with a data set.

The reader checks whole batches in the graph, which is fast but knows no names. When a check fails, the files are read
again here, record by record, to find the one to blame; and with ``skip_corrupt`` they are read here to begin with.
"""

import contextlib
import os
import shutil
import struct
import tempfile
import warnings
from collections.abc import Iterator, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from yt8m.config import DataConfig
from yt8m.data.tfrecord import ID_KEYS, READ_BYTES, is_gzip, record_dataset
from yt8m.runtime.progress import Progress
from yt8m.types import DataWarning, InputError

SEGMENT_LISTS = ("segment_labels", "segment_start_times", "segment_end_times")
_HEADER_BYTES, _FOOTER_BYTES = 12, 4

_FROM_READING = (
    tf.errors.DataLossError,
    tf.errors.FailedPreconditionError,
    tf.errors.InvalidArgumentError,
    tf.errors.NotFoundError,
    tf.errors.PermissionDeniedError,
    tf.errors.UnavailableError,
    tf.errors.UnknownError,
)
"""Errors that a reader may raise; others, such as of memory, are not looked into."""


@contextlib.contextmanager
def explain_errors(files: Sequence[str], config: DataConfig | None, *, windows: str | None = None) -> Iterator[None]:
    """Context manager for code that consumes a dataset made of ``files``: an error of the reader becomes an InputError
    that names file, record and field. Errors that the files do not explain pass unchanged. Arguments as in diagnose.
    """
    try:
        yield
    except _FROM_READING:
        # Records that are skipped cannot be to blame, files that cannot be read still can.
        skipping = config is not None and config.skip_corrupt
        diagnose(files, None if skipping else config, windows=windows)
        raise


def diagnose(files: Sequence[str], config: DataConfig | None, *, windows: str | None = None) -> None:
    """Reads ``files`` record by record and raises an InputError about the first bad one; returns None if all are good.

    config: DataConfig, None to look at framing and ids only. windows: as in make_dataset, so that only fields that it
    reads are judged; None judges all.
    """
    with Progress("looking for the bad record", total=len(files), unit="files") as progress:
        for file in files:
            for index, _, problem in scan_records(file, config, windows=windows):
                if problem:
                    raise InputError(f"{file}, record {index}: {problem}")
            progress.update()


def good_dataset(files: Sequence[str], config: DataConfig | None, *, windows: str | None = None) -> tf.data.Dataset:
    """tf.data.Dataset of the serialized good records of ``files``; arguments as in diagnose.

    At the end one line on standard error says how many were skipped, and what is wrong with the first.
    """
    return tf.data.Dataset.from_generator(
        lambda: (serialized for _, serialized in good_records(files, config, windows=windows)),
        output_signature=tf.TensorSpec([], tf.string),
    )


def good_records(
    files: Sequence[str], config: DataConfig | None, *, windows: str | None = None
) -> Iterator[tuple[int, bytes | None]]:
    """Generator of (position in ``files``, serialized) of the good records; otherwise as good_dataset."""
    skipped, first = 0, None
    try:
        for position, file in enumerate(files):
            for index, serialized, problem in scan_records(file, config, windows=windows):
                if problem is None:
                    yield position, serialized
                    continue
                skipped += 1
                first = first or f"{file}, record {index}: {problem}"
    finally:
        if skipped:
            text = f"skipped {skipped} corrupt record{'s' if skipped > 1 else ''}; the first: {first}"
            warnings.warn(text, DataWarning, stacklevel=2)


def scan_records(
    file: str, config: DataConfig | None, *, windows: str | None = None
) -> Iterator[tuple[int, bytes | None, str | None]]:
    """Generator of (index, serialized or None, problem or None) for every record of ``file``; arguments as in diagnose.

    Goes on behind a record whose checksum is wrong if the length that its header gives can be trusted.
    """
    index, rest = 0, file
    with tempfile.TemporaryDirectory() as directory:
        while rest is not None:
            offset = 0
            try:
                for serialized in record_dataset(rest).as_numpy_iterator():
                    yield index, serialized, check_record(serialized, config, windows=windows)
                    index += 1
                    offset += _HEADER_BYTES + len(serialized) + _FOOTER_BYTES
                return
            except tf.errors.DataLossError:
                yield index, None, "it is truncated or corrupt"
                index += 1
                rest = _copy_behind(rest, offset, os.path.join(directory, str(index)))
            except tf.errors.OpError as error:
                raise InputError(f"cannot read {file}: {_short(error)}") from error


def _copy_behind(file, offset, target):
    """Copies what stands behind the record at ``offset``, because TensorFlow reads files from their beginning only.

    Returns ``target``, or None where there is nothing or where the next record starts cannot be known.
    """
    if is_gzip(file):
        return None
    with tf.io.gfile.GFile(file, "rb") as source:
        source.seek(offset)
        header = source.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or struct.unpack("<I", header[8:])[0] != _masked_crc32c(header[:8]):
            return None
        following = offset + _HEADER_BYTES + struct.unpack("<Q", header[:8])[0] + _FOOTER_BYTES
        if following >= source.size():
            return None
        source.seek(following)
        with open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, READ_BYTES)
    return target


def _masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 & -(crc & 1))
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def check_record(serialized: bytes, config: DataConfig | None, *, windows: str | None = None) -> str | None:
    """Problem of one serialized record, as half a sentence that names the field; None if it is good.

    Arguments as in diagnose.
    """
    level = config.level if config else "frame"
    try:
        if level == "video":
            context = tf.train.Example.FromString(serialized).features.feature
        else:
            example = tf.train.SequenceExample.FromString(serialized)
            context = example.context.feature
    except DecodeError:
        return f"it is not {'an Example' if level == 'video' else 'a SequenceExample'}"
    problem = _check_id(context)
    if problem or not config:
        return problem
    if windows in (None, "video") or config.unrated == "video_negative" and windows == "rated":
        problem = _check_classes(context, "labels", config) or _check_label_scores(context)
    if problem:
        return problem
    if level == "video":
        return _check_means(context, config)
    problem, num_frames = _check_frames(example.feature_lists.feature_list, context, config)
    if problem is None and windows in (None, "rated"):
        problem = _check_segments(context, num_frames, config)
    return problem


def _check_id(context):
    ids = [value for key in ID_KEYS for value in _values(context, key, "bytes_list")]
    return None if ids and ids[0] else "id is missing"


def _check_classes(context, name, config):
    if _kind(context, name) not in (None, "int64_list"):
        return f"{name} is a {_kind(context, name)}, not an int64_list"
    for class_id in _values(context, name, "int64_list"):
        if not 0 <= class_id < config.num_classes:
            return f"{name} holds class {class_id}, outside [0, {config.num_classes})"
    return None


def _check_label_scores(context):
    if _kind(context, "label_scores") not in (None, "float_list"):
        return f"label_scores is a {_kind(context, 'label_scores')}, not a float_list"
    labels, scores = len(_values(context, "labels", "int64_list")), len(_values(context, "label_scores", "float_list"))
    return f"labels and label_scores have {labels} and {scores} values" if scores and scores != labels else None


def _check_means(context, config):
    for name, size in config.features.items():
        if name not in context:
            return f"{name} is missing; the record has {', '.join(sorted(context))}"
        found = len(context[name].float_list.value)
        if found != size:
            return f"{name} has {found} floats, not {size}"
    return None


def _check_frames(lists, context, config):
    """(problem or None, number of frames of the shortest feature)."""
    lengths = []
    for name, size in config.features.items():
        if name not in lists:
            return f"{name} is missing; the record has {', '.join(sorted(lists) or sorted(context))}", 0
        lengths.append(len(lists[name].feature))
        for frame, feature in enumerate(lists[name].feature):
            values = feature.bytes_list.value
            if len(values) != 1 or len(values[0]) != size:
                found = f"{len(values[0])} bytes" if len(values) == 1 else f"{len(values)} byte strings"
                return f"frame {frame} of {name} has {found}, not {size} bytes", 0
        if not lengths[-1]:
            return f"{name} has no frames", 0
    return None, min(lengths)


def _check_segments(context, num_frames, config):
    for name in SEGMENT_LISTS:
        if _kind(context, name) not in (None, "int64_list"):
            return f"{name} is a {_kind(context, name)}, not an int64_list"
    if _kind(context, "segment_scores") not in (None, "float_list"):
        return f"segment_scores is a {_kind(context, 'segment_scores')}, not a float_list"
    lengths = {name: len(_values(context, name, "int64_list")) for name in SEGMENT_LISTS}
    lengths["segment_scores"] = len(_values(context, "segment_scores", "float_list"))
    if lengths["segment_end_times"] == 0:
        del lengths["segment_end_times"]
    if len(set(lengths.values())) > 1:
        return f"{', '.join(lengths)} have {', '.join(map(str, lengths.values()))} values, and must have equally many"
    for start in _values(context, "segment_start_times", "int64_list"):
        if not 0 <= start < num_frames:
            return f"segment_start_times holds {start}, outside the {num_frames} frames of the video"
    return _check_classes(context, "segment_labels", config)


def _short(error):
    """TensorFlow's message, without the name of the graph node."""
    return error.message.rpartition("}} ")[2].partition(" [Op:")[0]


def _values(context, name, kind):
    """Values of a field; to look an absent one up in the map itself would add it."""
    return getattr(context[name], kind).value if name in context else ()


def _kind(context, name):
    return context[name].WhichOneof("kind") if name in context else None
