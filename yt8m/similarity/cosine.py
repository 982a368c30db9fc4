"""Cosine similarity of rows of vectors."""

import numpy as np
from numpy.typing import ArrayLike


def unit_rows(vectors: ArrayLike) -> np.ndarray:
    """(n, E) float32: each row divided by its L2 norm; rows of zeros stay so."""
    vectors = np.asarray(vectors, np.float32)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def cosines(left: ArrayLike, right: ArrayLike) -> np.ndarray:
    """(n,) float64: the cosine of each row of ``left`` (n, E) and the same row of ``right``, or its only one.

    0 where either is all zeros. Rows that are equal get equal values, wherever they stand.
    """
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    norms = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    return (left * right).sum(axis=1) / np.where(norms > 0, norms, 1)
