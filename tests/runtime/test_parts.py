"""Parts of a job: how they are cut, and what is found of them again."""

import os

import numpy as np
import pytest

from yt8m.runtime.parts import PartsFolder, cut_into_parts
from yt8m.types import InputError

PLAN = {"files": [["a", 1]], "parts": [1, 2]}


@pytest.mark.parametrize(
    "sizes, least, parts",
    [
        ([], 10, []),
        ([3], 10, [[0]]),
        ([10, 10], 10, [[0], [1]]),
        ([4, 4, 4, 4], 8, [[0, 1], [2, 3]]),
        ([4, 4, 4], 5, [[0, 1], [2]]),
        ([1, 50, 1, 1], 10, [[0, 1], [2, 3]]),
    ],
)
def test_parts_by_hand(sizes, least, parts):
    assert [list(part) for part in cut_into_parts(sizes, least=least)] == parts


def test_finished_parts_are_found_again(tmp_path):
    folder = PartsFolder(tmp_path / "[x].parts", identity=["model", 7])
    assert not folder.open(PLAN) and folder.finished == set()
    arrays = {"ids": np.array([b"a", b"bcd"]), "scores": np.float32([0.5, 0.25])}
    folder.save(3, arrays)
    with pytest.raises(InputError, match=r"\[x\].parts is in use by process \d+ on "):
        PartsFolder(tmp_path / "[x].parts", identity=["model", 7]).open(PLAN)
    folder.close()
    again = PartsFolder(tmp_path / "[x].parts", identity=["model", 7])
    assert not again.open(PLAN) and again.finished == {3}
    for name, values in again.load(3).items():
        np.testing.assert_array_equal(values, arrays[name])
        assert values.dtype == arrays[name].dtype
    again.remove()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("plan, identity", [(PLAN | {"parts": [3]}, ["model", 7]), (PLAN, ["model", 8])])
def test_parts_of_another_plan_are_dropped(tmp_path, plan, identity):
    folder = PartsFolder(tmp_path / "parts", identity=["model", 7])
    folder.open(PLAN)
    folder.save(0, {})
    folder.close()
    other = PartsFolder(tmp_path / "parts", identity=identity)
    assert other.open(plan) and other.finished == set()
    other.close()
    assert os.listdir(tmp_path / "parts") == ["plan.json"]
    assert not PartsFolder(tmp_path / "parts", identity=identity).open(plan)


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "part-list.txt").write_text("mine")
    (tmp_path / ".yt8m-abcd").mkdir()
    (tmp_path / ".yt8m-abcd" / "part-00001.npz").write_text("left by a kill")
    folder = PartsFolder(tmp_path, identity=0)
    folder.open(PLAN)
    folder.remove()
    assert os.listdir(tmp_path) == ["part-list.txt"]


def test_a_damaged_part_is_named(tmp_path):
    folder = PartsFolder(tmp_path, identity=0)
    folder.open(PLAN)
    folder.save(0, {"a": np.arange(1000)})
    path = tmp_path / "part-00000.npz"
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError, match="part-00000.npz is damaged: delete it"):
        folder.load(0)
