"""Exact nearest neighbours by cosine similarity, in memory that does not grow with the rows."""

import numpy as np

from yt8m.similarity.cosine import cosines, unit_rows
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.types import Segment

_MARGIN = 1e-4
"""More than float32 products of unit vectors are off by."""


def nearest(embeddings: EmbeddingSet, query: Segment | str, *, top_k: int) -> list[tuple[Segment | str, float]]:
    """The ``top_k`` rows whose cosine with the row ``query`` is highest: (key, cosine) each, best first.

    query: a key of the rows, which is left out itself. Rows are picked by float32 products and scored in float64; ties
    go to the smaller key. Memory is that of a block. Raises InputError where ``query`` is not there.
    """
    (wanted,) = embeddings.find([query])
    direction = unit_rows(wanted[None])[0]
    best = []
    for rows in embeddings.blocks():
        rough = unit_rows(rows.vectors) @ direction
        floor = best[-1][1] - _MARGIN if len(best) == top_k else -np.inf
        # One more than asked for, because the query may be among them.
        if len(rough) > top_k + 1:
            floor = max(floor, np.partition(rough, -top_k - 1)[-top_k - 1] - _MARGIN)
        places = np.flatnonzero(rough >= floor)
        scores = cosines(rows.vectors[places], wanted[None])
        keys = rows.keys
        best += [(keys[place], score) for place, score in zip(places, scores.tolist()) if keys[place] != query]
        best = sorted(best, key=lambda entry: (-entry[1], entry[0]))[:top_k]
    return best
