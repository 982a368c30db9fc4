"""What both recipes are made of: small networks of clips, how they are trained, scored and fused, and tables.

A seed is that of the initial weights, the order and the draws; the clips are the same for all.
"""

import json
import os
import shlex
import statistics
from collections.abc import Callable, Mapping, Sequence

from absl import flags

from examples.recipes.steps import Done, Step, run_steps
from yt8m.runtime.files import write_text

FLAGS = flags.FLAGS
flags.DEFINE_string("output_dir", None, "Folder of data, runs, predictions and the table.")
flags.DEFINE_integer("seeds", 3, "Seeds, from 0.", lower_bound=1)
flags.DEFINE_enum("size", "small", ("tiny", "small", "large"), "Number of generated clips: 40, 800 or 4000 to train on.")
flags.DEFINE_integer("epochs", 20, "Epochs of a network that starts from none; others have a share of them.")
flags.DEFINE_boolean("list", False, "The commands alone, as they are typed.")

MODELS = {
    "slowfast": {"depth": 14, "width": 16, "alpha": 4, "beta": 0.25, "dropout": 0.2},
    "tanet": {"depth": 14, "width": 16, "num_frames": 8, "dropout": 0.2},
}
SPLITS = ("train", "holdout", "test")
CLIPS = {"tiny": 40, "small": 800, "large": 4000}
_READING = "--clip_size=48 --num_frames=8"
_TRAINING = (
    "--batch_size=16 --base_learning_rate=2e-3 --random_crop=0.6 --colour_jitter=0.3 --mixed_precision=off "
    "--checkpoint_minutes=0.5"
)


def demo(name: str, version: str, *, seed: int) -> Step:
    """Step that generates clips of actions in a version of yt8m-demo, below --output_dir/NAME."""
    folder = os.path.join(FLAGS.output_dir, name)
    return Step(
        name, f"yt8m-demo --actions={version} --actions_size={FLAGS.size} --seed={seed} --output_dir={folder}"
    )


def training(*, data: str, holdout: str, seed: int, epochs: float, extra: str = "") -> str:
    """Flags of training. data, holdout: folders of clip records. epochs: share of --epochs. extra: further flags."""
    count = max(1, round(epochs * FLAGS.epochs))
    # To a third of the rate twice.
    decay = f"--learning_rate_decay=0.33 --learning_rate_decay_examples={round(0.4 * count * CLIPS[FLAGS.size])}"
    return (
        f"--train_data_pattern={data}/train/*.tfrecord --eval_data_pattern={holdout}/holdout/*.tfrecord {_TRAINING} "
        f"{decay} --num_epochs={count} --seed={seed} {extra}"
    )


def train(name: str, start: str, flags_of_training: str) -> Step:
    """Step that trains a run, in --output_dir/NAME. start: a model of MODELS, or the name of a run to start from."""
    if start in MODELS:
        begin = f"--model={start} --model_config={shlex.quote(json.dumps(MODELS[start]))} {_READING}"
    else:
        begin = f"--init_from={path(start)}"
    return Step(name, f"train.py {begin} {flags_of_training} --train_dir={path(name)}")


def predict(run: str, *, data: str, name: str = "", extra: str = "") -> Step:
    """Step that tags the clips of the holdout and the test of ``data``, to --output_dir/NAME.csv."""
    name = name or f"{run}.tags"
    patterns = ",".join(f"{data}/{split}/*.tfrecord" for split in SPLITS[1:])
    return Step(
        name, f"inference.py --train_dir={path(run)} --input_data_pattern={patterns} {extra} --output_file={tags(name)}"
    )


def fuse(name: str, members: Sequence[str], *, labels: str) -> Step:
    """Step that fuses what the steps ``members`` have predicted, by means with the weights that rank the holdout best."""
    files = ",".join(tags(member) for member in members)
    return Step(
        name,
        f"ensemble.py --search --method=mean --submissions={files} --labels={labels}/holdout_labels.csv "
        f"--output_file={tags(name)}",
    )


def score(name: str, *, labels: str) -> list[Step]:
    """Steps that fit thresholds on the holdout to what the step ``name`` has predicted, and score the test with them.

    Their results, of NAME.holdout and NAME.test, have hit_at_one and f1.
    """
    thresholds = f"{path(name)}.thresholds.csv"
    commands = {"holdout": f"--fit_thresholds={thresholds}", "test": f"--thresholds={thresholds}"}
    return [
        Step(f"{name}.{split}", f"eval.py --submission={tags(name)} --labels={labels}/{split}_labels.csv {flag}")
        for split, flag in commands.items()
    ]


def path(name: str) -> str:
    """Path of what a step makes."""
    return os.path.join(FLAGS.output_dir, name)


def tags(name: str) -> str:
    """Path of what a step predicts."""
    return f"{path(name)}.csv"


def run_recipe(steps: Sequence[Step], table: Callable[[Mapping[str, Done]], str]) -> None:
    """Runs the steps, prints the table that is made of them, and writes it to --output_dir/table.md."""
    done = run_steps(steps, FLAGS.output_dir)
    text = table(done)
    write_text(path("table.md"), text)
    print(f"\n{text}\nin {sum(step.seconds for step in done.values()) / 60:.0f} minutes; {path('table.md')}")


def mean_and_spread(values: Sequence[float], form: str = ".3f") -> str:
    """Mean of seeds and their standard deviation."""
    spread = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{spread}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is words."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
