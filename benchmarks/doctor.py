"""How fast yt8m-doctor examines files, beside iterating over their raw records and reading them for training.

    .venv/bin/python -m benchmarks.doctor [--videos=600 --frames=300 --files=4 --passes=2]

Prints records per second of each, in turn within the same run, best of --repeats, and by how much the process grew
between examining the files once and examining them --passes times on end.
"""

import os
import resource
import tempfile
import time

from absl import app, flags

# Its flags and random records are used here too.
from benchmarks import reader
from yt8m.config import DataConfig
from yt8m.data import pipeline, tfrecord
from yt8m.data.survey import survey

FLAGS = flags.FLAGS


def main(_):
    config = DataConfig(
        feature_names=tuple(FLAGS.feature_names), feature_sizes=tuple(int(size) for size in FLAGS.feature_sizes)
    )
    with tempfile.TemporaryDirectory() as directory:
        once = tfrecord.list_files(FLAGS.input_data_pattern or reader.write_random(directory, config))
        survey.Survey(once, config)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Links, because the doctor reads a file that is named twice once.
        files = [os.path.join(directory, f"link{number}.tfrecord") for number in range(FLAGS.passes * len(once))]
        for number, link in enumerate(files):
            os.symlink(os.path.abspath(once[number % len(once)]), link)
        records = survey.Survey(files, config).tally.records
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ways = {
            "raw records": lambda: reader.consume(reader.raw(files)),
            "make_dataset video": lambda: reader.consume(
                pipeline.make_dataset(files, config, windows="video", batch_size=FLAGS.batch_size)
            ),
            "doctor": lambda: survey.Survey(files, config),
        }
        seconds = {name: float("inf") for name in ways}
        for _ in range(FLAGS.repeats):
            for name, run in ways.items():
                start = time.perf_counter()
                run()
                seconds[name] = min(seconds[name], time.perf_counter() - start)
    print(f"{records} records in {len(files)} files; memory grew by {(after - before) / 1024:.0f} MB")
    for name, spent in seconds.items():
        print(f"{name:20} {records / spent:9.0f} records/s  {seconds['raw records'] / spent:5.2f} x raw")


if __name__ == "__main__":
    app.run(main)
