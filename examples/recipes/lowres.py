r"""Recipe for low resolution: clips of 10 to 64 pixels, enlarged or not, two networks, fused; `make recipe-lowres`.

  .venv/bin/python -m examples.recipes.lowres [--seeds=3] [--output_dir=runs/recipe-lowres] [--list]

The same command goes on where it was stopped. Prints a Markdown table: F1 on the test clips, by thresholds of the
holdout, mean and standard deviation over seeds.
"""

import dataclasses

from examples.recipes.clips import MODELS, SPLITS, Recipe, RecipeOptions, markdown, mean_and_spread
from examples.recipes.steps import Step
from yt8m.commands import command_line
from yt8m.options import option

INPUTS = {"bilinear": "low", "super-resolved": "enlarged"}
"""What the networks see: the clips as they are, scaled bilinearly as they are read, or enlarged before."""

FRESH = {"from none": False, "from none, multigrid": True}
"""Rows of what is trained from none, and whether by multigrid."""

FRESH_MODEL = "slowfast"

EPOCHS = {"pre-training": 6, "fine-tuning": 6, "from none": 15}
"""Pre-training has 4000 clips, the others 800: from none half as many steps as pre-training."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class LowresOptions(RecipeOptions):
    """Options of the recipe for low resolution."""

    output_dir: str = option("runs/recipe-lowres", "Folder of data, runs, predictions and the table.")
    super_resolution_steps: int = option(600, "Steps of the network that enlarges.", unit="steps", low=1)


def main(options: LowresOptions) -> None:
    """Runs the recipe."""
    recipe = Recipe(options)
    steps = [step for seed in range(options.seeds) for step in of_seed(recipe, seed)]
    recipe.run([*shared(recipe), *steps], lambda done: table(done, options.seeds))


def shared(recipe):
    """Clips, and the network that enlarges them, which is trained on others of full size."""
    full, enlarger = recipe.path("full"), f"--train_dir={recipe.path('enlarger')}"
    enlarged = [
        Step(
            f"enlarged/{split}",
            f"yt8m-super-resolve {enlarger} --input_data_pattern={recipe.path('low')}/{split}/*.tfrecord "
            f"--output_dir={recipe.path('enlarged')}/{split}",
        )
        for split in SPLITS
    ]
    training = Step(
        "enlarger",
        f"yt8m-super-resolve {enlarger} --train_data_pattern={full}/train/*.tfrecord "
        f"--eval_data_pattern={full}/holdout/*0.tfrecord --network=espcn --width=16 --num_frames=2 --patch=64 "
        f"--batch_size=16 --base_learning_rate=2e-3 --max_steps={recipe.options.super_resolution_steps}",
    )
    return [recipe.demo("full", "bright", seed=1), recipe.demo("low", "low_resolution", seed=0), training, *enlarged]


def of_seed(recipe, seed):
    """Training, predictions, fusion and scores of a seed."""
    folder = f"seed-{seed}"
    steps = []

    def train(name, start, data, how, multigrid=False):
        many, epochs = how == "pre-training", EPOCHS[how]
        flags = recipe.training(data=data, holdout=data, seed=seed, epochs=epochs, many=many, multigrid=multigrid)
        steps.append(recipe.train(name, start, flags))

    def fuse(name, members):
        steps.extend([recipe.fuse(name, members, data="low"), *recipe.score_f1(name, data="low")])

    def predict(name, data):
        steps.extend([recipe.predict(f"{name}.tags", name, data=data), *recipe.score_f1(f"{name}.tags", data="low")])

    for model in MODELS:
        train(f"{folder}/full/{model}", model, "full", "pre-training")
    for kind, data in INPUTS.items():
        runs = {model: f"{folder}/{kind}/{model}" for model in MODELS}
        for model, run in runs.items():
            train(run, f"{folder}/full/{model}", data, "fine-tuning")
            predict(run, data)
        fuse(f"{folder}/{kind}/fused", [f"{run}.tags" for run in runs.values()])
    fuse(f"{folder}/everything", [f"{folder}/{kind}/{model}.tags" for kind in INPUTS for model in MODELS])
    for kind, multigrid in FRESH.items():
        run = f"{folder}/{slug(kind)}/{FRESH_MODEL}"
        train(run, FRESH_MODEL, "low", "from none", multigrid)
        predict(run, "low")
    return steps


def slug(kind):
    """A row's name as that of a folder."""
    return kind.replace(",", "").replace(" ", "-")


def table(done, seeds):
    """F1 of each row, and the processor time of training."""

    def f1(name):
        return mean_and_spread([done[f"seed-{seed}/{name}.test"].result["f1"]["macro"] for seed in range(seeds)])

    def minutes(kind, model):
        runs = [done[f"seed-{seed}/{slug(kind)}/{model}"] for seed in range(seeds)]
        whole = [run.cpu_seconds / 60 for run in runs if not run.resumed]
        return mean_and_spread(whole, ".1f") if whole else ""

    def row(kind, models):
        scores = [f1(f"{slug(kind)}/{model}.tags") if model in models else "" for model in MODELS]
        fused = f1(f"{kind}/fused") if kind in INPUTS else ""
        return [kind, *scores, fused, minutes(kind, FRESH_MODEL)]

    rows = [row(kind, MODELS) for kind in INPUTS]
    rows.append(["both", "", "", f1("everything"), ""])
    rows += [row(kind, (FRESH_MODEL,)) for kind in FRESH]
    return markdown(["F1 on test", *MODELS, "fused", f"{FRESH_MODEL}: processor minutes of training"], rows)


if __name__ == "__main__":
    command_line.run(main, LowresOptions, resume_hint="The same command goes on.")
