"""What a second of video costs, from file to features, beside decode and network alone, and its memory at any length.

    .venv/bin/python -m benchmarks.extraction [--videos='clips/*.mp4'] [--hours=3]

Prints for each video the time of FFmpeg's decode of all its frames by PyAV, that of the network on as many pictures as
are taken, that of the extraction of pictures, medians of --repeats turns, and the median of each turn's ratio of the
last to the sum of the others; and the peak memory of a process that extracts pictures and sound of a minute, and of
that minute over and over for --hours.
"""

import glob
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from absl import app, flags

from benchmarks.decoding import looped, make_video, plain
from yt8m.features.decoding import probe_video
from yt8m.features.extraction import Extractor

FLAGS = flags.FLAGS
_BATCH = 32


def main(_):
    extractor = Extractor(["efficientnet-lite0"])
    with tempfile.TemporaryDirectory() as folder:
        videos = sorted(glob.glob(FLAGS.videos)) or [
            make_video(os.path.join(folder, "720p.mp4"), 720, 1280),
            make_video(os.path.join(folder, "240p.mp4"), 240, 320),
        ]
        print("| video | plain decode | network | extraction | over their sum |\n| --- | ---: | ---: | ---: | ---: |")
        for video in videos:
            print(ratio_row(video, extractor), flush=True)
        short = make_video(os.path.join(folder, "minute.mp4"), 240, 320)
        long = looped(short, os.path.join(folder, "long.mp4"), max(1, round(FLAGS.hours * 3600 / FLAGS.seconds)))
        print("\n| length | peak memory | time |\n| --- | ---: | ---: |")
        for video in (short, long):
            code = f"from benchmarks.extraction import report\nreport({video!r})"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            print(done.stdout.strip(), flush=True)


def ratio_row(video, extractor):
    (backbone,) = extractor.backbones
    count = len(extractor(video).features["rgb"])
    pictures = np.zeros((count, *backbone.input.size, 3), np.uint8)

    def network(_):
        for first in range(0, count, _BATCH):
            backbone.features(pictures[first : first + _BATCH])

    turns = [[_seconds(way, video) for way in (plain, network, extractor)] for _ in range(FLAGS.repeats)]
    ratio = statistics.median(extraction / (decode + computed) for decode, computed, extraction in turns)
    info = probe_video(video)
    name = f"`{os.path.basename(video)}`, {info.video_codec} {info.width} x {info.height}"
    times = " | ".join(f"{statistics.median(ways):.2f} s" for ways in zip(*turns))
    return f"| {name} | {times} | {ratio:.2f} |"


def _seconds(way, video):
    start = time.perf_counter()
    way(video)
    return time.perf_counter() - start


def report(video):
    start = time.perf_counter()
    Extractor(["efficientnet-lite0", "logmel"])(video)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    length = probe_video(video).seconds / 60
    print(f"| {length:.0f} min | {peak:.0f} MB | {time.perf_counter() - start:.0f} s |")


if __name__ == "__main__":
    app.run(main)
