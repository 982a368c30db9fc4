"""What the update of a model's weights costs in several ways, beside one pass over memory.

    .venv/bin/python -m benchmarks.updates [--preset=BERTMean_L2h12]

The ways take turns on gradients of the preset's sizes under TensorFlow: Keras's Adam with clipnorm; this package's,
which training uses; the same without clipping; clipping and Adam as one program of XLA; with gradients in bfloat16;
four steps' gradients added up and applied once, by step; and all weights but the head's, which is what an update that
leaves the head's columns alone could save at most. Prints a Markdown table: milliseconds a step, and passes over the
weights' memory that they amount to.
"""

import statistics
import time

import keras
import tensorflow as tf
from absl import app, flags

from benchmarks import roofline
from yt8m.config import DataConfig, TrainConfig
from yt8m.models.base import build_preset
from yt8m.models.presets import PRESETS
from yt8m.training.optimizers import Adam, make_optimizer

FLAGS = flags.FLAGS
flags.DEFINE_enum("preset", "BERTMean_L2h12", list(PRESETS), "Preset whose weights are updated.")
flags.DEFINE_integer("repeats", 7, "Turns after the first; the median counts.", lower_bound=1)

_ACCUMULATED = 4
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-7


def main(_):
    model = build_preset(FLAGS.preset, DataConfig())
    trained = model.trainable_variables
    heads = {id(variable) for head in model.heads for variable in head.trainable_variables}
    body = [variable for variable in trained if id(variable) not in heads]
    # Each a function, and how many steps a call of it takes.
    gradients = _gradients(trained)
    halves = [tf.cast(gradient, "bfloat16") for gradient in gradients]
    of_body = [gradient for variable, gradient in zip(trained, gradients) if id(variable) not in heads]
    config = TrainConfig()
    ways = {
        "Keras's Adam, clipnorm": _by_optimizer(keras.optimizers.Adam(1e-4, clipnorm=1.0), trained, gradients),
        "ours": _by_optimizer(make_optimizer(config), trained, gradients),
        "ours, not clipped": _by_optimizer(Adam(1e-4), trained, gradients),
        "one program of XLA": _as_one_program(trained, gradients),
        "ours, gradients in bfloat16": _by_optimizer(make_optimizer(config), trained, halves),
        f"ours, {_ACCUMULATED} steps added up": _accumulated(trained, gradients),
        "ours, without the head": _by_optimizer(make_optimizer(config), body, of_body),
    }
    taken = {name: [] for name in ways}
    bandwidths = []
    _, bandwidth = roofline.measures("float32")
    for _ in range(FLAGS.repeats + 1):
        for name, (way, steps) in ways.items():
            start = time.perf_counter()
            way()
            taken[name].append((time.perf_counter() - start) / steps)
        bandwidths.append(bandwidth())
    numbers = sum(tf.size(variable.value).numpy() for variable in trained)
    a_pass = 4 * numbers / statistics.median(bandwidths[1:])
    print(f"{FLAGS.preset}, {numbers / 1e6:.1f} M weights, a pass over them {a_pass * 1000:.1f} ms\n")
    print("| update | ms a step | passes |\n| --- | ---: | ---: |")
    for name, seconds in taken.items():
        step = statistics.median(seconds[1:])
        print(f"| {name} | {step * 1000:.1f} | {step / a_pass:.1f} |")


def _gradients(variables):
    return [tf.random.normal(variable.shape, stddev=1e-3) for variable in variables]


def _by_optimizer(optimizer, variables, gradients):
    optimizer.build(variables)

    @tf.function
    def step():
        optimizer.apply(gradients, variables)

    return step, 1


def _accumulated(variables, gradients):
    optimizer = make_optimizer(TrainConfig())
    optimizer.build(variables)
    sums = [tf.Variable(tf.zeros(variable.shape)) for variable in variables]

    @tf.function
    def add():
        for total, gradient in zip(sums, gradients):
            total.assign_add(gradient)

    @tf.function
    def update():
        optimizer.apply([total / _ACCUMULATED for total in sums], variables)
        for total in sums:
            total.assign(tf.zeros_like(total))

    def steps():
        for _ in range(_ACCUMULATED):
            add()
        update()

    return steps, _ACCUMULATED


def _as_one_program(variables, gradients):
    moments = [[tf.Variable(tf.zeros(variable.shape)) for variable in variables] for _ in range(2)]
    count = tf.Variable(0.0)

    @tf.function(jit_compile=True)
    def update(gradients):
        count.assign_add(1.0)
        rate = 1e-4 * tf.sqrt(1 - _BETA_2**count) / (1 - _BETA_1**count)
        for variable, gradient, momentum, velocity in zip(variables, gradients, *moments):
            clipped = gradient / tf.maximum(tf.norm(gradient), 1.0)
            momentum.assign(_BETA_1 * momentum + (1 - _BETA_1) * clipped)
            velocity.assign(_BETA_2 * velocity + (1 - _BETA_2) * tf.square(clipped))
            variable.value.assign(variable.value - rate * momentum / (tf.sqrt(velocity) + _EPSILON))

    return lambda: update(gradients), 1


if __name__ == "__main__":
    app.run(main)
