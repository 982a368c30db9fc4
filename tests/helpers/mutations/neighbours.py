"""Pairs of videos and indices of neighbours made wrong at random."""

import importlib.util
import pathlib
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.helpers.bad_records import edited, with_length, write_raw
from tests.helpers.embeddings import embedding_set, write_embeddings
from tests.helpers.mutations.base import KINDS, OTHER, REFUSED, SAME, TOLD, Case, damaged
from tests.helpers.records import CONFIG, make_video
from yt8m.config import ModelConfig, RunConfig, SimilarityConfig, TrainConfig
from yt8m.data import framing
from yt8m.data.pair_records import read_record
from yt8m.data.splits import Source
from yt8m.similarity.embedding_files import EmbeddingFile
from yt8m.similarity.index import NeighbourIndex, write_index
from yt8m.similarity.pairs import read_pairs, score_pairs
from yt8m.similarity.projection import fit_projection, read_projection
from yt8m.training.pair_data import open_pairs
from yt8m.types import Segment

_VIDEOS = 8


def _run(path, **changes):
    train = TrainConfig(similarity=SimilarityConfig(size=4), batch_size=4)
    data = CONFIG.replace(skip_corrupt=changes.pop("skip_corrupt", False))
    return RunConfig(
        data=data, model=ModelConfig(name="logistic"), train=train, pairs=str(path), train_data_pattern="x", **changes
    )


def read_records(path: pathlib.Path, records: str, *, between: Callable[[], Any] = bool, **changes: Any) -> list[Any]:
    """The records and scores of the pairs of a table, to train on and held out; what batches are parsed from.

    between: called when the places of the records are known.
    """
    run = _run(path, **changes)
    located = open_pairs(run, Source((records,)))[:2]
    between()
    return [
        ([[read_record([records], place) for place in both] for both in pairs.places], pairs.scores.tolist())
        for pairs in located
        if pairs is not None
    ]


def _draw_pairs(rng, count=6):
    sides = [rng.sample(range(_VIDEOS), 2) for _ in range(count)]
    return [[f"v{one}", f"v{other}", f"{rng.random():.3f}"] for one, other in sides]


def _write_pairs(path, rows):
    path.write_text("\n".join(["id_a,id_b,score", *(",".join(row) for row in rows)]) + "\n", encoding="utf-8")


def _videos(rng):
    return [make_video(f"v{video}", frames=rng.choice([3, 7, 12])) for video in range(_VIDEOS)]


_BAD_IDS = ["", "a b", "\x1b[31m", "a\u2028b", "x" * 5000]
_BAD_SCORES = ["", "nan", "inf", "-inf", "x", "1e999", "1_0", "0x1", "1.01", "-2", "1e30"]


@KINDS.register("pairs: to train on")
def training_pairs(rng: random.Random, folder: pathlib.Path) -> Case:
    """A table of pairs, to train on or held out, with something that no such table has, or with rows as good."""
    path, records = folder / "pairs.csv", str(folder / "a.tfrecord")
    write_raw(records, *(video.serialize() for video in _videos(rng)))
    rows = _draw_pairs(rng)
    _write_pairs(path, rows)
    clean = read_records(path, records)
    place, side = rng.randrange(len(rows)), rng.randrange(2)
    way = rng.choice(["id", "score", "absent", "itself", "double", "other order", "fields", "both sides"])
    names, allowed, changes = (f"line {place + 2}",), (REFUSED,), {}
    if way == "id":
        rows[place][side] = rng.choice(_BAD_IDS)
    elif way == "score":
        rows[place][2] = rng.choice(_BAD_SCORES)
        # A score that is a number is out of range of the loss, not of the table.
        names = names if rows[place][2] not in _BAD_SCORES[-3:] else (f"{rows[place][0]} and {rows[place][1]}",)
    elif way == "absent":
        rows[place][side], names = "absent", ("absent", "1 files")
    elif way == "itself":
        rows[place][side], allowed = rows[place][1 - side], (TOLD,)
    elif way == "double":
        rows.append(list(rows[place]))
        allowed = (OTHER,)
    elif way == "other order":
        rows[place][:2], allowed = rows[place][1::-1], (OTHER,)
    elif way == "fields":
        rows[place] = rows[place][: 1 + side]
    else:
        (folder / "held.csv").write_text(",".join(rows[place]) + "\n" + ",".join(["v0", "v1", "0.123"]) + "\n")
        path, changes, names = folder / "held.csv", {"eval_pairs": str(folder / "held.csv")}, ("is in pairs to train",)
    _write_pairs(folder / "pairs.csv", rows)
    return Case(lambda: read_records(folder / "pairs.csv", records, **changes), clean, str(path), allowed, way, names)


@KINDS.register("pairs: records")
def pair_records(rng: random.Random, folder: pathlib.Path) -> Case:
    """Records that pairs are read from by their place, whose bytes, lengths or frames are wrong."""
    path, records = folder / "pairs.csv", folder / "a.tfrecord"
    videos, rows = _videos(rng), _draw_pairs(rng, 12)
    write_raw(str(records), *(video.serialize() for video in videos))
    _write_pairs(path, rows)
    before = records.read_bytes()
    clean = read_records(path, str(records))
    way, place = rng.choice(["bytes", "length", "id", "between"]), rng.randrange(_VIDEOS)
    if way in ("bytes", "between"):
        data, what = damaged(rng, before)
    elif way == "length":
        start = [piece.start for piece in framing.stretches(before)][place]
        data, what = with_length(before, start, rng.choice([0, 1, 2**31, 2**40, 2**64 - 1])), f"length of {place}"
    else:
        bad, what = rng.choice([b"", b"a b", b"\xff", b"\x1b[31m", b"\xed\xa0\x80"]), f"id of {place}"
        changed = [video.serialize() for video in videos]
        changed[place] = edited(videos[place], lambda context: context["id"].bytes_list.value.__setitem__(0, bad))
        write_raw(str(records), *changed)
        data = records.read_bytes()
    if way == "between":
        records.write_bytes(before)
        read = lambda: read_records(path, str(records), between=lambda: records.write_bytes(data))  # noqa: E731
        return Case(read, clean, str(records), (SAME, REFUSED), f"{way} {what}")
    records.write_bytes(data)
    # A video that is not there any more is said of the table that asks for it.
    if rng.random() < 0.3:
        skipping = lambda: read_records(path, str(records), skip_corrupt=True)  # noqa: E731
        return Case(skipping, clean, str(folder), (SAME, TOLD, REFUSED), f"{what}, skipped")
    return Case(lambda: read_records(path, str(records)), clean, str(folder), (SAME, REFUSED), f"{way} {what}")


# Embeddings, their pairs and their index.


def _embeddings(folder, rng, rows=90):
    random_values = np.random.default_rng(rng.randrange(2**32)).normal(size=(rows, 6)).astype(np.float32)
    ids = [f"v{row // 3}" for row in range(rows)]
    write_embeddings(folder / "a.npy", random_values, ids=ids, starts=np.arange(rows, dtype=np.int32) % 3 * 5)
    return folder / "a.npy", ids


@KINDS.register("pairs: scored")
def scored_pairs(rng: random.Random, folder: pathlib.Path) -> Case:
    """A table of pairs of the rows of embeddings that names what is not there, or not as it must be."""
    file, ids = _embeddings(folder, rng)
    path = folder / "pairs.csv"
    keys = [f"{name}:{row % 3 * 5}" for row, name in enumerate(ids)]
    rows = [[*rng.sample(keys, 2), f"{rng.random():.3f}"] for _ in range(6)]
    read = lambda: score_pairs(embedding_set([file]), read_pairs(path))  # noqa: E731
    _write_pairs(path, rows)
    clean = read()
    place, side = rng.randrange(len(rows)), rng.randrange(2)
    way = rng.choice(["id", "score", "absent", "itself", "no segment", "equal"])
    allowed, names = (REFUSED,), ()
    if way == "id":
        rows[place][side] = rng.choice(_BAD_IDS)
    elif way == "score":
        rows[place][2] = rng.choice(_BAD_SCORES[:-3])
    elif way == "absent":
        rows[place][side] = rng.choice(["v999:0", "v0:7", "v0:9999999"])
    elif way == "itself":
        rows[place][side], allowed = rows[place][1 - side], (TOLD,)
    elif way == "no segment":
        rows[place][side] = rng.choice(["v0", "v0:", ":5", "v0:-5", "v0:5.0", "v0:99999999999"])
    else:
        rows = [[*row[:2], "0.5"] for row in rows]
    _write_pairs(path, rows)
    return Case(read, clean, str(path), allowed, f"{way} {rows[place]}", names)


@KINDS.register("embeddings: bytes")
def embedding_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """A file of embeddings, its ids or a projection with damaged bytes; numbers of an .npy file have no checksum."""
    form = rng.choice(["parquet", "npy", "ids", "projection"])
    values = np.arange(72, dtype=np.float32).reshape(12, 6)
    file = folder / ("a.parquet" if form == "parquet" else "a.npy")
    write_embeddings(file, values)
    projection = folder / "p.npz"
    fit_projection([EmbeddingFile(file)], [1.0], dim=3).save(projection)

    def read():
        rows = list(embedding_set([file], read_projection(projection)).blocks())
        return [(part.keys, part.vectors.tolist()) for part in rows]

    clean, allowed = read(), (SAME, REFUSED)
    path = {"ids": folder / "a.ids.csv", "projection": projection}.get(form, file)
    data, what = damaged(rng, path.read_bytes())
    if form == "npy":
        header = len(path.read_bytes()) - values.nbytes
        data = path.read_bytes()
        place = rng.randrange(header)
        data = rng.choice([data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :], data[: rng.randrange(400)]])
    elif form == "ids":
        # Ids are what they are: another one is as good.
        allowed = (SAME, OTHER, REFUSED)
    path.write_bytes(data)
    return Case(read, clean, str(folder), allowed, f"{form} {what}")


def neighbour_index(rng: random.Random, folder: pathlib.Path) -> Case:
    """An index, or the embeddings it is of, with damaged bytes; an index of others; a header that claims too much."""
    file, ids = _embeddings(folder, rng)
    write_index(embedding_set([file]), folder / "index", cells=2)
    queries = [Segment(name, row % 3 * 5) for row, name in list(enumerate(ids))[::30]]

    def read():
        index = NeighbourIndex(folder / "index", embedding_set([file]), probes=8)
        return index.nearest(queries, top_k=4)

    clean = read()
    way = rng.choice(["cells.faiss", "keys.npy", "index.json", "vectors", "ids", "claims", "others", "missing", "swap"])
    what = way
    if way == "claims":
        # FAISS has sizes as eight bytes.
        cells = folder / "index" / "cells.faiss"
        data = bytearray(cells.read_bytes())
        place = rng.randrange(0, len(data) - 8)
        data[place : place + 8] = rng.choice([2**31, 2**40, 2**62, 2**64 - 1]).to_bytes(8, "little")
        cells.write_bytes(bytes(data))
        what = f"claims at {place}"
    elif way == "others":
        _embeddings(folder, rng, rows=rng.choice([30, 89, 90, 91]))
    elif way == "missing":
        (folder / "index" / rng.choice(["cells.faiss", "keys.npy", "index.json"])).unlink()
    elif way == "swap":
        (folder / "index" / "keys.npy").write_bytes((folder / "index" / "cells.faiss").read_bytes())
    else:
        path = {"vectors": file, "ids": folder / "a.ids.csv"}.get(way, folder / "index" / way)
        data, what = damaged(rng, path.read_bytes())
        path.write_bytes(data)
    return Case(read, clean, str(folder), (SAME, REFUSED), f"{way} {what}")


if importlib.util.find_spec("faiss"):
    KINDS.register("index of neighbours")(neighbour_index)
