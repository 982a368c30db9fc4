"""Searches for hyperparameters by the score on the holdout; takes the flags of train.py and a few more.

  tune.py --model=frame_bert --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \\
      --holdout_files=300 --num_epochs=3 --max_trials=30 --train_dir=runs/search

--train_dir is the folder of the search: a run for each trial in runs/, trials.csv with the best first, trials.png.
The same command again goes on where it stopped, also with more --max_trials.
"""

import json

from absl import flags

from yt8m.commands import command_line, run_flags, train_flags
from yt8m.types import InputError

FLAGS = flags.FLAGS

flags.DEFINE_enum(
    "algorithm",
    "bayesian",
    ("bayesian", "hyperband"),
    "How proposals are made: from the scores so far, or many short runs of which the best are trained for longer.",
)
flags.DEFINE_integer("max_trials", 20, "Runs of --algorithm=bayesian.", lower_bound=1)
flags.DEFINE_string(
    "space",
    None,
    "What is searched: JSON or a file of it, as in "
    "'{\"train.base_learning_rate\": {\"min\": 1e-5, \"max\": 1e-2, \"log\": true}, \"model.dropout\": [0.1, 0.3]}'. "
    "Names are model.FIELD, train.FIELD and, of what has fields itself, train.augment.mixup or train.consistency.weight. "
    "Default: the model's own space.",
)


def main():
    """Searches, and prints the best trials."""
    from yt8m.training.tuning import default_space, tune, write_results

    prepared = train_flags.prepare()
    run = prepared["run"]
    space = run_flags.read_json(FLAGS.space, "space") if FLAGS.space else default_space(run.model.name)
    if FLAGS.init_from and not FLAGS.space:
        # Weights of another run fix what the model is.
        space = {name: values for name, values in space.items() if name in _FREE or name.startswith("train.")}
    results = tune(
        **prepared,
        tune_dir=FLAGS.train_dir,
        space=space,
        algorithm=FLAGS.algorithm,
        max_trials=FLAGS.max_trials,
        seed=FLAGS.seed or 0,
    )
    if not results:
        raise InputError("no trial came to a score")
    write_results(results, FLAGS.train_dir)
    for result in results[:5]:
        print(f"{result['score']:.4f}  {result['folder']}  {json.dumps(result['settings'])}")


_FREE = ("model.dropout", "model.temperature")


def run():
    """Entry point of the console script."""
    command_line.run(main, resume_hint="The same command goes on with the trial that was stopped.")


if __name__ == "__main__":
    run()
