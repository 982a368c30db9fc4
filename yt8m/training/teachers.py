"""Teachers of self-training: what one or several runs say of unlabelled examples, and how good they are on the holdout.

Several are fused by the mean of their scores. Predictions are kept as a parquet submission, a class at a time; a whole
video stands in it as its segment at 0.
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence

import numpy as np

from yt8m.config import RunConfig
from yt8m.data.labels import read_video_labels
from yt8m.data.splits import Source, collect_ids
from yt8m.ensemble.fusion import Fusion, fuse
from yt8m.inference.jobs import Execution
from yt8m.inference.model_evaluation import evaluate_model, headline
from yt8m.inference.prediction import predict_segments, predict_videos
from yt8m.inference.scorer import Scorer
from yt8m.models import checkpoints
from yt8m.ranking.evaluation import evaluate_scores
from yt8m.ranking.metrics import VideoMetrics
from yt8m.ranking.overlap import check_videos
from yt8m.ranking.submission import SubmissionWriter, write_lists
from yt8m.ranking.video_predictions import VideoPredictions
from yt8m.runtime.parts import PartsFolder
from yt8m.types import InputError, Segment, StrPath

TAGS = 20
"""Classes of a whole video that a teacher lists; others count as absent."""

_BLOCK = 512


@dataclasses.dataclass(frozen=True, kw_only=True)
class Judgement:
    """Teachers on the holdout: their score, and that of each pair (example, class).

    metric, value: as "map_at_k" of segments or "gap_at_20" of whole videos. class_ids (N,) int64, positive (N,) bool,
    scores (N,) float32: one entry a rated pair; of whole videos one each for their best TAGS classes and for their
    labels, which have score 0 where they are not among these.
    """

    metric: str
    value: float
    class_ids: np.ndarray
    positive: np.ndarray
    scores: np.ndarray


def is_file(teacher: str) -> bool:
    """Whether a teacher is a file of predictions, and not the folder of a run."""
    return teacher.endswith((".parquet", ".csv", ".csv.gz"))


def predictions_of(
    teachers: Sequence[str],
    unlabelled: Source,
    *,
    path: str,
    run: RunConfig,
    class_ids: Sequence[int],
    views: Sequence[int | str] | None = None,
) -> str:
    """The parquet file of what ``teachers`` say of the examples of ``unlabelled``: ``path``, or the one teacher itself.

    teachers: folders of runs, or files: a parquet submission of segments, or a CSV of whole videos. run: RunConfig of a
    student, which says whether segments or whole videos are meant. class_ids: the classes that segments are ranked for.
    views: of each segment, averaged; None for the shifts of the teacher's run. What a file does not list scores 0
    there; videos of a CSV that are not in ``unlabelled`` are left out, and their number is printed. What was written
    before a kill is taken as it is.
    """
    if os.path.exists(path):
        return path
    parts = [f"{path.removesuffix('.parquet')}-{number}.parquet" for number in range(len(teachers))]
    if len(teachers) == 1:
        parts = [path]
    files = []
    for teacher, part in zip(teachers, parts):
        if is_file(teacher) and (run.train.segment_labels or teacher.endswith(".parquet")):
            files.append(teacher)
            continue
        files.append(part)
        if is_file(teacher):
            _write_video_lists(part, _read_unlabelled(teacher, unlabelled, run.data))
        elif not os.path.exists(part):
            _predict(teacher, unlabelled, part, run=run, class_ids=class_ids, views=views)
    if len(files) == 1:
        return files[0]
    fuse(files, path, fusion=Fusion((1.0,) * len(files), method="mean"))
    for part in filter(os.path.exists, parts):
        os.unlink(part)
    return path


def judge(teachers: Sequence[str], holdout: Source, *, run: RunConfig) -> Judgement:
    """The Judgement of ``teachers`` with their mean scores on the videos of ``holdout``, a Source.

    teachers: folders of runs, and of whole videos also CSVs that list those of the holdout. run: RunConfig of a
    student, which says whether segments or whole videos are meant. Raises InputError where a CSV lists none of them.
    """
    if run.train.segment_labels:
        return _judge_segments(teachers, holdout, run)
    return _judge_videos(teachers, holdout, run)


def _load(teacher, run):
    """(model, DataConfig that it reads with)."""
    model, there = checkpoints.load_model(teacher)
    if there.data.num_classes != run.data.num_classes:
        raise InputError(
            f"{teacher} knows {there.data.num_classes} classes, and its students {run.data.num_classes}: both must be "
            "of one vocabulary"
        )
    return model, there.data.replace(skip_corrupt=run.data.skip_corrupt)


def _predict(teacher, unlabelled, path, *, run, class_ids, views):
    model, data = _load(teacher, run)
    parts = PartsFolder(f"{path}.parts", identity=checkpoints.model_path(teacher))
    execution = Execution(folder=parts)
    if run.train.segment_labels:
        if views is None:
            first, last = checkpoints.read_run_config(teacher).tta
            views = range(first, last + 1)
        top = predict_segments(model, unlabelled, data, class_ids=class_ids, views=tuple(views), execution=execution)
        write_lists(path, top)
    else:
        _write_video_lists(path, predict_videos(model, unlabelled, data, top_k=TAGS, execution=execution))
    parts.remove()


def _read_videos(path: StrPath) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields (video id, class ids, scores) of a CSV that inference.py or ensemble.py wrote of whole videos."""
    found = VideoPredictions.read(path)
    bounds = np.flatnonzero(np.diff(found.videos)) + 1
    yield from zip(found.video_ids, np.split(found.class_ids, bounds), np.split(found.scores, bounds))


def _read_unlabelled(path, unlabelled, config):
    """The same of the videos of ``unlabelled``; InputError where the file has none of them."""
    title = "reading which videos are to be labelled"
    wanted = collect_ids(unlabelled, skip_corrupt=config.skip_corrupt, title=title)
    found = list(_read_videos(path))
    kept = [entry for entry in found if entry[0] in wanted]
    if not kept:
        raise InputError(
            f"{path} lists none of the videos to label: {unlabelled.files[0]} and {len(unlabelled.files) - 1} more "
            f"hold others than {found[0][0]}"
        )
    if len(kept) < len(found):
        print(f"{path}: {len(found) - len(kept)} of its {len(found)} videos are not to be labelled, and left out")
    return kept


def _write_video_lists(path, predictions):
    """Writes (video id, class ids, scores) of whole videos a class at a time, best first, ties by id."""
    ids, classes, scores = [], [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for video_id, *listed in predictions:
        ids.append(video_id)
        classes.append(np.asarray(listed[0], np.int64))
        scores.append(np.asarray(listed[1], np.float32))
    rows = np.repeat(np.arange(len(ids)), [len(listed) for listed in classes[1:]])
    classes, scores = np.concatenate(classes), np.concatenate(scores)
    place = np.argsort(np.argsort(np.array(ids)))
    order = np.lexsort((place[rows], -scores, classes))
    found, firsts = np.unique(classes[order], return_index=True)
    with SubmissionWriter(path) as writer:
        for class_id, of_class in zip(found.tolist(), np.split(order, firsts[1:])):
            writer.write(class_id, [Segment(ids[row], 0) for row in rows[of_class]], scores=scores[of_class])


def _judge_segments(teachers, holdout, run):
    evaluations = []
    for teacher in teachers:
        model, data = _load(teacher, run)
        scorer = Scorer(model, batch_size=run.train.batch_size)
        evaluations.append(evaluate_model(scorer, holdout, data, segment_labels=True)["evaluation"])
    # Every model scores the same pairs, in the order of the labels.
    labels = evaluations[0].labels
    scores = np.mean([evaluation.scores for evaluation in evaluations], axis=0, dtype=np.float64).astype(np.float32)
    metric, value = headline(evaluate_scores(labels, scores).summary())
    return Judgement(metric=metric, value=value, class_ids=labels.class_ids, positive=labels.positive, scores=scores)


def _tags(teacher, holdout, run, rows):
    """Dict of id to (class ids, scores) of what a teacher says of the holdout. rows: dict with its videos' ids."""
    if is_file(teacher):
        listed = {video_id: tuple(found) for video_id, *found in _read_videos(teacher)}
        check_videos(teacher, listed, rows)
        return {video_id: _best(*listed[video_id]) for video_id in rows if video_id in listed}
    model, data = _load(teacher, run)
    return {video_id: tuple(found) for video_id, *found in predict_videos(model, holdout, data, top_k=TAGS)}


def _best(classes, scores):
    """The TAGS best of a video's classes, and their scores."""
    best = np.argsort(-scores, kind="stable")[:TAGS]
    return classes[best], scores[best]


def _judge_videos(teachers, holdout, run):
    num_classes = run.data.num_classes
    ids, labels = read_video_labels(list(holdout.files), run.data)
    rows = {video_id: row for row, video_id in enumerate(ids) if holdout.keep is None or holdout.keep(video_id)}
    positive = np.concatenate([rows[v] * num_classes + found for v, found in zip(ids, labels) if v in rows])
    if not len(positive):
        raise InputError(f"no video of {holdout.files[0]} and {len(holdout.files) - 1} more has labels to go by")
    keys, scores = [positive], [np.zeros(len(positive))]
    for teacher in teachers:
        for video_id, (classes, confidences) in _tags(teacher, holdout, run, rows).items():
            keys.append(rows[video_id] * num_classes + classes.astype(np.int64))
            scores.append(confidences / np.float64(len(teachers)))
    # Sums over teachers; labels that none lists have 0.
    keys, places = np.unique(np.concatenate(keys), return_inverse=True)
    scores = np.bincount(places, np.concatenate(scores)).astype(np.float32)
    hits = np.isin(keys, positive)
    metrics = VideoMetrics(num_classes, top_k=TAGS)
    videos = sorted(rows.values())
    for block in (videos[first : first + _BLOCK] for first in range(0, len(videos), _BLOCK)):
        dense = np.zeros((2, len(block), num_classes), np.float32)
        part = slice(*np.searchsorted(keys, [block[0] * num_classes, (block[-1] + 1) * num_classes]))
        places = np.searchsorted(block, keys[part] // num_classes), keys[part] % num_classes
        dense[0][places], dense[1][places] = scores[part], hits[part]
        metrics.update(*dense)
    metric, value = headline(metrics.result())
    return Judgement(metric=metric, value=value, class_ids=keys % num_classes, positive=hits, scores=scores)
