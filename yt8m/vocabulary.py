"""Class ids and names, as the YouTube-8M CSV files give them."""

import csv

from yt8m.types import InputError, StrPath


def read_segment_class_ids(path: StrPath, *, num_classes: int | None = None) -> tuple[int, ...]:
    """Ids of the classes that segments are ranked for.

    path: CSV with a header, ids in its first column ("Index"), as in ``segment_label_ids.csv``.
    num_classes: ids must lie in [0, num_classes) where given.
    Returns a sorted tuple of int. Raises InputError naming the file and line of a bad or repeated id.
    """
    ids = {}
    for line, row in _rows(path):
        class_id = _class_id(path, line, row[0])
        if num_classes is not None and class_id >= num_classes:
            raise InputError(f"{path}, line {line}: class id {class_id} is outside [0, {num_classes})")
        if class_id in ids:
            raise InputError(f"{path}, line {line}: class id {class_id} stands on line {ids[class_id]} already")
        ids[class_id] = line
    if not ids:
        raise InputError(f"{path} holds no class ids")
    return tuple(sorted(ids))


def read_class_names(path: StrPath) -> dict[int, str]:
    """Dict of class id to name from a CSV with the columns Index and Name, as in ``vocabulary.csv``."""
    with _open(path) as file:
        reader = csv.DictReader(file)
        missing = {"Index", "Name"} - set(reader.fieldnames or ())
        if missing:
            raise InputError(f"{path} has no column {', '.join(sorted(missing))}")
        return {_class_id(path, reader.line_num, row["Index"]): row["Name"] or "" for row in reader}


def _rows(path):
    with _open(path) as file:
        reader = csv.reader(file)
        next(reader, None)
        for row in reader:
            if row:
                yield reader.line_num, row


def _open(path):
    try:
        return open(path, newline="", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _class_id(path, line, text):
    try:
        class_id = int(text)
    except (TypeError, ValueError):
        class_id = -1
    if class_id < 0:
        raise InputError(f"{path}, line {line}: {text!r} is not a class id")
    return class_id
