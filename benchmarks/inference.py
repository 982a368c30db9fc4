"""What inference.py costs beside its model, and what its memory depends on.

  .venv/bin/python -m benchmarks.inference    # --tta=-2,1 against four runs of a shift, and against the model
  .venv/bin/python -m benchmarks.inference --measure=rate        # segments a second, and the model's alone
  .venv/bin/python -m benchmarks.inference --measure=host        # the same beside a model that only waits
  .venv/bin/python -m benchmarks.inference --measure=merging     # share of top-K merging in a run over 1000 classes
  .venv/bin/python -m benchmarks.inference --measure=lists       # the same with full lists, as of a million segments
  .venv/bin/python -m benchmarks.inference --measure=ray         # one process against two Ray nodes of a CPU each, here
  .venv/bin/python -m benchmarks.inference --measure=memory      # peak memory with 100 and 10,000 videos

On random videos; --tta and memory with whole processes of inference.py, in turns, of which the best counts.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.tfrecord import FrameRecord, write_records
from yt8m.inference.scorer import Scorer
from yt8m.models.base import build_model
from yt8m.models.checkpoints import write_run_config
from yt8m.ranking.top_segments import TopSegments

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "measure", "shifts", ("shifts", "rate", "host", "merging", "lists", "ray", "memory"), "What to measure."
)
flags.DEFINE_list("feature_sizes", ["1024", "128"], "Sizes of the features.")
flags.DEFINE_integer("num_classes", 3862, "Classes of the model.")
flags.DEFINE_integer("ranked", 1000, "Classes ranked.")
flags.DEFINE_integer("hidden_size", 384, "Of the frame_bert; 0 is a tiny logistic model instead.")
flags.DEFINE_integer("num_layers", 2, "Of the frame_bert.")
flags.DEFINE_integer("videos", 120, "Videos of 200 to 300 frames.")
flags.DEFINE_integer("many_videos", 10_000, "The larger number of videos whose memory is measured.")
flags.DEFINE_integer("frames", 300, "Frames of the longest video.")
flags.DEFINE_integer("files", 8, "Files.")
flags.DEFINE_integer("batch_size", 256, "Segments in a batch.")
flags.DEFINE_integer("top_n", 100_000, "Segments listed for a class.")
flags.DEFINE_integer("repeats", 2, "Turns.")
flags.DEFINE_enum("dtype", "float32", ("float32", "bfloat16"), "What the model computes in.")
flags.DEFINE_integer("segments", 600_000, "Segments of --measure=lists.")
flags.DEFINE_string("tta", "0,0", "First and last shift of --measure=rate and host.")
flags.DEFINE_float("model_ms", 10.0, "Milliseconds that a batch of --measure=host takes in place of the model.")


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        prepare(folder, videos=100 if FLAGS.measure == "memory" else FLAGS.videos)
        {
            "shifts": measure_shifts,
            "rate": measure_rate,
            "host": measure_host,
            "merging": measure_merging,
            "lists": measure_lists,
            "ray": measure_ray,
            "memory": measure_memory,
        }[FLAGS.measure](folder)


def measure_shifts(folder):
    """Four shifts at once against one by one, and against the model alone on as many windows."""
    write_videos(os.path.join(folder, "one"), 1)
    turns = []
    for _ in range(FLAGS.repeats):
        start = run(folder, "--tta=-2,1", data="one")[:2]
        apart = [run(folder, f"--shift={shift}")[:2] for shift in (-2, -1, 0, 1)]
        together = run(folder, "--tta=-2,1")[:2]
        turns.append((start, np.sum(apart, axis=0), together, time_model(folder, shifts=4)))
    print(f"batches of {FLAGS.batch_size}, {FLAGS.ranked} of {FLAGS.num_classes} classes")
    for place, kind in enumerate(("of wall clock", "of processors")):
        start, apart, together, model = (min(turn[way][place] for turn in turns) for way in range(4))
        print(f"seconds {kind}: --tta=-2,1 {together:.2f}, of which {start:.2f} to start and to compile")
        print(f"  four single runs {apart:.2f}: ratio {together / apart:.3f}")
        print(f"  the model alone, as many windows {model:.2f}: ratio {(together - start) / model:.3f} less the start")


def measure_rate(folder):
    """Segments a second of inference.py, start left out, and of the model alone."""
    write_videos(os.path.join(folder, "one"), 1)
    first, last = map(int, FLAGS.tta.split(","))
    turns, shifts = [], f"--tta={FLAGS.tta}"
    for _ in range(FLAGS.repeats):
        start = run(folder, shifts, data="one")[0]
        turns.append((start, run(folder, shifts)[0], time_model(folder, shifts=last - first + 1)[0]))
    start, whole, model = (min(turn[way] for turn in turns) for way in range(3))
    segments = predicted(folder)
    print(f"{segments:,} segments, batches of {FLAGS.batch_size}, {FLAGS.ranked} of {FLAGS.num_classes} classes")
    print(
        f"  {segments / (whole - start):,.0f} segments/s after {start:.1f} s; the model alone {segments / model:,.0f}"
    )
    print(f"  ratio {(whole - start) / model:.3f}")


def measure_host(folder):
    """Segments a second of reading, selecting and merging, where a model's batch takes --model_ms and no processor."""
    from yt8m.data.pipeline import count_examples
    from yt8m.inference import jobs

    random = np.random.default_rng(0).random((4 * FLAGS.batch_size, FLAGS.ranked), np.float32)

    class Waiting:
        def __init__(self, *_, **__):
            self.place = 0

        def __call__(self, features):
            time.sleep(FLAGS.model_ms / 1000)
            count = len(features["num_frames"])
            self.place = (self.place + 977) % (len(random) - count + 1)
            return random[self.place : self.place + count].copy()

    jobs.Scorer = Waiting
    source = videos_of(folder)
    segments = count_examples(source.files, data_config(), windows="all")
    first, last = map(int, FLAGS.tta.split(","))
    for _ in range(FLAGS.repeats):
        _, seconds, processor = predict_here(folder, source, views=tuple(range(first, last + 1)))
        print(f"  {segments / seconds:,.0f} segments/s, {1e6 * processor / segments:.1f} us of processors a segment")


def measure_merging(folder):
    """Processor time of merging and writing beside that of the whole, in one process."""
    from yt8m.inference import prediction
    from yt8m.ranking.submission import SubmissionWriter

    spent = {}

    def timed(name):
        def call(self, *arguments):
            start = time.thread_time()
            try:
                return getattr(super(Timed, self), name)(*arguments)
            finally:
                spent[name] = spent.get(name, 0) + time.thread_time() - start

        return call

    class Timed(TopSegments):
        add, to_arrays, merge = timed("add"), timed("to_arrays"), timed("merge")

    prediction.TopSegments = Timed
    top, scored, processor = predict_here(folder, videos_of(folder), views=(-2, -1, 0, 1))
    start = time.perf_counter()
    with SubmissionWriter(os.path.join(folder, "out.csv")) as writer:
        rows = sum(len(segments) for _, segments, _ in (writer.write(*row[:2]) or row for row in top))
    writing = time.perf_counter() - start
    for name, seconds in spent.items():
        print(f"  {name:9} {seconds:7.2f} s")
    print(f"  merging   {sum(spent.values()) / processor:7.2%} of the processor time of predicting, {scored:.1f} s")
    print(f"  writing   {writing:7.2f} s, {rows:,} rows")


def measure_lists(folder):
    """Processor time of reading, and for random scores of top-K, merging, parts and writing, beside the model's."""
    from yt8m.ranking.submission import write_lists
    from yt8m.runtime.parts import PartsFolder

    random, classes, rows = np.random.default_rng(0), range(FLAGS.ranked), 32 * FLAGS.batch_size
    top, spent = TopSegments(classes, top_n=FLAGS.top_n), dict.fromkeys(("top-K", "merging", "parts"), 0.0)
    parts = PartsFolder(os.path.join(folder, "out.csv.parts"), identity=[])
    parts.open({"parts": [1] * -(-FLAGS.segments // rows)})
    for number, first in enumerate(range(0, FLAGS.segments, rows)):
        ids = np.char.add("v", np.char.zfill(((first + np.arange(rows)) // 60).astype(str), 7)).astype(np.bytes_)
        scores = random.random((rows, FLAGS.ranked), np.float32)
        times = [time.process_time()]
        part = TopSegments(classes, top_n=FLAGS.top_n, floors=top.floors())
        for start in range(0, rows, FLAGS.batch_size):
            batch = slice(start, start + FLAGS.batch_size)
            part.add(ids[batch].tolist(), (first + np.arange(rows)[batch]) % 60 * 5, scores[batch])
        arrays = part.to_arrays()
        times.append(time.process_time())
        top.merge(arrays)
        times.append(time.process_time())
        parts.save(number, arrays)
        times.append(time.process_time())
        for name, seconds in zip(spent, np.diff(times)):
            spent[name] += seconds
    start = time.process_time()
    write_lists(os.path.join(folder, "out.csv"), top)
    spent["writing"] = time.process_time() - start
    parts.remove()
    spent["reading"] = time_reading(folder) * FLAGS.segments
    batches = 8
    model = time_scorer(folder, batches, shifts=1)[1] / (batches * FLAGS.batch_size) * FLAGS.segments
    for name, seconds in spent.items():
        print(f"  {name:9} {seconds:7.2f} s of processors, {seconds / model:7.2%} of the model's {model:.0f} s")
    print(f"  together  {sum(spent.values()) / model:7.2%}; {FLAGS.segments / model:.0f} segments a processor second")


def measure_ray(folder):
    """A process on all cores against a Ray cluster of two nodes of a CPU each on this machine, in turns."""
    from ray.cluster_utils import Cluster

    write_videos(os.path.join(folder, "one"), 1)
    cluster, turns = Cluster(), []
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1, include_dashboard=False)
        there = f"--ray={cluster.address}"
        for _ in range(FLAGS.repeats):
            turns.append([run(folder, *where, data=data)[0] for where in ((), (there,)) for data in ("one", "data")])
    finally:
        cluster.shutdown()
    one, alone, one_there, shared = (min(turn[way] for turn in turns) for way in range(4))
    print(f"seconds of one process {alone:.1f}, {one:.1f} of a single video")
    print(f"seconds of two nodes {shared:.1f}, {one_there:.1f} of a single video")
    print(f"  ratio {shared / alone:.2f}, less the single video {(shared - one_there) / (alone - one):.2f}")


def measure_memory(folder):
    """Peak memory with few and with many videos, of the same length and with full lists in both."""
    few = run(folder)[2]
    write_videos(os.path.join(folder, "data"), FLAGS.many_videos, first=100)
    seconds, _, many = run(folder)
    print(f"peak memory: 100 videos {few:.0f} MB; {FLAGS.many_videos:,} videos {many:.0f} MB, in {seconds:.0f} s")
    print(f"  ratio {many / few:.3f}")


def prepare(folder, *, videos):
    """Writes the run and the videos."""
    model = ModelConfig(name="logistic")
    if FLAGS.hidden_size:
        sizes = {"hidden_size": FLAGS.hidden_size, "num_heads": 4, "feed_forward_size": 4 * FLAGS.hidden_size}
        model = ModelConfig(name="frame_bert", hyperparameters={"num_layers": FLAGS.num_layers, **sizes})
    config = RunConfig(data=data_config(), model=model, train=TrainConfig(segment_labels=True))
    os.makedirs(os.path.join(folder, "run"))
    write_run_config(os.path.join(folder, "run"), config)
    policy = "mixed_bfloat16" if FLAGS.dtype == "bfloat16" else "float32"
    build_model(config.model, config.data, dtype=policy).save(os.path.join(folder, "run", "best.keras"))
    with open(os.path.join(folder, "classes.csv"), "w", encoding="utf-8") as file:
        file.write("Index\n" + "".join(f"{label}\n" for label in range(FLAGS.ranked)))
    write_videos(os.path.join(folder, "data"), videos)


def data_config():
    """The DataConfig of the flags."""
    sizes = tuple(int(size) for size in FLAGS.feature_sizes)
    names = tuple(f"feature{place}" for place in range(len(sizes)))
    return DataConfig(feature_names=names, feature_sizes=sizes, num_classes=FLAGS.num_classes)


def write_videos(folder, count, *, first=0):
    """Random videos, numbered from ``first``, in --files files."""
    random = np.random.default_rng(first)
    for file in range(min(FLAGS.files, count)):
        records = []
        for number in range(first + file, first + count, FLAGS.files):
            frames = int(random.integers(2 * FLAGS.frames // 3, FLAGS.frames + 1))
            features = {
                name: random.integers(0, 256, (frames, size), np.uint8) for name, size in data_config().features.items()
            }
            records.append(FrameRecord(video_id=f"v{number:06}", features=features))
        write_records(os.path.join(folder, f"{first:06}-{file:03}.tfrecord"), records)


def videos_of(folder):
    """Source of the videos written there."""
    from yt8m.data.splits import Source
    from yt8m.data.tfrecord import list_files

    return Source(tuple(list_files(os.path.join(folder, "data", "*"))))


def predict_here(folder, source, *, views):
    """(TopSegments, seconds, processor seconds) of predict_segments in this process."""
    from yt8m.inference.prediction import predict_segments
    from yt8m.models.checkpoints import load_model

    model = load_model(os.path.join(folder, "run"))[0]
    start, processor = time.perf_counter(), time.process_time()
    top = predict_segments(
        model, source, data_config(), class_ids=tuple(range(FLAGS.ranked)), views=views,
        batch_size=FLAGS.batch_size, top_n=FLAGS.top_n,
    )  # fmt: skip
    return top, time.perf_counter() - start, time.process_time() - processor


def run(folder, *arguments, data="data"):
    """(seconds, processor seconds, peak megabytes) of inference.py on the videos in ``data``."""
    script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "inference.py")
    command = [
        *(sys.executable, script, f"--train_dir={folder}/run", f"--input_data_pattern={folder}/{data}/*.tfrecord"),
        *(f"--segment_label_ids_file={folder}/classes.csv", f"--batch_size={FLAGS.batch_size}"),
        *(f"--segment_max_pred={FLAGS.top_n}", f"--output_file={folder}/out.csv", *arguments),
    ]
    start = time.perf_counter()
    with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(open(os.path.join(folder, "log"), encoding="utf-8").read())
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def time_reading(folder):
    """Processor seconds of a segment from records to arrays, once the reader has started."""
    from yt8m.data.pipeline import make_dataset
    from yt8m.data.tfrecord import list_files

    files, segments = list_files(os.path.join(folder, "data", "*")), 0
    dataset = make_dataset(files, data_config(), windows="all", batch_size=FLAGS.batch_size)
    for place, (features, _) in enumerate(dataset.as_numpy_iterator()):
        if place == 0:
            start = time.process_time()
        segments += len(features["num_frames"]) if place else 0
    return (time.process_time() - start) / segments


def predicted(folder):
    """Segments that the last run() has scored."""
    log = open(os.path.join(folder, "log"), encoding="utf-8").read()
    return int(re.findall(r"predicting: ([\d,]+)", log)[-1].replace(",", ""))


def time_model(folder, *, shifts):
    """(seconds, processor seconds) of the compiled model alone on as many segments as the last run(), from memory."""
    return time_scorer(folder, -(-predicted(folder) // FLAGS.batch_size), shifts=shifts)


def time_scorer(folder, batches, *, shifts):
    """(seconds, processor seconds) of the compiled model on a batch from memory, ``batches`` times."""
    from yt8m.models.checkpoints import load_model

    scorer = Scorer(
        load_model(os.path.join(folder, "run"))[0], batch_size=FLAGS.batch_size, class_ids=tuple(range(FLAGS.ranked))
    )
    random = np.random.default_rng(0)
    shape = FLAGS.batch_size, shifts, 5
    batch = {name: random.integers(0, 256, (*shape, size), np.uint8) for name, size in data_config().features.items()}
    batch["num_frames"] = np.full(shape[:2], 5, np.int32)
    scorer(batch)
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(batches):
        scorer(batch)
    return time.perf_counter() - start, time.process_time() - processor


if __name__ == "__main__":
    app.run(main)
