"""Training and inference speed of the presets, beside what the machine could do and a plain Keras version.

    .venv/bin/python -m benchmarks.model_speed [--presets=BERTMean_L2h12,MixNeXtVLAD_iter60] [--dtypes=float32,bfloat16]
    .venv/bin/python -m benchmarks.model_speed --profile        where the time of a training step goes

Every case is a process of its own, in which steps on data that lie on the device, a large product, and a pass over
memory take turns. Prints a Markdown table: examples a second; the share of the machine's limit, see
benchmarks.roofline; the ratio to the plain version, see benchmarks.plain_models, with float features, Keras's Adam and,
in inference, all classes; peak memory. The table's inference computes the 1000 segment classes. KERAS_BACKEND chooses
the backend.
"""

import concurrent.futures
import contextlib
import fcntl
import importlib.util
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from yt8m.models.presets import PAPER_PRESETS, PRESETS

FLAGS = flags.FLAGS
flags.DEFINE_list("presets", list(PAPER_PRESETS), "Presets to time.")
flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "float32, tensorfloat32, bfloat16.")
flags.DEFINE_list("modes", ["train", "inference"], "train, inference.")
flags.DEFINE_list("batch_sizes", ["128"], "Examples a step.")
flags.DEFINE_integer("max_frames", 60, "Most frames of a training example.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Times timed after the first; the median counts.", lower_bound=1)
flags.DEFINE_integer("inner", 1, "Steps on end that are timed together; 20 or so where a card computes.", lower_bound=1)
flags.DEFINE_enum("jit", "auto", ["auto", "on", "off"], "XLA: as in training and inference, or on, or off.")
flags.DEFINE_bool("plain", True, "Time the plain version too.")
flags.DEFINE_bool("profile", False, "The parts of a training step instead.")
flags.DEFINE_integer("workers", 1, "Processes that get ready at once; one that times is alone.", lower_bound=1)
flags.DEFINE_string("case", None, "Internal: JSON of the one case to time.")

NUM_CLASSES, SEGMENT_CLASSES = 3862, 1000
_PARTS = ("forward", "backward", "optimizer", "clip", "host", "reader")


def main(_):
    if FLAGS.case:
        print(json.dumps(_measure(**json.loads(FLAGS.case))))
        return
    cases = [
        {"preset": preset, "mode": mode, "dtype": dtype, "batch_size": int(size)}
        for size in FLAGS.batch_sizes
        for preset in FLAGS.presets
        for mode in (["train"] if FLAGS.profile else FLAGS.modes)
        for dtype in FLAGS.dtypes
    ]
    columns = ["preset", "mode", "dtype", "batch"]
    columns += _PARTS if FLAGS.profile else ["examples/s", "of the limit", *["x plain"] * FLAGS.plain, "memory"]
    shown = ""
    with tempfile.NamedTemporaryFile() as lock, concurrent.futures.ThreadPoolExecutor(FLAGS.workers) as pool:
        started = {pool.submit(_cells, case, lock.name): case for case in cases}
        for future in concurrent.futures.as_completed(started) if FLAGS.workers > 1 else started:
            cells = future.result()
            device = cells.pop("device")
            if not shown and device:
                shown = device
                print(f"{device}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
            print("| " + " | ".join([*map(str, started[future].values()), *cells.values()]) + " |", flush=True)


def _cells(case, lock):
    """Dict of the cells of a row, and the device."""
    ours = _run_case({**case, "plain": False, "lock": lock})
    if "failed" in ours:
        return {"device": "", "failed": ours["failed"]}
    device = {"device": ours["device"]}
    if FLAGS.profile:
        return device | {part: f"{ours[part] * 1000:.1f} ms" for part in _PARTS}
    cells = device | {"rate": f"{ours['rate']:,.1f}", "share": f"{ours['share']:.0%}"}
    if FLAGS.plain:
        plain = _run_case({**case, "plain": True, "lock": lock})
        # Each beside the product of its own process, because machines' speed varies over minutes.
        ratio = (ours["rate"] / ours["operations"]) / (plain["rate"] / plain["operations"])
        cells["plain"] = f"{ratio:.2f}"
    return cells | {"memory": f"{ours['memory']:.1f} GB"}


def _run_case(case):
    command = [sys.executable, "-m", "benchmarks.model_speed", f"--case={json.dumps(case)}"]
    names = ("max_frames", "repeats", "inner", "jit", "profile")
    command += [f"--{name}={FLAGS[name].value}" for name in names]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "2", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | os.environ
    done = subprocess.run(command, capture_output=True, env=environment, text=True)
    if done.returncode:
        return {"failed": f"exit status {done.returncode}: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}"}
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def _locked(lock, kind):
    """Context of a file's lock: cases that get ready share it, and one that times has it alone."""
    with open(lock, "w") as file:
        fcntl.flock(file, kind)
        yield


def _measure(*, preset, mode, dtype, batch_size, plain, lock, all_classes=False):
    from benchmarks import roofline, steps
    from yt8m.types import SEGMENT_SECONDS

    _set_precision(dtype)
    training = mode == "train"
    frames = min(PRESETS[preset].num_frames, FLAGS.max_frames) if training else SEGMENT_SECONDS
    features, targets = _batch(frames, batch_size, floats=plain)
    with _locked(lock, fcntl.LOCK_SH):
        model = make_model(preset, dtype, plain=plain)
        if not (training or plain or all_classes):
            model = model.for_classes(range(SEGMENT_CLASSES))
        _compile(model, training=training, plain=plain)
        features, targets = steps.on_device((features, targets))
        step = steps.train_step(model, features, targets) if training else steps.inference_step(model, features)
        steps.seconds_of(step, inner=1)
        operations, bandwidth = roofline.measures(dtype)
    with _locked(lock, fcntl.LOCK_EX):
        if FLAGS.profile:
            return _profile(model, step, features, targets)
        turns = _take_turns(lambda: steps.seconds_of(step, inner=FLAGS.inner), operations, bandwidth)
    seconds, *rates = turns
    machine = roofline.Machine(*rates)
    products = roofline.products_of_step(model, features, targets if training else None)
    updated = sum(math.prod(variable.shape) for variable in model.trainable_variables) if training else 0
    least = machine.least_seconds(products, dtype=dtype, updated=updated)
    return {
        "device": f"{roofline.accelerator() or 'CPU'}, {rates[0] / 1e9:,.0f} GFLOP/s, {rates[1] / 1e9:,.0f} GB/s",
        "rate": batch_size / seconds,
        "operations": rates[0],
        "share": least / seconds,
        "memory": _peak_memory(),
    }


def _take_turns(*ways):
    """The median of what each of ``ways`` gives, called in turn."""
    found = [[] for _ in ways]
    for _ in range(FLAGS.repeats + 1):
        for way, values in zip(ways, found):
            values.append(way())
    return [statistics.median(values[1:]) for values in found]


def _set_precision(dtype):
    import keras

    is_exact = dtype == "float32"
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest" if is_exact else "tensorfloat32")
        return
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(not is_exact)


def make_model(preset, dtype, *, plain):
    """The model of a preset, or its plain version, for 3862 classes."""
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    if plain:
        from benchmarks.plain_models import plain_model

        return plain_model(preset, num_classes=NUM_CLASSES, dtype=policy)
    from yt8m.config import DataConfig
    from yt8m.models.base import build_preset

    return build_preset(preset, DataConfig(num_classes=NUM_CLASSES), dtype=policy)


def _compile(model, *, training, plain):
    import keras

    from yt8m.config import TrainConfig
    from yt8m.runtime.devices import default_jit_compile
    from yt8m.training.optimizers import make_optimizer

    jit = default_jit_compile() if FLAGS.jit == "auto" else FLAGS.jit == "on"
    if not training:
        model.compile(jit_compile=jit)
        return
    config = TrainConfig()
    adam = keras.optimizers.Adam(config.base_learning_rate, clipnorm=config.clip_gradient_norm)
    model.compile(optimizer=adam if plain else make_optimizer(config), jit_compile=jit)


def _batch(frames, batch_size, *, floats):
    random = np.random.default_rng(0)
    shape = batch_size, frames
    features = {
        name: random.integers(0, 256, (*shape, size), dtype=np.uint8) for name, size in (("rgb", 1024), ("audio", 128))
    }
    if floats:
        features = {name: values.astype(np.float32) * (4 / 255) + (4 / 512 - 2) for name, values in features.items()}
    features["num_frames"] = np.full(batch_size, frames, np.int32)
    labels = (random.random((batch_size, NUM_CLASSES)) < 3 / NUM_CLASSES).astype(np.float32)
    return features, {"labels": labels, "rated": np.ones_like(labels)}


def _profile(model, step, features, targets):
    """Seconds of the parts of a training step, each the difference of two that have more and less of it."""
    import keras

    from benchmarks import roofline, steps

    trained, others = (
        [keras.ops.copy(variable.value) for variable in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )

    def forward(trained, features):
        return model.stateless_call(trained, others, features, training=True)[0]

    def loss(trained, features, targets):
        return model.compute_loss(features, targets, forward(trained, features))

    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(loss)
    else:
        gradient = _tensorflow_gradient(model)
    run_forward, run_gradient = roofline.compiled(forward), roofline.compiled(gradient)
    clipped = model.optimizer.clip_variable_norm
    whole, *parts = _take_turns(
        lambda: steps.seconds_of(step, inner=FLAGS.inner),
        lambda: steps.seconds_of(lambda: run_forward(trained, features), inner=FLAGS.inner),
        lambda: steps.seconds_of(lambda: run_gradient(trained, features, targets), inner=FLAGS.inner),
        lambda: _seconds_with_host(model, features, targets),
    )
    model.optimizer.clip_variable_norm = None
    model.make_train_function(force=True)
    free = steps.train_step(model, features, targets)
    (unclipped,) = _take_turns(lambda: steps.seconds_of(free, inner=FLAGS.inner))
    model.optimizer.clip_variable_norm = clipped
    return {
        "device": roofline.accelerator() or "CPU",
        "forward": parts[0],
        "backward": parts[1] - parts[0],
        "optimizer": unclipped - parts[1],
        "clip": whole - unclipped,
        "host": parts[2] - whole,
        "reader": _reader_seconds(features),
    }


def _tensorflow_gradient(model):
    import tensorflow as tf

    def gradient(_, features, targets):
        with tf.GradientTape() as tape:
            loss = model.compute_loss(features, targets, model(features, training=True))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    return gradient


def _seconds_with_host(model, features, targets):
    """Seconds of a step whose data come from NumPy arrays, by train_on_batch."""
    import keras

    arrays = keras.tree.map_structure(keras.ops.convert_to_numpy, (features, targets))
    start = time.perf_counter()
    for _ in range(FLAGS.inner):
        model.train_on_batch(*arrays)
    spent = time.perf_counter() - start
    if keras.backend.backend() == "jax":
        model.jax_state_sync()
    return spent / FLAGS.inner


def _reader_seconds(features):
    """Seconds in which the reader makes such a batch of random videos of 300 frames; NaN without TensorFlow."""
    if not importlib.util.find_spec("tensorflow"):
        return math.nan
    from yt8m.config import DataConfig
    from yt8m.data.pipeline import make_dataset
    from yt8m.data.tfrecord import FrameRecord, write_records

    batch_size, num_frames, _ = features["rgb"].shape
    config = DataConfig(num_frames=int(num_frames), sampling="random")
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        files = [os.path.join(folder, f"{number}.tfrecord") for number in range(4)]
        for number, file in enumerate(files):
            records = (
                FrameRecord(
                    video_id=f"{number}_{index}",
                    features={
                        name: random.integers(0, 256, (300, size), np.uint8) for name, size in config.features.items()
                    },
                    labels=(index % NUM_CLASSES,),
                )
                for index in range(128)
            )
            write_records(file, records)
        dataset = make_dataset(files * 8, config, windows="video", batch_size=int(batch_size), training=True)
        start, batches = time.perf_counter(), 0
        for batches, _ in enumerate(dataset, 1):
            pass
        return (time.perf_counter() - start) / batches


def _peak_memory():
    import keras

    from benchmarks import roofline

    if roofline.accelerator() and keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].memory_stats()["peak_bytes_in_use"] / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    app.run(main)
