"""Submissions and parquet files made wrong at random."""

import pathlib
import random

import numpy as np

from tests.helpers.mutations.base import KINDS, REFUSED, SAME, Case, damaged
from yt8m.ranking.submission import Submission, read_submission, write_submission
from yt8m.ranking.submission_checks import check_submission
from yt8m.types import InputError


def _draw_submission(rng, path):
    texts = [f"v{rng.randrange(20)}:{5 * number}" for number in range(30)]
    rankings = {3 * class_id: rng.sample(texts, 6) for class_id in range(3)}
    scores = {class_id: np.linspace(1, 0, 6) for class_id in rankings}
    write_submission(path, rankings, scores=scores)
    return _read_submission(path)


def _read_submission(path):
    found = [(class_id, list(map(str, segments))) for class_id, segments in read_submission(path)]
    problems = [problem for problem in check_submission(path) if problem.is_error]
    if problems:
        raise InputError(str(problems[0]))
    return found


@KINDS.register("submission: spelling")
def submission_spelling(rng: random.Random, folder: pathlib.Path) -> Case:
    """A submission that says the same in another way."""
    path = str(folder / "s.csv")
    clean = _draw_submission(rng, path)
    lines = pathlib.Path(path).read_text().splitlines()
    way = rng.choice(["mark", "crlf", "no end", "no header", "blanks", "empty line", "order"])
    if way == "no header":
        del lines[0]
    elif way == "blanks":
        lines = [lines[0], *(line.replace(" ", "  ") + " " for line in lines[1:])]
    elif way == "empty line":
        lines.insert(rng.randrange(1, len(lines) + 1), "")
    elif way == "order":
        lines[1:] = lines[:0:-1]
    end = "\r\n" if way == "crlf" else "\n"
    text = end.join(lines) + ("" if way == "no end" else end)
    pathlib.Path(path).write_bytes(b"\xef\xbb\xbf" * (way == "mark") + text.encode())
    return Case(lambda: _read_submission(path), clean, path, (SAME,), way)


@KINDS.register("submission: values")
def submission_values(rng: random.Random, folder: pathlib.Path) -> Case:
    """A submission with something that no submission has."""
    path = str(folder / "s.csv")
    _draw_submission(rng, path)
    lines = pathlib.Path(path).read_text().splitlines()
    number = rng.randrange(1, len(lines))
    class_id, segments = lines[number].split(",")
    listed = segments.split()
    place = rng.randrange(len(listed))
    way = rng.choice(["class", "segment", "commas", "twice", "class twice", "latin"])
    if way == "class":
        class_id = rng.choice(["", "-1", "x", "1.5", 30 * "9", "2147483648"])
    elif way == "segment":
        listed[place] = rng.choice(
            ["v1", "v1:", ":5", "v1:-5", "v1:5.0", "v1:7", "v,1:5", "v1:5\x1b[0m", "v1:" + 30 * "9"]
        )
    elif way == "twice":
        listed[place] = listed[place - 1]
    separator = "," if way == "commas" else " "
    lines[number] = f"{class_id},{separator.join(listed)}"
    if way == "class twice":
        lines.append(lines[number])
    data = ("\n".join(lines) + "\n").encode()
    if way == "latin":
        data = data.replace(b"v", b"\xe9", 1 + rng.randrange(5))
    pathlib.Path(path).write_bytes(data)
    return Case(
        lambda: _read_submission(path), None, path, (REFUSED,), f"{way}, line {number + 1}: {lines[number][:60]}"
    )


@KINDS.register("parquet: bytes")
def parquet_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """A parquet submission with damaged bytes."""
    path = str(folder / "s.parquet")

    def read():
        with Submission(path) as submission:
            listed = [(c, segments.texts(), segments.scores.tolist()) for c, segments in submission.items()]
        _read_submission(path)
        return listed

    _draw_submission(rng, path)
    clean = read()
    data, what = damaged(rng, pathlib.Path(path).read_bytes())
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, (SAME, REFUSED), what)


@KINDS.register("parquet: columns")
def parquet_columns(rng: random.Random, folder: pathlib.Path) -> Case:
    """A parquet submission of which a column is of another type, missing, or has a null."""
    import pyarrow
    from pyarrow import parquet

    path = str(folder / "s.parquet")
    _draw_submission(rng, path)
    table = parquet.read_table(path)
    name = rng.choice(table.column_names)
    values = table[name].to_pylist()
    way = rng.choice(["text", "fraction", "list", "null", "missing", "bool"])
    if way == "fraction" and name in ("Score", "Segment") or way == "text" and name == "Segment":
        way = "null"
    place = table.column_names.index(name)
    if way == "missing":
        table = table.drop_columns([name])
    else:
        changed = {
            "text": lambda: pyarrow.array(list(map(str, values))),
            "fraction": lambda: pyarrow.array([value + 0.5 for value in values]),
            "list": lambda: pyarrow.array([[value] for value in values]),
            "null": lambda: pyarrow.array([None, *values[1:]], table[name].type),
            "bool": lambda: pyarrow.array([True] * len(values)),
        }[way]()
        table = table.set_column(place, name, changed)
    parquet.write_table(table, path)
    return Case(lambda: _read_submission(path), None, path, (REFUSED,), f"{name}, {way}", (name,))


# Arrays, JSON, runs.
