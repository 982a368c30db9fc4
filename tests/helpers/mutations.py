"""Inputs of every kind that we read, drawn at random and made wrong at random, with what ought to come of each.

A kind is a function of a random.Random and a folder that writes an input there and returns a Case. The same seed gives
the same case.
"""

import dataclasses
import functools
import json
import pathlib
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tests.helpers.bad_records import edited, with_length, write_raw
from tests.helpers.records import CONFIG, make_video
from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data import examples, framing, record_checks, tfrecord
from yt8m.data.cache import open_cache
from yt8m.data.making.annotations import ClassIds, read_intervals, read_labels
from yt8m.data.making.raw_videos import RawVideos
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_dataset import record_dataset
from yt8m.data.seen_videos import SeenVideos
from yt8m.ensemble.weights_file import read_weights
from yt8m.models import checkpoints
from yt8m.models.base import build_model
from yt8m.ranking.f1 import Thresholds
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import Submission, read_submission, write_submission
from yt8m.ranking.submission_checks import check_submission
from yt8m.ranking.video_predictions import VideoPredictions
from yt8m.registry import Registry
from yt8m.similarity.pairs import read_pairs
from yt8m.types import DataWarning, InputError
from yt8m.vocabulary import read_class_names, read_segment_class_ids

SAME, TOLD, REFUSED, OTHER = "same", "told", "refused", "other"


@dataclasses.dataclass(frozen=True)
class Case:
    """An input: ``read`` reads it; ``clean``, what it gives unharmed; ``path``: the file that a refusal must name.

    allowed: what may come of it: SAME, the clean result; TOLD, another one with a DataWarning; REFUSED, an InputError;
    OTHER, another one, where the input is as good as before. names: words that a refusal must have. what: how the
    input was made wrong.
    """

    read: Callable[[], Any]
    clean: Any
    path: str
    allowed: tuple[str, ...]
    what: str
    names: tuple[str, ...] = ()


def verdict(case: Case) -> str:
    """What is wrong with what came of a case, "" for nothing."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            found = case.read()
        except InputError as error:
            return _of_refusal(case, str(error))
        except Exception as error:
            return f"{case.what}: traceback of {type(error).__name__}: {error}"
    if found == case.clean:
        came = SAME
    elif any(issubclass(warning.category, DataWarning) for warning in told):
        came = TOLD
    else:
        came = OTHER
    return "" if came in case.allowed else f"{case.what}: {came}, and ought to be {' or '.join(case.allowed)}"


def _of_refusal(case, sentence):
    if REFUSED not in case.allowed:
        return f"{case.what}: refused: {sentence}"
    missing = [name for name in (case.path, *case.names) if name not in sentence]
    if missing:
        return f"{case.what}: the refusal does not say {missing[0]!r}: {sentence}"
    if "\n" in sentence or len(sentence) > 1000:
        return f"{case.what}: the refusal is no single sentence: {sentence!r}"
    return ""


# Damage to bytes.


def damaged(rng: random.Random, data: bytes) -> tuple[bytes, str]:
    """(``data`` with some bytes changed, lost or added, what was done)."""
    data = bytearray(data)
    way = rng.choice(["flip", "flip", "flip", "cut", "hole", "zeros", "noise", "double"])
    first = rng.randrange(len(data))
    last = min(len(data), first + rng.choice([1, 4, 50]))
    if way == "flip":
        data[first] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del data[first:]
    elif way == "hole":
        del data[first:last]
    elif way == "zeros":
        data[first:last] = bytes(last - first)
    elif way == "noise":
        data[first:first] = rng.randbytes(last - first)
    else:
        data[first:first] = data[first:last]
    return bytes(data), f"{way} at {first}"


# Records.


def _video(rng, name):
    frames = rng.choice([1, 5, 7, 12, 19])
    starts = sorted(rng.sample(range(0, frames, 5), min(2, len(range(0, frames, 5)))))
    segments = tuple((start, rng.randrange(10), rng.choice([0.0, 1.0])) for start in starts)
    return make_video(name, frames=frames, labels=(rng.randrange(10),), segments=segments)


@functools.cache
def _parser(config):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def parse(serialized):
        segments, videos = examples.parse_rated(serialized, config=config)
        features = [segments["features"][name] for name in (*config.feature_names, "num_frames")]
        return videos["id"], segments["row"], segments["start_time"], segments["classes"], segments["scores"], features

    return parse.get_concrete_function()


def read_rated(path: str, *, skip: bool = False) -> list[Any]:
    """The rated segments of a file as plain values, by the kernels of the reader."""
    config = CONFIG.replace(unrated="video_negative", skip_corrupt=skip)
    found = []
    with record_checks.explain_errors([path], config, windows="rated"):
        records = record_checks.good_dataset([path], config, windows="rated") if skip else record_dataset(path)
        for block in records.batch(4):
            ids, rows, starts, classes, scores, features = _parser(config)(block)
            frames = [values.numpy() for values in features]
            lists = (map(tuple, values.to_list()) for values in (classes, scores))
            entries = zip(rows.numpy(), starts.numpy().tolist(), *lists)
            for number, (row, *entry) in enumerate(entries):
                found.append((ids[row].numpy(), *entry, *(values[number].tobytes() for values in frames)))
    return found


KINDS: Registry = Registry("kind of input")


@KINDS.register("records: bytes")
def record_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """A record file with damaged bytes."""
    suffix = rng.choice(["", ".gz"])
    path = str(folder / f"a.tfrecord{suffix}")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(rng.choice([1, 3, 6]))])
    clean = read_rated(path)
    data, what = damaged(rng, pathlib.Path(path).read_bytes())
    pathlib.Path(path).write_bytes(data)
    if not data:
        return Case(lambda: tfrecord.list_files(path), None, path, (REFUSED,), what)
    return Case(lambda: read_rated(path), clean, path, (SAME, REFUSED), f"{suffix} {what}")


@KINDS.register("records: bytes, skipped")
def skipped_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """Damaged bytes of a record file, of which the reader skips what is corrupt."""
    path = str(folder / "a.tfrecord")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(6)])
    clean = read_rated(path)
    data, what = damaged(rng, pathlib.Path(path).read_bytes())
    pathlib.Path(path).write_bytes(data)

    def read():
        found = read_rated(path, skip=True)
        # What is left is what was there, in its order; a record that stands twice is as it stands.
        assert set(found) <= set(clean), "a record came out changed"
        if what.startswith("flip"):
            lost = {entry[0] for entry in clean} - {entry[0] for entry in found}
            assert len(lost) <= 1, "more is lost than the record that is damaged"
        return found

    return Case(read, clean, path, (SAME, TOLD) if "double" not in what else (SAME, TOLD, OTHER), what)


@KINDS.register("records: lengths")
def record_lengths(rng: random.Random, folder: pathlib.Path) -> Case:
    """A record whose length is wrong and has the right checksum, as only malice makes it."""
    path = str(folder / "a.tfrecord")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(3)])
    data = pathlib.Path(path).read_bytes()
    starts = [piece.start for piece in framing.stretches(data)]
    place = rng.randrange(3)
    length = rng.choice([0, 1, len(data), 2**31, 2**32, 2**40, 2**63, 2**64 - 16, 2**64 - 1])
    pathlib.Path(path).write_bytes(with_length(data, starts[place], length))
    if rng.random() < 0.3:
        return Case(lambda: read_rated(path, skip=True), None, path, (TOLD,), f"{length} of record {place}, skipped")
    return Case(lambda: read_rated(path), None, path, (REFUSED,), f"{length} of record {place}", ("record",))


def _add(name, kind, *values):
    return lambda context: getattr(context[name], kind).value.extend(values)


def _put(name, kind, place, value):
    def edit(context):
        getattr(context[name], kind).value[place] = value

    return edit


def _id(value):
    return lambda context: context["id"].bytes_list.value.__setitem__(0, value)


def _of_kind(name, kind, *values):
    def edit(context):
        context[name].Clear()
        getattr(context[name], kind).value.extend(values)

    return edit


_NOT_FINITE = [float("nan"), float("inf"), float("-inf")]


def _bad_field(rng):
    """(field, edit of a context) of a field with a value that is refused."""
    bad_class = rng.choice([-1, 10, 2**31, -(2**63)])
    return rng.choice(
        [
            ("id", _add("id", "bytes_list", b"another")),
            ("id", _id(rng.choice([b"", b"a b", b"a,b", b"a\x00", b"a\n", b"\xff\xfe", b"\x1b[31m", b"x" * 2000]))),
            ("id", _id(b"a" + rng.choice("\u2028\x85\ufeff\u202e\xa0").encode())),
            ("video_id", _of_kind("video_id", "int64_list", 7)),
            ("labels", _add("labels", "int64_list", bad_class)),
            ("labels", _of_kind("labels", "float_list", 1.0)),
            ("segment_labels", _put("segment_labels", "int64_list", 0, bad_class)),
            ("segment_labels", _add("segment_labels", "int64_list", 3)),
            ("segment_start_times", _put("segment_start_times", "int64_list", 0, rng.choice([-5, -1, 20, 300, 2**40]))),
            ("segment_start_times", _of_kind("segment_start_times", "bytes_list", b"0")),
            ("segment_scores", _put("segment_scores", "float_list", 0, rng.choice(_NOT_FINITE))),
            ("segment_scores", _add("segment_scores", "float_list", 1.0)),
        ]
    )


def _bad_frames(rng):
    """(field, edit of a SequenceExample) of frames that are refused."""
    name = rng.choice(["rgb", "audio"])

    def frame(example):
        return rng.choice(example.feature_lists.feature_list[name].feature).bytes_list.value

    edits = [
        lambda example: frame(example).append(b"1"),
        lambda example: frame(example).__setitem__(0, b"12"),
        lambda example: frame(example).pop(),
        lambda example: example.feature_lists.feature_list[name].feature.__delitem__(slice(None)),
        lambda example: example.feature_lists.feature_list.pop(name),
    ]
    return name, rng.choice(edits)


@KINDS.register("records: fields")
def record_fields(rng: random.Random, folder: pathlib.Path) -> Case:
    """A record whose checksums are right and of which a field is wrong, among good ones."""
    videos = [_video(rng, f"v{number}") for number in range(4)]
    place = rng.randrange(4)
    if rng.random() < 0.7:
        field, edit = _bad_field(rng)
        bad = edited(videos[place], edit)
    else:
        field, edit = _bad_frames(rng)
        example = tf.train.SequenceExample.FromString(videos[place].serialize())
        edit(example)
        bad = example.SerializeToString()
    serialized = [video.serialize() for video in videos]
    serialized[place] = bad
    path = write_raw(str(folder / "a.tfrecord"), *serialized)
    what = f"{field} of record {place}"
    if rng.random() < 0.5:
        good = write_raw(str(folder / "good.tfrecord"), *(serialized[:place] + serialized[place + 1 :]))
        clean = read_rated(good)

        def read():
            found = read_rated(path, skip=True)
            assert found == clean, "a good record was lost"
            return None

        return Case(read, clean, path, (TOLD,), f"{what}, skipped")
    return Case(lambda: read_rated(path), None, path, (REFUSED,), what, (f"record {place}: ", field))


@KINDS.register("records: means")
def mean_fields(rng: random.Random, folder: pathlib.Path) -> Case:
    """A video-level record whose means are wrong."""
    config = DataConfig(feature_names=("mean",), feature_sizes=(6,), num_classes=10, level="video")
    values = [np.zeros(6, np.float32) for _ in range(3)]
    place = rng.randrange(3)
    values[place] = rng.choice(
        [np.full(6, rng.choice(_NOT_FINITE)), np.zeros(rng.choice([0, 1, 5, 7])), np.r_[np.zeros(5), np.nan]]
    )
    path = str(folder / "a.tfrecord")
    records = [tfrecord.VideoRecord(video_id=f"v{n}", features={"mean": v}, labels=(1,)) for n, v in enumerate(values)]
    tfrecord.write_records(path, records)

    def read():
        with record_checks.explain_errors([path], config, windows="video"):
            return [len(batch) for batch in make_dataset([path], config, windows="video", batch_size=4)]

    return Case(read, None, path, (REFUSED,), f"means of record {place}", (f"record {place}: ", "mean"))


# Tables.


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


@KINDS.register("arrays")
def arrays(rng: random.Random, folder: pathlib.Path) -> Case:
    """A file of features with damaged bytes; plain .npy has no checksum, so that only its header is damaged."""
    frames = np.arange(60, dtype=np.float32).reshape(12, 5)
    form = rng.choice(["npz", "compressed", "npy"])
    path = str(folder / ("v.npy" if form == "npy" else "v.npz"))
    {"npz": lambda: np.savez(path, rgb=frames), "compressed": lambda: np.savez_compressed(path, rgb=frames)}.get(
        form, lambda: np.save(path, frames)
    )()

    def read():
        videos = RawVideos.of_features({"rgb": path}) if form == "npy" else RawVideos.of_videos(path, ["rgb"])
        return {name: values.tolist() for name, values in videos.read("v").items()}

    clean = read()
    data = pathlib.Path(path).read_bytes()
    if form == "npy":
        header = len(data) - frames.nbytes
        way = rng.choice(["header", "cut", "more"])
        if way == "header":
            place = rng.randrange(header - 1)
            data = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        data = data[: rng.randrange(len(data))] if way == "cut" else data + b"more" * (way == "more")
        allowed, what = (SAME, REFUSED), f"npy {way}"
    else:
        data, what = damaged(rng, data)
        allowed, what = (SAME, REFUSED), f"{form} {what}"
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, allowed, what)


_JSON_VALUES = [None, True, -1, 0, 1e308, 10**30, "", "x", [], [1], {}, {"x": 1}, "\x1b[31m"]


def _changed_json(rng, text):
    """(text with a value changed, lost or cut, what was done)."""
    if rng.random() < 0.3:
        data, what = damaged(rng, text.encode())
        return data, what
    if rng.random() < 0.1:
        return b"[" * 10**5, "deep"
    content = json.loads(text)
    place, path = content, []
    while isinstance(place, dict) and place:
        key = rng.choice(sorted(place))
        path.append(key)
        if not isinstance(place[key], dict) or not place[key] or rng.random() < 0.3:
            if rng.random() < 0.3:
                del place[key]
            else:
                place[key] = rng.choice(_JSON_VALUES)
            break
        place = place[key]
    return json.dumps(content).encode(), ".".join(path)


def _json_case(rng, path, text, read, allowed=(SAME, OTHER, REFUSED)):
    pathlib.Path(path).write_text(text)
    clean = read()
    data, what = _changed_json(rng, text)
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, allowed, f"{what}: {data[:80]!r}")


@KINDS.register("json: weights")
def weights_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A file of ensemble weights that is wrong."""
    path = str(folder / "weights.json")
    text = json.dumps({"weights": [0.5, 0.25, 0.25], "w0": 6.0, "w0_share": None, "fusion": "reciprocal_rank"})
    return _json_case(rng, path, text, lambda: repr(read_weights(path, num_files=3, top_n=10)))


def _run():
    return RunConfig(
        data=CONFIG, model=ModelConfig(name="logistic"), train=TrainConfig(segment_labels=True), train_data_pattern="x"
    )


@KINDS.register("json: config of a run")
def run_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A config.json that is wrong."""
    checkpoints.write_run_config(str(folder), _run())
    path = folder / "config.json"
    return _json_case(rng, str(path), path.read_text(), lambda: checkpoints.read_run_config(str(folder)).to_dict())


@KINDS.register("json: metrics of a run")
def metrics_json(rng: random.Random, folder: pathlib.Path) -> Case:
    """A metrics.jsonl that is wrong."""
    for step in range(3):
        checkpoints.append_metrics(str(folder), {"step": step, "map_at_k": 0.5})
    path = folder / "metrics.jsonl"
    clean = checkpoints.read_metrics(str(folder))
    data, what = damaged(rng, path.read_bytes())
    path.write_bytes(data)
    return Case(lambda: checkpoints.read_metrics(str(folder)), clean, str(path), (SAME, TOLD, OTHER, REFUSED), what)


@KINDS.register("seen videos")
def seen_videos(rng: random.Random, folder: pathlib.Path) -> Case:
    """A list of seen videos with damaged bytes."""
    path, seen = str(folder / "seen_videos.npz"), SeenVideos()
    seen.add(str(number) for number in range(50))
    seen.save(path)

    def read():
        found = SeenVideos.load(path)
        return [name for name in map(str, range(60)) if found is not None and name in found]

    clean = read()
    data, what = damaged(rng, pathlib.Path(path).read_bytes())
    pathlib.Path(path).write_bytes(data)
    return Case(read, clean, path, (SAME, REFUSED), what)


@functools.cache
def _saved_model():
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        model = build_model(ModelConfig(name="logistic"), CONFIG)
        checkpoints.save_best(folder, model)
        return pathlib.Path(checkpoints.model_path(folder)).read_bytes()


@KINDS.register("model")
def saved_model(rng: random.Random, folder: pathlib.Path) -> Case:
    """A best.keras with damaged bytes."""
    checkpoints.write_run_config(str(folder), _run())
    path = folder / "best.keras"
    path.write_bytes(_saved_model())

    def read():
        model, _ = checkpoints.load_model(str(folder))
        return [np.asarray(weight).tolist() for weight in model.weights]

    clean = read()
    data, what = damaged(rng, _saved_model())
    path.write_bytes(data)
    return Case(read, clean, str(path), (SAME, REFUSED), what)


@KINDS.register("packed segments")
def packed_segments(rng: random.Random, folder: pathlib.Path) -> Case:
    """A packed file of rated segments with damaged bytes, which is packed anew."""
    path = str(folder / "a.tfrecord")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(4)])

    def read():
        cache = open_cache(str(folder / "cache"), [path], CONFIG)
        numbers = tf.range(len(cache), dtype=tf.int64)
        found = cache.read_segments(numbers, with_info=True)
        return [values.numpy().tolist() for values in tf.nest.flatten(found)]

    clean = read()
    (packed,) = (folder / "cache").glob("*.segments")
    data, what = damaged(rng, packed.read_bytes())
    packed.write_bytes(data)
    return Case(read, clean, str(packed), (SAME,), what)
