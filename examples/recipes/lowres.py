"""Recipe for low resolution: clips of 10 to 64 pixels, enlarged or not, two networks, fused; `make recipe-lowres`.

    .venv/bin/python -m examples.recipes.lowres [--seeds=3] [--output_dir=runs/recipe-lowres] [--list]

The same command goes on where it was stopped. Prints a Markdown table: F1 on the test clips, by thresholds of the
holdout, mean and standard deviation over seeds.
"""

from absl import app, flags

from examples.recipes.clips import (
    FLAGS,
    MODELS,
    SPLITS,
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

flags.DEFINE_integer("super_resolution_steps", 600, "Steps of the network that enlarges.")
FLAGS.set_default("output_dir", "runs/recipe-lowres")

INPUTS = {"bilinear": "low", "super-resolved": "enlarged"}
"""What the networks see: the clips as they are, scaled bilinearly as they are read, or enlarged before."""

FRESH = {"from none": "", "from none, multigrid": "--multigrid --multigrid_rate_scaling=0.5"}
FULL, FINE_TUNED = 1, 0.5
"""Shares of --epochs."""


def main(_):
    steps = [*shared(), *(step for seed in range(FLAGS.seeds) for step in of_seed(seed))]
    if FLAGS.list:
        print("\n".join(step.command for step in steps))
        return
    run_recipe(steps, table)


def shared():
    """Clips, and the network that enlarges them, which is trained on others of full size."""
    full, low = path("full"), path("low")
    return [
        demo("full", "bright", seed=1),
        demo("low", "low_resolution", seed=0),
        Step(
            "enlarger",
            f"yt8m-super-resolve --train_data_pattern={full}/train/*.tfrecord --eval_data_pattern={full}/holdout/*0.tfrecord "
            "--network=espcn --width=16 --num_frames=2 --patch=64 --batch_size=16 --base_learning_rate=2e-3 "
            f"--max_steps={FLAGS.super_resolution_steps} --train_dir={path('enlarger')}",
        ),
        *(
            Step(
                f"enlarged-{split}",
                f"yt8m-super-resolve --train_dir={path('enlarger')} --input_data_pattern={low}/{split}/*.tfrecord "
                f"--output_dir={path('enlarged')}/{split}",
            )
            for split in SPLITS
        ),
    ]


def of_seed(seed):
    """Training, predictions, fusion and scores of a seed."""
    folder, low = f"seed-{seed}", path("low")

    def trained(name, start, data, epochs, extra=""):
        flags_of_training = training(data=path(data), holdout=path(data), seed=seed, epochs=epochs, extra=extra)
        return train(f"{folder}/{name}", start, flags_of_training)

    def scored(name, members):
        return [fuse(f"{folder}/{name}", members, labels=low), *score(f"{folder}/{name}", labels=low)]

    steps = [trained(f"full-{model}", model, "full", FULL) for model in MODELS]
    for kind in (*INPUTS, *FRESH):
        members = []
        for model in MODELS:
            run, data = f"{slug(kind)}-{model}", INPUTS.get(kind, "low")
            if kind in INPUTS:
                steps.append(trained(run, f"{folder}/full-{model}", data, FINE_TUNED))
            else:
                steps.append(trained(run, model, data, FULL, FRESH[kind]))
            steps.append(predict(f"{folder}/{run}", data=path(data)))
            members.append(steps[-1].name)
            steps += score(members[-1], labels=low)
        steps += scored(slug(kind), members)
    everything = [f"{folder}/{kind}-{model}.tags" for kind in INPUTS for model in MODELS]
    return [*steps, *scored("everything", everything)]


def slug(kind):
    """A row's name as that of a step."""
    return kind.replace(", ", "-").replace(" ", "-")


def table(done):
    """F1 of each row of a seed, over seeds, and the processor time of training."""

    def f1(name):
        values = [done[f"seed-{seed}/{name}.test"].result["f1"]["macro"] for seed in range(FLAGS.seeds)]
        return mean_and_spread(values)

    def minutes(kind):
        runs = [[done[f"seed-{seed}/{slug(kind)}-{model}"] for model in MODELS] for seed in range(FLAGS.seeds)]
        whole = [sum(run.cpu_seconds for run in of_seed) / 60 for of_seed in runs if not any(r.resumed for r in of_seed)]
        return mean_and_spread(whole, ".1f") if whole else "-"

    rows = [
        [kind, *(f1(f"{slug(kind)}-{model}.tags") for model in MODELS), f1(slug(kind)), minutes(kind)]
        for kind in (*INPUTS, *FRESH)
    ]
    rows.insert(len(INPUTS), ["both", "", "", f1("everything"), ""])
    return markdown(["F1 on test", *MODELS, "fused", "processor minutes of training"], rows)


if __name__ == "__main__":
    app.run(main)
