"""TensorBoard curves and histograms, and the mean loss between evaluations."""

import os
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram import metadata
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from yt8m.types import StrPath

_BUCKETS = 30


class Board:
    """Writes to ``train_dir``/tensorboard.

    histograms: whether add_weights writes, or does nothing.
    """

    def __init__(self, train_dir: StrPath, *, histograms: bool = False):
        self._writer = EventFileWriter(os.path.join(train_dir, "tensorboard"))
        self._histograms = histograms

    def add_scalars(self, values: dict[str, Any], *, step: int) -> None:
        """A point of each curve. values: dict of tag, as in "train/loss", to number."""
        for tag, value in values.items():
            self._add(scalar_pb(tag, float(value)), step)

    def add_weights(self, model: keras.Model, *, step: int) -> None:
        """A histogram of the trainable weights of each family: of each layer of the model, whatever that is made of."""
        if not self._histograms:
            return
        for family, arrays in weight_families(model).items():
            self._add(_histogram_pb(f"weights/{family}", histogram(arrays)), step)

    def close(self) -> None:
        """Closes what is open."""
        self._writer.close()

    def _add(self, summary, step):
        self._writer.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def weight_families(model: keras.Model) -> dict[str, list[np.ndarray]]:
    """Dict of a layer's name, such as "encoder" or "head", to the list of its trainable weights as arrays."""
    families = {}
    for variable in model.trainable_variables:
        # Paths begin with the model's own name.
        families.setdefault(variable.path.split("/")[1], []).append(np.asarray(variable))
    return families


def histogram(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """(30, 3) float64: left edge, right edge and count of buckets of equal width over all of ``arrays``."""
    low, high = min(map(np.min, arrays)), max(map(np.max, arrays))
    counts = sum(np.histogram(array, bins=_BUCKETS, range=(low, high))[0] for array in arrays)
    edges = np.histogram_bin_edges([], bins=_BUCKETS, range=(low, high))
    return np.stack([edges[:-1], edges[1:], counts], axis=1)


def _histogram_pb(tag, buckets):
    summary = Summary()
    kind = metadata.create_summary_metadata(display_name=None, description=None)
    summary.value.add(tag=tag, metadata=kind, tensor=make_tensor_proto(buckets, dtype=np.float64))
    return summary


class LossWindow:
    """The mean loss over the steps between two evaluations, which may span epochs and sittings.

    state: a TrainState, whose loss_sum and loss_steps go on with what is counted. Keras gives the mean since a fit
    began, on the device; it is fetched when the window is counted and not at every step.
    """

    def __init__(self, state: Any):
        self._state = state
        self.mean: Any = None
        self._steps, self._counted = 0, (0.0, 0)

    def restart(self) -> None:
        """Called before each fit, whose mean starts over."""
        self.count()
        self._steps, self._counted = 0, (0.0, 0)

    def update(self, mean: Any) -> None:
        """Takes in a step. mean: loss over the steps since the fit began."""
        self.mean = mean
        self._steps += 1

    def count(self) -> None:
        """Brings the state up to the last step."""
        before, steps_before = self._counted
        if self._steps > steps_before:
            total = float(self.mean) * self._steps
            self._state.loss_sum += total - before
            self._state.loss_steps += self._steps - steps_before
            self._counted = total, self._steps

    def take(self) -> dict[str, float]:
        """{"train_loss": mean over the window}, which ends here; {} where it had no step."""
        self.count()
        total, steps = self._state.loss_sum, self._state.loss_steps
        self._state.loss_sum, self._state.loss_steps = 0.0, 0
        return {"train_loss": total / steps} if steps else {}
