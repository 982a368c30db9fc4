"""Predictions for every segment of every video, or for whole videos, in one pass over the data."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from yt8m.config import DataConfig
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.seen_videos import FirstRecords, Overlap
from yt8m.data.splits import Source
from yt8m.inference.jobs import Execution, Job, ids_of, part_results
from yt8m.inference.scorer import Scorer, check_views
from yt8m.models.base import VideoModel
from yt8m.ranking.filters import SegmentFilter, put_behind, whole_videos
from yt8m.ranking.timelines import Timeline
from yt8m.ranking.top_segments import TopSegments
from yt8m.types import MAX_SEGMENTS_PER_CLASS


def predict_segments(
    model: VideoModel | str,
    source: Source,
    config: DataConfig,
    *,
    class_ids: Sequence[int],
    views: Sequence[int | str] = (0,),
    batch_size: int = 512,
    top_n: int = MAX_SEGMENTS_PER_CLASS,
    top_k: int | None = None,
    filters: Sequence[SegmentFilter | None] | None = None,
    execution: Execution = Execution(),
    overlap: Overlap | None = None,
) -> TopSegments | list[TopSegments]:
    """The ``top_n`` best segments of each class: a TopSegments, or with ``filters`` a list with one for each of these.

    model: a VideoModel, or the folder of a run, whose best model is meant. source: Source of frame-level records,
    labelled or not; config: DataConfig. class_ids: the classes to rank, in the vocabulary's ids. views: of each
    segment, see yt8m.data.views, all scored in the same pass and averaged (the paper's test-time augmentation, with
    its shifts as ints). top_k: classes a segment may be listed for, its best ones; None for all.
    filters: list of SegmentFilter, or None for no filter; what they put behind all others scores below 0.
    execution: parts folder and cluster, see yt8m.inference.jobs. overlap: told the ids of the videos.
    Memory is bounded by top_n x classes (x filters), whatever the number of videos.
    """
    if top_k is not None and top_k >= len(class_ids):
        top_k = None
    job = _SegmentJob(
        config=config,
        keep=source.keep,
        batch_size=batch_size,
        overlap=overlap,
        class_ids=tuple(map(int, class_ids)),
        views=tuple(views),
        top_n=top_n,
        top_k=top_k,
        filters=tuple(filters or [None]),
    )
    tops = [TopSegments(job.class_ids, top_n=top_n) for _ in job.filters]
    floors = lambda: [top.floors() for top in tops]  # noqa: E731
    for arrays in part_results(model, source, job, execution=execution, hint=floors):
        for number, top in enumerate(tops):
            top.merge({name: arrays[f"{number}.{name}"] for name in TopSegments.ARRAYS})
    return tops if filters else tops[0]


def predict_videos(
    model: VideoModel | str,
    source: Source,
    config: DataConfig,
    *,
    top_k: int = 20,
    batch_size: int = 512,
    execution: Execution = Execution(),
    overlap: Overlap | None = None,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yields (video id, class ids (top_k,), confidences (top_k,)) for every video, best class first, each video once.

    Arguments as of predict_segments. Memory is bounded by the results of a part.
    """
    job = _VideoJob(config=config, keep=source.keep, batch_size=batch_size, overlap=overlap, top_k=top_k)
    is_first = FirstRecords()
    for arrays in part_results(model, source, job, execution=execution):
        for video_id, classes, scores in zip(arrays["videos"].tolist(), arrays["classes"], arrays["scores"]):
            if is_first(video_id):
                yield video_id.decode(), classes, scores
    is_first.warn("listed")


def predict_timelines(
    model: VideoModel,
    source: Source,
    config: DataConfig,
    *,
    video_ids: Sequence[str],
    class_ids: Sequence[int],
    views: Sequence[int | str] = (0,),
    batch_size: int = 512,
) -> list[Timeline]:
    """List of Timeline of those of ``video_ids`` that ``source`` holds, in their order, with the scores of ``model``.

    Other arguments as in predict_segments. Memory is that of the segments of these videos.
    """
    check_views(model, views)
    scorer = Scorer(model, batch_size=batch_size, class_ids=tuple(class_ids))
    wanted = frozenset(video_ids)
    keep = source.keep
    dataset = make_dataset(
        list(source.files), config, windows="all", batch_size=batch_size, views=views,
        keep=lambda video_id: video_id in wanted and (keep is None or keep(video_id)),
    )  # fmt: skip
    columns = np.asarray(class_ids, np.int64)
    found: dict[str, list[tuple[int, int, np.ndarray]]] = {}
    with explain_errors(source.files, config):
        for features, info in dataset.as_numpy_iterator():
            scores = scorer(features)
            entries = zip(info["start_time"].tolist(), info["end_time"].tolist(), scores)
            for video_id, entry in zip(ids_of(info), entries):
                found.setdefault(video_id.decode(), []).append(entry)
    return [make_timeline(video_id, found[video_id], columns) for video_id in video_ids if video_id in found]


def make_timeline(video_id: str, entries: Sequence[tuple[int, int, np.ndarray]], class_ids: np.ndarray) -> Timeline:
    """The Timeline of a video. entries: (start, end, scores (C,)) of each segment, by start; class_ids: (C,) int64."""
    # A video that the source holds twice is shown once.
    starts, ends, scores = zip(*{entry[0]: entry for entry in entries}.values())
    scores = np.stack(scores, axis=1)
    return Timeline(video_id=video_id, starts=np.array(starts), end=max(ends), class_ids=class_ids, scores=scores)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SegmentJob(Job):
    class_ids: tuple
    views: tuple
    top_n: int
    filters: tuple[SegmentFilter | None, ...]
    top_k: int | None

    windows = "all"

    def described(self):
        return super().described() | {"filters": [item and item.described() for item in self.filters]}

    def collect(self, scored, floors):
        """The result of a part, from (scores, info) pairs: for each filter as TopSegments.to_arrays gives it."""
        tops = [TopSegments(self.class_ids, top_n=self.top_n, floors=floor) for floor in floors]
        num_examples = 0
        for scores, info in whole_videos(scored) if any(self.filters) else scored:
            ids, starts = ids_of(info), info["start_time"]
            listed = scores if self.top_k is None else _only_best(scores, self.top_k)
            for top, item in zip(tops, self.filters):
                kept = item and item.kept(ids, starts, scores, class_ids=self.class_ids)
                top.add(ids, starts, listed if item is None else put_behind(listed, kept))
            num_examples += len(scores)
        arrays = {f"{n}.{name}": values for n, top in enumerate(tops) for name, values in top.to_arrays().items()}
        return arrays | {"num_examples": np.int64(num_examples)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class _VideoJob(Job):
    top_k: int

    windows = "video"
    class_ids = None
    views = (0,)

    def collect(self, scored, _):
        """The result of a part, in the order of its videos, from an iterator of (scores, info)."""
        top_k = min(self.top_k, self.config.num_classes)
        videos, classes, confidences = [], [np.empty((0, top_k), np.int32)], [np.empty((0, top_k), np.float32)]
        for scores, info in scored:
            order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k].astype(np.int32)
            videos += ids_of(info)
            classes.append(order)
            confidences.append(np.take_along_axis(scores, order, axis=1))
        return {
            "videos": np.array(videos, np.bytes_),
            "classes": np.concatenate(classes),
            "scores": np.concatenate(confidences),
            "num_examples": np.int64(len(videos)),
        }


def _only_best(scores, top_k):
    """Scores with minus infinity, which is never listed, for all but each row's ``top_k`` best."""
    best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    kept = np.full_like(scores, -np.inf)
    np.put_along_axis(kept, best, np.take_along_axis(scores, best, axis=1), axis=1)
    return kept
