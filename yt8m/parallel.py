"""One function over many items in several processes, with results in order and few of them held."""

import collections
import concurrent.futures
import multiprocessing

_tasks = []


def map_in_order(task, items, *, workers=1):
    """Yields task(item) of every item, in order; at most two results a worker wait to be taken.

    task: picklable where workers > 1, sent once to each; then calls belong under ``if __name__ == "__main__"``.
    """
    if workers <= 1 or len(items) <= 1:
        yield from map(task, items)
        return
    # Spawned, because a fork of a process that runs TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, len(items)), mp_context=context, initializer=_keep, initargs=(task,)
    ) as pool:
        waiting = collections.deque()
        try:
            for item in items:
                waiting.append(pool.submit(_run, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _keep(task):
    _tasks.append(task)


def _run(item):
    return _tasks[-1](item)
