"""Speed of the package's models beside the same ones in PyTorch, on the same machine and batches, in turns.

    make peers
    .venv/bin/python -m benchmarks.peers.compare [--presets=BERTMean_L2h12] [--peer_python=.peers/bin/python]

PyTorch has torch.compile, fused AdamW and, for bfloat16, autocast. Prints a Markdown table of examples a second.
"""

import concurrent.futures
import json
import os
import statistics
import subprocess
import sys
import tempfile

from absl import app, flags

from yt8m.models.presets import PRESETS
from yt8m.types import SEGMENT_SECONDS

FLAGS = flags.FLAGS
_PRESETS = ["BERTMean_L2h12", "MixNeXtVLAD_iter60"]
flags.DEFINE_list("presets", _PRESETS, "Presets to time.")
flags.DEFINE_list("modes", ["train", "inference"], "train, inference.")
flags.DEFINE_list("dtypes", ["float32", "bfloat16"], "float32, tensorfloat32, bfloat16.")
flags.DEFINE_integer("batch_size", 128, "Examples a step.", lower_bound=1)
flags.DEFINE_integer("turns", 3, "Turns of each, of which the median counts.", lower_bound=1)
flags.DEFINE_integer("repeats", 4, "Timings within a turn.", lower_bound=1)
flags.DEFINE_integer("inner", 1, "Steps on end that are timed together; 20 or so where a card computes.", lower_bound=1)
flags.DEFINE_integer("workers", 1, "Processes that get ready at once; only one of them times.", lower_bound=1)
flags.DEFINE_string("peer_python", ".peers/bin/python", "Interpreter that has PyTorch.")

NUM_CLASSES = 3862


def main(_):
    cases = [
        {"preset": preset, "mode": mode, "dtype": dtype, "batch_size": FLAGS.batch_size}
        for preset in FLAGS.presets
        for mode in FLAGS.modes
        for dtype in FLAGS.dtypes
    ]
    print("| preset | mode | dtype | PyTorch | ours | ratio |\n| --- | --- | --- | ---: | ---: | ---: |")
    with tempfile.NamedTemporaryFile() as lock, concurrent.futures.ThreadPoolExecutor(FLAGS.workers) as pool:
        turns = [
            [pool.submit(measure, case, lock.name) for _ in range(FLAGS.turns) for measure in (_peer, _ours)]
            for case in cases
        ]
        for case, started in zip(cases, turns):
            rates = [future.result() for future in started]
            peer, ours = statistics.median(rates[::2]), statistics.median(rates[1::2])
            cells = [case["preset"], case["mode"], case["dtype"], f"{peer:,.0f}", f"{ours:,.0f}", f"{ours / peer:.2f}"]
            print(f"| {' | '.join(cells)} |", flush=True)


def _peer(case, lock):
    frames = PRESETS[case["preset"]].num_frames if case["mode"] == "train" else SEGMENT_SECONDS
    settings = {"frames": frames, "num_classes": NUM_CLASSES, "repeats": FLAGS.repeats, "inner": FLAGS.inner}
    settings["lock"] = lock
    return _rate([FLAGS.peer_python, "-m", "benchmarks.peers.torch_speed", json.dumps(case | settings)])


def _ours(case, lock):
    case = json.dumps({**case, "plain": False, "lock": lock, "all_classes": True})
    timing = [f"--repeats={FLAGS.repeats}", f"--inner={FLAGS.inner}"]
    return _rate([sys.executable, "-m", "benchmarks.model_speed", f"--case={case}", *timing])


def _rate(command):
    environment = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"} | os.environ
    done = subprocess.run(command, capture_output=True, env=environment, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])["rate"]


if __name__ == "__main__":
    app.run(main)
