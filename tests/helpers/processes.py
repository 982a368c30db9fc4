"""Processes in step, as threads of this one."""

import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

from yt8m.runtime.devices import Placement
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True)
class _Together:
    barrier: threading.Barrier
    found: dict


@dataclasses.dataclass(frozen=True)
class ThreadPlacement(Placement):
    """A Placement whose processes are threads; ``gather`` keeps to what that of Placement promises."""

    together: Any = None

    def gather(self, work):
        try:
            self.together.found[self.process_id] = work()
        except InputError as error:
            self.together.found[self.process_id] = error
        self.together.barrier.wait(timeout=60)
        found = [self.together.found[number] for number in range(self.num_processes)]
        self.together.barrier.wait(timeout=60)
        for each in found:
            if isinstance(each, InputError):
                raise InputError(str(each))
        return [dict(each) for each in found]


def in_step(task: Callable[[Placement], Any], *, processes: int) -> list[Any]:
    """What ``task``, a function of the Placement, gives in each of ``processes``, or the error that it ended with."""
    together = _Together(threading.Barrier(processes), {})

    def run(number):
        try:
            return task(ThreadPlacement(process_id=number, num_processes=processes, together=together))
        except InputError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(processes) as pool:
        return list(pool.map(run, range(processes)))
