"""A whole search of weights, and one evaluation of its objective against full fusion and scoring.

  .venv/bin/python -m benchmarks.weight_search --files=9 --classes=10 --rows=100000   exactness, with lists on disk
  .venv/bin/python -m benchmarks.weight_search --ranks_only    time at 1000 classes x 20,000 pairs
  .venv/bin/python -m benchmarks.weight_search --whole         searches with folds: 5 files x 20 classes x 1,200 pairs

The first writes lists whose unions are longer than K, so that the cut matters, and compares on random weights.
"""

import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from benchmarks import lists
from benchmarks.weight_splits import draw
from yt8m.ensemble.fusion import Fusion, fuse
from yt8m.ensemble.segment_objective import SegmentObjective
from yt8m.ensemble.weight_search import METHODS, SearchSettings, search_weights
from yt8m.ranking.evaluation import RatedLabels, evaluate_submission

FLAGS = flags.FLAGS
flags.DEFINE_integer("files", 9, "Submission files.")
flags.DEFINE_integer("classes", 10, "Classes; 1000 with --ranks_only.")
flags.DEFINE_integer("rows", 100_000, "Segments a class and file, and K.")
flags.DEFINE_integer("pairs", None, "Rated pairs. Default: 20 a class.")
flags.DEFINE_integer("repeats", 3, "Random weights to compare on.")
flags.DEFINE_bool("ranks_only", False, "Random ranks of 20,000 pairs in 1000 classes instead of files.")
flags.DEFINE_bool("whole", False, "Whole searches, by each method.")


def main(_):
    generator = np.random.default_rng(0)
    if FLAGS.ranks_only:
        return time_ranks(generator)
    if FLAGS.whole:
        return time_searches()
    with tempfile.TemporaryDirectory() as folder:
        labels_path = os.path.join(folder, "labels.csv")
        code = (
            f"from benchmarks.lists import *; paths, segments = write_submissions({folder!r}, files={FLAGS.files}, "
            f"classes={FLAGS.classes}, rows={FLAGS.rows}); write_labels({labels_path!r}, segments, paths, "
            f"classes={FLAGS.classes}, pairs={FLAGS.pairs or 20 * FLAGS.classes})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        paths = [os.path.join(folder, f"model{index}.csv") for index in range(FLAGS.files)]
        labels = RatedLabels.from_csv(labels_path)
        start = time.perf_counter()
        objective = SegmentObjective.from_submissions(paths, labels, top_n=FLAGS.rows)
        print(f"ranks of {len(labels)} rated pairs read in {time.perf_counter() - start:.2f} s, once")
        uncertain = sum(len(cut.rows) for cut in objective.cut_classes)
        print(f"positives that may fall behind the cut: {uncertain} of {int(objective.positive.sum())}")
        quick, full = [], []
        for _ in range(FLAGS.repeats):
            weights, w0 = generator.random(FLAGS.files), float(np.exp(generator.uniform(-0.7, 4.6)))
            start = time.perf_counter()
            fusion = Fusion(tuple(weights.tolist()), w0=w0, top_n=FLAGS.rows)
            value = objective(fusion)
            quick.append(time.perf_counter() - start)
            start = time.perf_counter()
            output = os.path.join(folder, "fused.csv")
            fuse(paths, output, fusion=fusion)
            expected = evaluate_submission(output, labels, top_n=FLAGS.rows).map_at_k
            full.append(time.perf_counter() - start)
            if abs(value - expected) > 1e-12:
                sys.exit(f"MAP differs: {value} and {expected}")
            print(f"  MAP {value:.6f} both ways, {1e3 * quick[-1]:.2f} ms and {full[-1]:.2f} s")
        print(f"ratio {np.median(full) / np.median(quick):,.0f}, peak memory {lists.peak_megabytes()[0]:.0f} MB")


def time_ranks(generator):
    pairs = FLAGS.pairs or 20_000
    classes = np.sort(generator.integers(1000, size=pairs))
    ranks = generator.integers(0, FLAGS.rows, (FLAGS.files, pairs)).astype(float)
    ranks[generator.random(ranks.shape) < 0.2] = np.inf
    positive, videos = generator.random(pairs) < 0.4, generator.integers(5000, size=pairs)
    lengths = np.full((FLAGS.files, len(np.unique(classes))), FLAGS.rows)
    objective = SegmentObjective(ranks, classes, positive, videos, lengths=lengths)
    seconds = []
    for _ in range(20):
        fusion = Fusion(tuple(generator.random(FLAGS.files).tolist()), w0=6.06)
        start = time.perf_counter()
        objective(fusion)
        seconds.append(time.perf_counter() - start)
    print(f"{FLAGS.files} files x 1000 classes x {pairs:,} pairs: {1e3 * np.median(seconds):.2f} ms an evaluation")


def time_searches():
    for rated in (1.0, 0.25):
        objective = draw("unequal", 0, segments=1200, videos=200, rated=rated)
        for method in METHODS:
            start = time.process_time()
            search_weights(objective, plain=Fusion((1.0,) * 5), settings=SearchSettings(method))
            seconds = time.process_time() - start
            print(f"5 files x 20 classes x 1,200 segments, {rated:.0%} rated, {method}: {seconds:.1f} s")


if __name__ == "__main__":
    app.run(main)
