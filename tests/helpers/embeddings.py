"""Files of embeddings for tests, and what NumPy makes of all their rows at once."""

import os
from collections.abc import Sequence

import numpy as np

from yt8m.similarity.embedding_files import EmbeddingFile, EmbeddingWriter, Rows
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.similarity.projection import JointProjection

SIZES = (6, 4)


def write_embeddings(
    path: str | os.PathLike, values: np.ndarray, *, ids: Sequence[str] | None = None, starts: np.ndarray | None = None
) -> None:
    """A file of segments, by default v0:0, v0:5, v1:0 and so on."""
    ids = [f"v{row // 2}" for row in range(len(values))] if ids is None else ids
    starts = np.arange(len(values), dtype=np.int32) % 2 * 5 if starts is None else starts
    with EmbeddingWriter(path, segments=True) as writer:
        writer.write(Rows(ids, starts, values))


def concatenated(vectors: Sequence[np.ndarray], weights: Sequence[float]) -> np.ndarray:
    """The rows of all matrices, normalised and weighted, side by side."""
    return np.concatenate([w * v / np.linalg.norm(v, axis=1, keepdims=True) for w, v in zip(weights, vectors)], axis=1)


def embedding_set(paths: Sequence[os.PathLike], projection: JointProjection | None = None) -> EmbeddingSet:
    """The files as one set, by default with equal weights and without an SVD."""
    files = list(map(EmbeddingFile, paths))
    plain = JointProjection((1.0,) * len(files), tuple(file.size for file in files))
    return EmbeddingSet(files, projection or plain)


def all_vectors(embeddings: EmbeddingSet) -> np.ndarray:
    """All rows at once."""
    return np.concatenate([rows.vectors for rows in embeddings.blocks()])
