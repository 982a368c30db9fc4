"""The videos that a run has seen: exact for those it has, a few in a million false ones, a few bytes each."""

import os

import numpy as np
import pytest

from yt8m.data.seen_videos import Overlap, SeenVideos, warn_of_notes
from yt8m.types import DataWarning, InputError


@pytest.fixture(scope="module")
def seen():
    found = SeenVideos()
    for first in range(0, 40_000, 128):
        found.add(f"v{number}".encode() for number in range(first, first + 128))
    return found


def test_ids_are_found_again_as_bytes_and_as_text(seen):
    assert len(seen) == 40_064
    assert b"v0" in seen and "v39999" in seen and "v40064" not in seen and "" not in seen
    assert not any(f"w{number}" in seen for number in range(1000))


def test_a_file_is_small_and_the_same(seen, tmp_path):
    seen.save(tmp_path / "seen.npz")
    assert os.path.getsize(tmp_path / "seen.npz") < 4 * len(seen)
    again = SeenVideos.load(tmp_path / "seen.npz")
    assert len(again) == len(seen) and all(f"v{number}" in again for number in range(0, 40_000, 99))
    assert SeenVideos.load(tmp_path / "nothing.npz") is None
    empty = SeenVideos()
    empty.save(tmp_path / "empty.npz")
    assert len(SeenVideos.load(tmp_path / "empty.npz")) == 0
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="other.npz is not a list of seen videos"):
        SeenVideos.load(tmp_path / "other.npz")


def test_runs_add_up(seen):
    both = SeenVideos()
    both.add(["x", "v1"])
    both.update(seen)
    assert len(both) == 40_065 and "x" in both and "v7" in both and "x" not in seen


def test_an_overlap_is_told_and_noted_beside_a_ranking(seen, tmp_path):
    overlap = Overlap("runs/a", seen)
    for ids in ([b"v3", b"n1"], [b"v3", b"v9", b"n2"]):
        overlap.add(ids)
    assert overlap.sentence().startswith("2 of the 4 videos to score, v3 the first, were trained on by runs/a or a run")
    overlap.note_beside(tmp_path / "A.csv")
    with pytest.warns(DataWarning, match="A.csv: 2 of the 4 videos to score"):
        warn_of_notes([tmp_path / "A.csv", tmp_path / "B.csv"])
    none = Overlap("runs/a", seen)
    none.add([b"n1"])
    none.warn()
    none.note_beside(tmp_path / "A.csv")
    assert none.sentence() == "" and not list(tmp_path.iterdir())
