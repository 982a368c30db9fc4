"""The clock of a stream, whatever times its frames claim."""

import types
from fractions import Fraction

import numpy as np
import pytest

from yt8m.features.decoding.clock import Clock


def frames(ticks, *, unit=Fraction(1, 1000), duration=40, dts=None):
    """Frames as PyAV has them, of presentation times in ticks."""
    dts = [None] * len(ticks) if dts is None else dts
    return [types.SimpleNamespace(pts=p, dts=d, duration=duration, time_base=unit) for p, d in zip(ticks, dts)]


def times(given, *, origin=None, longest_jump=3600, frame_seconds=Fraction(1, 25)):
    clock = Clock(origin=origin, longest_jump=longest_jump, frame_seconds=frame_seconds)
    return [float(clock.time(frame)) for frame in given], clock


def test_times_count_from_the_first_frame_or_from_an_origin():
    assert times(frames([5000, 5040, 9080]))[0] == [0, 0.04, 4.08]
    assert times(frames([5000, 5040]), origin=Fraction(6))[0] == [-1, -0.96]


def test_frames_without_times_follow_each_other():
    assert times(frames([None, None, None], duration=0))[0] == [0, 0.04, 0.08]
    assert times(frames([1000, None, 1080]))[0] == [0, 0.04, 0.08]


def test_a_frame_out_of_order_is_not_before_the_last_one():
    assert times(frames([0, 80, 40, 120]))[0] == [0, 0.08, 0.08, 0.12]


def test_of_two_times_that_which_runs_backwards_less_often_is_believed():
    assert times(frames([0, 80, 40, 160, 120], dts=[0, 40, 80, 120, 160]))[0] == [0, 0.08, 0.08, 0.12, 0.16]
    assert times(frames([0, 40, 80, 120], dts=[0, 0, 0, 0]))[0] == [0, 0.04, 0.08, 0.12]


@pytest.mark.parametrize("jump", [3_700_000, -20_000, 10**12])
def test_a_jump_is_read_as_if_the_clock_went_on(jump):
    found, clock = times(frames([50_000, 50_040, 50_080 + jump, 50_120 + jump]))
    assert (found, clock.jumps, float(clock.first_jump)) == ([0, 0.04, 0.08, 0.12], 1, 0.08)


@pytest.mark.parametrize("seed", range(20))
def test_no_claim_makes_it_run_away_or_back(seed):
    print("seed", seed)
    random = np.random.default_rng(seed)
    claims = [None, 0, 1, 40, 10**4, 10**7, 10**12, -(10**12), 2**62]
    given = frames([claims[place] for place in random.integers(len(claims), size=200)])
    for frame in given:
        frame.dts = claims[random.integers(len(claims))]
        frame.duration = claims[random.integers(1, len(claims))]
    longest = int(random.choice([10, 3600]))
    nominal = Fraction(int(random.choice([0, 1, 10**9])), 25)
    clock = Clock(origin=None, longest_jump=longest, frame_seconds=nominal)
    last = end = Fraction(0)
    for frame in given:
        time = clock.time(frame)
        assert last <= time <= end + longest and 0 < clock.end - time <= longest
        last, end = time, clock.end
