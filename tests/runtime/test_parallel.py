"""Threads and processes that share a list of items."""

import os
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.kills import processes_of
from tests.helpers import ROOT
from yt8m.runtime.parallel import map_in_threads


def test_threads_give_results_in_order_and_read_items_as_they_are_needed():
    read, running = [], []
    both = threading.Barrier(2, timeout=20)

    def task(number):
        if number < 2:
            # Passes only if two items are at work at once.
            both.wait()
        running.append(number)
        return number**2

    def items():
        for number in range(20):
            read.append(number)
            yield number

    results = map_in_threads(task, items(), threads=2, stop=lambda: None)
    assert next(results) == 0
    assert read == [0, 1]
    assert list(results) == [number**2 for number in range(1, 20)]
    assert sorted(running) == list(range(20))


@pytest.mark.parametrize("closed", [True, False], ids=["closed early", "an error"])
def test_threads_are_told_to_stop(closed):
    stopped, seen = threading.Event(), []

    def task(number):
        if number == 0:
            return 0
        if number == 1 and not closed:
            raise ValueError("one")
        seen.append(stopped.wait(20))

    results = map_in_threads(task, range(10), threads=3, stop=stopped.set)
    started = time.monotonic()
    assert next(results) == 0
    if closed:
        results.close()
    else:
        with pytest.raises(ValueError, match="one"):
            next(results)
    assert time.monotonic() - started < 10
    assert seen and all(seen)


PARENT = """
import os, sys, time
from yt8m.runtime.parallel import map_in_order

def task(number):
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    list(map_in_order(task, range(4), workers=2))
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path):
    """All of its session: two workers and multiprocessing's resource tracker."""
    (tmp_path / "parent.py").write_text(PARENT)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "parent.py"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, start_new_session=True
    )
    workers = {int(parent.stdout.readline()) for _ in range(2)}
    assert len(workers) == 2
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 20
    while alive := processes_of(parent.pid):
        assert time.monotonic() < deadline, alive
        time.sleep(0.05)
