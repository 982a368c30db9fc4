"""Segment windows against a slow twin and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.twins import window_twin
from yt8m.config import BORDERS
from yt8m.data.views import NAMED_VIEWS, all_windows, as_view, window_frames
from yt8m.types import InputError

VIEWS = (-12, -7, -2, -1, 0, 1, 3, 8, 25, *NAMED_VIEWS)


@pytest.mark.parametrize("border", BORDERS)
def test_windows_match_the_twin(border):
    cases = [(start, frames) for frames in (1, 2, 3, 4, 5, 6, 9, 11, 20) for start in range(frames)]
    starts, frames = map(np.int32, zip(*cases))
    indices, counts = (value.numpy() for value in window_frames(starts, frames, views=VIEWS, border=border))
    assert indices.min() >= 0 and (indices < frames[:, None, None]).all() and indices.shape[1:] == (len(VIEWS), 9)
    for row, (start, total) in enumerate(cases):
        for column, view in enumerate(VIEWS):
            expected = window_twin(start, total, view, border)
            assert indices[row, column, : counts[row, column]].tolist() == expected, (start, total, view)


def test_named_views_by_hand():
    """Of the middle of a video, of a segment that its end cuts to 3 frames, and of its beginning."""
    indices, counts = window_frames(np.int32([10, 5, 0]), np.int32([30, 8, 30]), views=("dilute", "enlarge"))
    assert counts.numpy().tolist() == [[5, 9], [3, 7], [5, 9]]
    assert indices[:, 0, :5].numpy().tolist()[0] == [8, 10, 12, 14, 16]
    assert indices[1, 0, :3].numpy().tolist() == [4, 6, 7] and indices[1, 1, :7].numpy().tolist() == [
        3,
        4,
        5,
        6,
        7,
        7,
        7,
    ]
    assert indices[2, 1].numpy().tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6]
    with pytest.raises(InputError, match="no view 'diluted' of a segment; valid: dilute, enlarge or a shift"):
        as_view("diluted")


@pytest.mark.parametrize(
    "border, expected",
    [
        ("clamp", [0, 0, 0, 1, 2]),
        ("roll", [5, 6, 0, 1, 2]),
        ("reflect", [2, 1, 0, 1, 2]),
        ("mask", [0, 1, 2]),
    ],
)
def test_a_window_shifted_out_of_the_beginning(border, expected):
    indices, counts = window_frames(tf.constant([0]), tf.constant([7]), views=(2,), border=border)
    assert indices[0, 0, : counts[0, 0]].numpy().tolist() == expected


@pytest.mark.parametrize("shift", range(-12, 13))
def test_a_shift_is_a_roll_of_the_video(shift):
    """A ramp of frames through the definition of the authors' program, numpy's roll, and through ours."""
    ramp = np.arange(20)
    indices, _ = window_frames(np.int32([0, 5, 10, 15]), np.int32([20] * 4), views=(shift,), border="roll")
    np.testing.assert_array_equal(indices[:, 0], np.roll(ramp, shift).reshape(4, 5))


def test_several_shifts():
    indices, counts = window_frames(tf.constant([0, 5]), tf.constant([8, 8]), views=(1, 0, -1))
    assert indices.shape == (2, 3, 5)
    assert counts.numpy().tolist() == [[5, 5, 5], [3, 3, 3]]
    assert indices[1, :, :3].numpy().tolist() == [[4, 5, 6], [5, 6, 7], [6, 7, 7]]


def test_all_windows():
    rows, starts = all_windows(tf.constant([11, 1, 5, 10]))
    assert rows.numpy().tolist() == [0, 0, 0, 1, 2, 3, 3]
    assert starts.numpy().tolist() == [0, 5, 10, 0, 0, 0, 5]
