"""Writes optimizers.npz: what tensorflow-addons' optimizers make of given variables and gradients.

Run by `make oracle`, in the environment of requirements.txt. Each case's array is (steps, values): all variables after
every step, side by side; cases whose name ends in .average hold the averages of SWA.
"""

import pathlib

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

STEPS, SHAPES = 25, ((3, 4), (5,))


def cases():
    legacy = tf.keras.optimizers.legacy
    yield "radam", tfa.optimizers.RectifiedAdam(0.05)
    yield "radam.weight_decay", tfa.optimizers.RectifiedAdam(0.05, weight_decay=0.1)
    yield "radam.betas", tfa.optimizers.RectifiedAdam(0.01, beta_1=0.8, beta_2=0.99, epsilon=1e-3)
    yield "lookahead.sgd", tfa.optimizers.Lookahead(legacy.SGD(0.1), sync_period=6, slow_step_size=0.5)
    yield (
        "lookahead.radam",
        tfa.optimizers.Lookahead(tfa.optimizers.RectifiedAdam(0.05), sync_period=4, slow_step_size=0.3),
    )
    yield "swa.sgd", tfa.optimizers.SWA(legacy.SGD(0.1), start_averaging=5, average_period=3)
    yield "swa.adam", tfa.optimizers.SWA(legacy.Adam(0.05), start_averaging=0, average_period=10)


def main():
    random = np.random.default_rng(0)
    start = [random.normal(size=shape).astype(np.float32) for shape in SHAPES]
    gradients = [[random.normal(size=shape).astype(np.float32) for shape in SHAPES] for _ in range(STEPS)]
    arrays = {f"start.{i}": value for i, value in enumerate(start)}
    arrays |= {f"gradient.{i}": np.stack([step[i] for step in gradients]) for i in range(len(SHAPES))}
    for name, optimizer in cases():
        variables = [tf.Variable(value) for value in start]
        steps, averages = [], []
        for step in gradients:
            optimizer.apply_gradients(zip(map(tf.constant, step), variables))
            steps.append(flat(variables))
            if name.startswith("swa"):
                averages.append(flat([optimizer.get_slot(variable, "average") for variable in variables]))
        arrays[name] = np.stack(steps)
        if averages:
            arrays[f"{name}.average"] = np.stack(averages)
    np.savez_compressed(pathlib.Path(__file__).with_name("optimizers.npz"), **arrays)


def flat(variables):
    return np.concatenate([variable.numpy().ravel() for variable in variables])


if __name__ == "__main__":
    main()
