"""Records made wrong at random: bytes, lengths, fields, packed segments."""

import functools
import pathlib
import random
from typing import Any

import numpy as np
import tensorflow as tf

from tests.helpers.bad_records import edited, with_length, write_raw
from tests.helpers.mutations.base import KINDS, OTHER, REFUSED, SAME, TOLD, Case, damaged
from tests.helpers.records import CONFIG, make_video
from yt8m.config import DataConfig
from yt8m.data import examples, framing, record_checks, tfrecord
from yt8m.data.cache import open_cache
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_dataset import record_dataset


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


def _allowed(before, after, *usual):
    """What may come of a plain file. One that was cut between two records says nothing of it: pack.json beside it does,
    and yt8m-doctor --expect_records.
    """
    is_cut = before.startswith(after) and len(after) in {piece.start for piece in framing.stretches(before)}
    return (*usual, OTHER) if is_cut else usual


@KINDS.register("records: bytes")
def record_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """A record file with damaged bytes."""
    suffix = rng.choice(["", ".gz"])
    path = str(folder / f"a.tfrecord{suffix}")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(rng.choice([1, 3, 6]))])
    clean, before = read_rated(path), pathlib.Path(path).read_bytes()
    data, what = damaged(rng, before)
    pathlib.Path(path).write_bytes(data)
    if not data:
        return Case(lambda: tfrecord.list_files(path), None, path, (REFUSED,), what)
    allowed = (SAME, REFUSED) if suffix else _allowed(before, data, SAME, REFUSED)
    return Case(lambda: read_rated(path), clean, path, allowed, f"{suffix} {what}")


@KINDS.register("records: bytes, skipped")
def skipped_bytes(rng: random.Random, folder: pathlib.Path) -> Case:
    """Damaged bytes of a record file, of which the reader skips what is corrupt."""
    path = str(folder / "a.tfrecord")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(6)])
    clean, before = read_rated(path), pathlib.Path(path).read_bytes()
    data, what = damaged(rng, before)
    pathlib.Path(path).write_bytes(data)

    def read():
        found = read_rated(path, skip=True)
        # What is left is what was there, in its order; a record that stands twice is as it stands.
        assert set(found) <= set(clean), "a record came out changed"
        if what.startswith("flip"):
            lost = {entry[0] for entry in clean} - {entry[0] for entry in found}
            assert len(lost) <= 1, "more is lost than the record that is damaged"
        return found

    allowed = (SAME, TOLD, OTHER) if "double" in what else _allowed(before, data, SAME, TOLD)
    return Case(read, clean, path, allowed, what)


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
            ("id", _id(b"a" + rng.choice([b"\xed\xa0\x80", b"\xe0\x80\x80", b"\xf4\x90\x80\x80"]))),
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


@KINDS.register("packed examples")
def packed_examples(rng: random.Random, folder: pathlib.Path) -> Case:
    """A packed file of rated segments or whole videos with damaged bytes, which is packed anew."""
    path = str(folder / "a.tfrecord")
    tfrecord.write_records(path, [_video(rng, f"v{number}") for number in range(4)])
    windows = rng.choice(("rated", "video"))

    def read():
        cache = open_cache(str(folder / "cache"), [path], CONFIG, windows=windows)
        found = make_dataset([path], CONFIG, windows=windows, batch_size=3, with_info=True, cache=cache)
        return [values.numpy().tolist() for element in found for values in tf.nest.flatten(element)]

    clean = read()
    (packed,) = (folder / "cache").iterdir()
    data, what = damaged(rng, packed.read_bytes())
    packed.write_bytes(data)
    return Case(read, clean, str(packed), (SAME,), what)
