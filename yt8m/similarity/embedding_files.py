"""Files of embeddings: a vector for each segment or video, written and read a block at a time.

``NAME.npy`` is a float32 matrix (N, E), and ``NAME.ids.csv`` beside it says what its rows are: header ``id,start_time``
for segments, ``id`` for videos, then a line for each row. ``NAME.parquet`` has the columns ``id`` (string),
``start_time`` (int32, for segments) and ``vector`` (list of E float32).
"""

import contextlib
import csv
import itertools
import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from yt8m.runtime.arrays import map_npy
from yt8m.runtime.files import atomic_path
from yt8m.runtime.parquet import check_no_nulls, import_pyarrow, open_parquet, parquet_errors, parquet_writer
from yt8m.tables import Row, read_columns, read_rows
from yt8m.types import InputError, Segment

BLOCK_ROWS = 4096
_MAX_START = 2**31 - 1


class Rows(NamedTuple):
    """Some rows of a file: ids, list of n str; starts (n,) int32 seconds, None for videos; vectors (n, E) float32."""

    ids: list[str]
    starts: Any
    vectors: Any

    @property
    def keys(self) -> list[Any]:
        """Keys of the rows: list of Segment, or of str for videos. In their order ties are broken."""
        return self.ids if self.starts is None else list(map(Segment, self.ids, self.starts.tolist()))

    def same_keys(self, other: "Rows") -> bool:
        """Whether both are of the same segments or videos, in the same order."""
        return self.ids == other.ids and (self.starts is other.starts or np.array_equal(self.starts, other.starts))

    def cut(self, first: int, end: int) -> "Rows":
        """The rows ``first`` to ``end`` - 1."""
        starts = None if self.starts is None else self.starts[first:end]
        return Rows(self.ids[first:end], starts, self.vectors[first:end])


class EmbeddingWriter:
    """Context manager that writes rows as they come; the file is there, whole, when the block ends well.

    path: ``.npy`` or ``.parquet``, anything else is an InputError. segments: whether rows are segments, else videos.
    num_rows, size: written so far, and E (None before the first rows).
    """

    def __init__(self, path: str | os.PathLike, *, segments: bool):
        self.path = os.fspath(path)
        self.num_rows = 0
        self.size = None
        self._segments = segments
        self._is_parquet = form_of(path) == "parquet"
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            self._temporary = stack.enter_context(atomic_path(self.path))
            if not self._is_parquet:
                self._vectors = stack.enter_context(open(self._temporary, "wb"))
                ids = stack.enter_context(atomic_path(ids_path(self.path)))
                self._ids = csv.writer(
                    stack.enter_context(open(ids, "w", encoding="utf-8", newline="")), lineterminator="\n"
                )
                self._ids.writerow(_columns(self._segments))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        if exception[0] is None and self.size is None:
            with self._stack:
                raise InputError(f"there is nothing to write to {self.path}: no rows came")
        if exception[0] is None and not self._is_parquet:
            # NumPy leaves room for the number of rows in the header.
            self._vectors.seek(0)
            self._write_header()
        return self._stack.__exit__(*exception)

    def write(self, rows: Rows) -> None:
        """Appends Rows."""
        if not len(rows.vectors):
            return
        if self.size is None:
            self.size = rows.vectors.shape[1]
            self._start()
        vectors = np.ascontiguousarray(rows.vectors, "<f4")
        if self._is_parquet:
            self._write_parquet(rows, vectors)
        else:
            self._vectors.write(vectors.data)
            self._ids.writerows(zip(rows.ids) if rows.starts is None else zip(rows.ids, rows.starts.tolist()))
        self.num_rows += len(vectors)

    def _start(self):
        if not self._is_parquet:
            self._write_header()
            return
        pyarrow, _ = import_pyarrow()
        types = {"id": pyarrow.string(), "start_time": pyarrow.int32()}
        vector = ("vector", pyarrow.list_(pyarrow.float32(), self.size))
        self._schema = pyarrow.schema([*((name, types[name]) for name in _columns(self._segments)), vector])
        self._file = self._stack.enter_context(parquet_writer(self._temporary, self._schema))

    def _write_header(self):
        header = {"descr": "<f4", "fortran_order": False, "shape": (self.num_rows, self.size)}
        np.lib.format.write_array_header_1_0(self._vectors, header)

    def _write_parquet(self, rows, vectors):
        pyarrow, _ = import_pyarrow()
        flat = pyarrow.array(vectors.reshape(-1))
        columns = [pyarrow.array(rows.ids, pyarrow.string())]
        columns += [pyarrow.array(rows.starts.astype(np.int32))] if self._segments else []
        columns.append(pyarrow.FixedSizeListArray.from_arrays(flat, self.size))
        self._file.write_table(pyarrow.Table.from_arrays(columns, schema=self._schema), row_group_size=BLOCK_ROWS)


class EmbeddingFile:
    """A file of embeddings, to be read in blocks; memory is that of a block.

    Attributes: path; size, E; num_rows; segments, whether its rows are segments. Raises InputError where the file is
    missing or not as the module describes.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = os.fspath(path)
        self._is_parquet = form_of(path) == "parquet"
        with self._reading():
            if self._is_parquet:
                self._open_parquet()
            else:
                self._open_matrix()

    def blocks(self) -> Iterator[Rows]:
        """Yields all Rows in order, BLOCK_ROWS at a time, the last ones fewer."""
        pieces = self._parquet_pieces() if self._is_parquet else self._matrix_pieces()
        held, count = [], 0
        with self._reading():
            for rows in pieces:
                if not (finite := np.isfinite(rows.vectors).all(axis=1)).all():
                    key = rows.keys[int(np.argmin(finite))]
                    raise InputError(f"{self.path}: the vector of {key} has a value that is not finite")
                held.append(rows)
                count += len(rows.ids)
                while count >= BLOCK_ROWS:
                    joined = _joined(held)
                    yield joined.cut(0, BLOCK_ROWS)
                    held, count = [joined.cut(BLOCK_ROWS, count)], count - BLOCK_ROWS
        if count:
            yield _joined(held)

    def keys(self) -> Iterator[Segment | str]:
        """Yields the key of each row, see Rows.keys, without reading vectors where the file is a matrix."""
        if self._is_parquet:
            for rows in self.blocks():
                yield from rows.keys
        else:
            with self._reading():
                for ids, starts in self._read_ids():
                    yield from Rows(ids, starts, None).keys

    def _open_matrix(self):
        matrix = map_npy(self.path)
        if matrix.ndim != 2 or matrix.dtype != np.float32:
            raise InputError(f"{self.path} holds {matrix.dtype} of shape {matrix.shape}, not a float32 matrix")
        self.num_rows, self.size = matrix.shape
        header = next(read_rows(ids_path(self.path)), Row(self.path, 1, [])).fields
        if header not in (_columns(True), _columns(False)):
            raise InputError(f"{ids_path(self.path)}, line 1: expected id,start_time or id, not {','.join(header)!r}")
        self.segments = len(header) == 2

    def _open_parquet(self):
        with open_parquet(self.path, {"id": "text", "vector": "lists of numbers"}) as file:
            schema, self.num_rows = file.schema_arrow, file.metadata.num_rows
        if not import_pyarrow()[0].types.is_fixed_size_list(schema.field("vector").type):
            raise InputError(
                f"{self.path}, column vector is of type {schema.field('vector').type}, no list of fixed size"
            )
        self.size = schema.field("vector").type.list_size
        self.segments = "start_time" in schema.names

    def _matrix_pieces(self):
        first = 0
        for ids, starts in self._read_ids():
            # Mapped anew for each block, so that pages that were read are given back.
            matrix = map_npy(self.path)
            vectors = np.array(matrix[first : first + len(ids)])
            if len(vectors) < len(ids):
                break
            yield Rows(ids, starts, vectors)
            first += len(ids)
        else:
            if first == self.num_rows:
                return
        raise InputError(f"{self.path} has {self.num_rows} rows, and {ids_path(self.path)} another number of ids")

    def _read_ids(self):
        """Yields (ids, starts), BLOCK_ROWS at a time."""
        rows = read_columns(ids_path(self.path), _columns(self.segments), what="ids")
        while block := list(itertools.islice(rows, BLOCK_ROWS)):
            starts = [row.number(1, "start_time", low=0, high=_MAX_START) for row in block] if self.segments else None
            yield [row.fields[0] for row in block], np.array(starts, np.int32) if self.segments else None

    def _parquet_pieces(self):
        kinds = {"start_time": "whole numbers"} if self.segments else {}
        count = 0
        with parquet_errors(self.path), open_parquet(self.path, kinds) as file:
            for batch in file.iter_batches(BLOCK_ROWS, columns=[*_columns(self.segments), "vector"]):
                check_no_nulls(batch, self.path)
                vectors = batch["vector"].flatten().to_numpy(zero_copy_only=False).reshape(-1, self.size)
                starts = batch["start_time"].to_numpy() if self.segments else None
                count += len(vectors)
                yield Rows(batch["id"].to_pylist(), starts, vectors.astype(np.float32, copy=False))
        if count != self.num_rows:
            raise InputError(f"{self.path} is damaged: {count:,} of {self.num_rows:,} rows can be read")

    @contextlib.contextmanager
    def _reading(self):
        try:
            yield
        except InputError:
            raise
        except (OSError, ValueError, EOFError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise InputError(f"cannot read {getattr(error, 'filename', None) or self.path}: {reason}") from error


def aligned_blocks(files: Sequence[EmbeddingFile]) -> Iterator[tuple[Rows, list[np.ndarray]]]:
    """The rows of several files side by side: yields (Rows without vectors, a matrix for each file), a block at a time.

    Raises InputError where some files hold segments and others videos, or where their rows differ, or their order.
    """
    if len({file.segments for file in files}) > 1:
        kinds = ", ".join(f"{file.path} holds {'segments' if file.segments else 'videos'}" for file in files)
        raise InputError(f"all files must hold segments, or all videos: {kinds}")
    for blocks in itertools.zip_longest(*(file.blocks() for file in files)):
        first = blocks[0]
        for file, rows in zip(files[1:], blocks[1:]):
            if first is None or rows is None or not first.same_keys(rows):
                raise InputError(_difference(files[0], first, file, rows))
        yield first._replace(vectors=None), [rows.vectors for rows in blocks]


def form_of(path: str | os.PathLike) -> str:
    """The form of a file by its suffix, "npy" or "parquet"; InputError for any other."""
    form = os.path.splitext(os.fspath(path))[1][1:]
    if form not in ("npy", "parquet"):
        raise InputError(f"{path}: embeddings are files that end in .npy or .parquet")
    if form == "parquet":
        import_pyarrow()
    return form


def ids_path(path: str | os.PathLike) -> str:
    """The file that says what the rows of the matrix at ``path`` are."""
    return f"{os.fspath(path).removesuffix('.npy')}.ids.csv"


def _difference(one, rows, other, other_rows):
    """A sentence on the row that one of two files lacks, or on their orders; blocks are None behind the end."""
    keys, other_keys = (iter(()) if block is None else iter(block.keys) for block in (rows, other_rows))
    while (here := next(keys, None)) == (there := next(other_keys, None)):
        pass
    for key, holder, lacking in ((here, one, other), (there, other, one)):
        if key is not None and key not in lacking.keys():
            return f"{key} is in {holder.path} and not in {lacking.path}: all files must hold the same rows"
    return f"{other.path} holds {there} where {one.path} holds {here}: their orders must be the same"


def _columns(segments):
    return ["id", "start_time"] if segments else ["id"]


def _joined(parts):
    if len(parts) == 1:
        return parts[0]
    ids = [video_id for rows in parts for video_id in rows.ids]
    starts = None if parts[0].starts is None else np.concatenate([rows.starts for rows in parts])
    return Rows(ids, starts, np.concatenate([rows.vectors for rows in parts]))
