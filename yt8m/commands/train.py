r"""Training on the labels of whole videos or, with --segment_labels, on rated segments.

Pre-train, then fine-tune from that checkpoint:

  train.py --preset=BERTMean_L2h12 --train_data_pattern='train/*.tfrecord' --train_dir=runs/pretrained
  train.py --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \
      --holdout_files=300 --train_dir=runs/finetuned

The same command again resumes the run from its last checkpoint.
"""

from yt8m.commands import command_line
from yt8m.commands.train_options import TrainOptions, prepare


def main(options: TrainOptions) -> None:
    """Trains a model."""
    prepared = prepare(options)
    from yt8m.training.train import train

    state = train(
        prepared.run,
        source=prepared.source,
        holdout=prepared.holdout,
        train_dir=options.train_dir,
        resources=prepared.resources,
    )
    best = f", best holdout score {state.best:.4f}" if state.best is not None else ""
    if state.adapted is not None:
        best += f", {state.adapted:.4f} with batch norm adapted"
    print(f"trained {state.step} steps in {options.train_dir}{best}")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, TrainOptions, resume_hint="The same command resumes from the checkpoint.")


if __name__ == "__main__":
    run()
