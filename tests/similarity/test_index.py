"""An index of neighbours against exact search."""

import functools
import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.helpers.embeddings import embedding_set, write_embeddings
from yt8m.similarity.embedding_files import EmbeddingFile
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.similarity.index import NeighbourIndex, recall, write_index
from yt8m.similarity.nearest import nearest
from yt8m.similarity.projection import JointProjection
from yt8m.types import InputError, Segment

faiss = pytest.importorskip("faiss", reason="FAISS is not installed (extra [neighbours])")
ROWS = 6000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """6,000 segments around 60 directions, and their index."""
    folder = tmp_path_factory.mktemp("index")
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 24))[random.integers(0, 60, ROWS)] + 0.4 * random.normal(size=(ROWS, 24))
    ids, starts = [f"v{row // 10:04}" for row in range(ROWS)], np.arange(ROWS, dtype=np.int32) % 10 * 5
    write_embeddings(folder / "a.npy", (3 * values).astype(np.float32), ids=ids, starts=starts)
    write_index(embedding_set([folder / "a.npy"]), folder / "a.index", cells=100)
    return folder


@pytest.fixture(scope="module")
def embeddings(folder):
    return embedding_set([folder / "a.npy"])


@pytest.mark.parametrize("query", [Segment("v0000", 0), Segment("v0317", 25)])
def test_with_all_cells_it_finds_what_exact_search_finds(folder, embeddings, query):
    index = NeighbourIndex(folder / "a.index", embeddings, probes=1000)
    assert index.num_cells == 100
    found, exact = (
        of([query, Segment("v0001", 5)], top_k=8) for of in (index.nearest, functools.partial(nearest, embeddings))
    )
    assert found == exact
    assert query not in [key for key, _ in found[0]] and len(found) == 2


def test_more_cells_find_more(folder, embeddings):
    found = [
        recall(embeddings, NeighbourIndex(folder / "a.index", embeddings, probes=probes), top_k=10, queries=200, seed=1)
        for probes in (1, 8, 100)
    ]
    shares = [result["recall"] for result in found]
    assert shares[0] < shares[1] <= shares[2] and shares[1] > 0.95 and shares[2] > 0.999
    assert found[0]["queries"] == 200 and found[0]["index_ms"] > 0


def test_the_same_embeddings_make_the_same_index(folder, embeddings, tmp_path):
    assert write_index(embeddings, tmp_path / "again", cells=100) == 100
    one, other = (NeighbourIndex(path, embeddings, probes=3) for path in (folder / "a.index", tmp_path / "again"))
    vectors = np.load(folder / "a.npy")[::500]
    for left, right in zip(one.rows_near(vectors, top_k=5), other.rows_near(vectors, top_k=5), strict=True):
        np.testing.assert_array_equal(left, right)


def test_few_rows_are_one_cell(tmp_path):
    write_embeddings(tmp_path / "few.npy", np.eye(5, dtype=np.float32), ids=list("abcde"), starts=np.zeros(5, np.int32))
    few = embedding_set([tmp_path / "few.npy"])
    assert write_index(few, tmp_path / "few.index") == 1
    found = NeighbourIndex(tmp_path / "few.index", few, probes=8).nearest([Segment("a", 0)], top_k=10)[0]
    assert len(found) == 4 and {score for _, score in found} == {0.0}


def test_what_is_no_index_of_these_rows_is_said(folder, embeddings, tmp_path):
    with pytest.raises(InputError, match=r"v9999:0 is not in .*a\.npy"):
        NeighbourIndex(folder / "a.index", embeddings, probes=8).nearest([Segment("v9999", 0)], top_k=1)
    other = np.load(folder / "a.npy")
    # Of thousands of rows any, by the least that there is.
    other[4321, 7] = np.nextafter(other[4321, 7], 9)
    ids, starts = [f"v{row // 10:04}" for row in range(ROWS)], np.arange(ROWS, dtype=np.int32) % 10 * 5
    write_embeddings(tmp_path / "b.npy", other, ids=ids, starts=starts)
    with pytest.raises(InputError, match=r"a\.index is the index of other embeddings than .*b\.npy"):
        NeighbourIndex(folder / "a.index", embedding_set([tmp_path / "b.npy"]), probes=8)
    write_embeddings(tmp_path / "b.npy", np.load(folder / "a.npy"), ids=ids[::-1], starts=starts)
    with pytest.raises(InputError, match=r"a\.index is the index of other embeddings than .*b\.npy"):
        NeighbourIndex(folder / "a.index", embedding_set([tmp_path / "b.npy"]), probes=8)


@pytest.mark.parametrize("name", ["cells.faiss", "keys.npy", "index.json"])
def test_a_damaged_index_is_said_before_faiss_reads_it(folder, embeddings, tmp_path, name, monkeypatch):
    monkeypatch.setattr(faiss, "read_index", lambda path: pytest.fail("FAISS was given the file"))
    broken = pathlib.Path(shutil.copytree(folder / "a.index", tmp_path / "broken"))
    data = (broken / name).read_bytes()
    for wrong in (data[:-5], data[:40] + bytes([data[40] ^ 4]) + data[41:], data + b"\n" * (name != "index.json")):
        if wrong == data:
            continue
        (broken / name).write_bytes(wrong)
        with pytest.raises(InputError, match="broken.* is damaged, its " + name if "json" not in name else "broken"):
            NeighbourIndex(broken, embeddings, probes=8)
    (broken / name).unlink()
    with pytest.raises(InputError, match=f"cannot read .*{name}"):
        NeighbourIndex(broken, embeddings, probes=8)


def test_an_index_replaces_an_index_and_nothing_else(folder, embeddings, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "kept.txt").write_text("x")
    with pytest.raises(InputError, match="runs is a folder of something else than an index: name another one"):
        write_index(embeddings, tmp_path / "runs")
    assert (tmp_path / "runs" / "kept.txt").read_text() == "x"
    few = tmp_path / "few.npy"
    write_embeddings(few, np.eye(5, dtype=np.float32), ids=list("abcde"), starts=np.zeros(5, np.int32))
    for _ in range(2):
        assert write_index(embedding_set([few]), tmp_path / "few.index") == 1


def test_the_command_writes_searches_and_checks(folder, tmp_path):
    def command(*arguments):
        words = [sys.executable, "-m", "yt8m.commands.similar", f"--embeddings={folder}/a.npy", *arguments]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert command(f"--output_index={tmp_path}/i") == f"wrote {tmp_path}/i: 6,000 rows in 153 cells\n"
    asked = ("--query=v0003:10", "--top_k=4")
    assert command(f"--index={tmp_path}/i", "--probes=200", *asked) == command(*asked)
    assert json.loads(command(f"--index={tmp_path}/i", "--check_recall=50"))["recall"] > 0.99


def test_an_index_is_of_one_matrix(folder, embeddings, tmp_path):
    both = [EmbeddingFile(folder / "a.npy")] * 2
    with pytest.raises(InputError, match="an index is of one .npy file as it is: write the joint vectors first"):
        write_index(EmbeddingSet(both, JointProjection((1.0, 1.0), (24, 24))), tmp_path / "both.index")
