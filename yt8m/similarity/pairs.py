"""Annotated pairs of segments or videos, and the rank correlation of their scores with cosine similarity."""

import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from yt8m.similarity.cosine import cosines
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.tables import is_number, read_rows
from yt8m.types import InputError


class Pairs(NamedTuple):
    """Pairs of ids, as text, with a score each: first and second, N each; scores (N,) float64, in any unit."""

    first: Sequence[str]
    second: Sequence[str]
    scores: np.ndarray


def read_pairs(path: str | os.PathLike) -> Pairs:
    """The Pairs of a CSV ``id_a,id_b,score``.

    A first line whose third field is no number is a header. Raises InputError naming the file and line of a fault.
    """
    rows = []
    for number, row in enumerate(read_rows(path)):
        row.expect("id_a,id_b,score", 3)
        if number or is_number(row.fields[2]):
            rows.append((row.fields[0], row.fields[1], row.number(2, "score")))
    if not rows:
        raise InputError(f"{path} holds no pairs")
    first, second, scores = zip(*rows)
    return Pairs(first, second, np.array(scores))


def score_pairs(embeddings: EmbeddingSet, pairs: Pairs) -> dict[str, float | int]:
    """Dict of spearman, the rank correlation of the cosines of ``pairs`` with their scores, and num_pairs.

    Raises InputError where a row is missing, or where all cosines or all scores are equal.
    """
    return {
        "spearman": spearman(cosines(*pair_vectors(embeddings, pairs)), pairs.scores),
        "num_pairs": len(pairs.scores),
    }


def pair_vectors(embeddings: EmbeddingSet, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(N, dim) float32 vectors of the first and of the second of ``pairs``; InputError where a row is missing."""
    first, second = ([embeddings.parse_key(text) for text in part] for part in (pairs.first, pairs.second))
    keys = list(dict.fromkeys(first + second))
    vectors, place = embeddings.find(keys), {key: number for number, key in enumerate(keys)}
    return vectors[[place[key] for key in first]], vectors[[place[key] for key in second]]


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation of two (N,) arrays, ties at their average rank; InputError where one is constant."""
    from scipy.stats import spearmanr

    if not (np.ptp(one) and np.ptp(other)):
        raise InputError("a rank correlation needs scores that differ, and these are all equal")
    return float(spearmanr(one, other).statistic)
