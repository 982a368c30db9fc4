"""Frames drawn of a video."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m.config import SAMPLINGS
from yt8m.data.sampling import sample_frames


def sample(frames, sampling, length, seed=None):
    indices, counts = sample_frames(tf.constant(frames), sampling=sampling, length=length, seed=seed)
    return [row[:count].tolist() for row, count in zip(indices.numpy(), counts.numpy())], indices.numpy()


@pytest.mark.parametrize(
    "sampling, seed", [(name, seed) for name in SAMPLINGS for seed in (None, (1, 2)) if not (name == "random" and seed)]
)
def test_short_videos_are_taken_whole(sampling, seed):
    drawn, indices = sample([3, 1, 4], sampling, 4, seed)
    assert drawn == [[0, 1, 2], [0], [0, 1, 2, 3]]
    assert indices.shape == (3, 4) and (indices < np.array([[3], [1], [4]])).all()


def test_uniform_takes_the_middle_of_equal_parts():
    assert sample([10, 11, 300], "uniform", 4)[0] == [[1, 3, 6, 8], [1, 4, 6, 9], [37, 112, 187, 262]]


def test_outside_training_random_is_uniform_and_sequence_the_middle():
    for name in ("random", "random_ordered"):
        assert sample([10], name, 4)[0] == sample([10], "uniform", 4)[0]
    assert sample([10, 11], "sequence", 4)[0] == [[3, 4, 5, 6], [3, 4, 5, 6]]


def test_random_is_with_replacement_and_fair():
    """As many frames as wanted of any video, each drawn by itself: 24,000 draws of 12, standard deviation 43."""
    drawn, _ = sample([12] * 6000 + [1, 3], "random", 4, seed=(0, 0))
    assert {len(row) for row in drawn} == {4} and drawn[-2] == [0, 0, 0, 0] and max(drawn[-1]) <= 2
    counts = np.bincount(np.array(drawn[:6000]).ravel())
    assert len(counts) == 12 and np.abs(counts - 2000).max() < 5 * 43
    # Four of twelve differ with probability 11 * 10 * 9 / 12^3 = 0.573, standard deviation 0.0064.
    assert np.mean([len(set(row)) == 4 for row in drawn[:6000]]) == pytest.approx(0.573, abs=5 * 0.0064)


def test_random_ordered_is_without_replacement_in_time_order_and_fair():
    drawn = np.array(sample([12] * 6000, "random_ordered", 4, seed=(0, 0))[0])
    assert (np.diff(drawn, axis=1) > 0).all() and drawn.min() == 0 and drawn.max() == 11
    # Each of 12 frames is among the 4 in a third of the draws: 2000 of 6000, standard deviation 37.
    assert np.abs(np.bincount(drawn.ravel()) - 2000).max() < 5 * 37


def test_sequence_starts_anywhere_with_equal_chances():
    drawn = np.array(sample([8] * 5000, "sequence", 4, seed=(3, 4))[0])
    assert (np.diff(drawn, axis=1) == 1).all()
    starts = np.bincount(drawn[:, 0])
    assert len(starts) == 5 and np.abs(starts - 1000).max() < 5 * 29


def test_draws_follow_the_seed():
    assert sample([90] * 3, "random", 5, seed=(0, 1))[0] == sample([90] * 3, "random", 5, seed=(0, 1))[0]
    assert sample([90] * 3, "random", 5, seed=(0, 1))[0] != sample([90] * 3, "random", 5, seed=(0, 2))[0]
