"""Fuses ranked submission files, finds the weights to fuse with, checks and merges files.

  ensemble.py --submissions=A.csv,B.csv --weights=1,2 --output_file=OUT.csv
"""

import json
import os
import sys

from absl import flags

from yt8m import command_line
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError

FLAGS = flags.FLAGS

flags.DEFINE_list("submissions", [], "Submission files to fuse: .csv, .csv.gz or .parquet, with commas between.")
flags.DEFINE_list("weights", [], "A weight for each of --submissions. Default: 1 for all.")
flags.DEFINE_float("w0", None, "w0 of reciprocal ranks, weight * w0 / (rank from 0 + w0). Default: 1, that is weight / rank.")
flags.DEFINE_enum("method", "reciprocal_rank", ("reciprocal_rank", "borda", "mean", "geometric_mean"),
                  "How to fuse; the means need the parquet form, which has scores.")
flags.DEFINE_string("output_file", None, "Submission to write; .gz and .parquet choose these forms.")
flags.DEFINE_integer("top_n", MAX_SEGMENTS_PER_CLASS, "Most segments to list for a class, K of MAP@K.", lower_bound=1)
flags.DEFINE_string("classes", None, "FIRST:END, only class ids from FIRST to END - 1, as in 0:250; see --merge.")
flags.DEFINE_integer("workers", None, "Processes. Default: one per CPU.", lower_bound=1)


def main(files):
    from yt8m.ensembling import Fusion, fuse, parse_class_range
    from yt8m.progress import Progress

    if not FLAGS.output_file:
        raise InputError("--output_file must be given")
    weights = _numbers("weights", FLAGS.weights) or (1.0,) * len(FLAGS.submissions)
    fusion = Fusion(weights, method=FLAGS.method, w0=1.0 if FLAGS.w0 is None else FLAGS.w0, top_n=FLAGS.top_n)
    with Progress("fusing", unit="classes") as progress:
        report = fuse(
            FLAGS.submissions,
            FLAGS.output_file,
            fusion=fusion,
            class_range=parse_class_range(FLAGS.classes),
            workers=FLAGS.workers or len(os.sched_getaffinity(0)),
            progress=progress,
        )
    for note in report.notes:
        print(f"note: {note}", file=sys.stderr)
    print(json.dumps({"output_file": FLAGS.output_file, "num_classes": report.num_classes,
                      "rows_read": report.rows_read, "rows_written": report.rows_written}))


def _numbers(flag, texts):
    try:
        return tuple(float(text) for text in texts)
    except ValueError:
        raise InputError(f"--{flag}={','.join(texts)}: expected numbers with commas between, as in 1,2.5") from None


def run():
    command_line.run(main, takes_files=True)


if __name__ == "__main__":
    run()
