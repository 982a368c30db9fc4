"""One function over many items in several processes or threads, with results in order and few of them held."""

import collections
import concurrent.futures
import contextlib
import contextvars
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any

from yt8m.runtime.memory import reuse_freed_memory
from yt8m.runtime.quiet_imports import quieten_tensorflow
from yt8m.types import InputError

_tasks: list[Callable[[Any], Any]] = []


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(task: Callable[[Any], Any], items: Sequence[Any], *, workers: int = 1) -> Generator[Any, None, None]:
    """Yields task(item) of every item, in order; at most two results a worker wait to be taken.

    task: picklable where workers > 1, sent once to each; then calls belong under ``if __name__ == "__main__"``.
    """
    reuse_freed_memory()
    if workers <= 1 or len(items) <= 1:
        yield from map(task, items)
        return
    # Spawned, because a fork of a process that runs TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, len(items)), mp_context=context, initializer=_keep, initargs=(pickle.dumps(task),)
    ) as pool:
        waiting = collections.deque()
        try:
            for item in items:
                with _interrupts_held():
                    waiting.append(pool.submit(_run, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except concurrent.futures.process.BrokenProcessPool as error:
            raise InputError(f"one of {workers} worker processes died, possibly out of memory: use fewer") from error
        finally:
            pool.shutdown(cancel_futures=True)


def map_in_threads(
    task: Callable[[Any], Any], items: Iterable[Any], *, threads: int, stop: Callable[[], None] = lambda: None
) -> Generator[Any, None, None]:
    """Yields task(item) of every item, in order; at most ``threads`` items are at work or wait to be taken.

    items: iterable, read as its items are handed out. stop: called without arguments when no further results are
    wanted, so that calls of task that are under way may end early.
    """
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting = collections.deque()
        try:
            for item in items:
                # With what is set for the caller alone, such as the style of progress.
                waiting.append(pool.submit(contextvars.copy_context().run, task, item))
                if len(waiting) == threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            stop()
            pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _interrupts_held():
    """Processes that start in the block never see Ctrl-C: the one that started them does, and ends them in order."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _keep(task):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    reuse_freed_memory()
    # A task that is unpickled may import TensorFlow.
    quieten_tensorflow()
    _tasks.append(pickle.loads(task))


def _end_with_parent():
    """Ends this process when the one that started it is gone, also where that was killed."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _run(item):
    return _tasks[-1](item)
