r"""Self-training: a teacher labels unlabelled segments, a student is trained on them and becomes the next teacher.

  selftrain.py --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \
      --holdout_files=300 --to_label_data_pattern='test/*.tfrecord' --train_dir=runs/selftrained

Takes the flags of train.py for every student and a few more. --train_dir is then the folder of a run, the best
student's, with a folder for each round beside it. The same command again resumes the round that was stopped.
"""

import dataclasses

from yt8m.commands import command_line
from yt8m.commands.groups import ViewOptions
from yt8m.commands.train_options import TrainOptions, prepare
from yt8m.config import PATTERN_HELP
from yt8m.options import option
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTrainOptions(ViewOptions, TrainOptions):
    """Rounds of teachers and students."""

    to_label_data_pattern: str = option(
        "", f"Files to take pseudo-labelled segments from; their labels are not read. {PATTERN_HELP}", required=True
    )
    teacher: str = option(
        "",
        "First teacher: folder of a run, or a parquet submission of the segments to label, such as ensemble.py "
        "--method=mean makes of several models'.",
        defaults_to="one that is trained first",
    )
    iterations: int = option(
        3, "Most rounds; a round that is no better than those before is the last.", unit="rounds", low=1
    )
    pseudo_threshold: float = option(0.95, "Least score of a pseudo-label.", low=0, high=1)
    thresholds_by_class: bool = option(False, "A threshold for each class: the score of the best F1 on the holdout.")
    max_pseudo: int | None = option(
        None,
        "Most pseudo-labelled segments of a round.",
        unit="segments",
        low=1,
        defaults_to="all that reach the threshold",
    )


def main(options: SelfTrainOptions) -> None:
    """Trains students until one is no better than the last."""
    train = options.train_config()
    if not train.segment_labels:
        raise InputError("self-training is on rated segments: give --segment_labels")
    prepared = prepare(options)
    if prepared.run.pseudo_data_pattern:
        raise InputError("--pseudo_data_pattern is what self-training makes by itself: leave it out")
    from yt8m.data.splits import Source, check_disjoint
    from yt8m.data.tfrecord import list_files
    from yt8m.training.selftraining import SelfTraining, self_train

    # A split by id holds for all files.
    unlabelled = Source(tuple(list_files(options.to_label_data_pattern)), prepared.source.keep)
    if prepared.holdout and options.check_split and not prepared.run.holdout_fraction:
        check_disjoint(unlabelled.files, prepared.holdout.files, skip_corrupt=prepared.run.data.skip_corrupt)
    results = self_train(
        prepared.run,
        source=prepared.source,
        holdout=prepared.holdout,
        unlabelled=unlabelled,
        train_dir=options.train_dir,
        settings=SelfTraining(
            teacher=options.teacher,
            iterations=options.iterations,
            threshold=options.pseudo_threshold,
            by_class=options.thresholds_by_class,
            most=options.max_pseudo,
            views=options.views(prepared.run),
        ),
        resources=prepared.resources,
    )
    for result in results:
        records = f", {result['records']} pseudo-labelled segments" if "records" in result else ""
        print(f"round {result['round']}: holdout {result['holdout']:.4f}{records}  {result['run']}")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, SelfTrainOptions, resume_hint="The same command resumes the round that was stopped.")


if __name__ == "__main__":
    run()
