"""Texts of videos made wrong at random: their tables, their records, and the tokenizers that read them."""

import dataclasses
import functools
import json
import math
import pathlib
import random

import numpy as np
import tensorflow as tf

from tests.helpers.bad_records import edited, write_raw
from tests.helpers.mutations.base import KINDS, OTHER, REFUSED, SAME, TOLD, Case, damaged
from tests.helpers.mutations.run_files import changed_json
from tests.helpers.records import CONFIG, make_video
from tests.helpers.texts import whole, write_tokenizer
from yt8m.config import TextConfig
from yt8m.data import record_checks
from yt8m.data.making.text_adder import add_texts
from yt8m.data.making.text_tables import read_text_tables, say_whose_texts
from yt8m.data.record_dataset import record_dataset
from yt8m.data.text_fields import keys_of
from yt8m.data.texts import parse_texts
from yt8m.data.tokens import Tokenizer, facts_of_tokenizer, with_tokens
from yt8m.types import TEXTS, TOKEN_INPUTS, TimedText

FIELDS = ("title", "asr")


# Tables of texts, and records that they are written into.


def _rows(rng):
    """Rows of texts of v0 to v3, video_id, start, end, field, text; of either shape, with times or without."""
    timed, rows = rng.random() < 0.7, []
    for video in range(4):
        rows.append([f"v{video}", "", "", "title", f"cat {video} 山水"])
        if timed:
            rows += [[f"v{video}", str(second), f"{second + 2.5}", "asr", f"dog {second}"] for second in (0, 4)]
    return timed, rows


def _lines(timed, rows):
    header = "video_id,start,end,field,text" if timed else "video_id,field,text"
    return [header, *(",".join(row if timed else [row[0], *row[3:]]) for row in rows)]


def read_table(path: str) -> list[tuple]:
    """The texts that a table gives to the records of v0 to v3, as the kernels of the reader have them."""
    texts = read_text_tables([path])
    videos = [make_video(f"v{video}", frames=5) for video in range(4)]
    say_whose_texts(texts, [video.video_id for video in videos], paths=[path])
    return _parsed([dataclasses.replace(video, texts=texts.get(video.video_id, ())).serialize() for video in videos])


def read_record_texts(path: str) -> list[tuple]:
    """Texts, starts and ends of each field of each record of a file, by the kernels of the reader."""
    config = CONFIG.replace(text=TextConfig(fields=FIELDS, tokenizer="x", vocabulary_size=1))
    with record_checks.explain_errors([path], config, windows="rated"):
        return _parsed(list(record_dataset(path).as_numpy_iterator()))


def _parsed(serialized):
    parsed = _parser()(tf.constant(serialized))
    return [
        tuple(tuple(values[row].numpy().tolist()) for of in parsed.values() for values in of)
        for row in range(len(serialized))
    ]


@functools.cache
def _parser():
    return tf.function(
        lambda serialized: parse_texts(serialized, FIELDS), input_signature=[tf.TensorSpec([None], tf.string)]
    ).get_concrete_function()


def _table_case(rng, folder, lines, *, allowed, what, names=(), encode=str.encode):
    """A case of a table of ``lines``, a function of whether it is timed and its rows to lines, made wrong."""
    timed, rows = _rows(rng)
    path = folder / "texts.csv"
    path.write_text("\n".join(_lines(timed, rows)) + "\n", encoding="utf-8")
    clean = read_table(str(path))
    path.write_bytes(encode("\n".join(lines(timed, rows)) + "\n"))
    return Case(lambda: read_table(str(path)), clean, str(path), allowed, what, names)


@KINDS.register("texts: spelling")
def text_spelling(rng: random.Random, folder: pathlib.Path) -> Case:
    """A table of texts that says the same in another way."""
    way = rng.choice(["mark", "crlf", "quotes", "blanks", "columns", "empty line", "order"])

    def lines(timed, rows):
        made = [line.split(",") for line in _lines(timed, rows)]
        if way == "columns":
            order = rng.sample(range(len(made[0])), len(made[0]))
            made = [[row[place] for place in order] for row in made]
        if way == "order":
            made[1:] = sorted(made[1:], key=lambda row: (row[-1], row[0]))
        if way == "blanks":
            made = [[f" {'  '.join(text.split())} " for text in row] for row in made]
        joined = ['"{}"'.format('","'.join(row)) if way == "quotes" else ",".join(row) for row in made]
        if way == "empty line":
            joined.insert(rng.randrange(1, len(joined)), " ")
        return joined

    def encode(text):
        return b"\xef\xbb\xbf" * (way == "mark") + text.replace("\n", "\r\n" if way == "crlf" else "\n").encode()

    return _table_case(rng, folder, lines, allowed=(SAME,), what=way, encode=encode)


_BAD_TIMES = [("-1", "2"), ("3", "2"), ("nan", "2"), ("0", "inf"), ("x", "2"), ("1", ""), ("", "1")]
_BAD_TIMES += [("1e30", "1e31"), ("1e300", "1e301"), ("0", "10000000")]


@KINDS.register("texts: values")
def text_values(rng: random.Random, folder: pathlib.Path) -> Case:
    """A table of texts of which a row is wrong, or says something else than it did."""
    way = rng.choice(
        ["id", "field", "times", "times", "columns", "quote", "other id", "empty", "twice", "escape", "long"]
    )
    allowed = {"other id": (TOLD,), "empty": (TOLD,), "twice": (SAME, TOLD), "escape": (OTHER,), "long": (OTHER,)}.get(
        way, (REFUSED,)
    )
    line = []

    def lines(timed, rows):
        place = rng.randrange(len(rows))
        row = rows[place]
        line.append(f"line {place + 2}")
        if way == "id":
            row[0] = ""
        elif way == "field":
            row[3] = rng.choice(["", "a b", "a/b", "é", "x" * 65, "\x1b[31m"])
        elif way == "times":
            timed, (row[1], row[2]) = True, rng.choice(_BAD_TIMES)
        elif way == "columns":
            row[4] += ",another"
        elif way == "quote":
            row[4] = f'"{row[4]}'
            # A quote that is not closed ends with the file.
            line[0] = "line "
        else:
            changed = {"other id": (0, "absent"), "empty": (4, ""), "escape": (4, "\x1b[31mred\x07")}
            column, text = changed.get(way, (4, "sea " * 50_000))
            rows[place] = row if way == "twice" else [*row[:column], text, *row[column + 1 :]]
            if way == "twice":
                rows.append(list(row))
        return _lines(timed, rows)

    case = _table_case(rng, folder, lines, allowed=allowed, what=way)
    return dataclasses.replace(case, names=tuple(line)) if REFUSED in allowed else case


@KINDS.register("texts: bytes")
def text_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """A table of texts that is no text."""
    way = rng.choice(["latin", "zero", "utf-16", "noise", "half"])

    def encode(text):
        data = text.encode()
        place = rng.randrange(len(data))
        return {
            "latin": data[:place] + rng.choice([b"\xe9", b"\x93", b"\xff"]) + data[place:],
            "zero": data[:place] + b"\0" + data[place:],
            "utf-16": text.encode("utf-16"),
            "noise": rng.randbytes(200),
            "half": data.replace("山".encode(), "山".encode()[:2], 1),
        }[way]

    return _table_case(rng, folder, _lines, allowed=(REFUSED,), what=way, encode=encode)


# Records with texts.


def _record(video, rng):
    asr = [TimedText(float(second), second + 2.5, "asr", f"dog {second}") for second in (0, 4, 9)]
    texts = (whole("title", f"cat {video}"), whole("title", "山水"), *asr)
    return dataclasses.replace(make_video(f"v{video}", frames=12), texts=texts)


def _values(key, kind, change):
    return lambda context: change(getattr(context[key], kind).value)


def _text_edits(rng):
    """(name, edit of a context) that is refused."""
    field = "asr"
    texts, starts, ends = keys_of(field)
    not_text = rng.choice([b"\xff\xfe", b"\xe5\xb1", b"\xed\xa0\x80", b"\xf0\x80\x80\x80", b"ab\xc3"])
    odd = rng.choice([math.nan, math.inf, -math.inf, -1.0, -1e30])
    return rng.choice(
        [
            (texts, _values(texts, "bytes_list", lambda v: v.append(b"more"))),
            (texts, _values(texts, "bytes_list", lambda v: v.pop())),
            (texts, _values(texts, "bytes_list", lambda v: v.__setitem__(rng.randrange(3), not_text))),
            ("text/title", _values("text/title", "bytes_list", lambda v: v.append(not_text))),
            ("text/title", _values("text/title", "int64_list", lambda v: v.append(3))),
            (starts, _values(starts, "float_list", lambda v: v.__setitem__(1, odd))),
            (starts, _values(starts, "float_list", lambda v: v.__setitem__(1, 100.0))),
            (starts, _values(starts, "float_list", lambda v: v.pop())),
            (starts, _values(starts, "bytes_list", lambda v: v.append(b"0"))),
            (ends, _values(ends, "float_list", lambda v: v.__setitem__(2, math.nan))),
            (ends, _values(ends, "float_list", lambda v: v.__setitem__(2, -math.inf))),
            (ends, _values(ends, "float_list", lambda v: v.__delitem__(slice(None)))),
            (ends, lambda context: context.pop(ends)),
            (texts, lambda context: context.pop(texts)),
        ]
    )


@KINDS.register("texts: records")
def text_records(rng: random.Random, folder: pathlib.Path) -> Case:
    """Records whose texts are wrong while their checksums are right, or whose bytes are damaged."""
    path, place = str(folder / "a.tfrecord"), rng.randrange(4)
    records = [_record(video, rng) for video in range(4)]
    write_raw(path, *(record.serialize() for record in records))
    clean = read_record_texts(path)
    if rng.random() < 0.2:
        before = pathlib.Path(path).read_bytes()
        at = rng.randrange(len(before))
        pathlib.Path(path).write_bytes(before[:at] + bytes([before[at] ^ 1 << rng.randrange(8)]) + before[at + 1 :])
        # Copied with texts, a record is looked at as well.
        read = rng.choice([read_record_texts, lambda path: _add(path, folder)])
        return Case(lambda: read(path), clean, path, (REFUSED,), f"flip at {at}", ("record",))
    key, edit = _text_edits(rng)
    serialized = [record.serialize() for record in records]
    serialized[place] = edited(records[place], edit)
    write_raw(path, *serialized)
    names = (f"record {place}: ", "text/asr" if "asr" in key else key)
    return Case(lambda: read_record_texts(path), clean, path, (REFUSED,), f"{key} of record {place}", names)


def _add(path, folder):
    """Texts of records that are copied with those of a table, which has other fields."""
    texts = {"v0": (whole("tags", "a"),)}
    add_texts([path], texts, folder / "out", paths=[path])
    return read_record_texts(str(folder / "out" / "a.tfrecord"))


# Tokenizers.

_WORDS = [b"cats dog sea", "山水 cat 𒀀".encode(), b"", b"x" * 400, b"a \x1b[31m b"]


def _run_tokenizer(path, config=None):
    """What a tokenizer makes of texts; config: that of a run that was made with it, None for none."""
    if config is None:
        tokenizer = Tokenizer(path)
        *tokens, cut = tokenizer(np.array([_WORDS], object).T, max_tokens=16)
        return tokenizer.size, [values.tolist() for values in tokens], cut
    features = {TEXTS: tf.constant(_WORDS, shape=[len(_WORDS), 1])}
    with record_checks.explain_errors([], config):
        found = with_tokens(features, config)
    return [found[name].numpy().tolist() for name in TOKEN_INPUTS]


_ADDED = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
_SHAPES = [
    {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]], "unk_token": None}},
    {"model": {"type": "Unigram", "vocab": [["<unk>", 0], ["cat", -1.0]], "unk_id": 0}},
    {"model": {"type": "Unigram", "vocab": [["<unk>", 0], ["cat", -1.0]], "unk_id": None}},
    {"model": {"type": "Unigram", "vocab": [["<unk>", 0], ["cat", -1.0], ["cat", -2.0]], "unk_id": 0}},
    {"model": {"type": "WordLevel", "vocab": {"cat": 0}, "unk_token": "absent"}},
    {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}},
    {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": [["a", "c"]]}},
    {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]], "dropout": 0.5}},
    {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [], "continuing_subword_prefix": "##"}},
    {"model": {"type": "Nope"}},
    {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
    {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a"}, "content": "x"}},
    {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": ""}, "behavior": "Isolated", "invert": False}},
    {"truncation": {"max_length": 2, "strategy": "LongestFirst", "stride": 9, "direction": "Right"}},
    {"padding": {"strategy": {"Fixed": 10**9}, "direction": "Right", "pad_id": 0, "pad_type_id": 0, "pad_token": "x"}},
    {"post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 102], "cls": ["[CLS]", 101]}},
    {"added_tokens": [{"id": 900, "content": "[CLS]"} | _ADDED]},
    {"added_tokens": [{"id": 2**32 - 1, "content": "[MASK]"} | _ADDED]},
    {"added_tokens": [{"id": 0, "content": ""} | _ADDED]},
]


def _numbers(rng, described):
    """Another vocabulary: tokens with each other's numbers, holes, doubles, numbers that are none or too large, tokens that are absent or odd."""
    vocabulary = described["model"]["vocab"]
    token = rng.choice(sorted(vocabulary))
    way = rng.choice(["swap", "hole", "double", "large", "larger", "negative", "fraction", "absent", "odd", "many"])
    if way == "swap":
        other = rng.choice(sorted(vocabulary))
        vocabulary[token], vocabulary[other] = vocabulary[other], vocabulary[token]
    elif way == "absent":
        del vocabulary[token]
    elif way == "odd":
        vocabulary[rng.choice(["", "\x1b[31m", "x" * 10**5, "\u202e", "\ufeff"])] = len(vocabulary)
    elif way == "many":
        vocabulary.update((f"w{number}", 7 + number) for number in range(20_000))
    else:
        others = [number for other, number in vocabulary.items() if other != token]
        of_way = {"hole": 1000, "double": rng.choice(others), "large": 2**31, "larger": 2**32, "negative": -1}
        vocabulary[token] = of_way.get(way, 1.5)
    return f"{way} {token}"


def _wrong_tokenizer(rng, text):
    """(bytes of a tokenizer that is wrong, what was done)."""
    way = rng.choice(["bytes", "json", "vocabulary", "shape", "spelling", "twice", "deep"])
    if way == "bytes":
        return damaged(rng, text.encode())
    if way == "json":
        return changed_json(rng, text)
    if way == "spelling":
        mark = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xff", b""])
        return mark + text.replace("cat", "c\xe9t" if not mark else "cat").encode(
            "latin-1", "replace"
        ), f"mark {mark!r}"
    if way == "twice":
        return text.replace('"sea"', '"cat"').encode(), way
    if way == "deep":
        depth = rng.choice([200, 10**5])
        return f'{{"model": {{}}, "x": {"[" * depth}{"]" * depth}}}'.encode(), f"deep {depth}"
    described = json.loads(text)
    if way == "shape":
        shape = rng.choice(_SHAPES)
        return json.dumps(described | shape).encode(), json.dumps(shape)[:80]
    what = _numbers(rng, described)
    return json.dumps(described, ensure_ascii=False).encode(errors="replace"), what


@KINDS.register("tokenizers")
def tokenizers(rng: random.Random, folder: pathlib.Path) -> Case:
    """A tokenizer.json that is wrong, read for the first time: one that reads is as good as another."""
    path = folder / "tokenizer.json"
    write_tokenizer(path)
    clean = _run_tokenizer(path)
    data, what = _wrong_tokenizer(rng, path.read_text())
    path.write_bytes(data)
    return Case(lambda: _run_tokenizer(path), clean, str(path), (SAME, OTHER, REFUSED), what)


@KINDS.register("tokenizers: of a run")
def run_tokenizers(rng: random.Random, folder: pathlib.Path) -> Case:
    """The tokenizer of a run that has become another: none gives other tokens without a word."""
    path = folder / "tokenizer.json"
    write_tokenizer(path)
    text = TextConfig(fields=("title",), tokenizer=str(path), max_tokens=16, **facts_of_tokenizer(path))
    config = CONFIG.replace(text=text)
    clean = _run_tokenizer(path, config)
    data, what = _wrong_tokenizer(rng, path.read_text())
    path.write_bytes(data)
    return Case(lambda: _run_tokenizer(path, config), clean, str(path), (SAME, REFUSED), what)
