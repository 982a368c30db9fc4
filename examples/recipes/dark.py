r"""Recipe for dark video: labelled bright clips, dark ones without labels, two networks that teach; `make recipe-dark`.

  .venv/bin/python -m examples.recipes.dark [--seeds=3] [--output_dir=runs/recipe-dark] [--list]

The same command goes on where it was stopped. Prints a Markdown table: top-1 on the dark test clips, mean and standard
deviation over seeds. Epochs, thresholds and weights are chosen on the dark holdout.
"""

import dataclasses

from examples.recipes.clips import MODELS, SPLITS, Recipe, RecipeOptions, markdown, mean_and_spread
from examples.recipes.steps import Step
from yt8m.commands import command_line
from yt8m.options import option

GAMMA = "--clip_gamma=auto"
VIEWS = "--views=3 --crops=3"
EPOCHS = 6
"""Of 4000 bright clips."""

STUDENT_STEPS = 150
"""Of 16 clips, half of them dark."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DarkOptions(RecipeOptions):
    """Options of the recipe for dark video."""

    output_dir: str = option("runs/recipe-dark", "Folder of data, runs, predictions and the table.")
    rounds: int = option(4, "Rounds of pseudo-labels.", unit="rounds", low=1, high=100)


def main(options: DarkOptions) -> None:
    """Runs the recipe."""
    recipe = Recipe(options)
    steps = [recipe.demo("bright", "bright", seed=0), recipe.demo("dark", "dark", seed=1)]
    steps += [step for seed in range(options.seeds) for step in of_seed(recipe, seed)]
    recipe.run(steps, lambda done: table(done, options))


def of_seed(recipe, seed):
    """Training, adaptation, rounds, predictions, fusion and scores of a seed."""
    folder, rounds = f"seed-{seed}", range(1, recipe.options.rounds + 1)
    steps = []

    def scored(row, runs, extra="", splits=SPLITS[1:]):
        """Adds predictions by the runs of a row, each by itself and fused, and scores of all."""
        members = [f"{folder}/{row}.{model}" for model in MODELS]
        for member, run in zip(members, runs):
            steps.append(recipe.predict(member, run, data="dark", splits=splits, extra=extra))
            steps.append(recipe.score(member, data="dark"))
        fused(row, members)

    def fused(row, members):
        name = f"{folder}/{row}.fused"
        steps.extend([recipe.fuse(name, members, data="dark"), recipe.score(name, data="dark")])

    runs = [f"{folder}/plain/{model}" for model in MODELS]
    flags = recipe.training(data="bright", holdout="dark", seed=seed, epochs=EPOCHS, many=True)
    steps += [recipe.train(run, model, flags) for model, run in zip(MODELS, runs)]
    scored("plain", runs)
    scored("gamma", runs, GAMMA)
    for row, extra in {"adapted": "", "gamma-adapted": GAMMA}.items():
        adapted = [f"{folder}/{row}/{model}" for model in MODELS]
        steps += [adapt(recipe, run, name, extra) for run, name in zip(runs, adapted)]
        # The last of these rows teaches.
        scored(row, adapted, splits=SPLITS if extra else SPLITS[1:])
    students, teacher = adapted, f"{folder}/{row}.fused"
    for number in rounds:
        names = [f"{folder}/round-{number}/{model}" for model in MODELS]
        steps += [teach(recipe, name, start, teacher, seed=seed) for name, start in zip(names, students)]
        students, teacher = [f"{name}/round-1/student" for name in names], f"{folder}/students-{number}.fused"
        scored(f"students-{number}", students, splits=SPLITS if number < recipe.options.rounds else SPLITS[1:])
    scored("views", students, VIEWS)
    last = [f"{folder}/views.{model}" for model in MODELS]
    fused("everything", [f"{folder}/students-{number}.{model}" for number in rounds[:-1] for model in MODELS] + last)
    return steps


def adapt(recipe, run, name, extra):
    """Step that estimates the batch norm of a run anew on the dark clips to train on."""
    files = f"--input_data_pattern={recipe.path('dark')}/train/*.tfrecord"
    folders = f"--train_dir={recipe.path(run)} --output_dir={recipe.path(name)}"
    return Step(name, f"adapt.py {folders} {files} --batch_size=64 {extra}".strip())


def teach(recipe, name, start, teacher, *, seed):
    """Step of a round: what was fused before it labels the dark clips, and one run learns on from these and the bright.

    The fusion has searched weights and comes of predictions that are there, so that no student makes them again.
    """
    dark = f"{recipe.path('dark')}/train/*.tfrecord"
    steps = max(1, round(STUDENT_STEPS * recipe.options.epochs))
    flags = recipe.training(data="bright", holdout="dark", seed=seed, epochs=1, many=True, steps=steps)
    return Step(
        name,
        f"selftrain.py --init_from={recipe.path(start)} --teacher={recipe.tags(teacher)} --iterations=1 "
        f"--to_label_data_pattern={dark} --thresholds_by_class --pseudo_ratio=1 --adapt_bn={dark} {flags} "
        f"--train_dir={recipe.path(name)}",
    )


def table(done, options):
    """Top-1 of each row."""

    def top_1(name):
        found = [done[f"seed-{seed}/{name}.test"].result["hit_at_one"] for seed in range(options.seeds)]
        return mean_and_spread([100 * value for value in found], ".1f")

    rows = {
        "trained on bright clips": "plain",
        "read with gamma": "gamma",
        "batch norm adapted": "adapted",
        "read with gamma, batch norm adapted": "gamma-adapted",
        **{f"+ round {number} of pseudo-labels": f"students-{number}" for number in range(1, options.rounds + 1)},
        "+ 3 views x 3 crops": "views",
    }
    lines = [[words, *(top_1(f"{row}.{model}") for model in (*MODELS, "fused"))] for words, row in rows.items()]
    lines.append(["all rounds", "", "", top_1("everything.fused")])
    return markdown(["top-1 on dark test, %", *MODELS, "fused"], lines)


if __name__ == "__main__":
    command_line.run(main, DarkOptions, resume_hint="The same command goes on.")
