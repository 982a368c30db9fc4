"""Trains a model: on the labels of whole videos, or, with --segment_labels, on rated segments.

Pre-train, then fine-tune from that checkpoint:

  train.py --preset=BERTMean_L2h12 --train_data_pattern='train/*.tfrecord' --train_dir=runs/pretrained
  train.py --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \\
      --holdout_files=300 --train_dir=runs/finetuned

The same command again goes on where the run stopped.
"""

from absl import flags

from yt8m.commands import command_line, train_flags

FLAGS = flags.FLAGS


def main():
    """Trains a model."""
    from yt8m.training.train import train

    state = train(**train_flags.prepare(), train_dir=FLAGS.train_dir)
    best = f", best holdout score {state.best:.4f}" if state.best is not None else ""
    print(f"trained {state.step} steps in {FLAGS.train_dir}{best}")


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="The same command goes on from the checkpoint.")


if __name__ == "__main__":
    run()
