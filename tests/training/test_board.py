import dataclasses

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util.tensor_util import make_ndarray

from yt8m.training.board import Board, LossWindow, histogram


def test_buckets_are_those_of_all_arrays_as_one():
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape).astype(np.float32) for shape in ((40, 3), (7,), ())]
    counts, edges = np.histogram(np.concatenate([np.ravel(a) for a in arrays]), bins=30)
    found = histogram(arrays)
    np.testing.assert_array_equal(found[:, 2], counts)
    np.testing.assert_allclose(found[:, 0], edges[:-1], rtol=1e-6)
    np.testing.assert_allclose(found[:, 1], edges[1:], rtol=1e-6)
    constant = histogram([np.ones(5), np.ones(2)])
    assert constant[:, 2].sum() == 7 and constant[0, 0] <= 1 <= constant[-1, 1]


def test_points_are_what_tensorboard_reads(tmp_path):
    board = Board(str(tmp_path))
    board.add_scalars({"train/loss": 0.5, "train/learning_rate": np.float32(0.25)}, step=20)
    board.add_scalars({"train/loss": 0.125}, step=40)
    board.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    points = [(event.step, make_ndarray(event.tensor_proto).item()) for event in events.Tensors("train/loss")]
    assert points == [(20, 0.5), (40, 0.125)]


@dataclasses.dataclass
class State:
    loss_sum: float = 0.0
    loss_steps: int = 0


def test_a_window_spans_fits_and_sittings():
    # Losses 4, 2 in a first fit; 3, 5, 7 in a second one, whose running mean starts anew.
    state = State()
    window = LossWindow(state)
    assert window.take() == {}
    window.restart()
    window.update(4.0)
    assert window.take() == {"train_loss": 4}
    window.update(3.0)
    window.restart()
    window.update(3.0)
    window.count()
    assert (state.loss_sum, state.loss_steps) == (2 + 3, 2)
    window.update(4.0)
    assert window.take() == {"train_loss": pytest.approx((2 + 3 + 5) / 3)}
    window.update(5.0)
    window.count()
    # Another sitting goes on from the state that the first one saved.
    window = LossWindow(state)
    window.restart()
    window.update(1.0)
    assert window.take() == {"train_loss": (7 + 1) / 2}
