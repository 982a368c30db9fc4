"""Segment windows against a slow twin and by hand."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m.config import BORDERS
from yt8m.data.segments import all_windows, window_frames


def window_twin(start, frames, shift, border):
    """The frames of a window as a list, one after another."""
    wanted = [start + shift + slot for slot in range(min(5, frames - start))]
    if border == "mask":
        inside = [frame for frame in wanted if 0 <= frame < frames]
        return inside or window_twin(start, frames, shift, "clamp")
    if border == "roll":
        return [frame % frames for frame in wanted]
    if border == "reflect":
        mirrored = []
        for frame in wanted:
            while not 0 <= frame < frames:
                frame = -frame if frame < 0 else 2 * (frames - 1) - frame
                if frames == 1:
                    frame = 0
            mirrored.append(frame)
        return mirrored
    return [min(max(frame, 0), frames - 1) for frame in wanted]


@pytest.mark.parametrize("border", BORDERS)
def test_windows_match_the_twin(border):
    cases = [(start, frames) for frames in (1, 2, 3, 5, 6, 9, 11, 20) for start in range(0, frames, 2)]
    starts, frames = map(np.int32, zip(*cases))
    for shift in (-12, -7, -2, -1, 0, 1, 3, 8, 25):
        indices, counts = (value.numpy() for value in window_frames(starts, frames, shift=shift, border=border))
        assert indices.min() >= 0 and (indices < frames[:, None]).all()
        for row, (start, total) in enumerate(cases):
            expected = window_twin(start, total, shift, border)
            assert indices[row, : counts[row]].tolist() == expected, (start, total, shift)


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
    indices, counts = window_frames(tf.constant([0]), tf.constant([7]), shift=-2, border=border)
    assert indices[0, : counts[0]].numpy().tolist() == expected


def test_several_shifts_broadcast():
    starts, frames = tf.constant([[0], [5]]), tf.constant([[8], [8]])
    indices, counts = window_frames(starts, frames, shift=tf.constant([-1, 0, 1]))
    assert indices.shape == (2, 3, 5)
    assert counts.numpy().tolist() == [[5, 5, 5], [3, 3, 3]]
    assert indices[1, :, :3].numpy().tolist() == [[4, 5, 6], [5, 6, 7], [6, 7, 7]]


def test_all_windows():
    rows, starts = all_windows(tf.constant([11, 1, 5, 10]))
    assert rows.numpy().tolist() == [0, 0, 0, 1, 2, 3, 3]
    assert starts.numpy().tolist() == [0, 5, 10, 0, 0, 0, 5]
