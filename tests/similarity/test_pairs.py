"""Annotated pairs are scored by rank, and faults of their file are named."""

import numpy as np
import pytest
from scipy import stats

from tests.helpers.embeddings import embedding_set
from yt8m.similarity.cosine import cosines
from yt8m.similarity.pairs import read_pairs, score_pairs, spearman
from yt8m.types import DataWarning, InputError


def test_rank_correlation_by_hand_and_by_ranks():
    # Ranks 1 2 3 against 1 3 2: 1 - 6 * 2 / (3 * 8).
    assert spearman([0.1, 0.2, 0.9], [1, 5, 2]) == pytest.approx(0.5)
    random = np.random.default_rng(0)
    for top in (3, 1000):
        one, other = random.integers(0, top, (2, 200))
        # The rank of a value is the mean of the places that it takes.
        ranks = [
            [(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values] for values in (one, other)
        ]
        assert spearman(one, other) == pytest.approx(np.corrcoef(ranks)[0, 1], abs=1e-12)
    for constant in (([1, 2], [3, 3]), ([3, 3], [1, 2])):
        with pytest.raises(InputError, match="needs scores that differ"):
            spearman(*constant)


def test_pairs_are_scored_by_rank(paths, vectors, tmp_path):
    (tmp_path / "p.csv").write_text("id_a,id_b,score\nv0:0,v1:5,0.3\nv2:0,v0:0,0.9\nv3:5,v4:0,0.1\n")
    found = score_pairs(embedding_set(paths[:1]), read_pairs(tmp_path / "p.csv"))
    scores = cosines(vectors[0][[0, 4, 7]], vectors[0][[3, 0, 8]])
    assert found == {"spearman": pytest.approx(stats.spearmanr(scores, [0.3, 0.9, 0.1]).statistic), "num_pairs": 3}
    (tmp_path / "p.csv").write_text("v0:0,v99:5,0.3\n")
    with pytest.raises(InputError, match="p.csv: v99:5 is not in .*a.npy"):
        score_pairs(embedding_set(paths[:1]), read_pairs(tmp_path / "p.csv"))
    (tmp_path / "p.csv").write_text("v0:0,v1:5,0.3\nv0:0,v1:5\n")
    with pytest.raises(InputError, match="p.csv, line 2: expected id_a,id_b,score"):
        read_pairs(tmp_path / "p.csv")


def test_a_pair_of_one_row_alone_is_left_out_and_told(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("v0,v1,0.3\nv2,v2,0.9\nv1,v0,0.5\nv3,v3,1\n")
    with pytest.warns(DataWarning, match="p.csv, line 2: v2 is paired with itself; 2 such pairs left out"):
        found = read_pairs(path)
    # Other annotators' scores of a pair stay.
    assert list(zip(*found[:3])) == [("v0", "v1", 0.3), ("v1", "v0", 0.5)]
    path.write_text("v0,v1,0.3\nv0,a b,0.3\n")
    with pytest.raises(InputError, match="p.csv, line 2: the id 'a b' has a blank"):
        read_pairs(path)
