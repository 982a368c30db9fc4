"""Annotated pairs of segments or videos, and the rank correlation of their scores with cosine similarity."""

import os
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from yt8m.similarity.cosine import cosines
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.tables import is_number, read_rows
from yt8m.text import counted
from yt8m.types import DataWarning, InputError, id_problem


class Pairs(NamedTuple):
    """Pairs of ids, as text, with a score each: first and second, N each; scores (N,) float64, in any unit.

    path: of the file that they are from, "" for none.
    """

    first: Sequence[str]
    second: Sequence[str]
    scores: np.ndarray
    path: str = ""

    def error(self, reason: Exception) -> InputError:
        """The InputError that names the file, too."""
        return InputError(f"{self.path}: {reason}" if self.path else str(reason))


def read_pairs(path: str | os.PathLike) -> Pairs:
    """The Pairs of a CSV ``id_a,id_b,score``.

    A first line whose third field is no number is a header. A pair that is there several times, as of several
    annotators, is so many pairs; those of one row with itself, whose cosine is 1 whatever was learned, are left out,
    which a DataWarning counts. Raises InputError naming the file and line of a fault.
    """
    rows, alone = [], []
    for number, row in enumerate(read_rows(path)):
        row.expect("id_a,id_b,score", 3)
        if number == 0 and not is_number(row.fields[2]):
            continue
        for text in row.fields[:2]:
            if problem := id_problem(text):
                raise InputError(f"{row.where}: the id {text[:40]!r} {problem}")
        score = row.number(2, "score")
        if row.fields[0] == row.fields[1]:
            alone.append(row)
        else:
            rows.append((*row.fields[:2], score))
    if alone:
        text = f"{alone[0].where}: {alone[0].fields[0]} is paired with itself"
        warnings.warn(f"{text}; {counted(len(alone), 'such pair')} left out", DataWarning, stacklevel=2)
    if not rows:
        raise InputError(f"{path} holds no pairs")
    first, second, scores = zip(*rows)
    return Pairs(first, second, np.array(scores), os.fspath(path))


def score_pairs(embeddings: EmbeddingSet, pairs: Pairs) -> dict[str, float | int]:
    """Dict of spearman, the rank correlation of the cosines of ``pairs`` with their scores, and num_pairs.

    Raises InputError where a row is missing, or where all cosines or all scores are equal.
    """
    similar = cosines(*pair_vectors(embeddings, pairs))
    try:
        return {"spearman": spearman(similar, pairs.scores), "num_pairs": len(pairs.scores)}
    except InputError as error:
        raise pairs.error(error) from None


def pair_vectors(embeddings: EmbeddingSet, pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(N, dim) float32 vectors of the first and of the second of ``pairs``; InputError where a row is missing."""
    try:
        first, second = ([embeddings.parse_key(text) for text in part] for part in (pairs.first, pairs.second))
        keys = list(dict.fromkeys(first + second))
        vectors, place = embeddings.find(keys), {key: number for number, key in enumerate(keys)}
    except InputError as error:
        raise pairs.error(error) from None
    return vectors[[place[key] for key in first]], vectors[[place[key] for key in second]]


def spearman(one: ArrayLike, other: ArrayLike) -> float:
    """Spearman's rank correlation of two (N,) arrays, ties at their average rank; InputError where one is constant."""
    from scipy.stats import spearmanr

    if not (np.ptp(one) and np.ptp(other)):
        raise InputError("a rank correlation needs scores that differ, and these are all equal")
    return float(spearmanr(one, other).statistic)
