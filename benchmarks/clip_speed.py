"""Speed of training and inference on clips, beside a large convolution, and beside pytorchvideo's SlowFast.

    .venv/bin/python -m benchmarks.clip_speed [--models=slowfast,tanet] [--model_config='{"depth": 14, "width": 16}']
    make oracle-slowfast; .venv/bin/python -m benchmarks.clip_speed --peer_python=.pytorchvideo/bin/python

Every case is a process of its own, in which steps on clips that lie on the device, and a large convolution take turns;
with --peer_python pytorchvideo's network of the same size takes turns with it, process by process. It prints a Markdown
table: clips a second; operations of the network's convolutions a second as a share of those of the large one; the
ratio to PyTorch, which has channels last and, unless told not to, torch.compile.
"""

import json
import os
import statistics
import subprocess
import sys

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["slowfast", "tanet"], "Models to time.")
flags.DEFINE_string("model_config", "{}", "Hyperparameters of each model that has them, as JSON.")
flags.DEFINE_list("modes", ["train", "inference"], "train, inference.")
flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "float32, bfloat16.")
flags.DEFINE_integer("batch_size", 4, "Clips a step.", lower_bound=1)
flags.DEFINE_integer("side", 112, "Pixels of a side of the clips.", lower_bound=32)
flags.DEFINE_integer("repeats", 4, "Timings of a process, of which the median counts.", lower_bound=1)
flags.DEFINE_integer("turns", 2, "Processes of each, of which the median counts.", lower_bound=1)
flags.DEFINE_integer("inner", 1, "Steps on end that are timed together; 20 or so where a card computes.", lower_bound=1)
flags.DEFINE_string("peer_python", "", 'Interpreter that has pytorchvideo, "" for none.')
flags.DEFINE_bool("compile_peer", True, "torch.compile in the peer, which takes minutes before it is timed.")
flags.DEFINE_string("case", "", "One case as JSON; prints JSON. For the processes that this one starts.")

NUM_CLASSES = 400
FRAMES = {"slowfast": 32, "tanet": 8}
_PEERS = ("slowfast",)
_CONVOLUTION = {"cpu": (16, 56, 56, 128), "gpu": (256, 56, 56, 256)}
"""Sizes of a convolution of 3 x 3 that machines are fast at: (B, H, W, C), as many channels out."""


def main(_):
    if FLAGS.case:
        print(json.dumps(_measure(**json.loads(FLAGS.case))))
        return
    columns = ["model", "mode", "dtype", "clips/s", "of the convolution rate", "x PyTorch"]
    print(f"| {' | '.join(columns)} |\n| --- | --- | --- | ---: | ---: | ---: |")
    for model in FLAGS.models:
        for mode in FLAGS.modes:
            for dtype in FLAGS.dtypes:
                print(_row({"model": model, "mode": mode, "dtype": dtype}), flush=True)


def _row(case):
    case |= {"batch_size": FLAGS.batch_size, "side": FLAGS.side, "frames": FRAMES[case["model"]]}
    case |= {"config": json.loads(FLAGS.model_config), "repeats": FLAGS.repeats, "inner": FLAGS.inner}
    ours, peers = [], []
    for _ in range(FLAGS.turns):
        ours.append(_run([sys.executable, "-m", "benchmarks.clip_speed", f"--case={json.dumps(case)}"]))
        if FLAGS.peer_python and case["model"] in _PEERS:
            given = json.dumps(case | {"compiles": FLAGS.compile_peer})
            peers.append(_run([FLAGS.peer_python, "-m", "benchmarks.peers.torch_clips", given]))
    rate, share = (statistics.median(found[name] for found in ours) for name in ("rate", "share"))
    ratio = f"{rate / statistics.median(found['rate'] for found in peers):.2f}" if peers else "-"
    cells = [case["model"], case["mode"], case["dtype"], f"{rate:,.2f}", f"{share:.0%}", ratio]
    return f"| {' | '.join(cells)} |"


def _run(command):
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | os.environ
    done = subprocess.run(command, capture_output=True, env=environment, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def clip_batch(batch_size, frames, side):
    """(features, targets) of random clips."""
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (batch_size, frames, side, side, 3), dtype=np.uint8)
    labels = (random.random((batch_size, NUM_CLASSES)) < 1 / NUM_CLASSES).astype(np.float32)
    features = {"pictures": pictures, "num_frames": np.full(batch_size, frames, np.int32)}
    return features, {"labels": labels, "rated": np.ones_like(labels)}


def _measure(*, model, mode, dtype, batch_size, side, frames, config, repeats, inner):
    from benchmarks import roofline, steps

    training = mode == "train"
    features, targets = clip_batch(batch_size, frames, side)
    network = _model(model, config, dtype)
    products = roofline.products_of_step(network, features, targets if training else None)
    operations = sum(product.operations for product in products)
    features, targets = steps.on_device((features, targets))
    step = steps.train_step(network, features, targets) if training else steps.inference_step(network, features)
    convolution = _convolution_rate(dtype, inner)
    seconds, rates = [], []
    for _ in range(repeats + 1):
        seconds.append(steps.seconds_of(step, inner=inner))
        rates.append(convolution())
    seconds, rate = statistics.median(seconds[1:]), statistics.median(rates[1:])
    return {"rate": batch_size / seconds, "share": operations / seconds / rate}


def _model(name, config, dtype):
    from yt8m.config import DataConfig, ModelConfig, TrainConfig
    from yt8m.models.base import build_model, hyperparameters_of
    from yt8m.runtime.devices import default_jit_compile
    from yt8m.training.optimizers import make_optimizer

    known = {field: value for field, value in config.items() if field in hyperparameters_of(name)}
    data = DataConfig(level="clip", feature_names=("pictures",), feature_sizes=(3,), num_classes=NUM_CLASSES)
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    model = build_model(ModelConfig(name=name, hyperparameters=known), data, dtype=policy)
    model.compile(optimizer=make_optimizer(TrainConfig(optimizer="sgd")), jit_compile=default_jit_compile())
    return model


def _convolution_rate(dtype, inner):
    """Function that measures once how many operations a second a large convolution has."""
    import keras

    from benchmarks import roofline, steps

    batch, height, width, channels = shape = _CONVOLUTION["gpu" if roofline.accelerator() else "cpu"]
    random = np.random.default_rng(0)
    values, kernel = (
        keras.ops.cast(random.normal(size=sizes).astype(np.float32), "bfloat16" if dtype == "bfloat16" else "float32")
        for sizes in (shape, (3, 3, channels, channels))
    )
    convolve = roofline.compiled(lambda values: keras.ops.conv(values, kernel, padding="same"))
    operations = 2 * batch * height * width * 9 * channels**2
    return lambda: operations / steps.seconds_of(lambda: convolve(values), inner=inner)


if __name__ == "__main__":
    app.run(main)
