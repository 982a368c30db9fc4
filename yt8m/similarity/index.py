"""Approximate nearest neighbours among millions of embeddings: an inverted file of FAISS (Johnson et al. 2019).

An index is a folder: ``cells.faiss``, the rows, each divided by its norm and rounded to a byte a number, in cells
around centres that k-means found; ``keys.npy``, what each row is; ``index.json``, SHA-256 digests of both, and of the
embeddings that they are of. All are compared before FAISS, which trusts what it reads, sees a byte. A search looks at
the rows of the ``probes`` cells nearest to the query, and scores the best of them exactly, from the embeddings.
"""

import json
import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.runtime.arrays import map_npy
from yt8m.runtime.files import atomic_folder, check_writable, file_digest, read_json, write_text
from yt8m.runtime.progress import Progress
from yt8m.similarity.cosine import cosines, unit_rows
from yt8m.similarity.embedding_files import ids_path
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.similarity.nearest import without
from yt8m.types import InputError, Segment, StrPath

_CELLS, _KEYS, _JSON = "cells.faiss", "keys.npy", "index.json"
_WHAT = "an index of neighbours"
_ROWS_A_CELL = 39
"""Rows from which FAISS takes k-means for well founded, a centre."""

_SAMPLE_ROWS_A_CELL = 64
_RESCORED = 4, 64
"""Rows that are scored exactly: so many times those that are wanted, and so many at least."""


def import_faiss() -> Any:
    """The package FAISS; InputError where it is not installed."""
    try:
        import faiss
    except ImportError:
        raise InputError("an index of neighbours needs FAISS: pip install 'yt8m[neighbours]'") from None
    return faiss


def write_index(embeddings: EmbeddingSet, path: StrPath, *, cells: int | None = None) -> int:
    """Writes the index of one .npy file of embeddings to the folder ``path``; returns the number of its cells.

    cells: None for 4 sqrt(rows), as FAISS advises, and no more than have 39 rows each. Memory is a byte for each number
    of the embeddings, and a sample of 64 rows a cell. An index that is there is replaced. Raises InputError for other
    than one .npy file, and where ``path`` is a folder of something else.
    """
    check_index_path(path)
    faiss, file = import_faiss(), _matrix_file(embeddings)
    of_embeddings = _embedding_digests(file)
    most = max(1, file.num_rows // _ROWS_A_CELL)
    cells = min(most, cells or max(1, round(4 * file.num_rows**0.5)))
    index = faiss.index_factory(file.size, f"IVF{cells},SQ8", faiss.METRIC_INNER_PRODUCT)
    with Progress("finding cells", unit="rows") as progress:
        wanted = min(file.num_rows, cells * _SAMPLE_ROWS_A_CELL)
        sample = np.linspace(0, file.num_rows - 1, max(1, wanted)).astype(np.int64)
        index.train(unit_rows(map_npy(file.path)[sample]))
        progress.complete()
    keys = []
    with Progress("indexing", total=file.num_rows, unit="rows") as progress:
        for rows in embeddings.blocks():
            index.add(unit_rows(rows.vectors))
            keys += [str(key).encode() for key in rows.keys]
            progress.update(len(rows.ids))
    with atomic_folder(path) as folder:
        faiss.write_index(index, os.path.join(folder, _CELLS))
        np.save(os.path.join(folder, _KEYS), np.array(keys, np.bytes_))
        of_index = {name: file_digest(os.path.join(folder, name)) for name in (_CELLS, _KEYS)}
        write_text(os.path.join(folder, _JSON), json.dumps({"index": of_index, "embeddings": of_embeddings}) + "\n")
    return cells


def check_index_path(path: StrPath) -> None:
    """Raises InputError where an index cannot be written to ``path``, or would replace what is none."""
    path = os.fspath(path)
    if not os.path.isdir(path):
        check_writable(path)
    elif not os.path.exists(os.path.join(path, _JSON)) and os.listdir(path):
        raise InputError(f"{path} is a folder of something else than an index: name another one")


class NeighbourIndex:
    """The index in a folder, of the same embeddings. probes: cells that a search looks at.

    Raises InputError where the folder is no index, a damaged one, or of other embeddings.
    """

    def __init__(self, path: StrPath, embeddings: EmbeddingSet, *, probes: int):
        self._faiss, self._file = import_faiss(), _matrix_file(embeddings)
        self._embeddings = embeddings
        path = os.fspath(path)
        _check_digests(path, self._file)
        try:
            self._index = self._faiss.read_index(os.path.join(path, _CELLS))
        except RuntimeError as error:
            raise InputError(f"{path} has no index that FAISS can read: {str(error).splitlines()[-1]}") from error
        self._index.nprobe = min(probes, self._index.nlist)
        self._keys = map_npy(os.path.join(path, _KEYS))

    @property
    def num_cells(self) -> int:
        """Cells in all."""
        return int(self._index.nlist)

    def nearest_to(self, vectors: np.ndarray, *, top_k: int) -> list[list[tuple[Segment | str, float]]]:
        """What yt8m.similarity.nearest.nearest_to gives, of the rows that the index finds."""
        found = []
        for vector, rows in zip(vectors, self._candidates(vectors, top_k)):
            scores = cosines(self._vectors(rows), vector[None]).tolist()
            keys = [self._embeddings.parse_key(key.decode()) for key in self._keys[rows].tolist()]
            found.append(sorted(zip(keys, scores), key=lambda entry: (-entry[1], entry[0]))[:top_k])
        return found

    def nearest(self, queries: Sequence[Segment | str], *, top_k: int) -> list[list[tuple[Segment | str, float]]]:
        """The same of the rows ``queries``, each left out itself. Raises InputError where one is not there."""
        found = self.nearest_to(self._find(queries), top_k=top_k + 1)
        return [without(query, entries, top_k=top_k) for query, entries in zip(queries, found)]

    def rows_near(self, vectors: np.ndarray, *, top_k: int) -> list[np.ndarray]:
        """For each of ``vectors``, (n, E), the numbers of the best ``top_k`` rows that the index finds, best first."""
        found = []
        for vector, rows in zip(vectors, self._candidates(vectors, top_k)):
            rows = np.sort(rows)
            found.append(rows[np.argsort(-cosines(self._vectors(rows), vector[None]), kind="stable")[:top_k]])
        return found

    def _find(self, keys):
        """(n, E) float32, the vectors of rows by key."""
        names = [str(key).encode() for key in keys]
        rows = np.flatnonzero(np.isin(self._keys, names))
        # The first of equals, as in exact search.
        row_of = dict(zip(self._keys[rows[::-1]].tolist(), rows[::-1].tolist()))
        for key, name in zip(keys, names):
            if name not in row_of:
                raise InputError(f"{key} is not in {self._file.path}")
        return self._vectors([row_of[name] for name in names])

    def _vectors(self, rows):
        """Vectors of rows by number, as exact search has them."""
        return self._embeddings.projection([map_npy(self._file.path)[rows]])

    def _candidates(self, vectors, top_k):
        """List of the numbers of the rows to score, for each of ``vectors``."""
        times, least = _RESCORED
        _, found = self._index.search(unit_rows(vectors), min(self._file.num_rows, max(least, times * top_k)))
        return [rows[rows >= 0] for rows in found]


def recall(embeddings: EmbeddingSet, index: NeighbourIndex, *, top_k: int, queries: int, seed: int) -> dict[str, Any]:
    """What an index finds of the exact nearest: dict of recall, queries, top_k, and milliseconds a query of both ways.

    recall: share of the ``top_k`` nearest rows of each query that the index finds, over as many rows as ``queries``,
    drawn by ``seed``, each found among its own. The exact search takes all queries in one pass over the rows.
    """
    file = _matrix_file(embeddings)
    drawn = np.sort(np.random.default_rng(seed).choice(file.num_rows, min(queries, file.num_rows), replace=False))
    vectors = np.array(map_npy(file.path)[drawn])
    start = time.perf_counter()
    exact = _exact_rows(embeddings, vectors, top_k)
    between = time.perf_counter()
    found = index.rows_near(vectors, top_k=top_k)
    end = time.perf_counter()
    hits = sum(len(np.intersect1d(one, other)) for one, other in zip(exact, found))
    return {
        "recall": hits / sum(map(len, exact)),
        "queries": len(drawn),
        "top_k": top_k,
        "exact_ms": 1000 * (between - start) / len(drawn),
        "index_ms": 1000 * (end - between) / len(drawn),
    }


def _exact_rows(embeddings, vectors, top_k):
    """(n, top_k) int, the numbers of the nearest rows of each of ``vectors``, by float32 products."""
    directions = unit_rows(vectors)
    best, rows_of_best, first = np.empty((len(vectors), 0), np.float32), np.empty((len(vectors), 0), np.int64), 0
    for rows in embeddings.blocks():
        scores = directions @ unit_rows(rows.vectors).T
        numbers = np.broadcast_to(np.arange(first, first + len(rows.ids)), scores.shape)
        best, rows_of_best = np.hstack([best, scores]), np.hstack([rows_of_best, numbers])
        order = np.argsort(-best, axis=1, kind="stable")[:, :top_k]
        best, rows_of_best = (np.take_along_axis(values, order, axis=1) for values in (best, rows_of_best))
        first += len(rows.ids)
    return rows_of_best


def _matrix_file(embeddings):
    (file, *others) = embeddings.files
    if others or not file.path.endswith(".npy") or embeddings.projection.components is not None:
        raise InputError(
            "an index is of one .npy file as it is: write the joint vectors first, with --output_file=FILE.npy"
        )
    return file


def _check_digests(path, file):
    """Raises InputError where the index in the folder ``path`` is damaged, or of other embeddings than ``file``."""
    known = read_json(os.path.join(path, _JSON), what=_WHAT, fields={"index": dict, "embeddings": dict})
    try:
        there = {name: file_digest(os.path.join(path, name)) for name in (_CELLS, _KEYS)}
        of_embeddings = _embedding_digests(file)
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}") from error
    if known["index"] != there:
        damaged = next((name for name in there if known["index"].get(name) != there[name]), _JSON)
        raise InputError(f"{path} is damaged, its {damaged}: make the index anew")
    if known["embeddings"] != of_embeddings:
        raise InputError(f"{path} is the index of other embeddings than {file.path}: make it anew")


def _embedding_digests(file):
    return {"vectors": file_digest(file.path), "ids": file_digest(ids_path(file.path))}
