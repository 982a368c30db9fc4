"""Ranks the segments of videos for every class, or, without --segment_labels, tags whole videos.

  inference.py --train_dir=runs/finetuned --segment_labels --input_data_pattern='test/*.tfrecord' \\
      --segment_label_ids_file=segment_label_ids.csv --tta=-2,1 --output_file=submission.csv

Segments: a submission, header Class,Segments, then class_id,video_id:start ... best first (or parquet with scores).
Videos: header VideoId,LabelConfidencePairs, then video_id,class confidence class confidence ...

  inference.py --train_dir=runs/finetuned --input_data_pattern='test/*.tfrecord' --video_id=Eq0a --timeline \\
      --vocabulary=vocabulary.csv --intervals=Eq0a.json --chapters=Eq0a.vtt

One video: when each class is there, in the terminal, as JSON and as WebVTT chapters.

  inference.py --train_dir=runs/finetuned --input_data_pattern='test/*.tfrecord' --embeddings=test.npy

Embeddings: the vector before the head of each segment or video, for yt8m-similar.

What is done is kept in OUTPUT_FILE.parts until the output is written, so that the same command after a kill goes on
where it stopped, to the same bytes. With --ray the machines of a Ray cluster share the work, to the same bytes.
"""

import dataclasses
import os
import shutil
import sys

from absl import flags

from yt8m.commands import command_line, run_flags
from yt8m.ranking.filters import POOLINGS
from yt8m.runtime.files import check_writable
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError

FLAGS = flags.FLAGS

flags.DEFINE_string("train_dir", None, "Folder of the run whose best model predicts.", required=True)
flags.DEFINE_string("input_data_pattern", None, f"Files to predict. {run_flags.PATTERN_HELP}", required=True)
flags.DEFINE_string("output_file", None, "File to write: the ranking of all videos.")
flags.DEFINE_string(
    "embeddings",
    None,
    "File to write instead: the vector before the head of each segment or video, as NAME.npy, a float32 matrix with "
    "NAME.ids.csv beside it, or as NAME.parquet.",
)
flags.DEFINE_bool(
    "segment_labels", None, "Rank segments (True) or tag whole videos (False). Default: as the model was trained."
)
flags.DEFINE_integer("batch_size", 512, "Segments or videos a step; shifted views of one segment count once.")
flags.DEFINE_integer(
    "top_k", None, "Most classes a video or segment is listed for. Default: 20 a video, all a segment, 10 in a timeline."
)
flags.DEFINE_string("video_id", None, "The video of --timeline, --intervals and --chapters. Default: the only one there is.")
flags.DEFINE_bool("timeline", False, "Draw in the terminal when each class is there in one video.")
flags.DEFINE_string("intervals", None, "JSON file to write: when each class is there in one video.")
flags.DEFINE_string("chapters", None, "WebVTT file to write: chapters of one video, the best class of each time.")
flags.DEFINE_float(
    "threshold", 0.5, "Score from which a class is there, calibrated if eval.py --calibrate was run.", 0.0, 1.0
)
flags.DEFINE_string("vocabulary", None, "CSV with Index and Name, for names in --timeline, --intervals and --chapters.")
run_flags.define_class_flag()
flags.DEFINE_integer("segment_max_pred", MAX_SEGMENTS_PER_CLASS, "Most segments to list for a class.", lower_bound=1)
run_flags.define_view_flags()
flags.DEFINE_integer(
    "video_filter_top_n",
    None,
    "Put a segment behind all others of a class that is not among the N best of its video. Default: off.",
    lower_bound=1,
)
flags.DEFINE_enum(
    "video_filter_pooling", "max", POOLINGS, "A video's score of a class: the max or the mean of its segments' scores."
)
flags.DEFINE_string(
    "video_predictions", "", "CSV of whole videos' classes, by --nosegment_labels, for --video_filter_top_n to go by instead."
)
flags.DEFINE_integer(
    "skip_first_segments",
    0,
    "Put so many segments at each video's beginning behind all others; 6 were never rated in YouTube-8M's 2019 set.",
    lower_bound=0,
)
flags.DEFINE_integer(
    "skip_last_segments", 0, "The same for the end of each video; 2 were never rated in that set.", lower_bound=0
)
flags.DEFINE_string(
    "labels", None, "Ratings, CSV of vid:start,class,score or TFRecord files: prints MAP@K before and after the filters."
)
run_flags.define_border_flag()
run_flags.define_backend_flag()
run_flags.define_run_check_flags()
run_flags.define_split_flags()
run_flags.define_side_flag("--input_data_pattern")
flags.DEFINE_enum("format", None, ("csv", "parquet"), "Form of a submission. Default: by the output file's suffix.")
flags.DEFINE_bool("skip_corrupt", False, "Count corrupt records and go on, instead of stopping at the first.")
run_flags.define_ray_flag("A worker for each GPU, or for each machine where there are none.")


def main():
    """Predicts, and writes what the flags ask for."""
    if FLAGS.timeline or FLAGS.intervals or FLAGS.chapters:
        _show_video()
        return
    if FLAGS.video_id:
        raise InputError("--video_id is for --timeline, --intervals and --chapters: give at least one of these")
    if bool(FLAGS.output_file) == bool(FLAGS.embeddings):
        raise InputError(
            "either --output_file or --embeddings must be given, or, for one video, --timeline, --intervals or --chapters"
        )
    from yt8m.models.checkpoints import load_model, read_run_config

    _check_format()
    output = FLAGS.output_file or FLAGS.embeddings
    check_writable(output)
    source = run_flags.source_from_flags(FLAGS.input_data_pattern, FLAGS.split)
    run = read_run_config(FLAGS.train_dir)
    run_flags.check_run_flags(run)
    config = run.data.replace(**run_flags.given("border", "skip_corrupt"))
    segments = run.train.segment_labels if FLAGS.segment_labels is None else FLAGS.segment_labels
    if not segments and FLAGS.output_file and output.endswith(".parquet"):
        raise InputError("--format=parquet is for segments: predictions of whole videos are CSV")
    views = run_flags.views_from_flags(run) if segments else ()
    folder = _folder(output)
    # With Ray this process may have nothing to run a model on.
    model = FLAGS.train_dir if FLAGS.ray else load_model(FLAGS.train_dir)[0]
    options = {"batch_size": FLAGS.batch_size, "folder": folder, "ray": FLAGS.ray}
    if FLAGS.embeddings:
        written = _embed(model, source, config, segments=segments, views=views, **options)
    elif segments:
        written = _rank_segments(model, source, config, views=views, **options)
    else:
        written = _tag_videos(model, source, config, **options)
    folder.remove()
    print(f"wrote {output}: {written}")


def _rank_segments(model, source, config, **options):
    from yt8m.inference.prediction import predict_segments
    from yt8m.ranking.evaluation import evaluate_lists
    from yt8m.ranking.submission import write_lists

    class_ids = run_flags.class_ids_from_flags(config.num_classes)
    options |= {"class_ids": class_ids, "top_n": FLAGS.segment_max_pred, "top_k": FLAGS.top_k}
    segment_filter = _segment_filter()
    labels = run_flags.read_rated_labels(FLAGS.labels) if FLAGS.labels else None
    # The ranking without the filter is made only to compare with.
    filters = [segment_filter, None] if segment_filter and labels else [segment_filter]
    tops = predict_segments(model, source, config, filters=filters, **options)
    # What a filter has put behind has a score below 0.
    write_lists(FLAGS.output_file, ((class_id, listed, scores.clip(min=0)) for class_id, listed, scores in tops[0]))
    if labels:
        after, *before = (evaluate_lists(top, labels, top_n=FLAGS.segment_max_pred).map_at_k for top in tops)
        compared = f" with the filters, {before[0]:.4f} without" if before else ""
        print(f"MAP@{FLAGS.segment_max_pred} is {after:.4f}{compared}")
    return f"{len(class_ids)} classes"


def _segment_filter():
    """The SegmentFilter that the flags ask for, None for none."""
    from yt8m.ranking.filters import SegmentFilter

    if FLAGS.video_predictions and not FLAGS.video_filter_top_n:
        raise InputError("--video_predictions needs --video_filter_top_n: how many of a video's classes count")
    wanted = SegmentFilter(
        top_n=FLAGS.video_filter_top_n,
        pooling=FLAGS.video_filter_pooling,
        video_predictions=FLAGS.video_predictions,
        skip_first=FLAGS.skip_first_segments,
        skip_last=FLAGS.skip_last_segments,
    )
    if wanted.video_predictions:
        from yt8m.ranking.video_predictions import read_video_predictions

        # Only now, so that a bad file is found before the work.
        read_video_predictions(wanted.video_predictions, top_n=wanted.top_n)
    return wanted if wanted.top_n or wanted.skip_first or wanted.skip_last else None


def _tag_videos(model, source, config, **options):
    from yt8m.inference.prediction import predict_videos
    from yt8m.ranking.video_predictions import write_video_predictions

    _refuse_segment_flags("whole videos")

    predictions = predict_videos(model, source, config, top_k=FLAGS.top_k or 20, **options)
    return f"{write_video_predictions(FLAGS.output_file, predictions)} videos"


def _embed(model, source, config, *, segments, **options):
    from yt8m.inference.embeddings import predict_embeddings
    from yt8m.similarity.embedding_files import EmbeddingWriter

    with EmbeddingWriter(FLAGS.embeddings, segments=segments) as writer:
        for rows in predict_embeddings(model, source, config, segments=segments, **options):
            writer.write(rows)
    return f"{writer.num_rows:,} rows of {writer.size}"


def _show_video():
    if FLAGS.output_file or FLAGS.embeddings or FLAGS.ray:
        raise InputError(
            "--output_file, --embeddings and --ray are for all videos, --timeline, --intervals and --chapters for one"
        )
    _refuse_segment_flags("--timeline, --intervals and --chapters")
    from yt8m.models.checkpoints import load_calibration, read_run_config
    from yt8m.ranking.timelines import write_chapters, write_intervals
    from yt8m.report.terminal import draw_timeline
    from yt8m.vocabulary import read_class_names

    names = read_class_names(FLAGS.vocabulary) if FLAGS.vocabulary else {}
    for path in filter(None, (FLAGS.intervals, FLAGS.chapters)):
        check_writable(path)
    run = read_run_config(FLAGS.train_dir)
    run_flags.check_run_flags(run)
    calibration = load_calibration(FLAGS.train_dir)
    kind = f"calibrated on rated pairs ({calibration.method})" if calibration else "uncalibrated"
    timeline = _predict_video(run, calibration)
    if FLAGS.timeline:
        width = shutil.get_terminal_size().columns
        print(draw_timeline(timeline, names=names, kind=kind, threshold=FLAGS.threshold, width=width, stream=sys.stdout))
    if FLAGS.intervals:
        written = write_intervals(FLAGS.intervals, timeline, threshold=FLAGS.threshold, names=names, scores=kind)
        print(f"wrote {FLAGS.intervals}: {len(written)} intervals, scores {kind}")
    if FLAGS.chapters:
        written = write_chapters(FLAGS.chapters, timeline, threshold=FLAGS.threshold, names=names)
        print(f"wrote {FLAGS.chapters}: {len(written)} chapters")


def _predict_video(run, calibration):
    """The Timeline of --video_id with its --top_k best classes."""
    from yt8m.data.lookup import find_video
    from yt8m.inference.prediction import predict_timelines
    from yt8m.models.checkpoints import load_model

    config = run.data.replace(**run_flags.given("border", "skip_corrupt"))
    source = run_flags.source_from_flags(FLAGS.input_data_pattern, FLAGS.split)
    video_id, source = find_video(source, FLAGS.video_id, skip_corrupt=config.skip_corrupt)
    class_ids = run_flags.class_ids_from_flags(config.num_classes)
    options = {"views": run_flags.views_from_flags(run), "batch_size": min(FLAGS.batch_size, 64)}
    model, _ = load_model(FLAGS.train_dir)
    (timeline,) = predict_timelines(model, source, config, video_ids=[video_id], class_ids=class_ids, **options)
    if calibration:
        timeline = dataclasses.replace(timeline, scores=calibration(timeline.scores))
    return timeline.take(timeline.best_rows(FLAGS.top_k or 10))


def _refuse_segment_flags(where):
    """For where no segments are ranked."""
    names = ("video_filter_top_n", "video_predictions", "skip_first_segments", "skip_last_segments", "labels")
    for name in names:
        if FLAGS[name].value:
            raise InputError(f"--{name} is for the ranking of segments, not for {where}: leave it out")


def _folder(output):
    """The PartsFolder of this job, which another model's parts are no use to."""
    from yt8m.models.checkpoints import model_path
    from yt8m.runtime.parts import PartsFolder

    status = os.stat(model_path(FLAGS.train_dir))
    identity = [os.path.abspath(model_path(FLAGS.train_dir)), status.st_size, status.st_mtime_ns]
    return PartsFolder(f"{output}.parts", identity=identity)


def _check_format():
    if FLAGS.embeddings:
        from yt8m.similarity.embedding_files import form_of

        form_of(FLAGS.embeddings)
        return
    suffix = os.path.splitext(FLAGS.output_file.removesuffix(".gz"))[1]
    if FLAGS.format and (FLAGS.format == "parquet") != (suffix == ".parquet"):
        raise InputError(f"--format={FLAGS.format} contradicts --output_file={FLAGS.output_file}: change the suffix")


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="The same command goes on where it stopped.")


if __name__ == "__main__":
    run()
