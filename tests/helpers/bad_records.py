"""Records that are bad in one way each."""

import dataclasses
import struct

import numpy as np
import tensorflow as tf

from tests.helpers.records import make_video
from yt8m.data.tfrecord import FrameRecord, VideoRecord

BAD = {
    "size": (make_video("bad", rgb_size=5), "all", "frame 0 of rgb has 5 bytes, not 6 bytes"),
    "label": (make_video("bad", labels=(1, 10)), "video", "labels holds class 10, outside [0, 10)"),
    "label scores": (
        dataclasses.replace(make_video("bad", labels=(1, 2)), label_scores=(0.5,)),
        "video",
        "labels and label_scores have 2 and 1 values",
    ),
    "negative": (make_video("bad", labels=(-1,)), "video", "labels holds class -1, outside [0, 10)"),
    "rating": (make_video("bad", segments=((0, 77, 1.0),)), "rated", "segment_labels holds class 77, outside [0, 10)"),
    "past": (
        make_video("bad", segments=((15, 1, 1.0),)),
        "rated",
        "segment_start_times holds 15, outside the 12 frames of the video",
    ),
    "no id": (make_video(""), "all", "id is missing"),
    "no frames": (make_video("bad", audio_frames=0), "all", "audio has no frames"),
    "no feature": (
        FrameRecord(video_id="bad", features={"rgb": np.zeros((7, 6)), "depth": np.zeros((7, 2))}, labels=()),
        "all",
        "audio is missing; the record has depth, rgb",
    ),
    "other level": (
        VideoRecord(video_id="bad", features={"mean_rgb": np.zeros(6)}),
        "all",
        "rgb is missing; the record has id, mean_rgb",
    ),
}


def edited(record, edit):
    """Serialized ``record`` after ``edit`` of its context features."""
    example = tf.train.SequenceExample.FromString(record.serialize())
    edit(example.context.feature)
    return example.SerializeToString()


def masked_crc32c(data):
    """The checksum that TFRecords hold of ``data``, bit by bit, 4 bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 & -(crc & 1))
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def with_length(data, position, length):
    """``data`` of a record file whose record at ``position`` says that it has ``length`` bytes, by a right checksum."""
    header = struct.pack("<Q", length)
    return data[:position] + header + masked_crc32c(header) + data[position + 12 :]


def drop_a_score(context):
    context["segment_scores"].float_list.value.pop()


def write_raw(path, *serialized):
    with tf.io.TFRecordWriter(path) as writer:
        for item in serialized:
            writer.write(item)
    return path


def damage(path, name):
    """Damages the second of four records of equal length."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    length = 12 + struct.unpack("<Q", data[:8])[0] + 4
    assert len(data) == 4 * length
    if name == "body":
        data[length + 40] ^= 1
    elif name == "length":
        data[length] ^= 1
    elif name == "two bodies":
        data[length + 40] ^= 1
        data[2 * length + 40] ^= 1
    else:
        del data[length + 40 :]
    with open(path, "wb") as file:
        file.write(data)
