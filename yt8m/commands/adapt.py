"""Batch norm of a finished run adapted to videos of another domain, without training and without labels.

  adapt.py --train_dir=runs/finetuned --input_data_pattern='target/*.tfrecord' --output_dir=runs/adapted
  eval.py --train_dir=runs/adapted

The moving statistics of the best model's batch norm are estimated anew on the given videos; no weight changes. The
result is a run of its own, for all that a run is good for; --train_dir stays as it is. The score of its holdout is
printed before and after; the last line on standard output is one JSON object.
"""

import dataclasses
import json
import os

from yt8m.commands import command_line
from yt8m.commands.groups import BackendOptions
from yt8m.config import PATTERN_HELP, ClipConfig
from yt8m.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptOptions(BackendOptions):
    """Options of adaptation."""

    configs = {ClipConfig: ("gamma",)}

    train_dir: str = option("", "Folder of the run whose best model is adapted; it stays as it is.", required=True)
    input_data_pattern: str = option("", f"Files to adapt to; labels are not read. {PATTERN_HELP}", required=True)
    output_dir: str = option("", "Folder of the adapted run.", defaults_to="adapted in --train_dir")
    segment_labels: bool | None = option(
        None, "Adaptation to segments, or with --nosegment_labels to whole videos.", defaults_to="as in training"
    )
    eval_data_pattern: str = option(
        "", f"Files to score on before and after. {PATTERN_HELP}", defaults_to="the run's own holdout"
    )
    batch_size: int = option(
        128, "Examples whose mean and variance are one estimate.", unit="examples", low=2, high=1 << 20
    )


def main(options: AdaptOptions) -> None:
    """Adapts, and prints the holdout's scores."""
    from yt8m.data.splits import open_source, sources_of
    from yt8m.models.checkpoints import read_run_config
    from yt8m.training.finishing import adapt_run

    run = read_run_config(options.train_dir)
    holdout = open_source(options.eval_data_pattern) if options.eval_data_pattern else sources_of(run)[1]
    output_dir = options.output_dir or os.path.join(options.train_dir, "adapted")
    done = adapt_run(
        options.train_dir,
        target_pattern=options.input_data_pattern,
        output_dir=output_dir,
        holdout=holdout,
        segments=options.segment_labels,
        batch_size=options.batch_size,
        gamma=options.of(ClipConfig).get("gamma"),
    )
    if holdout is None:
        scores = f"{options.train_dir} held nothing out, so that there is no score: give --eval_data_pattern"
    else:
        scores = f"holdout {done.metric} {done.after:.4f}, before {done.before:.4f}"
    print(f"adapted batch norm to {done.examples:,} examples of {options.input_data_pattern}: {scores}")
    print(f"wrote {output_dir}; {options.train_dir} is as it was")
    print(json.dumps({"output_dir": output_dir} | dataclasses.asdict(done)))


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, AdaptOptions)


if __name__ == "__main__":
    run()
