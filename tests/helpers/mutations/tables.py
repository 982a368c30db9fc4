"""CSV files made wrong at random: spelling, values, bytes."""

import dataclasses
import pathlib
import random
from collections.abc import Callable
from typing import Any

from tests.helpers.mutations.base import KINDS, REFUSED, SAME, Case
from yt8m.data.making.annotations import ClassIds, read_intervals, read_labels
from yt8m.ranking.f1 import Thresholds
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.video_predictions import VideoPredictions
from yt8m.similarity.pairs import read_pairs
from yt8m.vocabulary import read_class_names, read_segment_class_ids


@dataclasses.dataclass(frozen=True)
class Table:
    """A kind of CSV: its header, a row drawn at random as text of its fields, and what reads it.

    optional_header: whether a file may be without. kinds: of each field, "id" or, where yt8m-pack may rename it, "name", "segment",
    "class", "number", "pairs", "text".
    """

    header: str
    draw: Callable[[random.Random, int], list[str]]
    read: Callable[[str], Any]
    kinds: tuple[str, ...]
    optional_header: bool = False


def _ratings(path):
    found = RatedLabels.from_csv(path)
    return [found.texts, found.class_ids.tolist(), found.positive.tolist()]


def _predictions(path):
    found = VideoPredictions.read(path)
    return [found.video_ids, found.class_ids.tolist(), found.scores.tolist()]


def _pairs(path):
    found = read_pairs(path)
    return [list(found.first), list(found.second), found.scores.tolist()]


def _thresholds(path):
    found = Thresholds.read(path)
    return [found.common, dict(sorted(found.by_class.items()))]


TABLES = {
    "ratings": Table(
        "segment,class,score",
        lambda rng, n: [f"v{n}:{5 * rng.randrange(60)}", str(rng.randrange(50)), rng.choice(["0", "1", "0.5"])],
        _ratings,
        ("segment", "class", "number"),
        True,
    ),
    "class ids": Table(
        "Index", lambda rng, n: [str(3 * n)], lambda path: list(read_segment_class_ids(path)), ("class",), True
    ),
    "names": Table("Index,Name", lambda rng, n: [str(n), f"name {n}"], read_class_names, ("class", "text")),
    "labels": Table(
        "video_id,class",
        lambda rng, n: [f"v{n}", str(rng.randrange(50))],
        lambda path: read_labels(path, ClassIds()),
        ("name", "class"),
        True,
    ),
    "intervals": Table(
        "video_id,start,end,class",
        lambda rng, n: [f"v{n}", str(rng.randrange(50)), str(50 + rng.randrange(50)), str(rng.randrange(50))],
        lambda path: {
            key: [(entry.start, entry.end, entry.class_id, entry.score) for entry in entries]
            for key, entries in read_intervals(path, ClassIds()).items()
        },
        ("name", "number", "number", "class"),
        True,
    ),
    "thresholds": Table(
        "Class,Threshold", lambda rng, n: [str(n), str(rng.random())], _thresholds, ("class", "number")
    ),
    "pairs": Table(
        "id_a,id_b,score",
        lambda rng, n: [f"v{n}", f"w{n}", str(rng.random())],
        _pairs,
        ("text", "text", "number"),
        True,
    ),
    "predictions": Table(
        "VideoId,LabelConfidencePairs",
        lambda rng, n: [f"v{n}", f"{rng.randrange(9)} 0.75 {10 + rng.randrange(9)} 0.5"],
        _predictions,
        ("id", "pairs"),
    ),
}

_BAD_FIELDS = {
    "id": ["", "a b", "a\x1b[0m", "a\u2028b", "x" * 5000],
    "name": [""],
    "segment": ["", "v1", "v1:-5", ":5", "v1:x", "v 1:5", "v1:5.5"],
    "class": ["", "-1", "1.5", "nan", "1" + 30 * "0", "2147483648", "Index 1", "0x10", "1_0", "\u0663"],
    "number": ["", "nan", "inf", "-inf", "x", "1e999", "1_0"],
    "pairs": ["", "1", "1 x", "x 1", "1 nan", "-1 0.5", "1 0.5 2", "1 0.5 1 0.6"],
    "text": [],
}


def _write_table(rng, path, table, rows):
    pathlib.Path(path).write_text("\n".join([table.header, *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return table.read(path)


@KINDS.register("tables: spelling")
def table_spelling(rng: random.Random, folder: pathlib.Path) -> Case:
    """A CSV that says the same in another way."""
    name = rng.choice(list(TABLES))
    table, path = TABLES[name], str(folder / "table.csv")
    rows = [table.draw(rng, number) for number in range(rng.choice([1, 5]))]
    clean = _write_table(rng, path, table, rows)
    way = rng.choice(["mark", "crlf", "cr", "quotes", "blanks", "empty lines", "no end", "no header"])
    lines = [table.header.split(","), *rows]
    if way == "no header" and table.optional_header:
        del lines[0]
    joined = ['"{}"'.format('","'.join(line)) if way == "quotes" else ",".join(line) for line in lines]
    if way == "blanks":
        joined = [f" {line.replace(',', ' , ')} " for line in joined]
    end = {"crlf": "\r\n", "cr": "\r", "empty lines": "\n\n \n"}.get(way, "\n")
    text = end.join(joined) + ("" if way == "no end" else end)
    pathlib.Path(path).write_bytes(b"\xef\xbb\xbf" * (way == "mark") + text.encode())
    return Case(lambda: table.read(path), clean, path, (SAME,), f"{name}, {way}")


@KINDS.register("tables: values")
def table_values(rng: random.Random, folder: pathlib.Path) -> Case:
    """A CSV of which a field is wrong, or a line."""
    name = rng.choice(list(TABLES))
    table, path = TABLES[name], str(folder / "table.csv")
    rows = [table.draw(rng, number) for number in range(5)]
    _write_table(rng, path, table, rows)
    line = rng.randrange(2, 7)
    places = [place for place, kind in enumerate(table.kinds) if _BAD_FIELDS[kind]]
    row = rows[line - 2]
    place = rng.choice(places)
    row[place] = rng.choice(_BAD_FIELDS[table.kinds[place]])
    if all(not text for text in row):
        row[place] = "-1"
    pathlib.Path(path).write_text("\n".join([table.header, *(",".join(r) for r in rows)]) + "\n", encoding="utf-8")
    return Case(lambda: table.read(path), None, path, (REFUSED,), f"{name}, {row}", (f"line {line}",))


@KINDS.register("tables: bytes")
def table_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """A CSV that is no text."""
    name = rng.choice(list(TABLES))
    table, path = TABLES[name], str(folder / "table.csv")
    _write_table(rng, path, table, [table.draw(rng, number) for number in range(5)])
    data = pathlib.Path(path).read_bytes()
    way = rng.choice(["latin", "zero", "utf-16", "noise"])
    place = rng.randrange(len(data))
    wrong = {
        "latin": data[:place] + rng.choice([b"\xe9", b"\x93", b"\xff"]) + data[place:],
        "zero": data[:place] + b"\0" + data[place:],
        "utf-16": data.decode().encode("utf-16"),
        "noise": rng.randbytes(200),
    }[way]
    pathlib.Path(path).write_bytes(wrong)
    return Case(lambda: table.read(path), None, path, (REFUSED,), f"{name}, {way} at {place}")


# Submissions.
