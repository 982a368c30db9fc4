"""What tests share: where the real data and the golden vectors are."""

import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"


def shared_path(relative):
    """A path under the folder of real data and golden vectors that may stand beside the repository, or a skip."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"{relative} is not there: it is kept beside the repository, not in it")
    return path
