"""How alike segments or videos are: cosines of their embeddings, several models' embeddings as one, nearest rows.

Vectors are L2-normalised and multiplied by their model's weight, then those of all models stand side by side. A
truncated SVD, fitted on many rows, makes that shorter (the recipe that multimodal video similarity challenges were won
with). It is read off the Gram matrix of the columns, so that memory does not grow with the rows.
"""

import csv
import dataclasses
import itertools
import math

import numpy as np

from yt8m.runtime.files import atomic_path
from yt8m.types import InputError, Segment

_MARGIN = 1e-4
"""More than float32 products of unit vectors are off by."""


def unit_rows(vectors):
    """(n, E) float32: each row divided by its L2 norm; rows of zeros stay so."""
    norms = np.linalg.norm(vectors.astype(np.float32, copy=False), axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def cosines(left, right):
    """(n,) float64: the cosine of each row of ``left`` (n, E) and the same row of ``right``, or its only one.

    0 where either is all zeros. Rows that are equal get equal values, wherever they stand.
    """
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    norms = np.sqrt((left * left).sum(axis=1) * (right * right).sum(axis=1))
    return (left * right).sum(axis=1) / np.where(norms > 0, norms, 1)


def spearman(one, other):
    """Spearman's rank correlation of two (N,) arrays, ties given their average rank; InputError where one is constant."""
    one, other = (ranks - ranks.mean() for ranks in map(average_ranks, (one, other)))
    norms = math.sqrt((one @ one) * (other @ other))
    if not norms:
        raise InputError("a rank correlation needs scores that differ, and these are all equal")
    return float(one @ other / norms)


def average_ranks(values):
    """(N,) float64: the rank of each value from 1, ties the mean of theirs."""
    _, inverse, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


@dataclasses.dataclass(frozen=True)
class Fusion:
    """How rows of several files become one vector each.

    weights: one a file; sizes: their E, checked where they are joined; components: (sum of sizes, dim) float32,
    orthonormal columns to project to, None for none; shares: (dim,), the part of the sum of squares each holds.
    """

    weights: tuple
    sizes: tuple
    components: np.ndarray | None = None
    shares: np.ndarray | None = None

    def __call__(self, blocks):
        """blocks: a matrix (n, E) for each file -> (n, dim or sum of sizes) float32."""
        joined = [np.float32(weight) * unit_rows(block) for weight, block in zip(self.weights, blocks, strict=True)]
        joined = np.concatenate(joined, axis=1)
        return joined if self.components is None else joined @ self.components

    def save(self, path):
        """Writes what read_fusion reads, an .npz file, atomically."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            arrays = {"components": self.components, "shares": self.shares}
            np.savez(file, weights=np.array(self.weights), sizes=np.array(self.sizes), **arrays)


def read_fusion(path):
    """The Fusion that ``save`` wrote. Raises InputError where ``path`` holds none."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            weights, sizes = (tuple(arrays[name].tolist()) for name in ("weights", "sizes"))
            return Fusion(weights, sizes, arrays["components"], arrays["shares"])
    except Exception as error:
        raise InputError(f"{path} is no projection that yt8m-similar wrote: {error}") from error


class EmbeddingSet:
    """The same rows in one or several files, each as one vector.

    files: list of EmbeddingFile. fusion: Fusion. Raises InputError where the two do not fit.
    """

    def __init__(self, files, fusion):
        self.files = files
        self.fusion = fusion
        if len({file.segments for file in files}) > 1:
            kinds = ", ".join(f"{file.path} holds {'segments' if file.segments else 'videos'}" for file in files)
            raise InputError(f"the files are of different things: {kinds}")
        sizes = tuple(file.size for file in files)
        if sizes != fusion.sizes:
            raise InputError(f"the files have vectors of {_listed(sizes)}, and the projection is for {_listed(fusion.sizes)}")

    def aligned(self):
        """Yields (Rows without vectors, list of matrices), a block at a time. InputError where the files' rows differ."""
        for blocks in itertools.zip_longest(*(file.blocks() for file in self.files)):
            first = blocks[0]
            for file, rows in zip(self.files[1:], blocks[1:]):
                if first is None or rows is None or first.ids != rows.ids or not _same(first.starts, rows.starts):
                    self._explain(file, first, rows)
            yield first._replace(vectors=None), [rows.vectors for rows in blocks]

    def blocks(self):
        """Yields Rows of fused vectors."""
        for rows, matrices in self.aligned():
            yield rows._replace(vectors=self.fusion(matrices))

    def find(self, keys):
        """(len(keys), dim) float32 vectors. Raises InputError naming the first of ``keys`` that is not there."""
        found = {}
        wanted = set(keys)
        for rows in self.blocks():
            for place, key in enumerate(rows.keys):
                if key in wanted and key not in found:
                    found[key] = rows.vectors[place]
        for key in keys:
            if key not in found:
                raise InputError(f"{key} is not in {self.files[0].path}")
        return np.stack([found[key] for key in keys])

    def parse_key(self, text):
        """The key of a row that ``text`` names: "id:start" for segments, an id for videos."""
        return Segment.parse(text) if self.files[0].segments else text

    def _explain(self, file, first, rows):
        """Raises InputError that says which row one of two files lacks, or that their orders differ."""
        one, other = (iter(()) if block is None else iter(block.keys) for block in (first, rows))
        while (here := next(one, None)) == (there := next(other, None)):
            pass
        for key, holder, lacking in ((here, self.files[0], file), (there, file, self.files[0])):
            if key is not None and key not in lacking.keys():
                raise InputError(f"{key} is in {holder.path} and not in {lacking.path}: all files must hold the same rows")
        raise InputError(f"{file.path} holds {there} where {self.files[0].path} holds {here}: their orders must be the same")


def fit_fusion(files, weights, *, dim, progress=None):
    """The Fusion to the ``dim`` directions in which the weighted rows of all ``files`` are longest: truncated SVD.

    Nothing is centred, as usual for truncated SVD. Memory: a few float64 matrices of (sum of sizes)^2. progress: a
    Progress that is told of rows. Raises InputError where there are fewer columns or rows than ``dim``.
    """
    plain = EmbeddingSet(files, Fusion(tuple(weights), tuple(file.size for file in files)))
    total, num_rows = sum(plain.fusion.sizes), files[0].num_rows
    if dim > min(total, num_rows):
        raise InputError(f"{dim} dimensions cannot be made of {num_rows} rows of {total}: choose at most {min(total, num_rows)}")
    gram = np.zeros((total, total))
    for rows in plain.blocks():
        gram += rows.vectors.T @ rows.vectors
        if progress is not None:
            progress.update(len(rows.ids))
    values, vectors = np.linalg.eigh(gram)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1][:, :dim]
    # A direction and its opposite are as good; this choice makes the result the same everywhere.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(dim)])
    shares = values[:dim] / max(values.sum(), np.finfo(float).tiny)
    return dataclasses.replace(plain.fusion, components=vectors.astype(np.float32), shares=shares)


def nearest(embeddings, query, *, top_k):
    """The ``top_k`` rows whose cosine with the row ``query`` is highest: list of (key, cosine), best first.

    embeddings: EmbeddingSet; query: a key of its rows, which is left out itself. Exact: rows are picked by float32
    products and scored in float64; ties go to the smaller key. Memory is that of a block.
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


def read_pairs(path):
    """(first ids, second ids, list of str each; scores (N,) float64) of a CSV ``id_a,id_b,score``.

    A first line whose third field is no number is a header. Raises InputError naming file and line of what is malformed.
    """
    ones, others, scores = [], [], []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            for fields in filter(None, reader):
                score = _number(fields[2]) if len(fields) == 3 else None
                if score is None and reader.line_num == 1 and len(fields) == 3:
                    continue
                if score is None:
                    raise InputError(f"{path}, line {reader.line_num}: expected id_a,id_b,score, not {','.join(fields)[:80]!r}")
                ones.append(fields[0])
                others.append(fields[1])
                scores.append(score)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not scores:
        raise InputError(f"{path} holds no pairs")
    return ones, others, np.array(scores)


def score_pairs(embeddings, pairs):
    """Dict of spearman, the rank correlation of the cosines of ``pairs`` with their scores, and num_pairs.

    embeddings: EmbeddingSet; pairs: as read_pairs gives them. InputError where a row is missing.
    """
    ones, others, scores = pairs
    keys = [embeddings.parse_key(text) for text in (*ones, *others)]
    found = dict(zip(dict.fromkeys(keys), embeddings.find(list(dict.fromkeys(keys)))))
    left, right = (np.stack([found[key] for key in part]) for part in (keys[: len(ones)], keys[len(ones) :]))
    return {"spearman": spearman(cosines(left, right), scores), "num_pairs": len(scores)}


def _same(one, other):
    return one is other or np.array_equal(one, other)


def _number(text):
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _listed(sizes):
    return " and ".join(map(str, sizes))
