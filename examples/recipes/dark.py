"""Recipe for dark video: labelled bright clips, dark ones without labels, two networks that teach; `make recipe-dark`.

    .venv/bin/python -m examples.recipes.dark [--seeds=3] [--output_dir=runs/recipe-dark] [--list]

The same command goes on where it was stopped. Prints a Markdown table: top-1 on the dark test clips, mean and standard
deviation over seeds. Epochs, thresholds and weights are chosen on the dark holdout.
"""

from absl import app, flags

from examples.recipes.clips import (
    FLAGS,
    MODELS,
    demo,
    fuse,
    markdown,
    mean_and_spread,
    path,
    predict,
    run_recipe,
    score,
    train,
    training,
)
from examples.recipes.steps import Step

flags.DEFINE_integer("rounds", 4, "Rounds of pseudo-labels.", lower_bound=1)
FLAGS.set_default("output_dir", "runs/recipe-dark")

STARTS = {"plain": "", "gamma": "--clip_gamma=auto"}
VIEWS = "--views=3 --crops=3"
STUDENT_EPOCHS = 0.15
"""Share of --epochs; a student sees as many dark clips as bright ones in each."""


def main(_):
    steps = [demo("bright", "bright", seed=0), demo("dark", "dark", seed=1)]
    steps += [step for seed in range(FLAGS.seeds) for step in of_seed(seed)]
    if FLAGS.list:
        print("\n".join(step.command for step in steps))
        return
    run_recipe(steps, table)


def of_seed(seed):
    """Training, adaptation, rounds, predictions, fusion and scores of a seed."""
    folder, dark = f"seed-{seed}", path("dark")
    steps = []

    def scored(row, runs, extra=""):
        """Steps that predict with the runs of a row, each by itself and fused, and score both."""
        members = [predict(run, data=dark, name=f"{folder}/{row}-{model}", extra=extra) for model, run in runs.items()]
        fused = fuse(f"{folder}/{row}", [member.name for member in members], labels=dark)
        steps.extend([*members, fused])
        for name in (*(member.name for member in members), fused.name):
            steps.extend(score(name, labels=dark))

    for start, extra in STARTS.items():
        runs = {model: f"{folder}/{start}/{model}" for model in MODELS}
        steps += [train(run, model, learning(seed, epochs=1, extra=extra)) for model, run in runs.items()]
        scored(start, runs)
        adapted = {model: f"{folder}/{start}-adapted/{model}" for model in MODELS}
        steps += [adapt(run, adapted[model]) for model, run in runs.items()]
        scored(f"{start}-adapted", adapted)
    for number in range(1, FLAGS.rounds + 1):
        steps.append(teach(f"{folder}/round-{number}", list(adapted.values()), seed=seed))
        adapted = {model: f"{folder}/round-{number}/round-1/{model}" for model in MODELS}
        scored(f"students-{number}", adapted)
    scored("views", adapted, VIEWS)
    rounds = [f"{folder}/students-{number}-{model}" for number in range(1, FLAGS.rounds) for model in MODELS]
    last = [f"{folder}/views-{model}" for model in MODELS]
    steps.append(fuse(f"{folder}/everything", [*rounds, *last], labels=dark))
    return [*steps, *score(f"{folder}/everything", labels=dark)]


def learning(seed, *, epochs, extra):
    """Flags of training on the bright clips."""
    return training(data=path("bright"), holdout=path("dark"), seed=seed, epochs=epochs, extra=extra)


def adapt(run, name):
    """Step that estimates the batch norm of a run anew on the dark clips to train on."""
    pattern = f"{path('dark')}/train/*.tfrecord"
    return Step(
        name,
        f"adapt.py --train_dir={path(run)} --input_data_pattern={pattern} --batch_size=64 --output_dir={path(name)}",
    )


def teach(name, teachers, *, seed):
    """Step of a round: the teachers' mean labels the dark clips, and each goes on learning from these and the bright."""
    runs = ",".join(map(path, teachers))
    flags_of_training = learning(seed, epochs=STUDENT_EPOCHS, extra=f"--train_dir={path(name)}")
    dark = f"{path('dark')}/train/*.tfrecord"
    return Step(
        name,
        f"selftrain.py --members={runs} --teacher={runs} --iterations=1 --thresholds_by_class --pseudo_ratio=1 "
        f"--to_label_data_pattern={dark} --adapt_bn={dark} {flags_of_training}",
    )


def table(done):
    """Top-1 of each row of a seed, over seeds."""

    def top_1(name):
        return mean_and_spread(
            [done[f"seed-{seed}/{name}.test"].result["hit_at_one"] * 100 for seed in range(FLAGS.seeds)], ".1f"
        )

    rows = {
        "trained on bright clips": "plain",
        "+ batch norm adapted": "plain-adapted",
        "gamma": "gamma",
        "gamma + batch norm adapted": "gamma-adapted",
        **{f"round {number} of pseudo-labels": f"students-{number}" for number in range(1, FLAGS.rounds + 1)},
        "+ 3 views x 3 crops": "views",
    }
    lines = [[words, *(top_1(f"{row}-{model}") for model in MODELS), top_1(row)] for words, row in rows.items()]
    lines.append(["all rounds", "", "", top_1("everything")])
    return markdown(["top-1 on dark test, %", *MODELS, "fused"], lines)


if __name__ == "__main__":
    app.run(main)
