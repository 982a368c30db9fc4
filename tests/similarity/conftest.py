"""Two files of the same fifty segments, and blocks so small that they are read in several."""

import numpy as np
import pytest

from tests.helpers.embeddings import SIZES, write_embeddings
from yt8m.similarity import embedding_files


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
        write_embeddings(tmp_path / path, values)
    return [tmp_path / "a.npy", tmp_path / "b.parquet"]
