"""Self-training: a teacher labels unlabelled segments, a student learns from them, and becomes the next teacher.

  selftrain.py --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \\
      --holdout_files=300 --to_label_data_pattern='test/*.tfrecord' --train_dir=runs/selftrained

Takes the flags of train.py for every student and a few more. --train_dir is then the folder of a run, the best
student's, with a folder for each round beside it. The same command again goes on where it stopped.
"""

from absl import flags

from yt8m.commands import command_line, run_flags, train_flags
from yt8m.types import InputError

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "to_label_data_pattern",
    None,
    f"Files to take pseudo-labelled segments from; no labels of theirs are read. {run_flags.PATTERN_HELP}",
    required=True,
)
flags.DEFINE_string(
    "teacher",
    "",
    "The first teacher: folder of a run, or a parquet submission of the segments to label, such as ensemble.py "
    "--method=mean makes of several models'. Default: one is trained first.",
)
flags.DEFINE_integer("iterations", 3, "Most rounds; a round that is no better than those before is the last.", lower_bound=1)
flags.DEFINE_float("pseudo_threshold", 0.95, "Score from which the teacher is sure of a class.", 0.0, 1.0)
flags.DEFINE_bool(
    "thresholds_by_class", False, "Take, for each class, the score with the best F1 on the holdout for a threshold."
)
flags.DEFINE_integer(
    "max_pseudo", None, "Most pseudo-labelled segments of a round. Default: all the teacher is sure of.", lower_bound=1
)
run_flags.define_view_flags()


def main():
    """Trains students until one is no better than the last."""
    from yt8m.data.splits import Source, check_disjoint
    from yt8m.data.tfrecord import list_files
    from yt8m.training.selftraining import self_train

    if not FLAGS.segment_labels:
        raise InputError("self-training is on rated segments: give --segment_labels")
    if FLAGS.pseudo_data_pattern:
        raise InputError("--pseudo_data_pattern is what self-training makes by itself: leave it out")
    prepared = train_flags.prepare()
    # A split by id holds for all files.
    unlabelled = Source(tuple(list_files(FLAGS.to_label_data_pattern)), prepared["source"].keep)
    if prepared["holdout"] and FLAGS.check_split and not FLAGS.holdout_fraction:
        check_disjoint(unlabelled.files, prepared["holdout"].files, skip_corrupt=prepared["run"].data.skip_corrupt)
    results = self_train(
        **prepared,
        unlabelled=unlabelled,
        train_dir=FLAGS.train_dir,
        teacher=FLAGS.teacher,
        iterations=FLAGS.iterations,
        threshold=FLAGS.pseudo_threshold,
        by_class=FLAGS.thresholds_by_class,
        most=FLAGS.max_pseudo,
        views=run_flags.views_from_flags(prepared["run"]),
    )
    for result in results:
        records = f", {result['records']} pseudo-labelled segments" if "records" in result else ""
        print(f"round {result['round']}: holdout {result['holdout']:.4f}{records}  {result['run']}")


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="The same command goes on with the round that was stopped.")


if __name__ == "__main__":
    run()
