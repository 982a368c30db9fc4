"""Time until short commands are done, and what of it is what: imports, model, reading, first scores, writing.

    .venv/bin/python -m benchmarks.startup [--videos=10] [--hidden_size=1152] [--checkouts=../before,.]

Whole processes of inference.py, eval.py and ensemble.py on a few videos, and the parts of inference in a process of
their own, each as many times as --repeats says, of which the least counts. --checkouts are folders of this repository,
such as one of an earlier commit, that take turns. Prints a Markdown table of seconds, and of processor seconds, which
other work on the machine changes less.
"""

import collections
import json
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_integer("videos", 10, "Videos of 300 frames, in as many files as --files.", lower_bound=1)
flags.DEFINE_integer("files", 1, "Files.", lower_bound=1)
flags.DEFINE_integer("hidden_size", 1152, "Of a frame_bert of two layers; a multiple of 12.", lower_bound=12)
flags.DEFINE_integer("num_classes", 3862, "Classes of the model.", lower_bound=2)
flags.DEFINE_integer("ranked", 1000, "Classes ranked.", lower_bound=1)
flags.DEFINE_integer("repeats", 3, "Turns.", lower_bound=1)
flags.DEFINE_list("checkouts", ["."], "Folders of the repository.")
flags.DEFINE_string("parts", "", "Internal: folder of the run and videos whose parts are timed in this process.")


def main(_):
    if FLAGS.parts:
        print(json.dumps(time_parts(FLAGS.parts)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder)
        names = [os.path.basename(os.path.abspath(checkout)) for checkout in FLAGS.checkouts]
        taken = collections.defaultdict(list)
        for _ in range(FLAGS.repeats):
            for name, checkout in zip(names, FLAGS.checkouts):
                for what, seconds in run_all(folder, os.path.abspath(checkout)).items():
                    taken[what, name].append(seconds)
    print(f"{FLAGS.videos} videos, frame_bert of {FLAGS.hidden_size}, {FLAGS.ranked} of {FLAGS.num_classes} classes\n")
    print(f"| seconds, and of processors | {' | '.join(names)} |")
    print("| --- |" + " ---: |" * len(names))
    for what in dict.fromkeys(what for what, _ in taken):
        print(f"| {what} | {' | '.join(_least(taken[what, name]) for name in names)} |")


def _least(taken):
    return " and ".join(f"{min(seconds):.2f}" for seconds in zip(*taken))


def run_all(folder, checkout):
    """Dict of command or part to (seconds, processor seconds)."""
    run, videos = f"--train_dir={folder}/run", f"{folder}/*.tfrecord"
    commands = {
        "inference": (run, f"--input_data_pattern={videos}", f"--output_file={folder}/a.csv",
                      f"--segment_label_ids_file={folder}/classes.csv"),
        "eval": (run, f"--eval_data_pattern={videos}"),
        "ensemble": (f"--submissions={folder}/a.csv,{folder}/a.csv", f"--output_file={folder}/fused.csv"),
    }  # fmt: skip
    taken = {}
    for name, arguments in commands.items():
        start, before = time.perf_counter(), os.times()
        _run(checkout, [f"{checkout}/{name}.py", *arguments])
        spent = os.times().children_user + os.times().children_system - before.children_user - before.children_system
        taken[f"{name}.py"] = time.perf_counter() - start, spent
    parts = _run(checkout, [os.path.abspath(__file__), f"--parts={folder}", f"--ranked={FLAGS.ranked}"])
    return taken | json.loads(parts.splitlines()[-1])


def _run(checkout, command):
    done = subprocess.run(
        [sys.executable, *command], env=os.environ | {"PYTHONPATH": checkout}, cwd=checkout, capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stderr)
    return done.stdout


def time_parts(folder):
    """Dict of part of inference.py to its (seconds, processor seconds), in a process that has just started."""
    taken, last = {}, (time.perf_counter(), time.process_time())

    def lap(name):
        nonlocal last
        now = time.perf_counter(), time.process_time()
        taken[f"- {name}"], last = (now[0] - last[0], now[1] - last[1]), now

    from yt8m.runtime.quiet_imports import quieten_tensorflow

    quieten_tensorflow()
    import tensorflow  # noqa: F401

    lap("TensorFlow and Keras imported")
    from yt8m.data.pipeline import make_dataset
    from yt8m.inference.prediction import predict_segments  # noqa: F401
    from yt8m.inference.scorer import Scorer
    from yt8m.models.checkpoints import load_model
    from yt8m.ranking.submission import write_lists
    from yt8m.ranking.top_segments import TopSegments

    lap("this package imported")
    model, run = load_model(f"{folder}/run")
    lap("model loaded")
    files = sorted(f"{folder}/{name}" for name in os.listdir(folder) if name.endswith(".tfrecord"))
    dataset = make_dataset(files, run.data, windows="all", batch_size=512)
    lap("reader traced")
    batches = list(dataset.as_numpy_iterator())
    lap("videos read")
    class_ids = tuple(range(FLAGS.ranked))
    scorer = Scorer(model, batch_size=512, class_ids=class_ids)
    lap("ranked classes cut out of the model")
    scorer({name: values[:1] for name, values in batches[0][0].items()})
    lap("model traced, one segment scored")
    top = TopSegments(class_ids, top_n=100_000)
    for features, info in batches:
        top.add(info["id"].tolist(), info["start_time"], scorer(features))
    lap("segments scored")
    write_lists(f"{folder}/parts.csv", top)
    lap("submission written")
    return taken


def prepare(folder):
    """Writes a run and videos, whose segments are rated, into ``folder``."""
    from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
    from yt8m.data.tfrecord import FrameRecord, write_records
    from yt8m.models.base import build_model
    from yt8m.models.checkpoints import write_run_config

    sizes = {"hidden_size": FLAGS.hidden_size, "num_heads": 12, "feed_forward_size": 8 * FLAGS.hidden_size // 3}
    run = RunConfig(
        data=DataConfig(num_classes=FLAGS.num_classes),
        model=ModelConfig(name="frame_bert", hyperparameters={"num_layers": 2, **sizes}),
        train=TrainConfig(segment_labels=True, mixed_precision="off"),
    )
    os.makedirs(f"{folder}/run")
    write_run_config(f"{folder}/run", run)
    # The run as an earlier checkout reads it too.
    with open(f"{folder}/run/config.json", encoding="utf-8") as file:
        values = json.load(file)
    values["train"]["mixed_precision"] = False
    with open(f"{folder}/run/config.json", "w", encoding="utf-8") as file:
        json.dump(values, file)
    build_model(run.model, run.data).save(f"{folder}/run/best.keras")
    with open(f"{folder}/classes.csv", "w", encoding="utf-8") as file:
        file.write("Index\n" + "".join(f"{label}\n" for label in range(FLAGS.ranked)))
    random = np.random.default_rng(0)
    for place in range(FLAGS.files):
        records = [
            FrameRecord(
                video_id=f"v{number:03}",
                features={
                    name: random.integers(0, 256, (300, size), np.uint8) for name, size in run.data.features.items()
                },
                labels=(number % FLAGS.num_classes,),
                segments=tuple((start, number % 2, float(start % 2)) for start in range(0, 300, 5)),
            )
            for number in range(place, FLAGS.videos, FLAGS.files)
        ]
        write_records(f"{folder}/{place:03}.tfrecord", records)


if __name__ == "__main__":
    app.run(main)
