"""What each way of learning more from the data gains: score against the plain run's, over several seeds.

    .venv/bin/python -m benchmarks.ablation [--data=demo] [--seeds=5] [--modes=base,mixup] [--workers=2]
    .venv/bin/python -m benchmarks.ablation --data=desed --desed='desed_segments/*.tfrecord' \\
        --audioset='audioset/*.tfrecord'

A seed decides initial weights, order and which videos are held out; every mode is trained with every seed. The best
epoch is chosen on the holdout, and the score is MAP@K on videos that nothing was chosen by: the demo's test set, or
half of DESED's held-out clips. Prints a Markdown table of means and of differences from the plain run of the same
seed, both with their standard deviation over seeds, and of the processor time from pre-trained weights to the score
against the plain run's. Results are kept in --output_dir, where the same command goes on.
"""

import concurrent.futures
import json
import multiprocessing
import os
import pathlib
import re
import time

import numpy as np
from absl import app, flags

from benchmarks.ablation_modes import modes_to_compare
from yt8m.runtime.progress import progress_style

FLAGS = flags.FLAGS
flags.DEFINE_enum("data", "demo", ("demo", "desed"), "Which data: synthetic, or real sound.")
flags.DEFINE_string("desed", "", "Rated segments for --data=desed.")
flags.DEFINE_string("audioset", "", "Clips to pre-train on, and to learn from unlabelled, for --data=desed.")
flags.DEFINE_string("output_dir", "runs/ablation", "Folder for runs and results.")
flags.DEFINE_integer("seeds", 5, "Seeds, from 0.", lower_bound=1)
flags.DEFINE_list("modes", None, "Some of the modes. Default: all that go with the data.")
flags.DEFINE_integer("workers", 2, "Runs at a time, one core each.", lower_bound=1)

_ONLY_DEMO = ("the video's 5 best classes alone", "modality dropout 0.1")
"""DESED has ten classes and one modality."""


def main(_):
    modes = modes_to_compare()
    chosen = FLAGS.modes or [name for name in modes if FLAGS.data == "demo" or name not in _ONLY_DEMO]
    folder = pathlib.Path(FLAGS.output_dir, FLAGS.data)
    folder.mkdir(parents=True, exist_ok=True)
    if FLAGS.data == "demo" and not (folder / "data" / "manifest.json").exists():
        from yt8m.data.making.synthetic import write_demo

        write_demo(str(folder / "data"))
    results = folder / "results.jsonl"
    done = {(entry["mode"], entry["seed"]) for entry in _read(results)}
    wanted = [(name, seed) for seed in range(FLAGS.seeds) for name in chosen if (name, seed) not in done]
    places = {"folder": str(folder), "data": FLAGS.data, "desed": FLAGS.desed, "audioset": FLAGS.audioset}
    # What others start from comes first, once.
    trained = [(modes[name], seed) for name, seed in wanted if modes[name].pretrain is not None]
    starts = list(dict.fromkeys((_pretraining(mode), _pretrain_seed(places, seed)) for mode, seed in trained))
    with concurrent.futures.ProcessPoolExecutor(FLAGS.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        first = [pool.submit(_pretrain, places, start, seed) for start, seed in starts]
        concurrent.futures.wait(first)
        for future in first:
            future.result()
        futures = [pool.submit(_run, places, name, seed) for name, seed in wanted]
        for future in concurrent.futures.as_completed(futures):
            if error := future.exception():
                # The others' hours are not to be lost with it.
                print(f"a run failed: {type(error).__name__}: {error}", flush=True)
                continue
            entry = future.result()
            with results.open("a") as file:
                file.write(json.dumps(entry) + "\n")
            print(
                f"{entry['mode']}, seed {entry['seed']}: {entry['score']:.4f} in {entry['cpu_seconds']:.0f} s",
                flush=True,
            )
    _print_table(_read(results), modes)


def _read(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _pretraining(mode):
    """Name of the first mode that is pre-trained as this one is."""
    same = (
        name for name, other in modes_to_compare().items() if other.pretrain is not None and _key(other) == _key(mode)
    )
    return next(same)


def _key(mode):
    return repr((mode.model, mode.frames, mode.data, mode.pretrain, [path for path, _ in mode.patches]))


def _plain(name):
    """A mode's name as that of a folder, without commas, which separate patterns."""
    return re.sub(r"[^\w.]+", "_", name)


def _pretrain_seed(places, seed):
    """The real clips take long enough to pre-train on once."""
    return 0 if places["data"] == "desed" else seed


def _start(places, name, seed):
    seed = _pretrain_seed(places, seed)
    return os.path.join(places["folder"], "pretrained", f"{_plain(name)}-{seed}")


def _on_one_core():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    # May have been set by an earlier task of this process.
    if tf.config.threading.get_intra_op_parallelism_threads() != 1:
        tf.config.threading.set_intra_op_parallelism_threads(1)


@progress_style("quiet")
def _pretrain(places, start, seed):
    _on_one_core()
    import keras

    from yt8m.data.splits import Source
    from yt8m.data.tfrecord import list_files
    from yt8m.training.train import train

    keras.backend.clear_session()
    mode = modes_to_compare()[start]
    pattern = (
        places["audioset"]
        if places["data"] == "desed"
        else os.path.join(places["folder"], "data", "train", "*.tfrecord")
    )
    epochs, rate = (1, 1e-3) if places["data"] == "desed" else (15, 1e-3)
    run = _config(
        places,
        mode,
        pattern,
        num_classes=_pretrain_classes(places),
        num_epochs=epochs,
        base_learning_rate=rate,
        batch_size=64,
        seed=seed,
        **mode.pretrain,
    )
    with mode.patched():
        train(run, source=Source(tuple(list_files(pattern))), train_dir=_start(places, start, seed))


def _pretrain_classes(places):
    return 527 if places["data"] == "desed" else 30


def _config(places, mode, pattern, *, num_classes, run=(), **settings):
    from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig

    features = {"feature_names": ("audio",), "feature_sizes": (128,)} if places["data"] == "desed" else {}
    data = DataConfig(num_classes=num_classes, num_frames=mode.frames, **features, **mode.data)
    name, hyperparameters = mode.model
    return RunConfig(
        data=data,
        model=ModelConfig(name=name, hyperparameters=hyperparameters),
        train=TrainConfig(**settings),
        train_data_pattern=pattern,
        **dict(run),
    )


class _Part:
    """Videos of one part of a random split: predicate on the id."""

    def __init__(self, seed, parts):
        from yt8m.data.splits import IdSplit

        self.first, self.second = IdSplit(fraction=0.5, seed=seed), IdSplit(fraction=0.5, seed=seed + 1000)
        self.parts = parts

    def __call__(self, video_id):
        if self.first.in_train(video_id):
            return "train" in self.parts
        return ("holdout" if self.second.in_holdout(video_id) else "test") in self.parts


@progress_style("quiet")
def _run(places, name, seed):
    _on_one_core()
    import keras

    from yt8m.data.splits import Source, split_sources
    from yt8m.data.tfrecord import list_files
    from yt8m.training.selftraining import SelfTraining, self_train
    from yt8m.training.train import train

    keras.backend.clear_session()
    mode = modes_to_compare()[name]
    folder = os.path.join(places["folder"], "runs", f"{_plain(name)}-{seed}")
    if places["data"] == "desed":
        files = tuple(list_files(places["desed"]))
        pattern, unlabelled = places["desed"], places["audioset"]
        source, holdout, test = (Source(files, _Part(seed, part)) for part in ("train", "holdout", "test"))
        target, num_classes, settings = places["desed"], 10, {"num_epochs": 12, "batch_size": 32}
    else:
        data = os.path.join(places["folder"], "data")
        pattern, unlabelled = (os.path.join(data, part, "*.tfrecord") for part in ("validate", "train"))
        source, holdout = split_sources(train_data_pattern=pattern, holdout_files=2, seed=seed)
        test = Source(tuple(list_files(os.path.join(data, "test", "*.tfrecord"))))
        target, num_classes, settings = (
            os.path.join(data, "test", "*.tfrecord"),
            30,
            {"num_epochs": 4, "batch_size": 64},
        )
    run_fields = {
        field: {"unlabelled": unlabelled, "target": target}.get(value, value) for field, value in mode.run.items()
    }
    if mode.pretrain is not None:
        start = _start(places, _pretraining(mode), seed)
        run_fields["init_from"] = start
    settings = {"base_learning_rate": 1e-3, "seed": seed, "segment_labels": True} | settings | mode.train
    run = _config(places, mode, pattern, num_classes=num_classes, run=run_fields, **settings)
    began = time.process_time()
    if mode.rounds:
        self_train(
            run,
            source=source,
            holdout=holdout,
            unlabelled=Source(tuple(list_files(unlabelled))),
            train_dir=folder,
            settings=SelfTraining(iterations=mode.rounds, threshold=0.8, most=4000),
        )
    else:
        with mode.patched():
            train(run, source=source, holdout=holdout, train_dir=folder)
    score = _score(places, mode, folder, test)
    return {"mode": name, "seed": seed, "score": score, "cpu_seconds": time.process_time() - began}


def _score(places, mode, folder, test):
    from yt8m.data.labels import read_rated_labels
    from yt8m.inference.prediction import predict_segments
    from yt8m.models.checkpoints import load_model
    from yt8m.ranking.evaluation import evaluate_lists
    from yt8m.ranking.filters import SegmentFilter
    from yt8m.ranking.rated_labels import RatedLabels

    model, run = load_model(folder)
    if places["data"] == "desed":
        labels = RatedLabels(*read_rated_labels(list(test.files), run.data, keep=test.keep))
    else:
        labels = RatedLabels.from_csv(os.path.join(places["folder"], "data", "test_labels.csv"))
    options = {"filters": [SegmentFilter(**mode.filters)]} if mode.filters else {}
    top = predict_segments(model, test, run.data, class_ids=labels.classes, views=mode.views, batch_size=256, **options)
    return evaluate_lists(top[0] if options else top, labels).map_at_k


def _print_table(entries, modes):
    scores = {}
    for entry in entries:
        scores.setdefault(entry["mode"], {})[entry["seed"]] = entry
    print("| mode | test MAP | against | difference | better in | processor time |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, mode in modes.items():
        if name not in scores or mode.base not in scores:
            continue
        shared = sorted(set(scores[name]) & set(scores[mode.base]))
        own, base = ([scores[which][seed] for seed in shared] for which in (name, mode.base))
        values = np.array([entry["score"] for entry in own])
        differences = values - [entry["score"] for entry in base]
        times = sum(entry["cpu_seconds"] for entry in own) / sum(entry["cpu_seconds"] for entry in base)
        compared = ["", "", ""]
        if name != mode.base:
            better = f"{int((differences > 0).sum())} of {len(shared)}"
            compared = [mode.base, _mean_and_spread(differences, "+"), better]
        print(f"| {' | '.join([name, _mean_and_spread(values, ''), *compared, f'{times:.2f}'])} |")


def _mean_and_spread(values, sign):
    spread = f" ± {values.std(ddof=1):.4f}" if len(values) > 1 else ""
    return f"{values.mean():{sign}.4f}{spread}"


if __name__ == "__main__":
    app.run(main)
