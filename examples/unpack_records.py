"""Unpacks TFRecords into what yt8m-pack takes: an .npz of uint8 frames a video, and CSVs of labels and intervals.

.venv/bin/python -m examples.unpack_records --input_data_pattern='validate/*.tfrecord' --output_dir=unpacked
"""

import csv
import os
import sys

import numpy as np
from absl import app, flags

from yt8m.text import printable
from yt8m.types import SEGMENT_SECONDS, id_problem

FLAGS = flags.FLAGS
flags.DEFINE_string("input_data_pattern", None, "Frame-level records.", required=True)
flags.DEFINE_string("output_dir", None, "Folder of videos/*.npz, labels.csv and intervals.csv.", required=True)


def file_name(video_id, file):
    """The id as text; ends the program where it is no plain name of a file, so that nothing is written elsewhere."""
    problem = id_problem(video_id)
    text = video_id.decode(errors="backslashreplace")
    if not problem and (text.startswith(".") or set(text) & set("/\\") or len(video_id) > 250):
        problem = "is no plain name of a file"
    if problem:
        sys.exit(f"{file}: the id {printable(text)[:80]} {problem}")
    return text


def main(_):
    import tensorflow as tf

    from yt8m.data.record_dataset import record_dataset
    from yt8m.data.tfrecord import ID_KEYS, list_files

    folder, seen = os.path.join(FLAGS.output_dir, "videos"), set()
    os.makedirs(folder, exist_ok=True)
    with (
        open(os.path.join(FLAGS.output_dir, "labels.csv"), "w", newline="") as labels_file,
        open(os.path.join(FLAGS.output_dir, "intervals.csv"), "w", newline="") as intervals_file,
    ):
        labels, intervals = csv.writer(labels_file), csv.writer(intervals_file)
        labels.writerow(["video_id", "class"])
        intervals.writerow(["video_id", "start", "end", "class", "score"])
        for file in list_files(FLAGS.input_data_pattern):
            for serialized in record_dataset(file).as_numpy_iterator():
                example = tf.train.SequenceExample.FromString(serialized)
                context = example.context.feature
                key = next(key for key in ID_KEYS if key in context)
                video_id = file_name(context[key].bytes_list.value[0], file)
                if video_id in seen:
                    sys.exit(f"{file}: the id {video_id} stands in two records, and they would be one file")
                seen.add(video_id)
                arrays = {
                    name: np.stack([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in frames.feature])
                    for name, frames in example.feature_lists.feature_list.items()
                }
                np.savez(os.path.join(folder, f"{video_id}.npz"), **arrays)
                if classes := context["labels"].int64_list.value:
                    labels.writerow([video_id, *classes])
                for start, class_id, score in zip(
                    context["segment_start_times"].int64_list.value,
                    context["segment_labels"].int64_list.value,
                    context["segment_scores"].float_list.value,
                ):
                    intervals.writerow([video_id, start, start + SEGMENT_SECONDS, class_id, score])


if __name__ == "__main__":
    app.run(main)
