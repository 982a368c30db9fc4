"""MAP@K of a submission file against the plain loop, in rows a second.

  .venv/bin/python -m benchmarks.scorer --classes=20 --rows=100000

Both sides read the same file and labels, in turns, on one core; the best of each is compared.
"""

import os
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from benchmarks import lists, plain
from yt8m.ranking.bootstrap import bootstrap_interval
from yt8m.ranking.evaluation import RatedLabels, evaluate_submission

FLAGS = flags.FLAGS
flags.DEFINE_integer("classes", 20, "Classes.")
flags.DEFINE_integer("rows", 100_000, "Segments a class.")
flags.DEFINE_integer("pairs", 400, "Rated pairs.")
flags.DEFINE_integer("id_length", 4, "Letters of a video id.")
flags.DEFINE_integer("repeats", 3, "Turns.")
flags.DEFINE_bool("growth", False, "Measure how time grows with 10 times the rows too.")


def main(_):
    fast = compare(FLAGS.rows)
    if FLAGS.growth:
        slower = compare(FLAGS.rows // 10)
        print(f"{FLAGS.rows // 10:,} to {FLAGS.rows:,} rows a class: {fast / slower:.2f} x the time (linear: 10)")


def compare(rows):
    """Seconds of the package's side, the best of its turns."""
    with tempfile.TemporaryDirectory() as folder:
        labels = os.path.join(folder, "labels.csv")
        code = (
            f"from benchmarks.lists import *; paths, segments = write_submissions({folder!r}, files=1, "
            f"classes={FLAGS.classes}, rows={rows}, id_length={FLAGS.id_length}); "
            f"write_labels({labels!r}, segments, paths, classes={FLAGS.classes}, pairs={FLAGS.pairs})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
        path = os.path.join(folder, "model0.csv")
        fast, slow = [], []
        for _ in range(FLAGS.repeats):
            start = time.perf_counter()
            result = evaluate_submission(path, RatedLabels.from_csv(labels))
            fast.append(time.perf_counter() - start)
        own, _ = lists.peak_megabytes()  # Of the plain loop too, where this is not the first comparison.
        for _ in range(FLAGS.repeats):
            start = time.perf_counter()
            expected, _ = plain.score_rankings(plain.read(path), plain.read_labels(labels))
            slow.append(time.perf_counter() - start)
        if abs(result.map_at_k - expected) > 1e-12:
            sys.exit(f"MAP differs: {result.map_at_k} and {expected}")
        start = time.perf_counter()
        interval = bootstrap_interval(result)
        bootstrap = time.perf_counter() - start
    total = FLAGS.classes * rows
    print(f"{FLAGS.classes} classes x {rows:,} rows, {len(result.labels)} rated pairs: MAP {result.map_at_k:.5f}")
    print(f"  yt8m       {total / min(fast) / 1e6:8.2f} M rows/s, {min(fast):.3f} s, peak memory {own:.0f} MB")
    print(f"  plain loop {total / min(slow) / 1e6:8.2f} M rows/s, {min(slow):.3f} s")
    print(f"  ratio      {min(slow) / min(fast):8.2f}, MAP equal to 1e-12")
    print(f"  interval of 1,000 bootstrap samples [{interval[0]:.5f}, {interval[1]:.5f}] in {bootstrap:.2f} s")
    return min(fast)


if __name__ == "__main__":
    app.run(main)
