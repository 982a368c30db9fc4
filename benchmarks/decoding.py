"""What a picture a second costs beside a plain decode of the same file, and the memory that it takes at any length.

    .venv/bin/python -m benchmarks.decoding [--videos='clips/*.mp4'] [--hours=3]

Prints for each video the CPU time of read_pictures at 1 picture a second of 224 pixels, alone and with the sound, over
that of FFmpeg's decode of all its frames by PyAV, best of --repeats in turn; and the peak memory of a process that
reads pictures and sound of a minute, and of that minute over and over for --hours.
"""

import glob
import os
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction

import av
import numpy as np
from absl import app, flags

from yt8m.features.backbones import PictureInput
from yt8m.features.decoding import Grid, probe_video, read_pictures, read_sound

FLAGS = flags.FLAGS
flags.DEFINE_string("videos", "", "Glob of videos; empty makes one of 720p with sound.")
flags.DEFINE_integer("seconds", 60, "Length of the videos that are made.", lower_bound=2)
flags.DEFINE_float("hours", 3, "Length of the long one.", lower_bound=0)
flags.DEFINE_integer("repeats", 3, "Runs of each, of which the fastest counts.", lower_bound=1)

GRIDS = [Grid(rate=1, input=PictureInput(size=(224, 224), shorter_side=256))]
SAMPLES = 16_240


def main(_):
    with tempfile.TemporaryDirectory() as folder:
        videos = sorted(glob.glob(FLAGS.videos)) or [make_video(os.path.join(folder, "720p.mp4"), 720, 1280)]
        print("| video | plain decode | x real time | pictures | with sound |\n| --- | ---: | ---: | ---: | ---: |")
        for video in videos:
            print(ratio_row(video), flush=True)
        short = make_video(os.path.join(folder, "minute.mp4"), 240, 320)
        long = looped(short, os.path.join(folder, "long.mp4"), max(1, round(FLAGS.hours * 3600 / FLAGS.seconds)))
        print("\n| length | pictures | windows of sound | peak memory | time |\n| --- | ---: | ---: | ---: | ---: |")
        for video in (short, long):
            print(memory_row(video), flush=True)


def ratio_row(video):
    ways = {"plain": plain, "pictures": pictures, "both": both}
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(FLAGS.repeats):
        for name, way in ways.items():
            start = time.process_time()
            way(video)
            best[name] = min(best[name], time.process_time() - start)
    info = probe_video(video)
    name = f"`{os.path.basename(video)}`, {info.video_codec} {info.width} x {info.height}"
    shares = " | ".join(f"{best[name] / best['plain']:.2f}" for name in ("pictures", "both"))
    return f"| {name} | {best['plain']:.2f} s | {(info.seconds or 0) / best['plain']:.0f} | {shares} |"


def plain(video):
    with av.open(video) as container:
        stream = container.streams.best("video")
        stream.thread_type = "AUTO"
        for _ in container.decode(stream):
            pass


def pictures(video):
    return sum(1 for _ in read_pictures(video, GRIDS))


def both(video):
    seconds = pictures(video)
    return seconds, sum(1 for _ in read_sound(video, samples=SAMPLES, seconds=seconds))


def memory_row(video):
    """Row of a process of its own, which knows its peak."""
    code = f"from benchmarks.decoding import report\nreport({video!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def report(video):
    start = time.perf_counter()
    seconds, windows = both(video)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    length = probe_video(video).seconds / 60
    print(f"| {length:.0f} min | {seconds:,} | {windows:,} | {peak:.0f} MB | {time.perf_counter() - start:.1f} s |")


def make_video(path, height, width):
    """Moving noise over a gradient and a tone, H.264 and AAC, --seconds long."""
    random = np.random.default_rng(0)
    ground = np.linspace(0, 255, height * width * 3).reshape(height, width, 3).astype(np.uint8)
    patch = random.integers(0, 256, (height // 3, width // 3, 3), np.uint8)
    with av.open(path, "w") as container:
        shown = container.add_stream("libx264", rate=25, options={"preset": "veryfast"})
        shown.height, shown.width, shown.pix_fmt = height, width, "yuv420p"
        heard = container.add_stream("aac", rate=44_100, layout="stereo")
        for number in range(25 * FLAGS.seconds):
            picture = ground.copy()
            x = number * 3 % (width - width // 3)
            picture[height // 3 : height // 3 * 2, x : x + width // 3] = patch[: height // 3]
            container.mux(shown.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        tone = np.sin(np.arange(44_100 * FLAGS.seconds) / 20).astype(np.float32) / 2
        for first in range(0, len(tone), 1024):
            piece = np.tile(tone[first : first + 1024], (2, 1))
            frame = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 44_100, first
            container.mux(heard.encode(frame))
        container.mux(shown.encode())
        container.mux(heard.encode())
    return path


def looped(video, path, times):
    """The packets of a video, ``times`` over."""
    with av.open(video) as source, av.open(path, "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for turn in range(times):
            source.seek(0)
            for packet in source.demux():
                is_sound = packet.stream.type == "audio"
                if packet.dts is None or (is_sound and not 0 <= packet.pts * packet.time_base < FLAGS.seconds):
                    continue
                shift = round(Fraction(turn * FLAGS.seconds) / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path


if __name__ == "__main__":
    app.run(main)
