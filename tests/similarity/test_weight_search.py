"""The search of weights: what it finds, what it refuses to find, and that it scores what the projection will give."""

import numpy as np
import pytest

from tests.helpers.embeddings import write_embeddings
from yt8m.similarity.embedding_files import EmbeddingFile
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.similarity.pairs import Pairs, score_pairs
from yt8m.similarity.projection import fit_projection
from yt8m.similarity.weight_search import WeightedCosines, search_weights
from yt8m.types import InputError

ROWS = 400


@pytest.fixture
def world(tmp_path):
    """Function that makes three files of noisy views of a hidden vector, by their noise, and pairs scored by that."""

    def make(*noises, pairs=600, seed=0):
        rng = np.random.default_rng(seed)
        hidden = rng.normal(size=(ROWS, 5))
        files = []
        for number, noise in enumerate(noises):
            # What a model says of something else, the same for all noise.
            other = rng.normal(size=(ROWS, 6))
            path = tmp_path / f"{number}.npy"
            write_embeddings(path, np.concatenate([hidden, noise * other], axis=1).astype(np.float32))
            files.append(EmbeddingFile(path))
        first, second = rng.integers(ROWS, size=(2, pairs))
        names = [f"v{row // 2}:{row % 2 * 5}" for row in range(ROWS)]
        unit = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        scores = (unit[first] * unit[second]).sum(axis=1)
        return files, Pairs([names[row] for row in first], [names[row] for row in second], scores)

    return make


@pytest.mark.parametrize("dim", [None, 12])
def test_the_file_that_says_more_weighs_more(world, dim):
    files, pairs = world(0.3, 1.0, 3.0)
    found = search_weights(WeightedCosines(files, pairs, dim=dim), pairs, seed=0)
    assert found.weights[0] == 1 and found.weights[0] > found.weights[1] > found.weights[2]
    assert found.spearman > found.spearman_equal + 0.02
    assert found.gain == pytest.approx(found.spearman - found.spearman_equal, abs=0.03)
    # No grid of weights has more.
    similar = WeightedCosines(files, pairs, dim=dim)
    grid = [(1.0, one, other) for one in (0.1, 0.3, 0.6, 1.0) for other in (0.02, 0.1, 0.3, 1.0)]
    best = max(np.corrcoef(_ranks(similar(weights)), _ranks(pairs.scores))[0, 1] for weights in grid)
    assert found.spearman >= best - 2e-3


def _ranks(values):
    return np.argsort(np.argsort(values))


@pytest.mark.parametrize("dim", [None, 7])
def test_what_is_searched_is_what_the_projection_gives(world, dim):
    files, pairs = world(0.3, 1.0)
    similar = WeightedCosines(files, pairs, dim=dim)
    found = search_weights(similar, pairs, seed=0)
    if dim is None:
        joint = EmbeddingSet(files, similar.plain.__class__(found.weights, similar.plain.sizes))
    else:
        joint = EmbeddingSet(files, fit_projection(files, found.weights, dim=dim))
    assert score_pairs(joint, pairs)["spearman"] == pytest.approx(found.spearman, abs=1e-6)


def test_equal_weights_stay_where_nothing_is_gained_on_other_pairs(world):
    for seed in range(3):
        files, pairs = world(1.0, 1.0, 1.0, pairs=40, seed=seed)
        noise = np.random.default_rng(seed).normal(size=40)
        found = search_weights(WeightedCosines(files, pairs, dim=None), pairs._replace(scores=noise), seed=0)
        assert found.weights == (1, 1, 1) and found.spearman == found.spearman_equal
        assert found.gain <= found.gain_error


def test_too_few_pairs(world):
    files, pairs = world(1.0, 1.0, pairs=4)
    with pytest.raises(InputError, match="5 parts by their first video, and a part of these 4 pairs has no scores"):
        search_weights(WeightedCosines(files, pairs, dim=None), pairs, seed=0)
