r"""Self-training: teachers label unlabelled segments or videos, students learn from them and are the next teachers.

  selftrain.py --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \
      --holdout_files=300 --to_label_data_pattern='test/*.tfrecord' --train_dir=runs/selftrained

Takes the flags of train.py for every student and a few more; without --segment_labels it is whole videos that are
labelled. --train_dir is then the folder of a run, the best student's, with a folder for each round beside it. The same
command again resumes the round that was stopped.

  selftrain.py --members=runs/pretrained/A,runs/pretrained/B --segment_labels ... --train_dir=runs/selftrained

Several students: each round is taught by the mean of all, and all learn. --train_dir has ensemble.json, which names the
runs of the best round.
"""

import dataclasses
import os

from yt8m.commands import command_line
from yt8m.commands.groups import ViewOptions
from yt8m.commands.member_options import member_options
from yt8m.commands.train_options import TrainOptions, prepare
from yt8m.config import PATTERN_HELP, RunConfig
from yt8m.options import option
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTrainOptions(ViewOptions, TrainOptions):
    """Rounds of teachers and students."""

    to_label_data_pattern: str = option(
        "", f"Files to take pseudo-labelled examples from; their labels are not read. {PATTERN_HELP}", required=True
    )
    teacher: tuple[str, ...] = option(
        (),
        "First teachers, whose mean teaches: folders of runs, or files of what they say of --to_label_data_pattern "
        "(parquet submissions of segments, or inference.py's CSV of whole videos).",
        defaults_to="the students, trained without pseudo-labels first",
    )
    members: tuple[str, ...] = option(
        (),
        "Several students: folders of the runs that they start from, or a JSON file, a list with an object of flags of "
        'train.py for each, as in [{"init_from": "runs/a"}, {"init_from": "runs/b", "base_learning_rate": 1e-3}].',
        defaults_to="one student",
    )
    iterations: int = option(
        3, "Most rounds; a round that is no better than those before is the last.", unit="rounds", low=1
    )
    pseudo_threshold: float = option(0.95, "Least score of a pseudo-label.", low=0, high=1)
    thresholds_by_class: bool = option(
        False,
        "A threshold for each class: the score of the best F1 on the holdout, which a CSV of whole videos that teaches "
        "has to list too.",
    )
    max_pseudo: int | None = option(
        None,
        "Most pseudo-labelled examples of a round, drawn with replacement to the distribution of the rated classes.",
        unit="examples",
        low=1,
        defaults_to="as many as reach the threshold",
    )


def main(options: SelfTrainOptions) -> None:
    """Trains students until one is no better than the last."""
    if options.members and options.of(RunConfig).get("init_from"):
        raise InputError("--members says what each student starts from: leave out --init_from")
    first, *others = member_options(options, options.members)
    prepared = prepare(first)
    if others and prepared.resources.placement.num_processes > 1:
        raise InputError("--members trains one student after the other: leave out --num_processes")
    runs = [prepared.run, *(prepare(other, beside=prepared).run for other in others)]
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
        runs,
        source=prepared.source,
        holdout=prepared.holdout,
        unlabelled=unlabelled,
        train_dir=options.train_dir,
        settings=SelfTraining(
            teachers=options.teacher,
            iterations=options.iterations,
            threshold=options.pseudo_threshold,
            by_class=options.thresholds_by_class,
            most=options.max_pseudo,
            views=_views(options, prepared.run),
        ),
        resources=prepared.resources,
    )
    kind = "segments" if prepared.run.train.segment_labels else "videos"
    for done in results:
        records = f", {done.pseudo['records']} pseudo-labelled {kind}" if done.pseudo else ""
        print(f"round {done.number}: holdout {done.holdout:.4f}{records}  {' '.join(done.runs)}")
    best = max(results, key=lambda done: done.holdout)
    if len(best.students) > 1:
        _tell_ensemble(best, options.train_dir, segments=prepared.run.train.segment_labels)


def _tell_ensemble(best, train_dir, *, segments):
    """Says which runs form the ensemble, and how to rank with it."""
    print(f"the best round's ensemble, in {os.path.join(train_dir, 'ensemble.json')}; to rank with it:")
    suffix = "parquet" if segments else "csv"
    files = [f"{student.name}.{suffix}" for student in best.students]
    for student, file in zip(best.students, files):
        print(f"  inference.py --train_dir={student.run} --input_data_pattern=... --output_file={file}")
    output = "submission.csv" if segments else "videos.csv"
    method = "" if segments else " --method=mean"
    print(f"  ensemble.py --submissions={','.join(files)}{method} --output_file={output}")


def _views(options, run):
    """The views that flags ask for; None, those of each teacher's own run, where none does."""
    if options.shift is None and not options.tta_views and not options.tta:
        return None
    if not run.train.segment_labels:
        raise InputError("--tta, --shift and --tta_views are views of segments: give --segment_labels")
    return options.views(run)


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, SelfTrainOptions, resume_hint="The same command resumes the round that was stopped.")


if __name__ == "__main__":
    run()
