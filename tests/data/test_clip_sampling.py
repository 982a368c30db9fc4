"""Which pictures of a clip an example shows."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clips import make_clip
from yt8m.data.clip_records import parse_clips
from yt8m.data.clips import pictures_of_segments
from yt8m.data.sampling import sample_pictures


def sampled(count, place, sampling, length, stride=1):
    """The pictures of one clip at one place, without padding."""
    slots = length if sampling == "uniform" else 1
    places = np.full([1, 1, slots], place, np.float32)
    indices, shown = sample_pictures(
        tf.constant([count]), tf.constant(places), sampling=sampling, length=length, stride=stride
    )
    assert indices.shape == (1, 1, length) and int(tf.reduce_max(indices)) < count and int(tf.reduce_min(indices)) >= 0
    return indices.numpy()[0, 0, : shown[0]].tolist()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ((40, 0.5, "uniform", 4), [5, 15, 25, 35]),
        ((40, 0.0, "uniform", 4), [0, 10, 20, 30]),
        ((40, 0.999, "uniform", 4), [9, 19, 29, 39]),
        ((10, 0.5, "uniform", 4), [1, 3, 6, 8]),
        ((4, 0.5, "uniform", 4), [0, 1, 2, 3]),
        # Fewer pictures than frames: each once, padding behind.
        ((3, 0.5, "uniform", 4), [0, 1, 2]),
        ((3, 0.9, "uniform", 4), [0, 1, 2]),
        ((1, 0.5, "uniform", 4), [0]),
        ((40, 0.0, "sequence", 4), [0, 1, 2, 3]),
        ((40, 0.999, "sequence", 4), [36, 37, 38, 39]),
        ((40, 0.5, "sequence", 4), [18, 19, 20, 21]),
        ((40, 0.0, "sequence", 4, 3), [0, 3, 6, 9]),
        ((40, 0.999, "sequence", 4, 3), [30, 33, 36, 39]),
        ((9, 0.5, "sequence", 4, 3), [1, 4, 7]),
        ((7, 0.999, "sequence", 4, 3), [0, 3, 6]),
        ((8, 0.999, "sequence", 4, 3), [1, 4, 7]),
        ((1, 0.5, "sequence", 4, 3), [0]),
    ],
)
def test_pictures_by_hand(arguments, expected):
    assert sampled(*arguments) == expected


@pytest.mark.parametrize("sampling, stride", [("uniform", 1), ("sequence", 1), ("sequence", 3)])
def test_many_draws_as_a_slow_twin_has_them(sampling, stride):
    random = np.random.default_rng(0)
    counts = random.integers(1, 50, 60).astype(np.int32)
    length = 6
    places = random.uniform(size=(60, 2, length if sampling == "uniform" else 1)).astype(np.float32)
    indices, shown = sample_pictures(
        tf.constant(counts), tf.constant(places), sampling=sampling, length=length, stride=stride
    )
    for row, count in enumerate(counts.tolist()):
        fits = [start for start in range(count) if start + (length - 1) * stride < count]
        for view in range(2):
            found = indices.numpy()[row, view, : shown[row]].tolist()
            if sampling == "uniform":
                parts = np.array_split(np.arange(count * length), length) if count >= length else None
                expected = (
                    [
                        int(part[0] + place * len(part)) // length
                        for part, place in zip(parts, places[row, view].astype(np.float64))
                    ]
                    if parts
                    else list(range(count))
                )
                assert found == expected
            elif fits:
                first = fits[int(float(places[row, view, 0]) * len(fits))]
                assert found == [first + stride * slot for slot in range(length)]
            else:
                assert len(found) == len(range(0, count, stride)) and set(np.diff(found)) <= {stride}


@pytest.mark.parametrize("rate", [1.0, 7.5, 8.0, 29.97])
def test_a_segment_is_five_seconds_whatever_the_rate(rate):
    count = int(13 * rate)
    times = [7.25 + place / rate for place in range(count)]
    clips = parse_clips(tf.constant([make_clip("a", times=times).serialize(), make_clip("b", 3).serialize()]))
    first, counts = pictures_of_segments(clips, tf.constant([0, 0, 0, 1]), tf.constant([0, 5, 10, 0]))
    expected = [
        [place for place, time in enumerate(times) if start <= round(1e6 * time) / 1e6 - 7.25 < start + 5]
        for start in (0, 5, 10)
    ]
    assert [list(range(a, a + n)) for a, n in zip(first.numpy().tolist(), counts.numpy().tolist())] == [
        *expected,
        [0, 1, 2],
    ]


def test_a_segment_without_pictures_has_that_on_the_screen():
    clips = parse_clips(tf.constant([make_clip("a", times=[0, 1, 2, 17]).serialize()]))
    first, counts = pictures_of_segments(clips, tf.constant([0, 0, 0, 0]), tf.constant([0, 5, 10, 15]))
    assert first.numpy().tolist() == [0, 2, 2, 3] and counts.numpy().tolist() == [3, 1, 1, 1]
    assert clips.seconds.numpy().tolist() == [18]
