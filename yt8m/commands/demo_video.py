"""From a video file to a timeline, on a real clip: `make demo-video`.

Takes a minute of a band on a stage from the package iscc-samples; lists ImageNet's classes in it; cuts it into clips of
five seconds, trains a small classifier on those before second 35, by intervals that a person wrote down, scores it on
those behind, and shows its classes. Each command is printed as one would type it. One minute is far too little to learn
from: the demo shows the path, and what came out.
"""

import dataclasses
import importlib.util
import os
import shlex
import subprocess
import sys
import time
from fractions import Fraction

from yt8m.commands import command_line
from yt8m.options import option
from yt8m.types import SEGMENT_SECONDS, InputError

_PACKAGE = "iscc_samples"
_CLASSES = ("title card", "drummer", "whole band", "guitarist", "singer")

INTERVALS = (
    ("title card", 1, 5.5),
    ("drummer", 5.5, 8), ("drummer", 16, 17), ("drummer", 30, 31), ("drummer", 39, 40), ("drummer", 49, 50),
    ("whole band", 8, 11), ("whole band", 21, 23), ("whole band", 43, 47), ("whole band", 55, 58),
    ("guitarist", 11, 16), ("guitarist", 17, 21), ("guitarist", 21, 30), ("guitarist", 31, 36), ("guitarist", 40, 43),
    ("guitarist", 47, 49), ("guitarist", 50, 55), ("guitarist", 58, 61),
    ("singer", 23, 30), ("singer", 31, 39), ("singer", 47, 49), ("singer", 50, 55), ("singer", 58, 60),
)  # fmt: skip
"""(class, first second, last second) of the shots of the clip, looked at and written down for this demo."""

_SPLIT = 35
"""Second at which clips to train on end and those to score begin."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DemoVideoOptions(command_line.Options):
    """Options of the demo on video."""

    output_dir: str = option("runs/video", "Folder of everything that is written.")


def main(options: DemoVideoOptions) -> None:
    """Runs the demo."""
    started = time.monotonic()
    root = options.output_dir
    source = _find_clip()
    for part in ("train", "test"):
        os.makedirs(os.path.join(root, "clips", part), exist_ok=True)
    _run("video", source, f"--output_dir={root}/untrained", f"--report={root}/untrained.html", "--embed")
    _write_clips(source, root)
    shared = [f"--intervals_csv={root}/intervals.csv", f"--vocabulary={root}/vocabulary.csv", "--rate_the_rest"]
    _run("video", f"{root}/clips/train", f"--output_dir={root}/train", *shared, "--min_overlap=1")
    _run(
        "train", f"--train_data_pattern={root}/train/records/*.tfrecord", "--segment_labels", "--model=logistic",
        "--num_epochs=20", "--batch_size=8", "--base_learning_rate=0.01", f"--train_dir={root}/run",
    )  # fmt: skip
    _run(
        "video", f"{root}/clips/test", f"--output_dir={root}/test", *shared, "--min_overlap=1",
        f"--train_dir={root}/run", "--quiet",
    )  # fmt: skip
    _run("eval", f"--train_dir={root}/run", f"--eval_data_pattern={root}/test/records/*.tfrecord")
    _run(
        "video", source, f"--output_dir={root}/trained", f"--train_dir={root}/run",
        f"--vocabulary={root}/vocabulary.csv", f"--report={root}/trained.html", "--embed",
    )  # fmt: skip
    print(f"\nOpen {root}/untrained.html and {root}/trained.html: a click on a cell plays the video from there.")
    print(f"The demo took {time.monotonic() - started:.0f} seconds.")


def _find_clip():
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in (spec and spec.submodule_search_locations) or ():
        path = os.path.join(folder, "files", "video", "demo.mp4")
        if os.path.exists(path):
            # As short as it can be typed.
            return min(path, os.path.relpath(path), key=len)
    raise InputError("the demo's clip is in a package: pip install iscc-samples==0.6.0")


def _run(command, *arguments):
    """Prints a command, and runs it; its failure is that of the demo."""
    print(f"\n$ yt8m-{command} {shlex.join(arguments)}", flush=True)
    code = subprocess.run([sys.executable, "-m", f"yt8m.commands.{command}", *arguments]).returncode
    if code:
        sys.exit(code)


def _write_clips(source, root):
    """Cuts the video into clips of five seconds, and writes the intervals of each, and the vocabulary."""
    rows = ["video_id,start,end,class"]
    for first in range(0, 60, SEGMENT_SECONDS):
        name = f"band{first:02}"
        part = "train" if first < _SPLIT else "test"
        cut_clip(source, os.path.join(root, "clips", part, f"{name}.mp4"), first=first, seconds=SEGMENT_SECONDS)
        for label, start, end in INTERVALS:
            start, end = max(start - first, 0), min(end - first, SEGMENT_SECONDS)
            if start < end:
                rows.append(f"{name},{start:g},{end:g},{label}")
    with open(os.path.join(root, "intervals.csv"), "w") as file:
        file.write("\n".join(rows) + "\n")
    with open(os.path.join(root, "vocabulary.csv"), "w") as file:
        file.write("Index,Name\n" + "".join(f"{number},{name}\n" for number, name in enumerate(_CLASSES)))
    print(f"\nwrote 12 clips to {root}/clips, and {len(rows) - 1} intervals to {root}/intervals.csv")


def cut_clip(source: str, path: str, *, first: int, seconds: int) -> None:
    """Writes ``seconds`` of a video from second ``first`` on to ``path``, pictures and sound, encoded anew."""
    from yt8m.features.decoding.sources import import_av

    av = import_av()
    with av.open(source) as given, av.open(path, "w") as made:
        pairs = {}
        for stream in (given.streams.video[0], given.streams.audio[0]):
            if stream.type == "video":
                target = made.add_stream("libx264", rate=stream.average_rate, options={"crf": "18"})
                target.width, target.height, target.pix_fmt = stream.width, stream.height, "yuv420p"
            else:
                target = made.add_stream("aac", rate=stream.rate, layout=stream.layout.name)
            pairs[stream] = target
        counts = dict.fromkeys(pairs, 0)
        for frame in given.decode(*pairs):
            is_video = isinstance(frame, av.VideoFrame)
            stream = given.streams.video[0] if is_video else given.streams.audio[0]
            if not first <= frame.time < first + seconds:
                continue
            frame.pts = counts[stream]
            frame.time_base = 1 / stream.average_rate if is_video else Fraction(1, frame.sample_rate)
            counts[stream] += 1 if is_video else frame.samples
            made.mux(pairs[stream].encode(frame))
        for target in pairs.values():
            made.mux(target.encode())


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, DemoVideoOptions)


if __name__ == "__main__":
    run()
