"""Records of clips made wrong at random: their JPEGs, their times, their fields."""

import functools
import pathlib
import random
import tempfile
from typing import Any

import tensorflow as tf

from tests.helpers.bad_records import write_raw
from tests.helpers.clips import CLIPS, make_clip
from tests.helpers.mutations.base import KINDS, OTHER, REFUSED, SAME, Case, damaged
from yt8m.data import record_checks
from yt8m.data.clip_records import FORMAT, RATE, TIME_LIST
from yt8m.data.pipeline import make_dataset
from yt8m.data.tfrecord import PICTURE_LIST


def read_clips(path: str) -> list[Any]:
    """The rated segments of a file of clips as plain values."""
    found = []
    with record_checks.explain_errors([path], CLIPS, windows="rated"):
        for features, targets in make_dataset([path], CLIPS, windows="rated", batch_size=4):
            values = [features[name].numpy().tobytes() for name in ("pictures", "num_frames")]
            found.append((*values, targets["classes"].numpy().tobytes(), targets["scores"].numpy().tobytes()))
    return found


@functools.cache
def _unharmed(seed):
    """Serialized records of three clips, and what is read of them: half of a case's time."""
    rng = random.Random(seed)
    records = []
    for number in range(3):
        segments = ((0, rng.randrange(10), 1.0), (5, rng.randrange(10), 0.0))
        records.append(make_clip(f"v{number}", 56, first=number, segments=segments).serialize())
    with tempfile.TemporaryDirectory() as folder:
        write_raw(f"{folder}/a.tfrecord", *records)
        return records, read_clips(f"{folder}/a.tfrecord")


def _written(rng, folder, edit):
    """Path of a file of three clips, one of them edited, and what unharmed ones give."""
    path = str(folder / "a.tfrecord")
    records, clean = _unharmed(rng.randrange(10))
    examples = list(map(tf.train.SequenceExample.FromString, records))
    what = edit(rng.choice(examples))
    write_raw(path, *(example.SerializeToString() for example in examples))
    return path, clean, what


@KINDS.register("clips: pictures")
def clip_pictures(rng: random.Random, folder: pathlib.Path) -> Case:
    """A clip with a JPEG whose bytes are damaged, in a whole record: what decodes cannot be told from the original."""

    def edit(example):
        value = rng.choice(example.feature_lists.feature_list[PICTURE_LIST].feature).bytes_list.value
        value[0], what = damaged(rng, value[0])
        return what

    path, clean, what = _written(rng, folder, edit)
    return Case(lambda: read_clips(path), clean, path, (SAME, OTHER, REFUSED), what)


def _set_time(place, value):
    def edit(example):
        example.feature_lists.feature_list[TIME_LIST].feature[place].int64_list.value[0] = value

    return edit


def _without_times(rate):
    def edit(example):
        del example.feature_lists.feature_list[TIME_LIST]
        example.context.feature[RATE].float_list.value[:] = [rate]

    return edit


def _bad_fields(rng):
    """(name, edit of a SequenceExample) that is refused."""
    pictures = lambda example: example.feature_lists.feature_list[PICTURE_LIST].feature  # noqa: E731
    place = rng.randrange(1, 55)
    return rng.choice(
        [
            ("time", _set_time(place, rng.choice([-1, -(2**62), 2**50, 2**62]))),
            ("last time", _set_time(55, rng.choice([2**40, 2**50, 2**62]))),
            ("rate", _without_times(rng.choice([0.0, -8.0, float("nan"), float("inf"), 1e-30]))),
            ("fewer times", lambda example: example.feature_lists.feature_list[TIME_LIST].feature.pop()),
            ("fewer pictures", lambda example: pictures(example).pop()),
            ("no pictures", lambda example: pictures(example).__delitem__(slice(None))),
            ("no JPEG", lambda example: [item.bytes_list.value.__setitem__(0, b"") for item in pictures(example)]),
            ("text", lambda example: [item.bytes_list.value.__setitem__(0, b"GIF89a") for item in pictures(example)]),
            ("two values", lambda example: pictures(example)[place].bytes_list.value.append(b"1")),
            (
                "start",
                lambda example: example.context.feature["segment_start_times"].int64_list.value.__setitem__(0, 7),
            ),
            ("class", lambda example: example.context.feature["segment_labels"].int64_list.value.__setitem__(0, 10)),
        ]
    )


@KINDS.register("clips: fields")
def clip_fields(rng: random.Random, folder: pathlib.Path) -> Case:
    """A clip with times, a rate, pictures or ratings that make no sense, or a format that nobody reads."""
    if rng.random() < 0.1:
        name, edit, allowed = "format", lambda example: example.context.feature.pop(FORMAT), (SAME,)
    else:
        (name, edit), allowed = _bad_fields(rng), (REFUSED,)
    path, clean, _ = _written(rng, folder, edit)
    return Case(lambda: read_clips(path), clean, path, allowed, name, ("record",) if REFUSED in allowed else ())
