"""Training and inference speed of the presets, beside the machine's matrix product and a plain Keras version.

    .venv/bin/python -m benchmarks.model_speed [--presets=BERTMean_L2h12,MixNeXtVLAD_iter60] [--dtypes=float32,bfloat16]

Every case is a process of its own, in which a step and a 4096 x 4096 float32 matrix product take turns. Prints a
Markdown table: examples a second; the share of the product's rate that the model's own matrix products reach; the
ratio to the plain version's examples a second; peak memory. The plain version is how one writes the model down: BERT
with MultiHeadAttention layers and a class-major mixture, other models with the layers of this package; float features
from the host; Keras's Adam; all classes in inference. The table's inference computes the 1000 segment classes.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np
from absl import app, flags

from yt8m.models.presets import PRESETS

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", list(PRESETS), "Presets to time.")
flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "float32, bfloat16.")
flags.DEFINE_list("modes", ["train", "inference"], "train, inference.")
flags.DEFINE_integer("batch_size", 128, "Examples a step.", lower_bound=1)
flags.DEFINE_integer("max_frames", 60, "Most frames of a training example.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Steps timed after the first; the median counts.", lower_bound=1)
flags.DEFINE_string("case", None, "Internal: JSON of the one case to time.")

NUM_CLASSES, SEGMENT_CLASSES = 3862, 1000
MATMUL = 4096


def main(_):
    if FLAGS.case:
        print(json.dumps(_measure(**json.loads(FLAGS.case))))
        return
    print("| preset | mode | dtype | examples/s | share of matmul | x plain | peak memory |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for preset in FLAGS.presets:
        for mode in FLAGS.modes:
            for dtype in FLAGS.dtypes:
                ours, plain = (_run_case(preset=preset, mode=mode, dtype=dtype, plain=plain) for plain in (False, True))
                # Each beside the matrix product of its own process, because machines' speed varies over minutes.
                ratio = (ours["rate"] / ours["matmul"]) / (plain["rate"] / plain["matmul"])
                print(
                    f"| {preset} | {mode} | {dtype} | {ours['rate']:.1f} | {ours['share']:.0%} | {ratio:.2f} | "
                    f"{ours['memory']:.1f} GB |",
                    flush=True,
                )


def _run_case(**case):
    command = [sys.executable, "-m", "benchmarks.model_speed", f"--case={json.dumps(case)}"]
    command += [f"--{name}={FLAGS[name].value}" for name in ("batch_size", "max_frames", "repeats")]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _measure(*, preset, mode, dtype, plain):
    import keras
    import tensorflow as tf

    from yt8m.config import TrainConfig
    from yt8m.training.optimizers import make_optimizer
    from yt8m.types import SEGMENT_SECONDS

    preset = PRESETS[preset]
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    frames = SEGMENT_SECONDS if mode == "inference" else min(preset.num_frames, FLAGS.max_frames)
    features, targets = _batch(frames, floats=plain)
    model = _plain_model(preset, policy) if plain else _model(preset, policy)
    if mode == "inference":
        if not plain:
            model = model.for_classes(range(SEGMENT_CLASSES))
        model.compile()
        step = lambda: model.predict_on_batch(features)
    else:
        config = TrainConfig()
        adam = keras.optimizers.Adam(config.base_learning_rate, clipnorm=config.clip_gradient_norm)
        model.compile(optimizer=adam if plain else make_optimizer(config), jit_compile=False)
        step = lambda: model.train_on_batch(features, targets)
    square = tf.random.normal((MATMUL, MATMUL))
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(square, square)))
    seconds, product_seconds = _take_turns(step, lambda: product().numpy())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    matmul = 2 * MATMUL**3 / product_seconds
    flops = matmul_operations(model, features, targets if mode == "train" else None)
    return {
        "rate": FLAGS.batch_size / seconds,
        "matmul": matmul,
        "share": flops / seconds / matmul,
        "memory": memory,
    }


def _take_turns(*ways):
    """Median seconds of each of ``ways``, run in turn."""
    seconds = [[] for _ in ways]
    for _ in range(FLAGS.repeats + 1):
        for way, spent in zip(ways, seconds):
            start = time.perf_counter()
            way()
            spent.append(time.perf_counter() - start)
    return [statistics.median(spent[1:]) for spent in seconds]


def matmul_operations(model, features, targets):
    """Operations in the matrix products of one step, counted in its graph."""
    import tensorflow as tf

    features = {name: tf.constant(values) for name, values in features.items()}

    def forward():
        return model(features, training=targets is not None)

    def backward():
        with tf.GradientTape() as tape:
            loss = model.compute_loss(features, targets, forward())
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    graph = tf.function(forward if targets is None else backward).get_concrete_function().graph
    total = 0
    for operation in graph.get_operations():
        if operation.type in ("MatMul", "BatchMatMulV2"):
            transposed = operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
            inner = operation.inputs[0].shape[-2 if transposed else -1]
            total += 2 * operation.outputs[0].shape.num_elements() * inner
    return total


def _batch(frames, *, floats):
    random = np.random.default_rng(0)
    shape = FLAGS.batch_size, frames
    features = {
        name: random.integers(0, 256, (*shape, size), dtype=np.uint8) for name, size in (("rgb", 1024), ("audio", 128))
    }
    if floats:
        features = {name: values.astype(np.float32) * (4 / 255) + (4 / 512 - 2) for name, values in features.items()}
    features["num_frames"] = np.full(FLAGS.batch_size, frames, np.int32)
    labels = (random.random((FLAGS.batch_size, NUM_CLASSES)) < 3 / NUM_CLASSES).astype(np.float32)
    return features, {"labels": labels, "rated": np.ones_like(labels)}


def _model(preset, policy):
    from yt8m.config import DataConfig, ModelConfig
    from yt8m.models.base import build_model

    config = ModelConfig(name=preset.model, hyperparameters=preset.hyperparameters)
    return build_model(config, DataConfig(num_classes=NUM_CLASSES), dtype=policy)


def _plain_model(preset, policy):
    if preset.model != "frame_bert" or preset.hyperparameters.get("cross_modal"):
        return _model(preset, policy)
    from benchmarks.plain_bert import PlainBert

    settings = preset.hyperparameters
    return PlainBert(
        num_layers=settings["num_layers"],
        num_heads=settings["num_heads"],
        pooling=settings["pooling"],
        num_classes=NUM_CLASSES,
        dtype=policy,
    )


if __name__ == "__main__":
    app.run(main)
