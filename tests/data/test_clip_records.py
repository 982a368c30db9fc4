"""Clip records: written, parsed as they were written, MediaPipe's too, and what is wrong with one in words."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clips import CLIPS, flat, jpeg, make_clip
from yt8m.data import clips
from yt8m.data.clip_records import ClipRecord, parse_clip_context, parse_clips
from yt8m.data.labels import load_rated_labels, load_video_labels
from yt8m.data.pictures import decode_pictures
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import check_record, explain_errors
from yt8m.data.scan import probe
from yt8m.data.splits import Source
from yt8m.types import DataWarning, InputError


def mediasequence(**context):
    """A SequenceExample as MediaPipe's MediaSequence writes it: a clip that begins at second 12 of its video."""
    example = tf.train.SequenceExample()
    fields = example.context.feature
    fields["example/id"].bytes_list.value.append(b"kitchen_12_14")
    fields["clip/media_id"].bytes_list.value.append(b"kitchen")
    fields["clip/label/index"].int64_list.value.extend([7, 3])
    fields["clip/label/confidence"].float_list.value.extend([0.25, 0.75])
    fields["clip/label/string"].bytes_list.value.extend([b"stir", b"cut"])
    fields["image/frame_rate"].float_list.value.append(4.0)
    for number in range(8):
        lists = example.feature_lists.feature_list
        lists["image/encoded"].feature.add().bytes_list.value.append(jpeg(flat(number)))
        lists["image/timestamp"].feature.add().int64_list.value.append(12_000_000 + 250_000 * number)
    for name in context.get("without", ()):
        if name in fields:
            del fields[name]
        else:
            del lists[name]
    return example


def test_what_is_written_is_parsed():
    records = [
        make_clip("a", 3, rate=2.0, segments=((0, 4, 1.0), (0, 5, 0.25))),
        make_clip("b", times=[0, 0.5, 6.25, 6.5], labels=()),
    ]
    parsed = parse_clips(
        tf.constant([record.serialize() for record in records]),
        lists=("labels", "segment_labels", "segment_start_times"),
        float_lists=("label_scores", "segment_scores"),
    )
    assert parsed.ids.numpy().tolist() == [b"a", b"b"] and parsed.counts.numpy().tolist() == [3, 4]
    assert parsed.seconds.numpy().tolist() == [2, 7]
    np.testing.assert_array_equal(
        parsed.times, [[0, 500_000, 1_000_000, 1_000_000], [0, 500_000, 6_250_000, 6_500_000]]
    )
    assert [list(row[:count]) for row, count in zip(parsed.pictures.numpy(), [3, 4])] == [
        list(record.pictures) for record in records
    ]
    assert parsed.context["labels"].to_list() == [[1, 2], []] and parsed.context["label_scores"].to_list() == [[], []]
    assert parsed.context["segment_labels"].to_list() == [[4, 5], []]
    assert parsed.context["segment_scores"].to_list() == [[1.0, 0.25], []]
    example = tf.train.SequenceExample.FromString(records[0].serialize())
    context = example.context.feature
    assert (context["image/height"].int64_list.value[0], context["image/width"].int64_list.value[0]) == (24, 32)
    assert (
        context["image/frame_rate"].float_list.value[0] == 2 and context["image/format"].bytes_list.value[0] == b"JPEG"
    )


def test_those_of_mediapipe_are_read(tmp_path):
    serialized = mediasequence().SerializeToString()
    ours = make_clip("b", labels=(1, 2)).serialize()
    parsed = parse_clips(tf.constant([serialized, ours]), lists=("labels",), float_lists=("label_scores",))
    assert parsed.ids.numpy().tolist() == [b"kitchen_12_14", b"b"]
    assert parsed.context["labels"].to_list() == [[7, 3], [1, 2]]
    assert parsed.context["label_scores"].to_list() == [[0.25, 0.75], []] and len(parsed.context) == 2
    np.testing.assert_array_equal(parsed.times[0, :8], np.arange(8) * 250_000)
    ids, context = parse_clip_context(tf.constant([serialized]), lists=("labels",))
    assert ids.numpy().tolist() == [b"kitchen_12_14"] and context["labels"].to_list() == [[7, 3]]
    path = str(tmp_path / "clips.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(serialized)
    found = probe([path])
    assert (found.level, found.features, found.id_key, found.has_labels) == (
        "clip",
        {"pictures": 3},
        "example/id",
        True,
    )
    assert load_video_labels(Source((path,))) == {"kitchen_12_14": (7, 3)}
    ((_, targets),) = make_dataset([path], CLIPS, windows="video", batch_size=2)
    assert targets["classes"].numpy()[0, :2].tolist() == [4, 8] and targets["scores"].numpy()[0, :2].tolist() == [
        0.75,
        0.25,
    ]


@pytest.mark.parametrize("theirs", [False, True])
def test_scores_without_labels_are_not_hidden_by_those_of_mediapipe(theirs):
    example = mediasequence() if theirs else tf.train.SequenceExample.FromString(make_clip("a", labels=()).serialize())
    example.context.feature["label_scores"].float_list.value[:] = [0.5]
    parsed = parse_clips(tf.constant([example.SerializeToString()]), lists=("labels",), float_lists=("label_scores",))
    assert parsed.context["labels"].to_list() == [[]] and parsed.context["label_scores"].to_list() == [[0.5]]


def test_without_times_the_rate_says_them_and_without_an_example_the_video_is_the_id():
    example = mediasequence(without=("image/timestamp", "example/id"))
    parsed = parse_clips(tf.constant([example.SerializeToString()]))
    assert parsed.ids.numpy().tolist() == [b"kitchen"] and parsed.seconds.numpy().tolist() == [2]
    np.testing.assert_array_equal(parsed.times[0], np.arange(8) * 250_000)
    assert ClipRecord.parse(example.SerializeToString()).times == tuple(250_000 * k for k in range(8))


def test_a_part_of_a_clip_is_that_between_two_seconds():
    clip = dataclasses.replace(
        make_clip(times=[0, 1, 2, 3, 12, 13]), times=tuple(7 * 10**6 + t * 10**6 for t in (0, 1, 2, 3, 12, 13))
    )
    again = ClipRecord.parse(clip.serialize())
    assert (again.pictures, again.times, again.size, again.rate) == (clip.pictures, clip.times, (24, 32), 8.0)
    assert again.part(1, 3).pictures == clip.pictures[1:3] and again.part(1, 3).times == (8 * 10**6, 9 * 10**6)
    # Where none is shown first, that on the screen.
    assert again.part(5, 10).pictures == clip.pictures[3:4]
    assert again.part(10, 15).pictures == clip.pictures[4:]


def changed(change, **options):
    example = tf.train.SequenceExample.FromString(make_clip("bad", 12, segments=((0, 1, 1.0),), **options).serialize())
    change(example.context.feature, example.feature_lists.feature_list)
    return example.SerializeToString()


def set_value(lists, name, place, kind, value):
    getattr(lists[name].feature[place], kind).value[0] = value


BAD = {
    "cut": (
        lambda c, f: set_value(f, "image/encoded", 3, "bytes_list", jpeg(flat(1))[:300]),
        "frame 3 of image/encoded is broken: its 300 bytes are no JPEG or PNG that can be decoded",
    ),
    "no picture": (
        lambda c, f: set_value(f, "image/encoded", 11, "bytes_list", b"not a picture"),
        "frame 11 of image/encoded is broken: its 13 bytes are no JPEG or PNG that can be decoded",
    ),
    "two in one": (
        lambda c, f: f["image/encoded"].feature[2].bytes_list.value.append(b""),
        "frame 2 of image/encoded has 2 byte strings, not one",
    ),
    "fewer times": (
        lambda c, f: f["image/timestamp"].feature.pop(),
        "image/encoded and image/timestamp have 12 and 11 values",
    ),
    "back": (
        lambda c, f: set_value(f, "image/timestamp", 5, "int64_list", 10),
        "frame 5 of image/timestamp is at 10 microseconds, before the frame before it",
    ),
    "nanoseconds": (
        lambda c, f: set_value(f, "image/timestamp", 11, "int64_list", 10**12),
        "image/timestamp goes over 1,000,000 s, and a clip has at most 86,400",
    ),
    "no times": (
        lambda c, f: (f.pop("image/timestamp"), c.pop("image/frame_rate")),
        "it has neither image/timestamp nor an image/frame_rate above 0",
    ),
    "empty": (
        lambda c, f: (f["image/encoded"].ClearField("feature"), f["image/timestamp"].ClearField("feature")),
        "image/encoded is missing; the record has image/encoded, image/timestamp",
    ),
    "whole rate": (
        lambda c, f: c["image/frame_rate"].int64_list.value.append(8),
        "image/frame_rate is not one float",
    ),
    "late segment": (
        lambda c, f: c["segment_start_times"].int64_list.value.__setitem__(0, 2),
        "segment_start_times holds 2, outside the 2 seconds of the clip",
    ),
    "class": (
        lambda c, f: c["segment_labels"].int64_list.value.__setitem__(0, 10),
        "segment_labels holds class 10, outside [0, 10)",
    ),
    "no id": (lambda c, f: c.pop("id"), "id is missing"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_refused_by_the_reader_and_named(case):
    change, problem = BAD[case]
    good, bad = make_clip("good", 12, segments=((0, 1, 1.0),)).serialize(), changed(change)
    assert check_record(good, CLIPS) is None and check_record(bad, CLIPS).startswith(problem)
    # All pictures are shown, so that the reader meets the broken one.
    config = CLIPS.replace(num_frames=16)

    def read(serialized):
        parsed = clips._parse(0, tf.constant([serialized]), config=config, windows="rated", seed=None)
        shown = int(parsed["features"]["shown"][0])
        return decode_pictures(parsed["features"]["encoded"][0, 0, :shown], size=8)

    assert read(good).shape == (12, 1, 8, 8, 3)
    with pytest.raises(tf.errors.OpError):
        read(bad)


@pytest.mark.slow
def test_the_record_and_its_frame_are_named_and_skipped(tmp_path):
    good, bad = make_clip("good", 12, segments=((0, 1, 1.0),)).serialize(), changed(BAD["cut"][0])
    path = str(tmp_path / "a.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for serialized in (good, bad, good):
            writer.write(serialized)
    config = CLIPS.replace(num_frames=16)
    with pytest.raises(InputError) as error, explain_errors([path], config, windows="rated"):
        list(make_dataset([path], config, windows="rated", batch_size=2))
    assert str(error.value) == f"{path}, record 1: {BAD['cut'][1]}"
    with pytest.warns(DataWarning, match="skipped 1 corrupt record; the first: .* record 1: frame 3 of image/encoded"):
        ((features, _),) = make_dataset([path], config.replace(skip_corrupt=True), windows="rated", batch_size=4)
    assert features["num_frames"].numpy().tolist() == [12, 12]


def test_labels_of_mediasequence_are_checked():
    example = mediasequence()
    example.context.feature["clip/label/index"].int64_list.value[0] = 10
    assert check_record(example.SerializeToString(), CLIPS) == "clip/label/index holds class 10, outside [0, 10)"
    example = mediasequence()
    example.context.feature["clip/label/confidence"].float_list.value.pop()
    said = check_record(example.SerializeToString(), CLIPS)
    assert said == "clip/label/index and clip/label/confidence have 2 and 1 values"


def test_ratings_of_clips_are_read_whole(write):
    path = write("a.tfrecord", make_clip("a", 60, segments=((0, 1, 1.0), (5, 2, 0.0))), make_clip("b", segments=()))
    labels = load_rated_labels(Source((path,)))
    assert list(zip(labels.texts, labels.class_ids.tolist(), labels.positive.tolist())) == [
        (b"a:0", 1, True),
        (b"a:5", 2, False),
    ]
