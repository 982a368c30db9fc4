"""Exact nearest neighbours by cosine similarity, in memory that does not grow with the rows."""

import numpy as np

from yt8m.similarity.cosine import cosines, unit_rows
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.types import Segment

_MARGIN = 1e-4
"""More than float32 products of unit vectors are off by."""


def nearest(embeddings: EmbeddingSet, query: Segment | str, *, top_k: int) -> list[tuple[Segment | str, float]]:
    """The ``top_k`` rows nearest to the row ``query``, a key, which is left out itself; results as of nearest_to.

    Raises InputError where ``query`` is not there.
    """
    (wanted,) = embeddings.find([query])
    return [entry for entry in nearest_to(embeddings, wanted, top_k=top_k + 1) if entry[0] != query][:top_k]


def nearest_to(embeddings: EmbeddingSet, vector: np.ndarray, *, top_k: int) -> list[tuple[Segment | str, float]]:
    """The ``top_k`` rows whose cosine with ``vector``, (E,) float, is highest: (key, cosine) each, best first.

    Rows are picked by float32 products and scored in float64; ties go to the smaller key. Memory is that of a block.
    """
    direction = unit_rows(vector[None])[0]
    best: list[tuple[Segment | str, float]] = []
    for rows in embeddings.blocks():
        rough = unit_rows(rows.vectors) @ direction
        floor = best[-1][1] - _MARGIN if len(best) == top_k else -np.inf
        if len(rough) > top_k:
            floor = max(floor, np.partition(rough, -top_k)[-top_k] - _MARGIN)
        places = np.flatnonzero(rough >= floor)
        scores = cosines(rows.vectors[places], vector[None])
        keys = rows.keys
        best += [(keys[place], score) for place, score in zip(places, scores.tolist())]
        best = sorted(best, key=lambda entry: (-entry[1], entry[0]))[:top_k]
    return best
