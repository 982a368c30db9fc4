"""What tests share: where the real data and the golden vectors are, and which of many cases are fast."""

import pathlib
from collections.abc import Collection, Iterable
from typing import Any

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def shared_path(relative):
    """A path under the folder of real data and golden vectors that may stand beside the repository, or a skip."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{relative} is not there: it is kept beside the repository, not in it")
    return path


def fast(names: Collection[str], among: Iterable[str]) -> list[Any]:
    """Parameters of a test: all of ``among``, those that are not in ``names`` among the slow tests."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in among]
