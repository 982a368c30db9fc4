"""Signals that end long work without losing it."""

import concurrent.futures
import os
import signal

import pytest

from yt8m.runtime.interrupts import stopping_at_interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_interrupts(number):
    earlier = signal.getsignal(number)
    asked = []
    with pytest.raises(KeyboardInterrupt), stopping_at_interrupt(lambda: asked.append(number)):
        os.kill(os.getpid(), number)
        assert asked == [number]
        os.kill(os.getpid(), number)
        pytest.fail("the second signal did not interrupt")
    assert asked == [number] and signal.getsignal(number) is earlier


def test_work_that_was_asked_to_stop_was_interrupted():
    with pytest.raises(KeyboardInterrupt), stopping_at_interrupt(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
        raise concurrent.futures.CancelledError


def test_work_that_stops_by_itself_says_so():
    with pytest.raises(concurrent.futures.CancelledError), stopping_at_interrupt(lambda: None):
        raise concurrent.futures.CancelledError


def test_work_that_ends_before_it_notices_has_ended():
    with stopping_at_interrupt(lambda: None):
        os.kill(os.getpid(), signal.SIGINT)
