"""The labels of a data set read whole, with the frames left unread."""

from collections.abc import Callable, Sequence

import numpy as np

from yt8m.config import DataConfig
from yt8m.data import record_checks, tfrecord
from yt8m.data.clip_records import parse_clip_context
from yt8m.data.examples import check_ratings, class_columns
from yt8m.data.pipeline import read_blocks
from yt8m.data.record_dataset import parallel_map
from yt8m.data.scan import probe
from yt8m.data.splits import Source
from yt8m.ranking.metrics import POSITIVE
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.types import InputError, Segment


def read_rated_labels(
    files: Sequence[str], config: DataConfig, *, keep: Callable[[str], bool] | None = None
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """All ratings of ``files``, in file order. keep: predicate on the video id (str), for the videos to read.

    Returns (segments, list of str "id:start"; class ids (N,) int64 array; scores (N,) float32 array).
    Raises InputError naming file, record and field of what cannot be read, or where nothing is rated.
    """
    segments, classes, scores = [], [], []
    for ids, context in _contexts(files, config, windows="rated", keep=keep):
        starts = context["segment_start_times"]
        videos = ids[starts.value_rowids()]
        segments += [str(Segment(*pair)) for pair in zip(_text(videos), starts.values.numpy())]
        classes.append(context["segment_labels"].values.numpy())
        scores.append(context["segment_scores"].values.numpy())
    if not segments:
        raise InputError(f"{files[0]}{' and the others hold' if len(files) > 1 else ' holds'} no rated segments")
    return segments, np.concatenate(classes), np.concatenate(scores)


def load_rated_labels(source: Source) -> RatedLabels:
    """The RatedLabels of all ratings of ``source``, a Source of frame-level or clip records."""
    config = _found_config(source)
    return RatedLabels(*read_rated_labels(list(source.files), config, keep=source.keep))


def repeat_factors(source: Source, config: DataConfig, *, threshold: float) -> np.ndarray:
    """(C,) float32, how often a segment of each class is to be seen in an epoch: max(1, sqrt(threshold / f)).

    Repeat factor sampling (Gupta et al. 2019, LVIS, section 5.1), see yt8m.data.balance.

    f: the share of the rated segments of ``source``, a Source, in which the class is; config: DataConfig. Reads all
    ratings once, and raises InputError where nothing is rated. A class that is in none has 1.
    """
    segments, class_ids, scores = read_rated_labels(list(source.files), config, keep=source.keep)
    share = np.bincount(class_ids[scores >= POSITIVE], minlength=config.num_classes) / max(1, len(set(segments)))
    return np.sqrt(np.maximum(1, threshold / np.where(share > 0, share, threshold))).astype(np.float32)


def read_video_labels(files: Sequence[str], config: DataConfig) -> tuple[list[str], list[np.ndarray]]:
    """The labels of every video of ``files``, in file order: (ids, list of str; labels, list of int64 arrays).

    Raises InputError naming file, record and field of what cannot be read.
    """
    videos, labels = [], []
    for ids, context in _contexts(files, config, windows="video"):
        videos += _text(ids)
        labels += np.split(context["labels"].values.numpy(), context["labels"].row_splits[1:-1].numpy())
    return videos, labels


def load_video_labels(source: Source) -> dict[str, tuple[int, ...]]:
    """Dict of video id to its classes, of all videos of ``source``, a Source of records of any level."""
    videos, labels = read_video_labels(list(source.files), _found_config(source))
    keep = source.keep or (lambda video_id: True)
    return {video_id: tuple(classes.tolist()) for video_id, classes in zip(videos, labels) if keep(video_id)}


def _found_config(source):
    """The DataConfig of records as the first of them says."""
    found = probe(source.files)
    names, sizes = tuple(found.features), tuple(found.features.values())
    return DataConfig(feature_names=names, feature_sizes=sizes, level=found.level)


def _contexts(files, config, *, windows, keep=None):
    """Batches of (ids array, dict of RaggedTensors), with the frames left unread."""
    rated = windows == "rated"

    def parse(serialized):
        parse_context = parse_clip_context if config.level == "clip" else tfrecord.parse_context
        ids, context = parse_context(
            serialized,
            lists=record_checks.SEGMENT_LISTS if rated else ("labels",),
            float_lists=("segment_scores",) if rated else (),
        )
        if rated:
            starts, scores = check_ratings(context)
            context["segment_start_times"] = context["segment_start_times"].with_values(starts)
            context["segment_scores"] = context["segment_scores"].with_values(scores)
        field = "segment_labels" if rated else "labels"
        class_columns(context[field], field, config)
        return ids, context

    with record_checks.explain_errors(files, config, windows=windows):
        for ids, context in parallel_map(read_blocks(files, config, windows=windows, keep=keep), parse):
            yield ids.numpy(), context


def _text(ids):
    return [video_id.decode(errors="replace") for video_id in ids]
