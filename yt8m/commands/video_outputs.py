"""What yt8m-video shows and writes of extracted features: timelines, chapters, a page, a ranking, embeddings."""

import contextlib
import dataclasses
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from yt8m.features.extraction import Extractor
from yt8m.features.feature_folder import FeatureFolder
from yt8m.ranking.timelines import Timeline, write_chapters, write_intervals
from yt8m.text import counted
from yt8m.types import MAX_SEGMENTS_PER_CLASS, DataWarning, InputError, by_view

_PRINTED = 5
"""Timelines that are printed."""

_ON_PAGE = 100
"""Videos that a page shows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes that are looked for in videos.

    timeline: function of features and video_id to a Timeline with all classes. names: dict of class id to name. kind:
    words on what the scores are. threshold: least score of a class that is present.
    """

    timeline: Callable[..., Timeline]
    names: dict[int, str]
    kind: str
    threshold: float

    @property
    def full(self) -> float:
        """The score at which a timeline is full: no backbone is as sure of anything as a trained run."""
        return min(1.0, 2 * self.threshold)


def find_classes(options: Any, extractor: Extractor) -> Classes | None:
    """The Classes that the options of yt8m-video ask for, None where its backbones know none. Raises InputError."""
    if options.train_dir:
        found = _of_run(options)
    else:
        found = _of_backbones(options, extractor.named)
    if found is None and (options.report or options.output_file):
        wanted = "--report" if options.report else "--output_file"
        raise InputError(
            f"{wanted} is of classes, and none of the backbones knows any: give --class_names or --train_dir"
        )
    if found is None or options.threshold is None:
        return found
    return dataclasses.replace(found, threshold=options.threshold)


def _of_run(options):
    from yt8m.data.feature_origins import projections_of
    from yt8m.data.making.projection import Projection
    from yt8m.inference.trained import TrainedRun
    from yt8m.ranking.calibration import kind_of_scores
    from yt8m.vocabulary import read_class_names

    trained = TrainedRun(options.train_dir)
    projections = {name: Projection.load(path) for name, path in projections_of(options.train_dir).items()}

    def timeline(features, *, video_id):
        projected = {
            name: projections[name](array) if name in projections else array for name, array in features.items()
        }
        return trained.predict(projected, video_id=video_id)

    return Classes(
        timeline=timeline,
        names=read_class_names(options.vocabulary) if options.vocabulary else {},
        kind=kind_of_scores(trained.calibration),
        threshold=0.5,
    )


def _of_backbones(options, backbones):
    from yt8m.features.tagging import Tagger

    tagger = (
        Tagger.of_names(backbones, _given_names(options)) if options.class_names else Tagger.of_backbones(backbones)
    )
    if tagger is None:
        return None
    specs = [backbones[name].spec.partition(":")[0] for name in tagger.features]
    return Classes(
        timeline=tagger,
        names=tagger.class_names,
        kind=f"of {' and '.join(specs)}, untrained",
        threshold=0.5 if options.class_names else 0.2,
    )


def _given_names(options):
    """Dict of class id to name, of --class_names: names, or the path of a vocabulary."""
    from yt8m.vocabulary import read_class_names

    if options.class_names.endswith(".csv"):
        return read_class_names(options.class_names)
    names = [name.strip() for name in options.class_names.split(";")]
    if not all(names) or len(set(names)) < len(names):
        raise InputError(f"--class_names={options.class_names}: give different names, separated by semicolons")
    return dict(enumerate(names))


def write_outputs(
    options: Any,
    classes: Classes | None,
    folder: FeatureFolder,
    views_of_features: Mapping[str, int],
    sources: Mapping[str, str],
) -> None:
    """Shows and writes what the options ask for, a video at a time. sources: dict of video id to path or address."""
    if classes is None:
        print("no timelines: none of the backbones knows classes; --train_dir takes those of a run")
    with contextlib.ExitStack() as stack:
        embed = _embedding_writer(options, folder, stack)
        ranking = _ranking(options, classes)
        shown = []
        for number, (video_id, source) in enumerate(sources.items()):
            views = by_view(folder.load(video_id), views_of_features)
            if embed is not None:
                embed(video_id, views)
            if classes is None:
                continue
            timeline = _mean_timeline([classes.timeline(features, video_id=video_id) for features in views])
            if ranking is not None:
                ranking.add([video_id.encode()] * len(timeline.starts), timeline.starts, timeline.scores.T)
            timeline = timeline.take(timeline.best_rows(options.top_k))
            _write_timeline(options, classes, timeline, is_printed=number < _PRINTED)
            if options.report and number < _ON_PAGE:
                shown.append((timeline, _media(options, folder, timeline, source)))
    if classes is not None:
        more = f", of which {_PRINTED} are shown" if len(sources) > _PRINTED else ""
        print(f"wrote {counted(len(sources), 'timeline')} to {_timelines_folder(options)}{more}")
    if ranking is not None:
        from yt8m.ranking.submission import write_lists

        write_lists(options.output_file, ranking)
        print(f"wrote {options.output_file}: {len(ranking.class_ids):,} classes")
    if options.embeddings:
        print(f"wrote {options.embeddings}")
    if options.report:
        _write_report(options, classes, shown, len(sources))


def _mean_timeline(timelines):
    """The timeline of a video with the mean of the scores of timelines of its views."""
    scores = sum(timeline.scores.astype("float64") for timeline in timelines) / len(timelines)
    return timelines[0].replace(scores=scores.astype("float32"))


def _timelines_folder(options):
    return os.path.join(options.output_dir, "timelines")


def _write_timeline(options, classes, timeline, *, is_printed):
    from yt8m.report.terminal import draw_timeline

    path = os.path.join(_timelines_folder(options), timeline.video_id)
    shared = {"threshold": classes.threshold, "names": classes.names}
    write_intervals(f"{path}.json", timeline, scores=classes.kind, **shared)
    write_chapters(f"{path}.vtt", timeline, **shared)
    if is_printed:
        width = shutil.get_terminal_size().columns
        print(draw_timeline(timeline, kind=classes.kind, width=width, stream=sys.stdout, full=classes.full, **shared))


def _ranking(options, classes):
    """TopSegments that collects the ranking of all videos, None where none is asked for."""
    if not options.output_file:
        return None
    from yt8m.ranking.top_segments import TopSegments

    return TopSegments(sorted(classes.names), top_n=MAX_SEGMENTS_PER_CLASS)


def _embedding_writer(options, folder, stack):
    """Function that writes the embeddings of a video's segments, None where none are asked for."""
    if not options.embeddings:
        return None
    import numpy as np

    from yt8m.features.tagging import segment_embeddings, segment_starts
    from yt8m.similarity.embedding_files import EmbeddingWriter, Rows

    writer = stack.enter_context(EmbeddingWriter(options.embeddings, segments=True))
    name = folder.names[0]

    def write(video_id, views):
        vectors = np.mean([segment_embeddings(features[name]) for features in views], axis=0)
        starts, _ = segment_starts(len(views[0][name]))
        writer.write(Rows([video_id] * len(vectors), starts.astype(np.int32), vectors))

    return write


def _media(options, folder, timeline, source):
    from yt8m.features.thumbnails import make_thumbnails
    from yt8m.report.videos import make_media

    has_video = any(name.startswith("rgb") for name in folder.names)
    thumbnails = make_thumbnails(source, seconds=timeline.end) if has_video else ()
    with warnings.catch_warnings():
        # What is damaged was told when features were extracted.
        warnings.simplefilter("ignore", DataWarning)
        return make_media(source, options.report, embed=options.embed, has_video=has_video, thumbnails=thumbnails)


def _write_report(options, classes, shown, count):
    from yt8m.report.videos import write_video_report

    write_video_report(options.report, shown, class_names=classes.names, kind=classes.kind, full=classes.full)
    more = f": the first {_ON_PAGE} of {count:,} videos" if count > _ON_PAGE else ""
    print(f"wrote {options.report}{more}")
