"""Similarity against hand values, scipy, and NumPy on all rows at once; and the command as a user types it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from tests.helpers import ROOT
from yt8m.similarity import embedding_files
from yt8m.similarity.embedding_files import EmbeddingFile, EmbeddingWriter, Rows
from yt8m.similarity.embeddings import (
    EmbeddingSet,
    Fusion,
    average_ranks,
    cosines,
    fit_fusion,
    nearest,
    read_fusion,
    read_pairs,
    score_pairs,
    spearman,
)
from yt8m.types import InputError, Segment

SIZES = (6, 4)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(embedding_files, "BLOCK_ROWS", 16)


@pytest.fixture
def vectors():
    random = np.random.default_rng(0)
    return [random.normal(size=(50, size)).astype(np.float32) for size in SIZES]


@pytest.fixture
def paths(tmp_path, vectors):
    """Two files of the same fifty segments, v0:0, v0:5, v1:0 and so on, one in each form."""
    for path, values in zip(("a.npy", "b.parquet"), vectors):
        write(tmp_path / path, values)
    return [tmp_path / "a.npy", tmp_path / "b.parquet"]


def write(path, values, *, ids=None, starts=None):
    ids = [f"v{row // 2}" for row in range(len(values))] if ids is None else ids
    starts = np.arange(len(values), dtype=np.int32) % 2 * 5 if starts is None else starts
    with EmbeddingWriter(path, segments=True) as writer:
        writer.write(Rows(ids, starts, values))


def joined(vectors, weights):
    return np.concatenate([w * v / np.linalg.norm(v, axis=1, keepdims=True) for w, v in zip(weights, vectors)], axis=1)


def embedding_set(paths, fusion=None):
    files = list(map(EmbeddingFile, paths))
    return EmbeddingSet(files, fusion or Fusion((1.0,) * len(files), tuple(file.size for file in files)))


def all_vectors(embeddings):
    return np.concatenate([rows.vectors for rows in embeddings.blocks()])


def test_rank_correlation_by_hand_and_by_scipy():
    np.testing.assert_array_equal(average_ranks([3.0, 1.0, 3.0, 2.0]), [3.5, 1, 3.5, 2])
    # Ranks 1 2 3 against 1 3 2: 1 - 6 * 2 / (3 * 8).
    assert spearman([0.1, 0.2, 0.9], [1, 5, 2]) == pytest.approx(0.5)
    random = np.random.default_rng(0)
    for top in (3, 1000):
        one, other = random.integers(0, top, (2, 200))
        assert spearman(one, other) == pytest.approx(stats.spearmanr(one, other).statistic, abs=1e-12)
    with pytest.raises(InputError, match="needs scores that differ"):
        spearman([1, 2], [3, 3])


def test_cosines_by_hand():
    np.testing.assert_allclose(cosines([[3, 4], [1, 0], [0, 0]], [[4, 3], [-2, 0], [1, 1]]), [0.96, -1, 0])


def test_rows_are_normalised_weighted_and_joined(paths, vectors):
    fused = all_vectors(embedding_set(paths, Fusion((1.0, 2.0), SIZES)))
    np.testing.assert_allclose(fused, joined(vectors, (1, 2)), atol=1e-6)
    # The cosine is then the mean of the models' cosines, weighted by the squares.
    one, other = (cosines(v[:1], v[1:2])[0] for v in vectors)
    assert cosines(fused[:1], fused[1:2])[0] == pytest.approx((one + 4 * other) / 5, abs=1e-6)


def test_the_projection_is_a_truncated_svd_of_all_rows(paths, vectors, tmp_path):
    files = list(map(EmbeddingFile, paths))
    fusion = fit_fusion(files, (1.0, 0.5), dim=3)
    matrix = joined(vectors, (1, 0.5)).astype(np.float64)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    found = all_vectors(EmbeddingSet(files, fusion))
    signs = np.sign((found * (left * values)[:, :3]).sum(axis=0))
    np.testing.assert_allclose(found * signs, (left * values)[:, :3], atol=1e-5)
    np.testing.assert_allclose(fusion.shares, values[:3] ** 2 / (values**2).sum(), rtol=1e-5)
    assert (fusion.components[np.abs(fusion.components).argmax(axis=0), np.arange(3)] > 0).all()
    fusion.save(tmp_path / "p.npz")
    again = read_fusion(tmp_path / "p.npz")
    np.testing.assert_array_equal(all_vectors(EmbeddingSet(files, again)), found)
    with pytest.raises(InputError, match="vectors of 6, and the projection is for 6 and 4"):
        EmbeddingSet(files[:1], again)
    with pytest.raises(InputError, match="11 dimensions cannot be made of 50 rows of 10: choose at most 10"):
        fit_fusion(files, (1.0, 1.0), dim=11)


def test_the_nearest_are_those_of_all_rows_with_ties_to_the_smaller(tmp_path):
    random = np.random.default_rng(1)
    values = random.normal(size=(70, 8)).astype(np.float32)
    values[[65, 11, 30]] = values[40] * np.float32(0.9) + values[3] * np.float32(0.1)
    ids = [f"v{9 - row % 10}" for row in range(70)]
    starts = np.arange(70, dtype=np.int32) // 10 * 5
    write(tmp_path / "a.npy", values, ids=ids, starts=starts)
    query = Segment(ids[40], int(starts[40]))
    unit = values.astype(float) / np.linalg.norm(values.astype(float), axis=1, keepdims=True)
    scores = unit @ unit[40]
    keys = list(map(Segment, ids, starts.tolist()))
    for top_k in (1, 2, 3, 10, 69, 100):
        expected = sorted((row for row in range(70) if row != 40), key=lambda row: (-round(scores[row], 12), keys[row]))
        found = nearest(embedding_set([tmp_path / "a.npy"]), query, top_k=top_k)
        assert [key for key, _ in found] == [keys[row] for row in expected[:top_k]]
        np.testing.assert_allclose([score for _, score in found], scores[expected[:top_k]], atol=1e-6)
    assert [key for key, _ in found[:3]] == [Segment("v4", 30), Segment("v8", 5), Segment("v9", 15)]


def test_pairs_are_scored_by_rank(paths, vectors, tmp_path):
    (tmp_path / "p.csv").write_text("id_a,id_b,score\nv0:0,v1:5,0.3\nv2:0,v0:0,0.9\nv3:5,v4:0,0.1\n")
    found = score_pairs(embedding_set(paths[:1]), read_pairs(tmp_path / "p.csv"))
    scores = cosines(vectors[0][[0, 4, 7]], vectors[0][[3, 0, 8]])
    assert found == {"spearman": pytest.approx(stats.spearmanr(scores, [0.3, 0.9, 0.1]).statistic), "num_pairs": 3}
    (tmp_path / "p.csv").write_text("v0:0,v99:5,0.3\n")
    with pytest.raises(InputError, match="v99:5 is not in .*a.npy"):
        score_pairs(embedding_set(paths[:1]), read_pairs(tmp_path / "p.csv"))
    (tmp_path / "p.csv").write_text("v0:0,v1:5,0.3\nv0:0,v1:5\n")
    with pytest.raises(InputError, match="p.csv, line 2: expected id_a,id_b,score"):
        read_pairs(tmp_path / "p.csv")


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ([*range(20), *range(21, 50)], "v10:0 is in .*a.npy and not in .*c.npy"),
        ([*range(50), 50], "v25:0 is in .*c.npy and not in .*a.npy"),
        ([1, 0, *range(2, 50)], "c.npy holds v0:5 where .*a.npy holds v0:0: their orders must be the same"),
    ],
)
def test_files_of_other_rows_are_refused(paths, tmp_path, rows, sentence):
    ids, starts = [f"v{row // 2}" for row in rows], np.array(rows, np.int32) % 2 * 5
    write(tmp_path / "c.npy", np.ones((len(rows), 2), np.float32), ids=ids, starts=starts)
    with pytest.raises(InputError, match=sentence):
        all_vectors(embedding_set([paths[0], tmp_path / "c.npy"]))


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "yt8m.commands.similar", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_the_command_end_to_end(paths, vectors, tmp_path):
    both = f"--embeddings={paths[0]},{paths[1]}"
    (tmp_path / "p.csv").write_text("v0:0,v1:5,0.3\nv2:0,v0:0,0.9\nv3:5,v4:0,0.1\n")
    projection = f"--projection={tmp_path}/p.npz"
    result = command(both, "--weights=1,2", "--dim=10", projection, f"--output_file={tmp_path}/ab.npy", "--quiet")
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert "10 dimensions hold 100.0% of the squares" in result.stdout and "50 rows of 10" in result.stdout
    asked = ("--query=v7:0", "--top_k=3", f"--pairs={tmp_path}/p.csv")
    result = command(f"--embeddings={tmp_path}/ab.npy", *asked)
    scores, *listed = result.stdout.splitlines()
    # All directions are kept, so cosines are those of the joined vectors.
    matrix = joined(vectors, (1, 2))
    expected = cosines(matrix, matrix[14:15])
    order = np.argsort(-expected)[1:4]
    assert list(csv.reader(listed)) == [["id", "cosine"]] + [[f"v{r // 2}:{r % 2 * 5}", f"{expected[r]:.6f}"] for r in order]
    pair_scores = cosines(matrix[[0, 4, 7]], matrix[[3, 0, 8]])
    assert json.loads(scores)["spearman"] == pytest.approx(stats.spearmanr(pair_scores, [0.3, 0.9, 0.1]).statistic)
    assert command(both, projection, f"--output_file={tmp_path}/again.npy").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), np.load(tmp_path / "ab.npy"))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ((), "nothing to do: give --query, --pairs, --output_file or --dim"),
        (("--weights=1,2", "--query=v0:0"), "--weights=1,2: expected 1 positive numbers, one for each of --embeddings"),
        (("--query=v0",), "'v0' is not a segment"),
        (("--query=v0:7",), "v0:7 is not in"),
        (("--dim=3",), "--dim fits a projection: give --projection or --output_file"),
        (("--query=v0:0", "--projection=none.npz"), "none.npz is no projection that yt8m-similar wrote"),
    ],
)
def test_the_command_refuses(paths, arguments, sentence):
    result = command(f"--embeddings={paths[0]}", *arguments)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert result.stderr.startswith("similar.py: error: ") and sentence in result.stderr
