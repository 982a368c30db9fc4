"""Joint projection of several models' embeddings: L2-normalised, weighted, concatenated, reduced by a truncated SVD.

This is the recipe that multimodal video similarity challenges were won with. The SVD is read off the Gram matrix of the
columns, so that memory does not grow with the rows.
"""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.runtime.arrays import read_npz
from yt8m.runtime.files import atomic_path
from yt8m.runtime.progress import Progress
from yt8m.similarity.cosine import unit_rows
from yt8m.similarity.embedding_files import EmbeddingFile, aligned_blocks
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True)
class JointProjection:
    """A map from the rows of several files, a vector each, to one vector.

    weights: one a file; sizes: their E; components: (sum of sizes, dim) float32, orthonormal columns to project to,
    None for none; shares: (dim,), the part of the sum of squares that each holds.
    """

    weights: tuple[float, ...]
    sizes: tuple[int, ...]
    components: np.ndarray | None = None
    shares: np.ndarray | None = None

    def __call__(self, blocks: Sequence[np.ndarray]) -> np.ndarray:
        """(n, dim or sum of sizes) float32 of a matrix (n, E) for each file."""
        parts = [np.float32(weight) * unit_rows(block) for weight, block in zip(self.weights, blocks, strict=True)]
        joined: np.ndarray = np.concatenate(parts, axis=1)
        return joined if self.components is None else joined @ self.components

    def save(self, path: str | os.PathLike) -> None:
        """Writes what read_projection reads, an .npz file, atomically."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            arrays: dict[str, Any] = {"components": self.components, "shares": self.shares}
            np.savez(file, weights=np.array(self.weights), sizes=np.array(self.sizes), **arrays)


def read_projection(path: str | os.PathLike) -> JointProjection:
    """The JointProjection that ``save`` wrote. Raises InputError where ``path`` holds none."""
    try:
        weights, sizes, components, shares = (
            read_npz(path, name) for name in ("weights", "sizes", "components", "shares")
        )
        if components.shape != (sizes.sum(), len(shares)) or weights.shape != sizes.shape or sizes.dtype.kind != "i":
            raise ValueError(
                f"its arrays have the shapes {weights.shape}, {sizes.shape}, {components.shape}, {shares.shape}"
            )
        if not np.isfinite(components).all():
            raise ValueError("a value is not finite")
        return JointProjection(tuple(weights.tolist()), tuple(sizes.tolist()), components, shares)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is no projection that yt8m-similar wrote: {error}") from error


def fit_projection(
    files: Sequence[EmbeddingFile], weights: Sequence[float], *, dim: int, progress: Progress | None = None
) -> JointProjection:
    """The JointProjection to the first ``dim`` right singular vectors of the weighted rows of all ``files``.

    Nothing is centred, as usual for truncated SVD. Memory: a few float64 matrices of (sum of sizes)^2. progress: is
    told of rows. Raises InputError where there are fewer columns or rows than ``dim``, or where files differ in rows.
    """
    gram = sum_gram(files, dim=dim, progress=progress)
    return project_gram(gram, tuple(file.size for file in files), tuple(weights), dim=dim)


def sum_gram(files: Sequence[EmbeddingFile], *, dim: int, progress: Progress | None = None) -> np.ndarray:
    """Gram matrix of the columns of all ``files``, their rows L2-normalised and not weighted, (S, S) float64.

    Other arguments and errors as of fit_projection.
    """
    plain = JointProjection((1.0,) * len(files), tuple(file.size for file in files))
    total, num_rows = sum(plain.sizes), files[0].num_rows
    most = min(total, num_rows)
    if dim > most:
        raise InputError(f"{dim} dimensions cannot be made of {num_rows} rows of {total}: choose at most {most}")
    gram = np.zeros((total, total))
    for rows, matrices in aligned_blocks(files):
        joined = plain(matrices)
        gram += joined.T @ joined
        if progress is not None:
            progress.update(len(rows.ids))
    return gram


def project_gram(gram: np.ndarray, sizes: tuple[int, ...], weights: tuple[float, ...], *, dim: int) -> JointProjection:
    """What fit_projection gives for ``weights``, of what sum_gram gives."""
    columns = np.repeat(weights, sizes)
    values, vectors = np.linalg.eigh(columns[:, None] * gram * columns)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :dim]
    # A direction and its opposite are as good; this choice makes the result the same everywhere.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(dim)])
    shares = values[:dim] / max(values.sum(), np.finfo(float).tiny)
    return JointProjection(weights, sizes, vectors.astype(np.float32), shares)
