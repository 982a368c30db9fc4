r"""Peak memory and time of every command as the number of videos grows.

  .venv/bin/python -m benchmarks.growth --videos=1000,10000,100000

Small made-up videos of 10 seconds, 16 + 8 values a frame, 20 classes, two ratings each. A command is a process of its
own; the first column of each pair is its peak memory in MB, the second its time a video in milliseconds once the time
of the same command on the fewest videos is taken off.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

FLAGS = flags.FLAGS
flags.DEFINE_list("videos", ["1000", "10000", "100000"], "Numbers of videos, ascending.")
flags.DEFINE_string("folder", "", "Folder for data and results, kept; a temporary one by default.")
flags.DEFINE_list("commands", [], "Commands to measure; all by default.")

FRAMES, CLASSES, SHARDS = 10, 20, 8
_MODEL = ["--model=logistic", f"--num_classes={CLASSES}", "--batch_size=512", "--num_epochs=1"]


def make_videos(folder: str, number: int) -> None:
    """Writes ``number`` videos: as records, SHARDS files, and as an .npy file a feature and video."""
    from yt8m.data.tfrecord import FrameRecord, write_records

    rng = np.random.default_rng(0)
    arrays = os.path.join(folder, "arrays")
    os.makedirs(arrays, exist_ok=True)

    def record(name):
        rgb, audio = (rng.integers(0, 256, (FRAMES, size), np.uint8) for size in (16, 8))
        np.save(os.path.join(arrays, f"{name}.npy"), rgb)
        rated = tuple((start, int(rng.integers(CLASSES)), float(rng.integers(2))) for start in (0, 5))
        labels = tuple(sorted({class_id for _, class_id, _ in rated}))
        return FrameRecord(video_id=name, features={"rgb": rgb, "audio": audio}, labels=labels, segments=rated)

    for shard in range(SHARDS):
        names = (f"v{index:07d}" for index in range(shard, number, SHARDS))
        write_records(os.path.join(folder, f"{shard}.tfrecord"), map(record, names))


def commands_of(folder: str) -> dict[str, list[str]]:
    """Command lines by name, each with what the ones before have left in ``folder``."""
    data = f"--train_data_pattern={folder}/*.tfrecord"
    submissions = ",".join(f"{folder}/{name}.csv" for name in ("a", "b", "c"))
    inference = ["inference.py", f"--train_dir={folder}/tuned", f"--input_data_pattern={folder}/*.tfrecord"]
    return {
        "doctor": ["-m", "yt8m.commands.doctor", f"{folder}/*.tfrecord"],
        "pack": ["-m", "yt8m.commands.pack", f"--features=rgb:{folder}/arrays/*.npy", f"--output_dir={folder}/packed"],
        "train": ["train.py", data, "--holdout_files=1", f"--train_dir={folder}/trained", *_MODEL],
        "fine-tune": ["train.py", data, "--holdout_files=1", "--segment_labels", f"--init_from={folder}/trained",
                      f"--train_dir={folder}/tuned", *_MODEL],
        "inference": [*inference, f"--output_file={folder}/a.csv"],
        "inference, shifted": [*inference, f"--output_file={folder}/b.csv", "--shift=1"],
        "inference, another": [*inference, f"--output_file={folder}/c.csv", "--shift=-1"],
        "eval of a run": ["eval.py", f"--train_dir={folder}/tuned", f"--eval_data_pattern={folder}/*.tfrecord"],
        "eval of a file": ["eval.py", f"--submission={folder}/a.csv", f"--labels={folder}/*.tfrecord"],
        "search": ["ensemble.py", "--search", f"--submissions={submissions}", f"--labels={folder}/*.tfrecord",
                   f"--weights_file={folder}/weights.json"],
        "ensemble": ["ensemble.py", f"--submissions={submissions}", f"--weights_file={folder}/weights.json",
                     f"--output_file={folder}/fused.csv"],
    }  # fmt: skip


def measure(command: list[str]) -> tuple[float, float]:
    """(peak memory in MB, seconds) of a command; RuntimeError with what it said where it fails."""
    started = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([sys.executable, *command, "--quiet"], stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {said.read().decode()[-500:]}")
    return used.ru_maxrss / 1024, time.monotonic() - started


def main(_):
    """Measures, and prints a Markdown table."""
    numbers = [int(number) for number in FLAGS.videos]
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for number in numbers:
            folder = os.path.join(FLAGS.folder or temporary, str(number))
            # In a process of its own: the peak of what a process starts is counted from its own size on.
            making = multiprocessing.get_context("spawn").Process(target=make_videos, args=(folder, number))
            making.start()
            making.join()
            for name, command in commands_of(folder).items():
                if not FLAGS.commands or name in FLAGS.commands:
                    found[name, number] = measure(command)
                    print(
                        f"{number:>8,} {name:20} {found[name, number][0]:7.0f} MB {found[name, number][1]:7.1f} s",
                        flush=True,
                    )
    print("\n| | " + " | ".join(f"{number:,} videos" for number in numbers) + " | ms a video |")
    print("| --- |" + " ---: |" * (len(numbers) + 1))
    first, last = numbers[0], numbers[-1]
    for name in dict.fromkeys(name for name, _ in found):
        cells = [f"{found[name, number][0]:.0f} MB, {found[name, number][1]:.1f} s" for number in numbers]
        each = (found[name, last][1] - found[name, first][1]) / max(1, last - first) * 1000
        print(f"| {name} | " + " | ".join(cells) + f" | {each:.2f} |")


if __name__ == "__main__":
    app.run(main)
