"""Exact nearest neighbours by cosine similarity, in memory that does not grow with the rows."""

from collections.abc import Sequence

import numpy as np

from yt8m.similarity.cosine import cosines, unit_rows
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.types import Segment

_MARGIN = 1e-4
"""More than float32 products of unit vectors are off by."""


def nearest(
    embeddings: EmbeddingSet, queries: Sequence[Segment | str], *, top_k: int
) -> list[list[tuple[Segment | str, float]]]:
    """For each row of ``queries``, keys, the ``top_k`` rows nearest to it, which is left out itself; as of nearest_to.

    Raises InputError where a query is not there.
    """
    found = nearest_to(embeddings, embeddings.find(queries), top_k=top_k + 1)
    return [without(query, entries, top_k=top_k) for query, entries in zip(queries, found)]


def without(query: Segment | str, entries: list, *, top_k: int) -> list:
    """The first ``top_k`` of ``entries``, (key, cosine) each, but that of ``query`` itself."""
    return [entry for entry in entries if entry[0] != query][:top_k]


def nearest_to(embeddings: EmbeddingSet, vectors: np.ndarray, *, top_k: int) -> list[list[tuple[Segment | str, float]]]:
    """For each of ``vectors``, (n, E) float, the ``top_k`` rows whose cosine is highest: (key, cosine), best first.

    Rows are read once for all, picked by float32 products and scored in float64; ties go to the smaller key. Memory is
    that of a block and of what is found.
    """
    directions = unit_rows(vectors)
    best: list[list[tuple[Segment | str, float]]] = [[] for _ in vectors]
    for rows in embeddings.blocks():
        units, keys = unit_rows(rows.vectors), rows.keys
        for number, direction in enumerate(directions):
            kept = best[number]
            rough = units @ direction
            floor = kept[-1][1] - _MARGIN if len(kept) == top_k else -np.inf
            if len(rough) > top_k:
                floor = max(floor, np.partition(rough, -top_k)[-top_k] - _MARGIN)
            places = np.flatnonzero(rough >= floor)
            scores = cosines(rows.vectors[places], vectors[number : number + 1])
            kept += [(keys[place], score) for place, score in zip(places, scores.tolist())]
            best[number] = sorted(kept, key=lambda entry: (-entry[1], entry[0]))[:top_k]
    return best
