r"""Ranks the segments of videos for every class, or, without --segment_labels, tags whole videos.

  inference.py --train_dir=runs/finetuned --segment_labels --input_data_pattern='test/*.tfrecord' \
      --segment_label_ids_file=segment_label_ids.csv --tta=-2,1 --output_file=submission.csv

Segments: a submission, header Class,Segments, then class_id,video_id:start ... best first (or parquet with scores).
Videos: header VideoId,LabelConfidencePairs, then video_id,class confidence class confidence ...

  inference.py --train_dir=runs/finetuned --input_data_pattern='test/*.tfrecord' --video_id=Eq0a --timeline \
      --vocabulary=vocabulary.csv --intervals=Eq0a.json --chapters=Eq0a.vtt

One video: when each class is there, in the terminal, as JSON and as WebVTT chapters.

  inference.py --train_dir=runs/finetuned --input_data_pattern='test/*.tfrecord' --embeddings=test.npy

Embeddings: the vector before the head of each segment or video, for yt8m-similar.

Finished parts are kept in OUTPUT_FILE.parts until the output is written, so that the same command after a kill
resumes where it stopped, to the same bytes. With --ray the machines of a Ray cluster share the work, to the same bytes.
"""

import dataclasses
import os
import shutil
import sys
from typing import Any

from yt8m.commands import command_line
from yt8m.commands.groups import (
    CLIP_BATCH,
    LABELS_HELP,
    BackendOptions,
    ClassOptions,
    ClipViewOptions,
    RayOptions,
    RunCheckOptions,
    SplitOptions,
    ViewOptions,
)
from yt8m.config import PATTERN_HELP, DataConfig
from yt8m.options import fields_of, option
from yt8m.ranking.filters import SegmentFilter
from yt8m.runtime.files import check_writable, is_special
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError

_OTHER_FORM = {
    True: "ranked segments, as the model was trained on these: --nosegment_labels tags whole videos",
    False: "tagged whole videos, as the model was trained on these: --segment_labels ranks segments",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferenceOptions(
    ViewOptions, ClipViewOptions, ClassOptions, RunCheckOptions, SplitOptions, RayOptions, BackendOptions
):
    """Options of inference."""

    configs = {DataConfig: ("border", "max_frames", "skip_corrupt"), SegmentFilter: ()}

    train_dir: str = option("", "Folder of the run whose best model predicts.", required=True)
    input_data_pattern: str = option("", f"Files to predict. {PATTERN_HELP}", required=True)
    output_file: str = option("", "File to write: the ranking of all videos.")
    embeddings: str = option(
        "",
        "File to write instead: the vector before the head of each segment or video, as NAME.npy, a float32 matrix "
        "with NAME.ids.csv beside it, or as NAME.parquet.",
    )
    segment_labels: bool | None = option(
        None, "Ranking of segments, or with --nosegment_labels tags of whole videos.", defaults_to="as in training"
    )
    batch_size: int | None = option(
        None,
        "Segments or videos in a step; shifted views of one segment count once.",
        unit="examples",
        low=1,
        high=1 << 20,
        defaults_to=f"512, of clips {CLIP_BATCH}",
    )
    top_k: int | None = option(
        None,
        "Most classes a video or segment is listed for.",
        unit="classes",
        low=1,
        defaults_to="20 a video, all a segment, 10 in a timeline",
    )
    video_id: str = option(
        "", "The video of --timeline, --intervals, --chapters and --report.", defaults_to="the only one there is"
    )
    timeline: bool = option(False, "Timeline of one video in the terminal: when each class is present.")
    intervals: str = option("", "JSON file to write: when each class is present in one video.")
    chapters: str = option("", "WebVTT file to write: chapters of one video, the best class of each time.")
    report: str = option("", "HTML page to write, on which --video_file plays beside its timeline.")
    video_file: str = option("", "The file that was made records of, or its http address, for --report.")
    threshold: float = option(
        0.5, "Least score of a class that is present, calibrated if eval.py --calibrate was run.", low=0, high=1
    )
    segment_max_pred: int = option(MAX_SEGMENTS_PER_CLASS, "Most segments to list for a class.", unit="segments", low=1)
    labels: str = option("", f"{LABELS_HELP} Prints MAP@K with and without the filters.")
    format: str = option(
        "", "Form of a submission.", choices=("", "csv", "parquet"), defaults_to="by the output file's suffix"
    )


_OF_ONE_VIDEO = "--timeline, --intervals, --chapters and --report"


def main(options: InferenceOptions) -> None:
    """Predicts, and writes what the flags ask for."""
    if options.timeline or options.intervals or options.chapters or options.report:
        _show_video(options)
        return
    if options.video_id or options.video_file:
        name = "video_id" if options.video_id else "video_file"
        raise InputError(f"--{name} is for {_OF_ONE_VIDEO}: give at least one of these")
    if bool(options.output_file) == bool(options.embeddings):
        raise InputError(f"either --output_file or --embeddings must be given, or, for one video, {_OF_ONE_VIDEO}")
    from yt8m.data.feature_origins import check_origins, with_record_views
    from yt8m.inference.jobs import Execution
    from yt8m.models.checkpoints import load_model, overlap_with, read_run_config

    _check_format(options)
    output = options.output_file or options.embeddings
    check_writable(output)
    source = options.source(options.input_data_pattern)
    run = read_run_config(options.train_dir)
    options.check_run(run)
    check_origins(options.train_dir, source.files)
    config = with_record_views(options.reading(run), source.files)
    segments = run.train.segment_labels if options.segment_labels is None else options.segment_labels
    if not segments and options.output_file and output.endswith(".parquet"):
        raise InputError("--format=parquet is for segments: predictions of whole videos are CSV")
    folder = _folder(options, output)
    job = _Job(
        # With Ray this process may have nothing to run a model on.
        model=options.train_dir if options.ray else load_model(options.train_dir)[0],
        source=source,
        config=config,
        segments=segments,
        views=options.views(run, train_dir=options.train_dir) if segments else (),
        batch_size=_batch_size(options, config),
        execution=Execution(folder=folder, ray=options.ray),
        overlap=overlap_with(options.train_dir),
    )
    if options.embeddings:
        written = _embed(options, job)
    elif segments:
        written = _rank_segments(options, job)
    else:
        written = _tag_videos(options, job)
    if folder is not None:
        folder.remove()
    if job.overlap and options.output_file:
        job.overlap.warn()
        if not is_special(output):
            job.overlap.note_beside(output)
    print(f"wrote {output}: {written}")
    if options.segment_labels is None and options.output_file:
        # Which of the two was written follows from the training, and may not be what was meant.
        print(_OTHER_FORM[segments])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Job:
    """What is predicted: a model, or the folder of its run, on videos, and how the work is done."""

    model: Any
    source: Any
    config: DataConfig
    segments: bool
    views: tuple[int | str, ...]
    batch_size: int
    execution: Any
    overlap: Any


def _batch_size(options, config):
    return options.batch_size or (CLIP_BATCH if config.level == "clip" else 512)


def _rank_segments(options, job):
    from yt8m.inference.prediction import predict_segments
    from yt8m.ranking.evaluation import evaluate_lists
    from yt8m.ranking.submission import write_lists

    class_ids = options.class_ids(job.config.num_classes)
    segment_filter = _segment_filter(options)
    labels = options.rated_labels(options.labels, "all") if options.labels else None
    # The ranking without the filter is made only to compare with.
    filters = [segment_filter, None] if segment_filter and labels else [segment_filter]
    tops = predict_segments(
        job.model,
        job.source,
        job.config,
        class_ids=class_ids,
        views=job.views,
        batch_size=job.batch_size,
        top_n=options.segment_max_pred,
        top_k=options.top_k,
        filters=filters,
        execution=job.execution,
        overlap=job.overlap,
    )
    write_lists(options.output_file, tops[0])
    if labels:
        after, *before = (evaluate_lists(top, labels, top_n=options.segment_max_pred).map_at_k for top in tops)
        compared = f" with the filters, {before[0]:.4f} without" if before else ""
        print(f"MAP@{options.segment_max_pred} is {after:.4f}{compared}")
    return f"{len(class_ids)} classes"


def _segment_filter(options):
    """The SegmentFilter that the flags ask for, None for none."""
    given = options.of(SegmentFilter)
    if given.get("video_predictions") and not given.get("top_n"):
        raise InputError("--video_predictions needs --video_filter_top_n: how many of a video's classes count")
    wanted = SegmentFilter(**given)
    if wanted.video_predictions:
        from yt8m.ranking.video_predictions import read_video_predictions

        # Only now, so that a bad file is found before the work.
        read_video_predictions(wanted.video_predictions, top_n=wanted.top_n)
    return wanted if wanted.active else None


def _tag_videos(options, job):
    from yt8m.inference.prediction import predict_videos
    from yt8m.ranking.video_predictions import write_video_predictions

    _refuse_segment_options(options, "whole videos")
    predictions = predict_videos(
        job.model,
        job.source,
        job.config,
        top_k=options.top_k or 20,
        batch_size=job.batch_size,
        execution=job.execution,
        overlap=job.overlap,
    )
    return f"{write_video_predictions(options.output_file, predictions)} videos"


def _embed(options, job):
    from yt8m.inference.embeddings import predict_embeddings
    from yt8m.similarity.embedding_files import EmbeddingWriter

    rows_of_parts = predict_embeddings(
        job.model,
        job.source,
        job.config,
        segments=job.segments,
        views=job.views,
        batch_size=job.batch_size,
        execution=job.execution,
    )
    with EmbeddingWriter(options.embeddings, segments=job.segments) as writer:
        for rows in rows_of_parts:
            writer.write(rows)
    return f"{writer.num_rows:,} rows of {writer.size}"


def _show_video(options):
    if options.output_file or options.embeddings or options.ray:
        raise InputError(f"--output_file, --embeddings and --ray are for all videos, {_OF_ONE_VIDEO} for one")
    _refuse_segment_options(options, _OF_ONE_VIDEO)
    if bool(options.report) != bool(options.video_file):
        raise InputError("--report is a page that plays --video_file: give both, or neither")
    from yt8m.models.checkpoints import load_calibration, read_run_config
    from yt8m.ranking.calibration import kind_of_scores
    from yt8m.ranking.timelines import write_chapters, write_intervals
    from yt8m.report.terminal import draw_timeline

    names = options.class_names()
    for path in filter(None, (options.intervals, options.chapters, options.report)):
        check_writable(path)
    has_pictures = _has_pictures(options.video_file) if options.report else False
    run = read_run_config(options.train_dir)
    options.check_run(run)
    calibration = load_calibration(options.train_dir)
    kind = kind_of_scores(calibration)
    timeline = _predict_video(options, run, calibration)
    if options.timeline:
        width = shutil.get_terminal_size().columns
        print(
            draw_timeline(timeline, names=names, kind=kind, threshold=options.threshold, width=width, stream=sys.stdout)
        )
    if options.intervals:
        written = write_intervals(options.intervals, timeline, threshold=options.threshold, names=names, scores=kind)
        print(f"wrote {options.intervals}: {len(written)} intervals, scores {kind}")
    if options.chapters:
        written = write_chapters(options.chapters, timeline, threshold=options.threshold, names=names)
        print(f"wrote {options.chapters}: {len(written)} chapters")
    if options.report:
        _write_page(options, timeline, has_pictures, names=names, kind=kind)


def _has_pictures(video_file):
    """Whether a file that a page is to play has pictures. Raises InputError where it cannot be played."""
    from yt8m.features.decoding import probe_video
    from yt8m.report.videos import check_playable

    check_playable(video_file, embed=False)
    return probe_video(video_file).video_codec is not None


def _write_page(options, timeline, has_pictures, *, names, kind):
    from yt8m.features.thumbnails import make_thumbnails
    from yt8m.report.videos import make_media, write_video_report

    source = options.video_file
    thumbnails = make_thumbnails(source, seconds=timeline.end) if has_pictures else ()
    media = make_media(source, options.report, embed=False, has_video=has_pictures, thumbnails=thumbnails)
    write_video_report(options.report, [(timeline, media)], class_names=names, kind=kind)
    print(f"wrote {options.report}")


def _predict_video(options, run, calibration):
    """The Timeline of --video_id with its --top_k best classes."""
    from yt8m.data.feature_origins import check_origins, with_record_views
    from yt8m.data.splits import find_video
    from yt8m.inference.prediction import predict_timelines
    from yt8m.models.checkpoints import load_model

    source = options.source(options.input_data_pattern)
    check_origins(options.train_dir, source.files)
    config = with_record_views(options.reading(run), source.files)
    video_id, source = find_video(source, options.video_id or None, skip_corrupt=config.skip_corrupt)
    class_ids = options.class_ids(config.num_classes)
    views = options.views(run, train_dir=options.train_dir)
    settings = {"views": views, "batch_size": min(_batch_size(options, config), 64)}
    model, _ = load_model(options.train_dir)
    (timeline,) = predict_timelines(model, source, config, video_ids=[video_id], class_ids=class_ids, **settings)
    if calibration:
        timeline = dataclasses.replace(timeline, scores=calibration(timeline.scores))
    return timeline.take(timeline.best_rows(options.top_k or 10))


def _refuse_segment_options(options, where):
    """For where no segments are ranked."""
    fields = fields_of(SegmentFilter)
    given = {fields[name].flag: value for name, value in options.of(SegmentFilter).items()} | {"labels": options.labels}
    for name, value in given.items():
        if value:
            raise InputError(f"--{name} is for the ranking of segments, not for {where}: leave it out")


def _folder(options, output):
    """The PartsFolder of this job, which another model's parts are no use to; None beside a pipe or device."""
    if is_special(output):
        return None
    from yt8m.models.checkpoints import model_path
    from yt8m.runtime.parts import PartsFolder

    status = os.stat(model_path(options.train_dir))
    identity = [os.path.abspath(model_path(options.train_dir)), status.st_size, status.st_mtime_ns]
    return PartsFolder(f"{output}.parts", identity=identity)


def _check_format(options):
    if options.embeddings:
        from yt8m.similarity.embedding_files import form_of

        form_of(options.embeddings)
        return
    suffix = os.path.splitext(options.output_file.removesuffix(".gz"))[1]
    if options.format and (options.format == "parquet") != (suffix == ".parquet"):
        raise InputError(
            f"--format={options.format} contradicts --output_file={options.output_file}: change the suffix"
        )


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, InferenceOptions, resume_hint="The same command resumes from the parts that are done.")


if __name__ == "__main__":
    run()
