"""Mixed precision where it pays: bfloat16 products beside float32 ones, timed at the start of a run."""

import sys
import time
from collections.abc import Iterator

import keras
from keras import ops

from yt8m.config import RunConfig
from yt8m.models.base import described_model
from yt8m.runtime.devices import Placement, has_bfloat16
from yt8m.types import SEGMENT_SECONDS

LEAST_GAIN = 1.2
"""Ratio of the times of a product that a training step is taken to gain from, see docs/training.md."""
LEAST_KERNEL = 1 << 18
"""Values of a hidden layer's kernel below which there is little time to gain, and every machine does the same."""
_ROWS = 512
_MOST_OPERATIONS = 1 << 32
_TURNS = 5


def settled(run: RunConfig, *, kept: str | None = None, placement: Placement = Placement()) -> RunConfig:
    """``run`` with mixed_precision on or off where it is auto, which is told in a line.

    kept: what an earlier start of the run settled on, None at the first. placement: its devices; several processes
    must agree, and do so by their devices alone.
    """
    if run.train.mixed_precision != "auto":
        return run
    if kept is None or kept == "auto":
        kept, reason = _choice(run, placement)
        if placement.is_chief:
            # Not a result: standard output has those alone.
            print(f"mixed precision: {kept}, {reason}", file=sys.stderr)
    return run.replace(train=run.train.replace(mixed_precision=kept))


def _choice(run, placement):
    """("on" or "off", why)."""
    if not has_bfloat16():
        return "off", "there are no bfloat16 instructions here"
    if keras.backend.backend() == "torch":
        return "off", "auto does not know what gains with the torch backend"
    kernel = _largest_kernel(run)
    if kernel is None or kernel[0] * kernel[1] < LEAST_KERNEL:
        return "off", "so small a model does not gain"
    if placement.num_processes > 1:
        return "on", "by the instructions of the devices"
    frames = run.data.num_frames if not run.train.segment_labels else SEGMENT_SECONDS
    rows = min(run.train.batch_size * (frames if run.data.level == "frame" else 1), _ROWS)
    gain = bfloat16_gain(rows, *kernel)
    return "on" if gain >= LEAST_GAIN else "off", f"bfloat16 products run {gain:.1f}x as fast as float32 here"


def _largest_kernel(run):
    """(inputs, units) of the largest kernel of a run's model; None where there is none but in heads."""
    model = described_model(run.model, run.data)
    of_heads = {id(variable) for head in model.heads for variable in head.variables}
    shapes = [tuple(v.shape) for v in model.trainable_variables if id(v) not in of_heads and len(v.shape) == 2]
    return max(shapes, key=lambda shape: shape[0] * shape[1], default=None)


def bfloat16_gain(rows: int, inputs: int, units: int) -> float:
    """Time of a float32 product (rows, inputs) x (inputs, units) over that of one in bfloat16; takes turns, the least
    counts.
    """
    rows = max(min(rows, _MOST_OPERATIONS // (2 * inputs * units)), 16)
    turns = [_products(dtype, rows, inputs, units) for dtype in ("float32", "bfloat16")]
    # The first one starts threads and kernels.
    seconds = [[next(turn) for turn in turns] for _ in range(_TURNS + 1)][1:]
    single, half = (min(taken) for taken in zip(*seconds))
    return single / half


def _products(dtype: str, rows: int, inputs: int, units: int) -> Iterator[float]:
    """Seconds of a product, again and again."""
    vectors, kernel = ops.ones((rows, inputs), dtype), ops.ones((inputs, units), dtype)
    while True:
        start = time.perf_counter()
        # Devices return before they have computed.
        ops.convert_to_numpy(ops.matmul(vectors, kernel)[:1, :1])
        yield time.perf_counter() - start
