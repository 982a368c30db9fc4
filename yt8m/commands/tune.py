r"""Hyperparameter search by the score on the holdout; takes the flags of train.py and a few more.

  tune.py --model=frame_bert --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \
      --holdout_files=300 --num_epochs=3 --max_trials=30 --train_dir=runs/search

--train_dir is the folder of the search: a run for each trial in runs/, trials.csv with the best first, trials.png.
The same command again resumes the search, also with more --max_trials.
"""

import dataclasses
import json

from yt8m.commands import command_line
from yt8m.commands.groups import json_of_flag
from yt8m.commands.train_options import TrainOptions, prepare
from yt8m.options import option
from yt8m.types import InputError

_FREE = ("model.dropout", "model.temperature")
"""What may be searched in a model whose weights come from another run."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneOptions(TrainOptions):
    """A search."""

    algorithm: str = option(
        "bayesian",
        "Search algorithm: bayesian, proposals by Bayesian optimisation; hyperband, many short runs of which the best "
        "are trained for longer.",
        choices=("bayesian", "hyperband"),
    )
    max_trials: int = option(20, "Trials of --algorithm=bayesian.", unit="runs", low=1)
    space: str = option(
        "",
        "Search space: JSON or a file of it, as in "
        '\'{"train.base_learning_rate": {"min": 1e-5, "max": 1e-2, "log": true}, "model.dropout": [0.1, 0.3]}\'. '
        "Names are model.FIELD, train.FIELD and, of what has fields itself, train.augment.mixup or "
        "train.consistency.weight.",
        defaults_to="the model's own space",
    )


def main(options: TuneOptions) -> None:
    """Searches, and prints the best trials."""
    prepared = prepare(options)
    from yt8m.training.tuning import default_space, tune, write_results

    space = json_of_flag(options.space, "space") if options.space else default_space(prepared.run.model.name)
    if prepared.run.init_from and not options.space:
        # Weights of another run fix what the model is.
        space = {name: values for name, values in space.items() if name in _FREE or name.startswith("train.")}
    results = tune(
        prepared.run,
        source=prepared.source,
        holdout=prepared.holdout,
        tune_dir=options.train_dir,
        space=space,
        algorithm=options.algorithm,
        max_trials=options.max_trials,
        seed=prepared.run.train.seed,
        resources=prepared.resources,
    )
    if not results:
        raise InputError("no trial came to a score")
    write_results(results, options.train_dir)
    for result in results[:5]:
        print(f"{result['score']:.4f}  {result['folder']}  {json.dumps(result['settings'])}")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, TuneOptions, resume_hint="The same command resumes the trial that was stopped.")


if __name__ == "__main__":
    run()
