"""Nearest rows against the cosines of all rows at once."""

import numpy as np

from tests.helpers.embeddings import embedding_set, write_embeddings
from yt8m.similarity.nearest import nearest
from yt8m.types import Segment


def test_the_nearest_are_those_of_all_rows_with_ties_to_the_smaller(tmp_path):
    random = np.random.default_rng(1)
    values = random.normal(size=(70, 8)).astype(np.float32)
    values[[65, 11, 30]] = values[40] * np.float32(0.9) + values[3] * np.float32(0.1)
    ids = [f"v{9 - row % 10}" for row in range(70)]
    starts = np.arange(70, dtype=np.int32) // 10 * 5
    write_embeddings(tmp_path / "a.npy", values, ids=ids, starts=starts)
    query = Segment(ids[40], int(starts[40]))
    unit = values.astype(float) / np.linalg.norm(values.astype(float), axis=1, keepdims=True)
    scores = unit @ unit[40]
    keys = list(map(Segment, ids, starts.tolist()))
    for top_k in (1, 2, 3, 10, 69, 100):
        expected = sorted((row for row in range(70) if row != 40), key=lambda row: (-round(scores[row], 12), keys[row]))
        embeddings = embedding_set([tmp_path / "a.npy"])
        other, found = nearest(embeddings, [keys[7], query], top_k=top_k)
        assert nearest(embeddings, [query, keys[7]], top_k=top_k) == [found, other]
        assert other[0][0] == keys[np.argsort(-(unit @ unit[7]))[1]]
        assert [key for key, _ in found] == [keys[row] for row in expected[:top_k]]
        np.testing.assert_allclose([score for _, score in found], scores[expected[:top_k]], atol=1e-6)
    assert [key for key, _ in found[:3]] == [Segment("v4", 30), Segment("v8", 5), Segment("v9", 15)]
