"""Checks of records: the file, record and field of what is wrong with a data set.

The reader checks whole batches in the graph, which is fast but knows no names. When a check fails, the files are read
again here, record by record, to find the one to blame; and with ``skip_corrupt`` they are read here to begin with.
"""

import contextlib
import math
import os
import warnings
from collections.abc import Iterator, Sequence

import tensorflow as tf
from google.protobuf.message import DecodeError

from yt8m.config import DataConfig
from yt8m.data.clip_checks import check_clip
from yt8m.data.clip_records import MEDIASEQUENCE
from yt8m.data.python_calls import input_error_of
from yt8m.data.record_dataset import as_parallel_as_cores, names_of
from yt8m.data.scan import Scanned, scan
from yt8m.data.text_fields import text_problem
from yt8m.data.tfrecord import ID_KEYS
from yt8m.runtime.progress import Progress
from yt8m.types import DataWarning, InputError, Tensor, id_problem

SEGMENT_LISTS = ("segment_labels", "segment_start_times", "segment_end_times")

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
    except _FROM_READING as error:
        if raised := input_error_of(error):
            raise raised from error
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
            for record in scan_records(file, config, windows=windows):
                if record.problem:
                    raise InputError(f"{file}, record {record.number}: {record.problem}")
            progress.update()


def good_dataset(
    files: Sequence[str] | Tensor, config: DataConfig | None, *, windows: str | None = None
) -> tf.data.Dataset:
    """tf.data.Dataset of the serialized good records of ``files``, also a string tensor; arguments as in diagnose.

    At the end one line on standard error says how many were skipped, and what is wrong with the first.
    """

    def read(names):
        found = good_records([os.fsdecode(name) for name in names], config, windows=windows)
        yield from (serialized for _, serialized in found)

    signature = tf.TensorSpec([], tf.string)
    records = tf.data.Dataset.from_generator(read, args=(names_of(files),), output_signature=signature)
    return as_parallel_as_cores(records)


def good_records(
    files: Sequence[str], config: DataConfig | None, *, windows: str | None = None
) -> Iterator[tuple[int, bytes | None]]:
    """Generator of (position in ``files``, serialized) of the good records; otherwise as good_dataset."""
    skipped, lost, first = 0, 0, ""
    try:
        for position, file in enumerate(files):
            for record in scan_records(file, config, windows=windows):
                if not record.problem:
                    yield position, record.serialized
                    continue
                skipped += 1
                lost += record.lost
                first = first or f"{file}, record {record.number}: {record.problem}"
    finally:
        if skipped:
            text = f"skipped {skipped} corrupt record{'s' if skipped > 1 else ''}"
            text += f", among them {lost:,} bytes that hold no whole record" if lost else ""
            warnings.warn(f"{text}; the first: {first}", DataWarning, stacklevel=2)


def scan_records(file: str, config: DataConfig | None, *, windows: str | None = None) -> Iterator[Scanned]:
    """Generator of every record of ``file``, with what is wrong with it; arguments as in diagnose.

    Goes on behind damaged records, see yt8m.data.scan.
    """
    for found in scan(file):
        problem = None if found.serialized is None else check_record(found.serialized, config, windows=windows)
        yield found._replace(problem=problem) if problem else found


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
    if problem := text_problem(context, config.text.fields):
        return problem
    if windows in (None, "video") or config.unrated == "video_negative" and windows == "rated":
        labels, scores = _label_fields(context, level)
        problem = _check_classes(context, labels, config) or _check_label_scores(context, labels, scores)
    if problem:
        return problem
    if level == "video":
        return _check_means(context, config)
    if level == "clip":
        problem, num_frames = check_clip(example)
    else:
        problem, num_frames = _check_frames(example.feature_lists.feature_list, context, config)
    if problem is None and windows in (None, "rated"):
        problem = _check_segments(context, num_frames, config)
    return problem


def _label_fields(context, level):
    """Names of the fields of the labels and their scores: of a clip without labels of ours, MediaSequence's."""
    if level == "clip" and not _values(context, "labels", "int64_list"):
        return MEDIASEQUENCE["labels"], MEDIASEQUENCE["label_scores"]
    return "labels", "label_scores"


def _check_id(context):
    ids = []
    for key in ID_KEYS:
        if _kind(context, key) not in (None, "bytes_list"):
            return f"{key} is {_a(_kind(context, key))}, not a bytes_list"
        found = _values(context, key, "bytes_list")
        if len(found) > 1:
            return f"{key} has {len(found)} values"
        ids += [value for value in found if value]
    if not ids:
        return "id is missing"
    problem = id_problem(ids[0])
    if not problem:
        return None
    return f"the id {ascii(ids[0].decode(errors='replace'))[:200]} {problem}; yt8m-pack --sanitize_ids renames such"


def _check_finite(context, name):
    """A problem of a list of floats that holds NaN or an infinity."""
    wrong = next((value for value in _values(context, name, "float_list") if not math.isfinite(value)), None)
    return None if wrong is None else f"{name} holds {wrong}"


def _check_classes(context, name, config):
    if _kind(context, name) not in (None, "int64_list"):
        return f"{name} is {_a(_kind(context, name))}, not an int64_list"
    for class_id in _values(context, name, "int64_list"):
        if not 0 <= class_id < config.num_classes:
            return f"{name} holds class {class_id}, outside [0, {config.num_classes})"
    return None


def _check_label_scores(context, names, scores):
    if _kind(context, scores) not in (None, "float_list"):
        return f"{scores} is {_a(_kind(context, scores))}, not a float_list"
    labels, found = len(_values(context, names, "int64_list")), len(_values(context, scores, "float_list"))
    if found and found != labels:
        return f"{names} and {scores} have {labels} and {found} values"
    return _check_finite(context, scores)


def _check_means(context, config):
    for name, size in config.features.items():
        if name not in context:
            return f"{name} is missing; the record has {', '.join(sorted(context))}"
        found = len(context[name].float_list.value)
        if found != size:
            return f"{name} has {found} floats, not {size}"
        problem = _check_finite(context, name)
        if problem:
            return problem
    return None


def _check_frames(lists, context, config):
    """(problem or None, number of frames of the shortest feature)."""
    if config.text.fields and not any(lists[name].feature for name in config.features if name in lists):
        return None, 0
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
            return f"{name} is {_a(_kind(context, name))}, not an int64_list"
    if _kind(context, "segment_scores") not in (None, "float_list"):
        return f"segment_scores is {_a(_kind(context, 'segment_scores'))}, not a float_list"
    lengths = {name: len(_values(context, name, "int64_list")) for name in SEGMENT_LISTS}
    lengths["segment_scores"] = len(_values(context, "segment_scores", "float_list"))
    if lengths["segment_end_times"] == 0:
        del lengths["segment_end_times"]
    if len(set(lengths.values())) > 1:
        return f"{', '.join(lengths)} have {', '.join(map(str, lengths.values()))} values, and must have equally many"
    for start in _values(context, "segment_start_times", "int64_list"):
        if not 0 <= start < num_frames:
            unit = "seconds of the clip" if config.level == "clip" else "frames of the video"
            return f"segment_start_times holds {start}, outside the {num_frames} {unit}"
    return _check_classes(context, "segment_labels", config) or _check_finite(context, "segment_scores")


def _values(context, name, kind):
    """Values of a field; to look an absent one up in the map itself would add it."""
    return getattr(context[name], kind).value if name in context else ()


def _kind(context, name):
    return context[name].WhichOneof("kind") if name in context else None


def _a(kind):
    return f"{'an' if kind.startswith('int') else 'a'} {kind}"
