"""Segments or whole videos that a teacher is sure of, chosen out of unlabelled ones and written as records to train on.

What a teacher says is a submission file with scores, of one model or of several, see yt8m.training.teachers; a whole
video stands in it as its segment at 0.
"""

import collections
import dataclasses
import glob
import itertools
import json
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data.clip_records import ClipRecord
from yt8m.data.pipeline import read_blocks
from yt8m.data.record_checks import explain_errors
from yt8m.data.splits import Source
from yt8m.data.text_fields import get_texts, text_problem, texts_of_part
from yt8m.data.tfrecord import ID_KEYS, FrameRecord, VideoRecord, write_records
from yt8m.ranking.submission import Submission
from yt8m.runtime.files import make_folder, write_text
from yt8m.runtime.progress import Progress
from yt8m.training.resampling import Resampling, resample
from yt8m.types import SEGMENT_SECONDS, InputError, Segment, StrPath

_MARGIN = 2
"""Frames kept on either side of a segment, which is what augmentation may ask for."""

_RECORDS_PER_FILE = 2048


@dataclasses.dataclass(frozen=True)
class Choice:
    """Pseudo-labelled segments. segments: dict of Segment to (times it is repeated, dict of class id to score).

    sure, chosen: dict of class id to the number of segments that reached the threshold, and of those taken, repeats
    included. resampling: how near the latter are to the distribution of the rated classes.
    """

    segments: dict
    sure: dict
    chosen: dict
    resampling: Resampling


def choose_segments(
    path: StrPath,
    *,
    thresholds: dict[int, float],
    class_counts: dict[int, int],
    most: int | None = None,
    seed: Sequence[int] = (0,),
) -> Choice:
    """Chooses from the submission at ``path``, which must hold scores (parquet): a Choice.

    thresholds: dict of class id to the score from which the teacher is sure that a segment has the class.
    class_counts: dict of class id to the number of rated positives: the sure segments are drawn with replacement to
    that distribution, see yt8m.training.resampling. most: segments drawn in all, None for as many as there are sure
    ones. seed: ints, of the draw. A segment keeps the teacher's scores of all classes that list it: soft labels. Raises
    InputError where the file holds no scores, or no segment is sure.
    """
    with Submission(path) as submission:
        if not submission.has_scores:
            raise InputError(f"{path} holds no scores, which pseudo-labels are made of: give a parquet submission")
        numbers: dict[str, int] = {}
        candidates = {}
        for class_id in submission:
            if class_counts.get(class_id):
                listed = submission[class_id]
                certain = itertools.compress(listed.texts(), listed.scores >= thresholds[class_id])
                candidates[class_id] = [numbers.setdefault(text, len(numbers)) for text in certain]
        if not numbers:
            lowest = min(thresholds.values())
            raise InputError(f"the teacher is sure of no segment: none scores {lowest:g}, lower the threshold")
        total = len(numbers) if most is None else min(most, len(numbers))
        drawn, resampling = resample(candidates, class_counts=class_counts, total=total, seed=seed)
        texts = list(numbers)
        repeats = {texts[number]: times for number, times in drawn.items()}
        labels: dict[str, dict[int, float]] = {text: {} for text in repeats}
        for class_id in submission:
            listed = submission[class_id]
            for text, score in zip(listed.texts(), listed.scores.tolist()):
                if text in labels:
                    labels[text][class_id] = score
    chosen: collections.Counter[int] = collections.Counter()
    for class_id, of_class in candidates.items():
        chosen[class_id] += sum(drawn.get(number, 0) for number in of_class)
    segments = {Segment.parse(text): (times, labels[text]) for text, times in repeats.items()}
    sure = {class_id: len(of_class) for class_id, of_class in candidates.items()}
    return Choice(segments, sure, dict(sorted((+chosen).items())), resampling)


def best_f1_thresholds(
    class_ids: np.ndarray, positive: np.ndarray, scores: np.ndarray, *, otherwise: float
) -> dict[int, float]:
    """Dict of class id to the score at which its F1 is highest on rated pairs.

    class_ids, positive (bool), scores: (N,), one entry a rated pair; positives that are not listed have score 0, and
    count. A class without positives, without negatives or without a hit gets ``otherwise``.
    """
    thresholds = {}
    for class_id in np.unique(class_ids).tolist():
        rows = np.flatnonzero(class_ids == class_id)
        order = rows[np.argsort(-scores[rows], kind="stable")]
        right, ranked = positive[order], scores[order]
        if not right.any() or right.all():
            thresholds[class_id] = otherwise
            continue
        # 2 TP / (TP + FP + P); a cut may not part equal scores.
        f1 = 2 * np.cumsum(right) / (np.arange(1, len(order) + 1) + right.sum())
        f1[:-1][ranked[:-1] == ranked[1:]] = 0
        # Score 0 is that of what is not listed, which no threshold can tell apart.
        f1[ranked <= 0] = 0
        thresholds[class_id] = float(ranked[np.argmax(f1)]) if f1.any() else otherwise
    return thresholds


def write_pseudo_labels(
    folder: StrPath,
    choice: Choice,
    source: Source,
    config: DataConfig,
    *,
    segments: bool = True,
    details: dict[str, Any] | None = None,
) -> str:
    """Writes the examples of ``choice`` as records to ``folder``; returns the pattern of the files.

    source: the unlabelled Source they are from; config: DataConfig. segments: a record is the pictures of one segment,
    or its frames and two to either side, with its texts, its soft labels as ratings and the id of its video; False: a
    record is the whole video, at the source's level, with its soft labels as label_scores. pseudo.json is written last:
    counts and ``details``, a dict of JSON values. Raises InputError for a text that cannot be read.
    """
    make_folder(folder)
    for stale in glob.glob(os.path.join(glob.escape(os.fspath(folder)), "pseudo-*.tfrecord")):
        os.unlink(stale)
    records = _make_records(choice, source, config, _cut if segments else _whole)
    count = 0
    for number in itertools.count():
        first = next(records, None)
        if first is None:
            break
        some = itertools.chain([first], itertools.islice(records, _RECORDS_PER_FILE - 1))
        count += write_records(os.path.join(folder, f"pseudo-{number:05d}.tfrecord"), some)
    wanted = sum(times for times, _ in choice.segments.values())
    if count < wanted:
        raise InputError(
            f"the teacher lists {wanted - count} {'segments' if segments else 'videos'} that {source.files[0]} and "
            f"{len(source.files) - 1} more do not have"
        )
    summary = {"records": count, "sure": choice.sure, "chosen": choice.chosen}
    summary |= {"resampling": choice.resampling.to_dict(), "told": choice.resampling.told()} | (details or {})
    write_text(os.path.join(folder, "pseudo.json"), json.dumps(summary, indent=2) + "\n")
    return os.path.join(folder, "pseudo-*.tfrecord")


def _make_records(choice, source, config, make):
    """Yields a record for each chosen example, repeats included, as ``make`` (_cut or _whole) makes it."""
    wanted = collections.defaultdict(list)
    for segment, (times, labels) in choice.segments.items():
        wanted[segment.video_id].append((segment.start_time, times, labels))
    found = set()
    progress = Progress("writing pseudo-labels", total=len(wanted), unit="videos")
    with explain_errors(source.files, config), progress:
        # Only frames or means are looked at: other labels may be of another vocabulary.
        for block in read_blocks(list(source.files), config, windows="all", keep=wanted.__contains__):
            for serialized in block.numpy():
                video_id, features, texts = _parse(serialized, config)
                if video_id in found:
                    continue
                found.add(video_id)
                for start, times, labels in sorted(wanted[video_id], key=lambda entry: entry[0]):
                    yield from itertools.repeat(make(video_id, features, texts, start, labels), times)
                progress.update()


def _parse(serialized, config):
    """Id, features and texts of a record; of a clip the ClipRecord as features, and no texts, which no model reads."""
    if config.level == "clip":
        clip = ClipRecord.parse(serialized)
        return clip.video_id, clip, ()
    if config.level == "video":
        context = tf.train.Example.FromString(serialized).features.feature
        means = {name: np.array(context[name].float_list.value, np.float32) for name in config.feature_names}
        return _id_of(context), means, _texts(context, config)
    example = tf.train.SequenceExample.FromString(serialized)
    features = {name: example.feature_lists.feature_list[name].feature for name in config.feature_names}
    return _id_of(example.context.feature), features, _texts(example.context.feature, config)


def _texts(context, config):
    if problem := text_problem(context, config.text.fields):
        raise InputError(f"video {_id_of(context)}: {problem}")
    return get_texts(context, config.text.fields)


def _id_of(context):
    return next(context[key].bytes_list.value[0] for key in ID_KEYS if key in context).decode()


def _whole(video_id, features, texts, start, labels):
    if start:
        raise InputError(f"the teacher lists the segment {video_id}:{start}, and its students learn from whole videos")
    soft = {"labels": tuple(labels), "label_scores": tuple(labels.values())}
    if isinstance(features, ClipRecord):
        return dataclasses.replace(features, **soft)
    if all(isinstance(values, np.ndarray) for values in features.values()):
        return VideoRecord(video_id=video_id, features=features, texts=texts, **soft)
    frames = {name: _decoded(listed) for name, listed in features.items()}
    return FrameRecord(video_id=video_id, features=frames, texts=texts, **soft)


def _decoded(frames):
    return np.array([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in frames])


def _cut(video_id, features, texts, start, labels):
    if isinstance(features, ClipRecord):
        ratings = tuple((0, class_id, score) for class_id, score in sorted(labels.items()))
        return dataclasses.replace(features.part(start, start + SEGMENT_SECONDS), segments=ratings)
    length = min(len(frames) for frames in features.values())
    if start >= length:
        raise InputError(f"the teacher lists {video_id}:{start}, and that video has {length} frames")
    first, end = max(0, start - _MARGIN), min(length, start + SEGMENT_SECONDS + _MARGIN)
    cut = {name: _decoded(frames[first:end]) for name, frames in features.items()}
    ratings = tuple((start - first, class_id, score) for class_id, score in sorted(labels.items()))
    of_segment = texts_of_part(texts, start, start + SEGMENT_SECONDS, origin=first)
    return FrameRecord(video_id=video_id, features=cut, segments=ratings, texts=of_segment)
