"""Parquet files of a fixed schema, whose pages carry checksums that are verified when they are read."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yt8m.types import InputError, StrPath


def import_pyarrow() -> tuple[Any, Any]:
    """(pyarrow, pyarrow.parquet); InputError where they are not installed."""
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.parquet
    except ImportError:
        raise InputError("the parquet form needs pyarrow: pip install 'yt8m[parquet]'") from None
    return pyarrow, pyarrow.parquet


def open_parquet(path: StrPath, columns: Mapping[str, str] | None = None) -> Any:
    """The pyarrow ParquetFile of ``path``.

    columns: dict of names that it must have to the kind of each: "whole numbers", "numbers", "text" or "lists of
    numbers". Raises InputError naming file, column and type.
    """
    with parquet_errors(path):
        file = import_pyarrow()[1].ParquetFile(path, page_checksum_verification=True)
        schema = file.schema_arrow
        missing = [name for name in columns or () if name not in schema.names]
        if missing:
            has = ", ".join(schema.names) or "none"
            raise InputError(f"{path} has no column {', '.join(missing)}; it has {has}")
        for name, kind in (columns or {}).items():
            if not _is_of(schema.field(name).type, kind):
                raise InputError(f"{path}, column {name} is of type {schema.field(name).type}; it must hold {kind}")
        return file


def parquet_writer(path: StrPath, schema: Any) -> Any:
    """A pyarrow ParquetWriter whose pages carry checksums."""
    return import_pyarrow()[1].ParquetWriter(path, schema, write_page_checksum=True)


def read_groups(file: Any, path: StrPath, groups: Sequence[int], columns: Sequence[str]) -> Any:
    """The pyarrow Table of ``columns`` of row groups of an open ParquetFile.

    Raises InputError where a value is null, or where the file is damaged.
    """
    with parquet_errors(path):
        table = file.read_row_groups(list(groups), list(columns))
    # A page's header has no checksum, and with a bit of it flipped pyarrow reads no rows at all.
    if table.num_rows != (rows := sum(file.metadata.row_group(group).num_rows for group in groups)):
        raise InputError(f"{path} is damaged: {table.num_rows:,} of {rows:,} rows can be read")
    check_no_nulls(table, path)
    return table


def check_no_nulls(table: Any, path: StrPath) -> None:
    """Raises InputError naming the first column of a pyarrow Table or RecordBatch that has nulls."""
    for name, column in zip(table.schema.names, table.columns):
        if column.null_count:
            raise InputError(f"{path}, column {name} has {column.null_count:,} nulls, and none may be")


@contextlib.contextmanager
def parquet_errors(path: StrPath) -> Iterator[None]:
    """Context manager in which pyarrow's errors become InputErrors that name ``path``."""
    pyarrow, _ = import_pyarrow()
    try:
        yield
    except InputError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:300]
        raise InputError(f"cannot read {path}: {reason}") from error


def _is_of(found, kind):
    types = import_pyarrow()[0].types
    if kind == "lists of numbers":
        lists = types.is_list(found) or types.is_large_list(found) or types.is_fixed_size_list(found)
        return lists and _is_of(found.value_type, "numbers")
    if kind == "text":
        return types.is_string(found) or types.is_large_string(found)
    return types.is_integer(found) or (kind == "numbers" and types.is_floating(found))
