"""Signals that end long work without losing it."""

import concurrent.futures
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def handling_signals(handler: Callable[..., Any]) -> Iterator[None]:
    """Context in which Ctrl-C and SIGTERM call ``handler``; only in the main thread, elsewhere they are as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in earlier.items():
            signal.signal(number, former)


@contextlib.contextmanager
def stopping_at_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """Context in which the first Ctrl-C or SIGTERM calls ``stop``, whereupon the work shall end in CancelledError.

    That becomes KeyboardInterrupt, which a second signal raises at once. Raised wherever the program happens to be, as
    Python does by itself, it is lost in callbacks of libraries that let no exception out.
    """
    asked = False

    def handle(number, frame):
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        stop()

    with handling_signals(handle):
        try:
            yield
        except concurrent.futures.CancelledError:
            if asked:
                raise KeyboardInterrupt from None
            raise
