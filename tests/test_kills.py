"""Stages that are killed at random moments and started again, see benchmarks.kills."""

import pytest

from benchmarks.kills import STAGES, try_stage

QUICK = ("eval",)


@pytest.mark.parametrize(
    "stage", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in STAGES]
)
def test_a_killed_stage_comes_to_the_same_and_leaves_nothing(stage, tmp_path):
    found = try_stage(stage, tmp_path, kills=1 if stage in QUICK else 2, seed=1)
    assert not found.problems, "\n".join(found.problems)
    assert found.same == found.kills
