"""The command as a user types it."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from tests.helpers import ROOT
from tests.helpers.embeddings import concatenated
from yt8m.similarity.cosine import cosines


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
    matrix = concatenated(vectors, (1, 2))
    expected = cosines(matrix, matrix[14:15])
    order = np.argsort(-expected)[1:4]
    assert list(csv.reader(listed)) == [["id", "cosine"]] + [
        [f"v{r // 2}:{r % 2 * 5}", f"{expected[r]:.6f}"] for r in order
    ]
    pair_scores = cosines(matrix[[0, 4, 7]], matrix[[3, 0, 8]])
    assert json.loads(scores)["spearman"] == pytest.approx(stats.spearmanr(pair_scores, [0.3, 0.9, 0.1]).statistic)
    assert command(both, projection, f"--output_file={tmp_path}/again.npy").returncode == 0
    np.testing.assert_array_equal(np.load(tmp_path / "again.npy"), np.load(tmp_path / "ab.npy"))


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        ((), "nothing to do: give --query, --queries, --text, --pairs, --output_file"),
        (("--weights=1,2", "--query=v0:0"), "--weights=1,2: expected 1 positive numbers, one for each of --embeddings"),
        (("--query=v0",), "'v0' is not a segment"),
        (("--query=v0:7",), "v0:7 is not in"),
        (("--dim=3",), "--dim fits a projection: give --projection or --output_file"),
        (("--queries={}",), "ids.txt, line 2: 'v0' is not a segment"),
        (("--queries={}.absent",), "ids.txt.absent: v9:5555 is not in"),
        (("--search", "--pairs=p.csv"), "--search finds --weights for two --embeddings or more, by --pairs"),
        (("--search",), "--search finds --weights for two --embeddings or more, by --pairs"),
        (("--query=v0:0", "--projection=none.npz"), "none.npz is no projection that yt8m-similar wrote"),
    ],
)
def test_the_command_refuses(paths, arguments, sentence):
    ids = paths[0].parent / "ids.txt"
    ids.write_text("v7:0\nv0\n")
    ids.with_name("ids.txt.absent").write_text("v7:0\nv9:5555\n")
    result = command(f"--embeddings={paths[0]}", *(argument.format(ids) for argument in arguments))
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert result.stderr.startswith("similar.py: error: ") and sentence in result.stderr


def test_many_queries_are_one_table(paths, vectors, tmp_path):
    (tmp_path / "ids.txt").write_text("v7:0\n\nv3:5\n")
    result = command(f"--embeddings={paths[0]}", f"--queries={tmp_path}/ids.txt", "--top_k=2")
    header, *listed = csv.reader(result.stdout.splitlines())
    assert header == ["query", "rank", "id", "cosine"]
    expected = []
    for name, row in (("v7:0", 14), ("v3:5", 7)):
        similar = cosines(vectors[0], vectors[0][row : row + 1])
        order = [other for other in np.argsort(-similar) if other != row][:2]
        expected += [
            [name, str(rank), f"v{r // 2}:{r % 2 * 5}", f"{similar[r]:.6f}"] for rank, r in enumerate(order, start=1)
        ]
    assert listed == expected


def test_weights_are_searched_then_used(paths, vectors, tmp_path):
    similar = cosines(vectors[0][:40], vectors[0][1:41])
    rows = [f"v{r // 2}:{r % 2 * 5},v{(r + 1) // 2}:{(r + 1) % 2 * 5},{similar[r]}\n" for r in range(40)]
    (tmp_path / "p.csv").write_text("".join(rows))
    both = f"--embeddings={paths[0]},{paths[1]}"
    result = command(both, "--search", f"--pairs={tmp_path}/p.csv")
    assert result.returncode == 0, result.stderr
    found, scored = map(json.loads, result.stdout.splitlines())
    assert found["weights"][0] == 1 and found["weights"][1] < 0.1 and found["spearman_equal"] < 0.9
    assert found["spearman"] == scored["spearman"] > 0.99 and found["gain"] > found["gain_error"]
