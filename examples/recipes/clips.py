"""What both recipes are made of: small networks of clips, how they are trained, scored and fused, and tables.

A seed is that of the initial weights, the order and the draws; the clips are the same for all.
"""

import dataclasses
import json
import os
import shlex
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from examples.recipes.steps import Done, Step, run_steps
from yt8m.commands import command_line
from yt8m.options import option
from yt8m.runtime.files import write_text

MODELS = {
    "slowfast": {"depth": 14, "width": 16, "alpha": 4, "beta": 0.25, "dropout": 0.1, "head": "softmax"},
    "tanet": {"depth": 14, "width": 16, "num_frames": 8, "dropout": 0.1, "head": "softmax"},
}
SPLITS = ("train", "holdout", "test")
CLIPS = {"tiny": 40, "small": 800, "large": 4000}
"""Clips to train on of each size of yt8m-demo."""

SIZES = {"tiny": ("tiny", "tiny"), "small": ("large", "small")}
"""Of each --size, that of the clips of full size and full light, and that of the others."""

_READING = "--clip_size=48 --num_frames=8 --sampling=sequence --clip_stride=3"
_BATCH = 16
_TRAINING = (
    f"--batch_size={_BATCH} --base_learning_rate=1e-2 --random_crop=0.7 --mixed_precision=off --checkpoint_minutes=0.5"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecipeOptions(command_line.Options):
    """Options of a recipe."""

    output_dir: str = option("", "Folder of data, runs, predictions and the table.")
    seeds: int = option(3, "Seeds, from 0.", low=1, high=100)
    size: str = option(
        "small",
        "Generated clips to train on: 4000 of full size and full light and 800 others (small), or 40 of both (tiny).",
        choices=tuple(SIZES),
    )
    epochs: float = option(1.0, "Factor on the epochs of every network.", unit="", above=0, high=100)
    jobs: int = option(2, "Steps that run at once, as far as none waits for another.", unit="steps", low=1, high=64)
    list: bool = option(False, "The commands alone, as they are typed.")


class Recipe:
    """Maker of the steps of a recipe. options: RecipeOptions."""

    def __init__(self, options: RecipeOptions):
        self.options = options

    def path(self, name: str) -> str:
        """Path of what a step makes."""
        return os.path.join(self.options.output_dir, name)

    def tags(self, name: str) -> str:
        """Path of what a step predicts."""
        return f"{self.path(name)}.csv"

    def demo(self, name: str, version: str, *, seed: int) -> Step:
        """Step that generates clips of actions in a version of yt8m-demo."""
        size = SIZES[self.options.size][version != "bright"]
        flags = f"--actions={version} --actions_size={size} --seed={seed}"
        return Step(name, f"yt8m-demo {flags} --output_dir={self.path(name)}")

    def training(
        self,
        *,
        data: str,
        holdout: str,
        seed: int,
        epochs: int,
        many: bool,
        steps: int | None = None,
        multigrid: bool = False,
    ) -> str:
        """Flags of training. data, holdout: names of folders of clip records. many: if these are of full size.

        steps: most of them, all of the epochs by default, over which the rate rises and falls; with multigrid, whose
        steps have more examples at first, it falls by these.
        """
        epochs = max(1, round(epochs * self.options.epochs))
        clips = CLIPS[SIZES[self.options.size][not many]]
        if multigrid:
            # To a third of the rate twice; Adam takes less than the linear scaling by the batch.
            decay = f"--learning_rate_decay=0.33 --learning_rate_decay_examples={round(0.4 * epochs * clips)}"
            rate = f"--multigrid --multigrid_rate_scaling=0.5 {decay}"
        else:
            steps = steps or epochs * -(-clips // _BATCH)
            rate = f"--learning_rate_schedule=cosine --max_steps={steps} --warmup_steps={max(1, steps // 15)}"
        return (
            f"--train_data_pattern={self.path(data)}/train/*.tfrecord "
            f"--eval_data_pattern={self.path(holdout)}/holdout/*.tfrecord {_TRAINING} --num_epochs={epochs} {rate} "
            f"--seed={seed}"
        )

    def train(self, name: str, start: str, flags: str) -> Step:
        """Step that trains a run. start: a model of MODELS, or the name of a run. flags: as ``training`` has them."""
        if start in MODELS:
            begin = f"--model={start} --model_config={shlex.quote(json.dumps(MODELS[start]))} {_READING}"
        else:
            begin = f"--init_from={self.path(start)}"
        return Step(name, f"train.py {begin} {flags} --train_dir={self.path(name)}")

    def predict(self, name: str, run: str, *, data: str, splits: Sequence[str] = SPLITS[1:], extra: str = "") -> Step:
        """Step that tags the clips of ``splits`` of ``data`` by the run of that name."""
        patterns = ",".join(f"{self.path(data)}/{split}/*.tfrecord" for split in splits)
        files = f"--input_data_pattern={patterns} --output_file={self.tags(name)}"
        return Step(name, f"inference.py --train_dir={self.path(run)} {files} {extra}")

    def fuse(self, name: str, members: Sequence[str], *, data: str) -> Step:
        """Step that fuses predictions by means, with the weights that rank the holdout best."""
        files = f"--submissions={','.join(map(self.tags, members))} --output_file={self.tags(name)}"
        return Step(name, f"ensemble.py --search --method=mean {files} --labels={self.path(data)}/holdout_labels.csv")

    def score(self, name: str, *, data: str, flag: str = "") -> Step:
        """Step NAME.test, which scores predictions on the test of ``data``; its result has hit_at_one and f1."""
        return self._evaluated(name, "test", data, flag)

    def score_f1(self, name: str, *, data: str) -> list[Step]:
        """The same with the thresholds that a step before it, NAME.holdout, fits on the holdout."""
        # Named after the step that fits them, for which the other one waits.
        thresholds = f"{self.path(name)}.holdout.csv"
        fit = self._evaluated(name, "holdout", data, f"--fit_thresholds={thresholds}")
        return [fit, self.score(name, data=data, flag=f"--thresholds={thresholds}")]

    def _evaluated(self, name, split, data, flag):
        labels = f"{self.path(data)}/{split}_labels.csv"
        return Step(f"{name}.{split}", f"eval.py --submission={self.tags(name)} --labels={labels} {flag}".strip())

    def run(self, steps: Sequence[Step], table: Callable[[Mapping[str, Done]], str]) -> None:
        """Runs the steps, prints the table that ``table`` makes of them, and writes it to table.md; or lists them."""
        if self.options.list:
            print("\n".join(step.command for step in steps))
            return
        began = time.monotonic()
        done = run_steps(steps, self.options.output_dir, jobs=self.options.jobs)
        text = table(done)
        write_text(self.path("table.md"), text)
        minutes, processor = time.monotonic() - began, sum(step.cpu_seconds for step in done.values())
        print(f"\n{text}\nin {minutes / 60:.0f} minutes, {processor / 60:.0f} of a processor: {self.path('table.md')}")


def mean_and_spread(values: Sequence[float], form: str = ".3f") -> str:
    """Mean over seeds and their standard deviation."""
    spread = f" ± {statistics.stdev(values):{form}}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{spread}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first column is words."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
