"""Inputs made wrong at random: each is read as it was, or told, or refused in one sentence that names the file.

Slow: 10,000 of them, in processes of their own, so that one that ends its process is counted too.
"""

import collections
import concurrent.futures
import multiprocessing
import pathlib
import random
import tempfile

import pytest

from tests.helpers.mutations import KINDS, verdict

_FEW = {"model": 3, "clips: fields": 3, "clips: pictures": 2, "packed examples": 4, "records: means": 4}
_FEW |= {"index of neighbours": 6, "pairs: records": 6, "pairs: to train on": 8, "texts: records": 6}
"""Cases of kinds that take longer, among the fast tests."""

_MANY = 10_000
_TIMES = 40
"""The slow test has so many times the cases of these kinds; the other kinds fill up the 10,000."""


def cases(kind: str, seeds: range) -> list[str]:
    """What was wrong with the cases of ``seeds``, each with its seed."""
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            rng = random.Random(f"{kind} {seed}")
            said = verdict(KINDS[kind](rng, pathlib.Path(folder)))
        if said:
            found.append(f"{kind}, seed {seed}: {said}")
    return found


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_few(kind):
    wrong = cases(kind, range(_FEW.get(kind, 12)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_ten_thousand():
    longer = {kind: _TIMES * few for kind, few in _FEW.items()}
    each = -(-(_MANY - sum(longer.values())) // (len(KINDS) - len(longer)))
    context = multiprocessing.get_context("spawn")
    wrong = collections.defaultdict(list)
    for kind in KINDS:
        first, last = 1000, 1000 + longer.get(kind, each)
        while first < last:
            seeds = range(first, min(first + 250, last))
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                try:
                    wrong[kind] += pool.submit(cases, kind, seeds).result()
                except concurrent.futures.process.BrokenProcessPool:
                    wrong[kind].append(f"{kind}: the process ended within seeds {seeds}")
            first = seeds.stop
    assert not any(wrong.values()), "\n".join(sum(wrong.values(), []))
