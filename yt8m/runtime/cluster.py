"""One function over many items on the machines of a Ray cluster, with results in order, as parallel has it on one.

The machines need the same version of this package and the same paths to all files that the function reads.
"""

import collections
import contextlib
import itertools
import logging
import os
import pickle
import socket
import sys
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any

import yt8m
from yt8m.types import InputError

_INHERITED = ("TF_CPP_MIN_LOG_LEVEL",)
_MOST_LOSSES = 3
_CALLS_PER_WORKER = 2
_RESULTS_PER_WORKER = 3
_LOOK_SECONDS = 5
_CONNECT_SECONDS = 10
_PATIENCE_SECONDS = 600


def map_in_order(
    task: Callable[[Any], Any],
    items: Iterable[Any],
    *,
    address: str,
    cpus: int | None = None,
    threads: int = 1,
    environment: dict[str, str] | None = None,
) -> Generator[Any, None, None]:
    """Yields task(item) of every item, in order, whichever worker computes it.

    task: picklable, sent once to each worker, of which there is one for every GPU of the cluster; where it has none,
    one for every machine, which has all its CPUs to itself; with ``cpus``, one for every so many CPUs. items: iterable
    of picklable items; each goes to the first worker that is free, and at most three results a worker wait to be taken.
    address: of the cluster, "host:port", or "auto" for the one that this machine is part of. threads: calls of task at
    a time in a worker. environment: dict of variables that are set in a worker before it unpickles task.

    What a lost worker or machine was at goes to others, and machines that join get workers. An error of the task itself
    is raised here at once. Raises InputError where Ray or the cluster cannot be had, where an item has lost three
    workers, or where no worker is left.
    """
    items = iter(items)
    first = list(itertools.islice(items, 1))
    if not first:
        return
    ray, ours = _connect(address)
    pool = _Pool(ray, task, cpus=cpus, threads=threads, environment=environment or {})
    try:
        yield from pool.run(itertools.chain(first, items))
    finally:
        pool.close()
        if ours:
            ray.shutdown()


def _connect(address):
    """(the ray module, connected; whether this call connected it)."""
    # Read when Ray is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError("--ray needs Ray: pip install 'yt8m[ray]'") from error
    if ray.is_initialized():
        return ray, False
    if address == "auto":
        address = os.environ.get("RAY_ADDRESS") or address
    try:
        if address != "auto":
            _check_reachable(address)
        ray.init(address=address, logging_level=logging.ERROR)
    except OSError as error:
        raise InputError(
            f"--ray={address} is no running Ray cluster: start one by `ray start --head` on this machine, and "
            "`ray start --address=HOST:6379` on each of the others"
        ) from error
    return ray, True


def _check_reachable(address):
    """Raises OSError where nothing listens at ``address``, for which Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--ray={address}: expected HOST:PORT, as in 10.0.0.1:6379, or auto")
    socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()


class _Actor:
    """Actor that runs in a worker: the task, unpickled where and as the caller would."""

    def __init__(self, task, folder, package, environment):
        # Ray allots threads by num_cpus; a plain process has as many as it finds.
        os.environ.pop("OMP_NUM_THREADS", None)
        os.environ.update(environment)
        sys.path.append(package)
        # Only here can the package be imported; what a worker writes reaches the caller's terminal.
        from yt8m.runtime.quiet_imports import quieten_tensorflow

        quieten_tensorflow()
        with contextlib.suppress(OSError):
            os.chdir(folder)
        self._task = pickle.loads(task)

    def ready(self):
        return True

    def run(self, item):
        return self._task(item)


class _Worker:
    """A worker as its pool sees it: the node and resources that it has, whether it has started, its calls under way."""

    def __init__(self, slot, actor):
        self.slot = slot
        self.actor = actor
        self.ready = False
        self.calls = 0


class _Pool:
    def __init__(self, ray, task, *, cpus, threads, environment):
        self._ray = ray
        self._cpus = cpus
        self._actor_class = ray.remote(_Actor)
        self._threads = threads
        # The class travels whole, so that a worker can say where the package is before it is imported.
        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
        package = os.path.dirname(*yt8m.__path__)
        environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | environment
        self._arguments = ray.put(pickle.dumps(task)), os.getcwd(), package, environment
        self._workers = []
        self._nodes = set()
        self._on_gpus = any(node["Resources"].get("GPU") for node in self._alive())
        self._failed_starts = collections.Counter()
        # What is awaited: (worker, None) for its start, (worker, (number, item, losses)) for a call.
        self._pending = {}
        self._again = collections.deque()
        self._done = {}
        self._given = self._yielded = 0
        self._heard = time.monotonic()

    def run(self, items):
        """Yields the result of every item, in order."""
        items = enumerate(items)
        self._add_workers()
        while True:
            more = self._hand_out(items)
            if not more and self._given == self._yielded:
                return
            self._wait()
            while self._yielded in self._done:
                self._yielded += 1
                yield self._done.pop(self._yielded - 1)

    def close(self):
        """Ends all workers, whatever they are at."""
        for worker in self._workers:
            self._ray.kill(worker.actor)

    def _hand_out(self, items):
        """Gives free workers something to do, lost items first; returns whether there may be further ``items``."""
        while worker := min((w for w in self._workers if w.ready), key=lambda w: w.calls, default=None):
            if worker.calls >= _CALLS_PER_WORKER:
                return True
            if self._again:
                job = self._again.popleft()
            elif self._given - self._yielded >= _RESULTS_PER_WORKER * len(self._workers):
                return True
            else:
                following = next(items, None)
                if following is None:
                    return False
                job = (*following, 0)
                self._given += 1
            worker.calls += 1
            self._pending[worker.actor.run.remote(job[1])] = worker, job
        return True

    def _wait(self):
        """Takes in what the workers report, or looks for machines where nothing is heard for a while."""
        heard, _ = self._ray.wait(list(self._pending), timeout=_LOOK_SECONDS)
        for reference in heard:
            self._take(reference)
        if heard or any(worker.ready for worker in self._workers):
            self._heard = time.monotonic()
        if not heard:
            self._add_workers()
        if time.monotonic() - self._heard > _PATIENCE_SECONDS:
            minutes = _PATIENCE_SECONDS // 60
            raise InputError(f"no worker of the Ray cluster started in {minutes} minutes: others use its machines")

    def _take(self, reference):
        worker, job = self._pending.pop(reference)
        exceptions = self._ray.exceptions
        try:
            result = self._ray.get(reference)
        except exceptions.RayTaskError as error:
            # The cause is the task's own error; around it Ray prints the worker's stack.
            raise error.cause or error from None
        except exceptions.RayError as error:
            self._lose(worker, job, error)
            return
        if job is None:
            worker.ready = True
        else:
            worker.calls -= 1
            self._done[job[0]] = result

    def _lose(self, worker, job, error):
        """Puts another worker in the place of one that is lost, and what it was at back in the queue."""
        if job is not None:
            number, item, losses = job
            if losses + 1 == _MOST_LOSSES:
                raise InputError(f"{losses + 1} workers of the Ray cluster were lost at the same task: {_line(error)}")
            self._again.append((number, item, losses + 1))
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        self._ray.kill(worker.actor)
        node, _ = worker.slot
        self._failed_starts[node] += not worker.ready
        if self._failed_starts[node] < _MOST_LOSSES and any(other["NodeID"] == node for other in self._alive()):
            self._start(worker.slot)
        if not self._workers:
            raise InputError(f"no worker of the Ray cluster is left: {_line(error)}")

    def _add_workers(self):
        """Starts workers on the machines that have none yet."""
        for node in self._alive():
            if node["NodeID"] not in self._nodes:
                self._nodes.add(node["NodeID"])
                for resources in self._shares(node["Resources"]):
                    self._start((node["NodeID"], resources))
        if not self._workers:
            raise InputError("the Ray cluster has no CPU or GPU to work on")

    def _shares(self, resources):
        """Resources of each worker on a machine with ``resources``."""
        if self._on_gpus:
            return [{"num_gpus": 1}] * int(resources.get("GPU", 0))
        cpus = int(resources.get("CPU", 0))
        share = min(self._cpus or cpus, cpus)
        return [{"num_cpus": share}] * (cpus // share) if share else []

    def _start(self, slot):
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node, resources = slot
        place = NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"scheduling_strategy": place, "max_concurrency": self._threads, **resources}
        worker = _Worker(slot, self._actor_class.options(**options).remote(*self._arguments))
        self._workers.append(worker)
        self._pending[worker.actor.ready.remote()] = worker, None

    def _alive(self):
        return [node for node in self._ray.nodes() if node["Alive"]]


def _line(error):
    """The line of Ray's many that says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in reversed(lines) if "Error: " in line), lines[0])
