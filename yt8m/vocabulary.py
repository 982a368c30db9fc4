"""Class ids and names, as the files of data sets give them."""

import os

from yt8m.tables import Row, is_class_id, is_number, read_columns, read_rows
from yt8m.text import read_lines
from yt8m.types import InputError, StrPath

_CODES = ("mid", "KnowledgeGraphId")
"""Columns of codes, in AudioSet's class_labels_indices.csv and YouTube-8M's vocabulary.csv."""


def read_segment_class_ids(path: StrPath, *, num_classes: int | None = None) -> tuple[int, ...]:
    """Ids of the classes that segments are ranked for.

    path: CSV with ids in its first column, as in ``segment_label_ids.csv``; a first line without one is a header.
    num_classes: ids must lie in [0, num_classes) where given.
    Returns a sorted tuple of int. Raises InputError naming the file and line of a bad or repeated id.
    """
    ids = {}
    for number, row in enumerate(read_rows(path)):
        if number == 0 and not is_number(row.fields[0]):
            continue
        class_id = row.class_id(0)
        if num_classes is not None and class_id >= num_classes:
            raise InputError(f"{row.where}: class id {class_id} is outside [0, {num_classes})")
        if class_id in ids:
            raise InputError(f"{row.where}: class id {class_id} stands on line {ids[class_id]} already")
        ids[class_id] = row.line
    if not ids:
        raise InputError(f"{path} holds no class ids")
    return tuple(sorted(ids))


def read_class_names(path: StrPath) -> dict[int, str]:
    """Dict of class id to name, from one of the forms in which vocabularies come:

    a CSV with the columns Index and Name, as YouTube-8M's vocabulary.csv, or index and display_name, as AudioSet's
    class_labels_indices.csv; a .tsv of code and name, as AudioSet's mid_to_display_name.tsv, or a .txt of names, where
    lines are counted from 0; a .txt of ids and names, as THUMOS's detclasslist.txt.
    Raises InputError naming the file and line of a bad or repeated id.
    """
    return {class_id: name for class_id, (name, _) in _read_vocabulary(path).items()}


def read_class_codes(path: StrPath) -> dict[int, str]:
    """Dict of class id to code, such as /m/09x0r, from what read_class_names takes; empty where it has none."""
    return {class_id: code for class_id, (_, code) in _read_vocabulary(path).items() if code}


def _read_vocabulary(path):
    """Dict of class id to (name, code)."""
    suffix = os.path.splitext(path)[1].lower()
    found = {}
    for class_id, where, name, code in {".tsv": _pairs, ".txt": _lines}.get(suffix, _columns)(path):
        if class_id in found:
            raise InputError(f"{where}: class id {class_id} stands in the file already")
        found[class_id] = name, code
    return found


def _columns(path):
    header = next(read_rows(path), Row(path, 1, [])).fields
    number, name = ("index", "display_name") if "display_name" in header else ("Index", "Name")
    codes = [column for column in _CODES if column in header]
    for row in read_columns(path, (number, name, *codes[:1]), what="class names"):
        yield row.class_id(0), row.where, row.fields[1], row.fields[2] if codes else ""


def _pairs(path):
    for class_id, row in enumerate(read_rows(path, delimiter="\t")):
        row.expect("code and name, separated by a tab,", 2)
        yield class_id, row.where, row.fields[1], row.fields[0]


def _lines(path):
    rows = [Row(path, number, line.split(None, 1)) for number, line in enumerate(read_lines(path), 1) if line.strip()]
    numbered = rows and all(len(row.fields) == 2 and is_class_id(row.fields[0]) for row in rows)
    for place, row in enumerate(rows):
        words = [text.strip() for text in row.fields]
        yield (row.class_id(0), row.where, words[1], "") if numbered else (place, row.where, " ".join(words), "")
