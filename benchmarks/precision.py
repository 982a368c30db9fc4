"""Scores of runs in mixed precision beside those in float32: MAP@K on the demo's test segments, over several seeds.

    .venv/bin/python -m benchmarks.precision [--models=BERTMean,GatedNetVLAD] [--seeds=5] [--output_dir=runs/precision]

The demo's models, pre-trained and fine-tuned as there; a seed decides initial weights, order and drawn frames. Prints a
Markdown table of means and of the differences of the same seed, both with their standard deviation over seeds, and the
seconds of a run. Results are kept in --output_dir, where the same command goes on.
"""

import json
import os
import time

import numpy as np
from absl import app, flags

from yt8m.commands.demo import ENTRIES, FINETUNE_EPOCHS, PRETRAIN_EPOCHS, SIZE
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig

FLAGS = flags.FLAGS
flags.DEFINE_list("models", ["BERTMean", "GatedNetVLAD", "MixNeXtVLAD"], f"Some of {', '.join(ENTRIES)}.")
flags.DEFINE_integer("seeds", 5, "Seeds, from 0.", lower_bound=1)
flags.DEFINE_string("output_dir", "runs/precision", "Folder for data, runs and results.")

_PRECISIONS = {"float32": "off", "bfloat16": "on"}


def main(_):
    from yt8m.data.making.synthetic import write_demo

    num_classes = write_demo(_path("data"), seed=0, size=SIZE)["num_classes"]
    print("| model | float32 | bfloat16 | difference | seconds, float32 and bfloat16 |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name in FLAGS.models:
        # A seed in both ways before the next, so that what else the machine does falls on both.
        results = [
            {dtype: _result(name, dtype, seed, num_classes) for dtype in _PRECISIONS} for seed in range(FLAGS.seeds)
        ]
        scores = {dtype: np.array([result[dtype]["score"] for result in results]) for dtype in _PRECISIONS}
        seconds = (np.mean([result[dtype]["seconds"] for result in results]) for dtype in _PRECISIONS)
        columns = [*map(_spread, scores.values()), _spread(scores["bfloat16"] - scores["float32"], sign="+")]
        print(f"| {name} | {' | '.join(columns)} | {' and '.join(f'{mean:.0f}' for mean in seconds)} |", flush=True)


def _path(*parts):
    return os.path.join(FLAGS.output_dir, *parts)


def _spread(values, sign=""):
    deviation = np.std(values, ddof=1) if len(values) > 1 else 0
    return f"{np.mean(values):{sign}.4f} ± {deviation:.4f}"


def _result(name, dtype, seed, num_classes):
    """Dict of the test score of a run and its seconds; read where it is kept."""
    file = _path(f"{name}-{dtype}-{seed}.json")
    if os.path.exists(file):
        with open(file, encoding="utf-8") as kept:
            return json.load(kept)
    start = time.perf_counter()
    folder = _train(name, dtype, seed, num_classes)
    result = {"seconds": time.perf_counter() - start, "score": _score(folder)}
    with open(file, "w", encoding="utf-8") as kept:
        json.dump(result, kept)
    return result


def _train(name, dtype, seed, num_classes):
    """The folder of a fine-tuned run."""
    from yt8m.data.splits import open_source
    from yt8m.training.train import train

    entry, before = ENTRIES[name], ""
    shared = {"base_learning_rate": entry.learning_rate, "batch_size": 64, "seed": seed}
    for part, epochs in (("train", PRETRAIN_EPOCHS), ("validate", FINETUNE_EPOCHS)):
        pattern = _path("data", part, "*.tfrecord")
        run = RunConfig(
            data=DataConfig(num_classes=num_classes, num_frames=entry.num_frames, sampling=entry.sampling),
            model=ModelConfig(name=entry.model, hyperparameters=entry.hyperparameters),
            train=TrainConfig(
                num_epochs=epochs, segment_labels=part == "validate", mixed_precision=_PRECISIONS[dtype], **shared
            ),
            train_data_pattern=pattern,
            init_from=before,
        )
        before = _path("runs", f"{name}-{dtype}-{seed}-{part}")
        train(run, source=open_source(pattern), train_dir=before)
    return before


def _score(folder):
    from yt8m.data.splits import open_source
    from yt8m.inference.prediction import predict_segments
    from yt8m.models.checkpoints import load_model
    from yt8m.ranking.evaluation import RatedLabels, evaluate_lists
    from yt8m.types import MAX_SEGMENTS_PER_CLASS
    from yt8m.vocabulary import read_segment_class_ids

    model, run = load_model(folder)
    class_ids = read_segment_class_ids(_path("data", "segment_label_ids.csv"))
    top = predict_segments(model, open_source(_path("data", "test", "*.tfrecord")), run.data, class_ids=class_ids)
    labels = RatedLabels.from_csv(_path("data", "test_labels.csv"))
    return evaluate_lists(top, labels, top_n=MAX_SEGMENTS_PER_CLASS).map_at_k


if __name__ == "__main__":
    app.run(main)
