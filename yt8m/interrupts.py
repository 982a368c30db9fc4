"""Signals that end long work without losing it."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def handling_signals(handler):
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
