"""A small synthetic YouTube-8M that can be learned, in the real set's files and formats.

What makes it like the real one: classes are active in intervals of a video that do not begin at multiples of 5 and fade
in and out; classes come in pairs that look alike and sound different; a scene that goes with a class fills its whole
video, so that video labels teach what goes along with a class, and ratings when it is there; video labels are noisy;
only a handful of (segment, class) pairs is rated, of the classes that the video is labelled with.
"""

import csv
import dataclasses
import io
import json
import os
from typing import Any

import numpy as np

from yt8m.data.making.synthetic_texts import TextWorld, draw_pairs, truth_table
from yt8m.data.tfrecord import FrameRecord, quantize, write_records
from yt8m.runtime.files import write_text
from yt8m.types import SEGMENT_SECONDS, InputError, Segment, StrPath

PAIRS = (
    ("Guitar", "Ukulele"), ("Dog", "Wolf"), ("Motorcycle", "Moped"), ("Choir", "Audience"), ("Drum kit", "Bongo"),
    ("Sea", "Lake"), ("Car race", "Traffic jam"), ("Chainsaw", "Hedge trimmer"), ("Violin", "Viola"),
    ("Rain", "Snowfall"), ("Train", "Tram"), ("Boxing", "Shadow boxing"), ("Cat", "Lynx"), ("Helicopter", "Drone"),
    ("Parrot", "Macaw"),
)  # fmt: skip
NAMES = tuple(name for pair in PAIRS for name in pair)
SEGMENT_CLASSES = tuple(index for index in range(len(NAMES)) if index // 2 % 3 != 2)
SIZES = {"tiny": (32, 24, 16), "small": (480, 320, 240), "large": (6000, 600, 600)}
"""Videos in train, validate and test; "small" is about 50 MB, "large" 330 MB."""

FILES = (4, 8, 4)
"""Files of train, validate and test."""

_COLUMNS = (
    *("Index", "TrainVideoCount", "KnowledgeGraphId", "Name", "WikiUrl"),
    *("Vertical1", "Vertical2", "Vertical3", "WikiDescription"),
)
_SIZE = {"rgb": 1024, "audio": 128}
_LATENT = {"rgb": 48, "audio": 16}
_WITHIN_PAIR = {"rgb": 0.35, "audio": 1.0}
_ACTION, _SCENE, _NUISANCE, _DRIFT, _CORRELATION, _NOISE = 0.4, 0.3, 1.0, 2.0, 0.3, 0.4


def write_demo(output_dir: StrPath, *, seed: int = 0, size: str = "small") -> dict[str, Any]:
    """Writes the data set below ``output_dir`` and returns its manifest, which is also written, to manifest.json.

    size: a key of SIZES. train/: frame-level records with video labels. validate/: with video labels and ratings.
    test/: without labels; its ratings are in test_labels.csv (``id:start,class,score``, no header). vocabulary.csv and
    segment_label_ids.csv as in the real set. rgb (1024) and audio (128), 20 to 60 frames a video at 1 a second. Each
    split has texts, see yt8m.data.making.synthetic_texts, SPLIT_pairs.csv, how similar pairs of its videos are, and
    SPLIT_truth.csv, what decides that: ``video_id,classes,topics``, numbers with blanks between. The same seed gives
    the same files. Raises InputError where a file cannot be written.
    """
    if size not in SIZES:
        raise InputError(f"there is no demo of size {size!r}; valid: {', '.join(SIZES)}")
    world = _World(np.random.default_rng([seed, 0]))
    manifest = {"seed": seed, "size": size, "num_classes": len(NAMES), "num_segment_classes": len(SEGMENT_CLASSES)}
    texts = TextWorld(np.random.default_rng([seed, 4]), NAMES)
    for split, (name, videos, files) in enumerate(zip(("train", "validate", "test"), SIZES[size], FILES)):
        rng, text_rng = (np.random.default_rng([seed, first + split]) for first in (1, 5))
        drawn = [world.draw_video(rng, f"{name}{index:05d}") for index in range(videos)]
        records, hidden = _with_texts(drawn, texts, text_rng)
        write_text(os.path.join(output_dir, f"{name}_pairs.csv"), draw_pairs(text_rng, hidden))
        write_text(os.path.join(output_dir, f"{name}_truth.csv"), truth_table(hidden))
        if name == "test":
            ratings = [(record.video_id, *rating) for record in records for rating in record.segments]
            text = "".join(f"{Segment(video, start)},{label},{score:g}\n" for video, start, label, score in ratings)
            write_text(os.path.join(output_dir, "test_labels.csv"), text)
        for number in range(files):
            shard = (_visible(record, name) for record in records[number::files])
            write_records(os.path.join(output_dir, name, f"{name}{number:04d}.tfrecord"), shard)
        manifest[name] = {
            "videos": videos,
            "files": files,
            "frames": sum(len(record.features["rgb"]) for record in records),
            "ratings": 0 if name == "train" else sum(len(record.segments) for record in records),
        }
    _write_vocabulary(output_dir)
    write_text(os.path.join(output_dir, "manifest.json"), json.dumps(manifest, indent=2) + "\n")
    return manifest


def _with_texts(drawn, texts, rng):
    """The records of videos with their texts, and pairs of id and what decides about similarity."""
    records, hidden = [], []
    for record, activity in drawn:
        made, decisive = texts.draw(rng, activity)
        records.append(dataclasses.replace(record, texts=made))
        hidden.append((record.video_id, decisive))
    return records, hidden


def _visible(record, split):
    """The record with the labels that the files of a split show."""
    return FrameRecord(
        video_id=record.video_id,
        features=record.features,
        labels=None if split == "test" else record.labels,
        segments=record.segments if split == "validate" else None,
        texts=record.texts,
    )


class _World:
    """Appearance and sound of classes. Frames are noise plus a point of a subspace with a decaying spectrum, as PCA
    has.
    """

    def __init__(self, rng):
        self.basis, self.action, self.scene = {}, {}, {}
        for name, size in _SIZE.items():
            latent = _LATENT[name]
            orthonormal = np.linalg.qr(rng.standard_normal((size, latent)))[0].T * np.sqrt(size)
            spectrum = (1.0 + np.arange(latent)) ** -0.3
            self.basis[name] = orthonormal * (0.35 * spectrum / np.linalg.norm(spectrum))[:, None]
            pairs = np.repeat(rng.standard_normal((len(PAIRS), latent)), 2, axis=0)
            own = rng.standard_normal((len(NAMES), latent))
            mix = _WITHIN_PAIR[name]
            self.action[name] = _ACTION * (np.sqrt(1 - mix**2) * pairs + mix * own)
            self.scene[name] = _SCENE * rng.standard_normal((len(NAMES), latent))

    def draw_video(self, rng, video_id):
        """A FrameRecord with noisy labels and with ratings, and how much each class is there, (seconds, C)."""
        frames = int(rng.integers(20, 61))
        present = rng.choice(len(NAMES), size=rng.choice([1, 2, 3, 4], p=[0.2, 0.4, 0.3, 0.1]), replace=False)
        activity = np.zeros((frames, len(NAMES)))
        for label in present:
            activity[:, label] = _draw_activity(rng, frames)
        features = {}
        for name, size in _SIZE.items():
            latent = activity @ self.action[name] + self.scene[name][present].sum(axis=0)
            latent = latent + _NUISANCE * rng.standard_normal(_LATENT[name])
            latent += _DRIFT * _draw_drift(rng, frames, _LATENT[name])
            noise = rng.standard_normal((frames, size), dtype=np.float32)
            features[name] = quantize(latent @ self.basis[name] + _NOISE * noise)
        labels = _draw_labels(rng, present)
        segments = _draw_ratings(rng, activity, [label for label in labels if label in SEGMENT_CLASSES])
        return FrameRecord(video_id=video_id, features=features, labels=labels, segments=segments), activity


def _draw_activity(rng, frames):
    """(frames,) in [0, 1]: one or two intervals of 6 to 20 s with ramps of about 3 s."""
    time = np.arange(frames)
    activity = np.zeros(frames)
    for _ in range(rng.integers(1, 3)):
        length = rng.uniform(6, 20)
        start = rng.uniform(-2, frames - 3)
        ramp = rng.uniform(1.5, 4)
        rise = (time - start) / ramp
        fall = (start + length - time) / ramp
        activity = np.maximum(activity, np.clip(np.minimum(rise, fall) + 0.5, 0, 1))
    return activity


def _draw_drift(rng, frames, size):
    """(frames, size): noise of variance 1 that a frame shares with its neighbours."""
    noise = rng.standard_normal((frames, size))
    for index in range(1, frames):
        noise[index] = _CORRELATION * noise[index - 1] + np.sqrt(1 - _CORRELATION**2) * noise[index]
    return noise


def _draw_labels(rng, present):
    """Sorted class ids: of those present a sixth is missing, and every sixth video has one that is wrong."""
    labels = {int(label) for label in present if rng.random() > 1 / 6}
    if rng.random() < 1 / 6:
        labels.add(int(rng.integers(len(NAMES))))
    return tuple(sorted(labels))


def _draw_ratings(rng, activity, labels):
    """(start, class, score) triples: for each class up to three segments where it is active, two where not."""
    starts = np.arange(0, len(activity), SEGMENT_SECONDS)
    ratings = []
    for label in labels:
        active = np.array([activity[start : start + SEGMENT_SECONDS, label].mean() >= 0.5 for start in starts])
        for score, wanted, pool in ((1.0, 3, starts[active]), (0.0, 2, starts[~active])):
            chosen = rng.choice(pool, size=min(wanted, len(pool)), replace=False)
            ratings += [(int(start), label, score) for start in chosen]
    return tuple(sorted(ratings))


def _write_vocabulary(output_dir):
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({"Index": index, "Name": name} for index, name in enumerate(NAMES))
    write_text(os.path.join(output_dir, "vocabulary.csv"), text.getvalue())
    ids = "".join(f"{index}\n" for index in SEGMENT_CLASSES)
    write_text(os.path.join(output_dir, "segment_label_ids.csv"), "Index\n" + ids)
