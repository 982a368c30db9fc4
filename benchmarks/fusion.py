"""Fusion of ranked submission files against a plain dict loop, byte for byte and in rows a second.

  .venv/bin/python -m benchmarks.fusion --files=9 --classes=4 --rows=100000

Rows are segments read. Both sides run on the same files, in turns, on one core; the best of each is compared. With
--growth, the same is fused with 10 times the rows. --full fuses without the plain loop, to see memory and time at size.
"""

import filecmp
import os
import subprocess
import sys
import tempfile
import time

from absl import app, flags

from benchmarks import lists, plain
from yt8m.ensemble.fusion import Fusion, fuse

FLAGS = flags.FLAGS
flags.DEFINE_integer("files", 9, "Submission files.")
flags.DEFINE_integer("classes", 4, "Classes.")
flags.DEFINE_integer("rows", 100_000, "Segments a class and file.")
flags.DEFINE_integer("id_length", 4, "Letters of a video id.")
flags.DEFINE_integer("repeats", 3, "Turns.")
flags.DEFINE_integer("workers", 1, "Processes of the package's side.")
flags.DEFINE_bool("growth", False, "Measure how time grows with 10 times the rows too.")
flags.DEFINE_bool("full", False, "Leave out the plain loop.")
flags.DEFINE_string("folder", None, "Folder for the files, which are used again if they are there. Default: temporary.")


def main(_):
    with tempfile.TemporaryDirectory() as temporary:
        folder = FLAGS.folder or temporary
        fast = compare(folder, FLAGS.rows)
        if FLAGS.growth:
            slower = compare(os.path.join(folder, "growth"), FLAGS.rows // 10)
            print(f"{FLAGS.rows // 10:,} to {FLAGS.rows:,} rows a class: {fast / slower:.2f} x the time (linear: 10)")


def compare(folder, rows):
    """Seconds of the package's side, the best of its turns."""
    paths = prepare(folder, rows)
    total = FLAGS.files * FLAGS.classes * rows
    weights = tuple(1 + index / 7 for index in range(FLAGS.files))
    fast_path, slow_path = os.path.join(folder, "fast.csv"), os.path.join(folder, "slow.csv")
    fast, slow = [], []
    for _ in range(FLAGS.repeats):
        start = time.perf_counter()
        fuse(paths, fast_path, fusion=Fusion(weights, w0=6.06), workers=FLAGS.workers)
        fast.append(time.perf_counter() - start)
        if not FLAGS.full:
            start = time.perf_counter()
            plain.fuse(paths, slow_path, weights=weights, w0=6.06)
            slow.append(time.perf_counter() - start)
    print(f"{FLAGS.files} files x {FLAGS.classes} classes x {rows:,} rows, ids of {FLAGS.id_length} letters")
    print(f"  yt8m       {total / min(fast) / 1e6:8.2f} M rows/s, {min(fast):.3f} s, {FLAGS.workers} workers")
    if slow:
        if not filecmp.cmp(fast_path, slow_path, shallow=False):
            sys.exit("the outputs differ")
        print(f"  plain loop {total / min(slow) / 1e6:8.2f} M rows/s, {min(slow):.3f} s")
        print(f"  ratio      {min(slow) / min(fast):8.2f}, outputs identical ({os.path.getsize(fast_path):,} bytes)")
    own, children = lists.peak_megabytes()
    if FLAGS.full:
        print(f"  peak memory {own:.0f} MB, of the largest worker {children:.0f} MB")
    return min(fast)


def prepare(folder, rows):
    """Paths of the files, written by a process of its own so that they do not count in the peak memory."""
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(folder, f"model{index}.csv") for index in range(FLAGS.files)]
    if not all(map(os.path.exists, paths)):
        code = (
            f"from benchmarks.lists import *; write_submissions({folder!r}, files={FLAGS.files}, "
            f"classes={FLAGS.classes}, rows={rows}, id_length={FLAGS.id_length})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
    return paths


if __name__ == "__main__":
    app.run(main)
