"""Generated clips of actions that no single frame tells apart: handwritten digits and textures that move.

A class is an appearance and a motion. Place, angle, size and brightness of what moves are drawn alike for all motions,
and each motion changes one of them so that it stays as it was drawn at every single moment: what moves leaves on one
side and comes back on the other, what grows starts over small. So a frame tells the appearance and nothing of the
motion, and each motion that has a direction is another class played backwards. Digits are those of scikit-learn, 1797
that people have written, of which train, holdout and test have different ones.
"""

import csv
import functools
import io
import json
import os
from typing import Any

import numpy as np
from scipy import ndimage

from yt8m.data.clip_records import MICROSECONDS, ClipRecord
from yt8m.data.making.settings import ACTION_SIZES, ACTION_VERSIONS
from yt8m.data.tfrecord import write_records
from yt8m.features.jpeg import encode_jpeg
from yt8m.runtime.files import write_text
from yt8m.runtime.parallel import map_in_order
from yt8m.types import SEGMENT_SECONDS, InputError, StrPath

APPEARANCES = ("digit", "texture")
MOTIONS = (
    *("moves right", "moves left", "moves down", "moves up", "turns clockwise", "turns counterclockwise"),
    *("grows", "shrinks", "bounces", "blinks"),
)
NAMES = tuple(f"{appearance} {motion}" for appearance in APPEARANCES for motion in MOTIONS)
SPLITS = ("train", "holdout", "test")
CLIPS = {"tiny": (40, 20, 20), "small": (800, 200, 400), "large": (4000, 400, 800)}
"""Of a size of ACTION_SIZES, clips of train, holdout and test; "small" is about 60 MB."""

FILES = (4, 2, 2)
_CLIPS_A_WORKER = 1000
"""A process takes seconds to start, in which it would make 100."""

SIDE = 64
"""Pixels of a side of the pictures as they are drawn."""

RATE = 8
"""Pictures a second."""

LOW_SIDES = (10, 64)
"""Pixels of the sides of low-resolution clips, drawn evenly on a scale of logarithms."""

_GRID = 8
"""Values of a side of a drawing, as scikit-learn's digits have them."""

_SPEED = (0.15, 0.35)
"""Sides of a picture a second."""

_TURNS, _GROWTH, _BLINK = (0.1, 0.25), (0.1, 0.25), (0.8, 1.6)
"""A second: turns, passes from the least to the largest size, and changes of brightness."""

_BOX = 0.2
"""Distance from the middle, in sides of a picture, at which what bounces turns back."""

_SCALES = (0.3, 0.65)
_CONTRASTS = (0.4, 1.0)


def write_actions(
    output_dir: StrPath,
    *,
    seed: int = 0,
    size: str = "small",
    version: str = "bright",
    actions: int = 1,
    workers: int = 1,
) -> dict[str, Any]:
    """Writes clip records below ``output_dir`` and returns their manifest, which is also written, to manifest.json.

    size: one of ACTION_SIZES. version: "bright"; "low_resolution", each clip of its own side, of LOW_SIDES; or "dark",
    by gamma and gain, with the noise of a sensor and compressed more. actions: of five seconds each in a clip, whose
    labels are their classes; every segment is rated for every class. train/, holdout/ and test/: files of records;
    vocabulary.csv; train_labels.csv and so on: the classes of each clip. The same seed gives the same files, and draws
    the same of every version. workers: processes at most, one for 1000 clips. Raises InputError where a file cannot be
    written, and where Pillow is not installed.
    """
    for name, value, valid in (("size", size, ACTION_SIZES), ("version", version, ACTION_VERSIONS)):
        if value not in valid:
            raise InputError(f"there is no {name} {value!r} of actions; valid: {', '.join(valid)}")
    manifest: dict[str, Any] = {"seed": seed, "size": size, "version": version, "num_classes": len(NAMES)}
    settings = {"output_dir": os.fspath(output_dir), "size": size, "version": version, "seed": seed, "actions": actions}
    places = [(number, file) for number, files in enumerate(FILES) for file in range(files)]
    workers = min(workers, sum(CLIPS[size]) // _CLIPS_A_WORKER)
    for _ in map_in_order(functools.partial(_write_file, **settings), places, workers=workers):
        pass
    for number, (split, clips, files) in enumerate(zip(SPLITS, CLIPS[size], FILES)):
        classes = _classes(seed, number, clips, actions)
        labels = [(_video_id(version, split, index), *sorted(set(found))) for index, found in enumerate(classes)]
        _write_csv(os.path.join(output_dir, f"{split}_labels.csv"), [("video_id", "class"), *labels])
        manifest[split] = {"clips": clips, "files": files}
    _write_csv(os.path.join(output_dir, "vocabulary.csv"), [("Index", "Name"), *enumerate(NAMES)])
    write_text(os.path.join(output_dir, "manifest.json"), json.dumps(manifest, indent=2) + "\n")
    return manifest


def draw_action(class_id: int, rng: np.random.Generator, *, split: str = "train", side: int = SIDE) -> np.ndarray:
    """Five seconds of the action ``class_id``, uint8 (5 * RATE, side, side, 3). split: whose digits are drawn."""
    appearance, motion = divmod(class_id, len(MOTIONS))
    drawing = _digit(rng, split) if APPEARANCES[appearance] == "digit" else _texture(rng)
    state = _states(MOTIONS[motion], rng)
    mask = _rendered(drawing, state, side)
    back = rng.uniform(0.05, 0.3, 3) + 0.04 * _smooth_noise(rng, (side, side))[..., None]
    colour = rng.uniform(0.6, 1.0, 3)
    shown = (state["contrast"][:, None, None] * mask)[..., None]
    return np.rint(255 * np.clip(back + shown * (colour - back), 0, 1)).astype(np.uint8)


def _write_file(place, *, output_dir, size, version, seed, actions):
    """Writes the file of a place, (number of the split, number of the file)."""
    number, file = place
    split, clips = SPLITS[number], CLIPS[size][number]
    classes = _classes(seed, number, clips, actions)
    records = (
        _make_record(_video_id(version, split, index), classes[index], [seed, number, index], split, version)
        for index in range(file, clips, FILES[number])
    )
    write_records(os.path.join(output_dir, split, f"{split}{file:04d}.tfrecord"), records)


def _classes(seed, number, clips, actions):
    """Classes of each clip of a split, as many of each but for one, in random order."""
    rng = np.random.default_rng([seed, number])
    return rng.permutation(np.arange(clips * actions) % len(NAMES)).reshape(clips, actions).tolist()


def _make_record(video_id, classes, seed, split, version):
    rng = np.random.default_rng(seed)
    pictures = np.concatenate([draw_action(class_id, rng, split=split) for class_id in classes])
    quality = 90
    if version == "low_resolution":
        pictures = _shrunk(pictures, rng)
    elif version == "dark":
        pictures, quality = _darkened(pictures, rng), int(rng.integers(40, 71))
    segments = tuple(
        (SEGMENT_SECONDS * place, other, float(other == class_id))
        for place, class_id in enumerate(classes)
        for other in range(len(NAMES))
    )
    return ClipRecord(
        video_id=video_id,
        pictures=tuple(encode_jpeg(picture, quality=quality) for picture in pictures),
        times=tuple(round(place * MICROSECONDS / RATE) for place in range(len(pictures))),
        size=pictures.shape[1:3],
        rate=RATE,
        labels=tuple(sorted(set(classes))),
        segments=segments,
    )


def _states(motion, rng):
    """Dict of x, y, turn, growth in [0, 1) and contrast to (F,) values: what is drawn alike, and one that changes."""
    time = np.arange(SEGMENT_SECONDS * RATE) / RATE
    low, high = rng.permutation(_CONTRASTS)
    state = {name: np.full(len(time), rng.uniform()) for name in ("x", "y", "turn", "growth")}
    state["contrast"] = np.full(len(time), low)
    speed, turns, growth, blinks = (rng.uniform(*bounds) for bounds in (_SPEED, _TURNS, _GROWTH, _BLINK))
    name, change = {
        "moves right": ("x", speed * time), "moves left": ("x", -speed * time),
        "moves down": ("y", speed * time), "moves up": ("y", -speed * time),
        "turns clockwise": ("turn", turns * time), "turns counterclockwise": ("turn", -turns * time),
        "grows": ("growth", growth * time), "shrinks": ("growth", -growth * time),
        "bounces": (str(rng.choice(["x", "y"])), _between_walls(speed * time, rng.uniform())),
        "blinks": ("contrast", (high - low) * (np.floor(blinks * time + rng.uniform()) % 2)),
    }[motion]  # fmt: skip
    state[name] = state[name] + change if name == "contrast" else (state[name] + change) % 1
    return state


def _between_walls(way, phase):
    """Offsets of what goes ``way`` to and fro between walls at -_BOX and _BOX."""
    passed = way / (4 * _BOX) + phase
    return _BOX * (4 * np.abs(passed % 1 - 0.5) - 1)


def _rendered(drawing, state, side):
    """(F, side, side) in [0, 1]: the drawing in each state, on a surface whose opposite sides are one."""
    places = (np.arange(side) + 0.5) / side
    x = (places[None, None, :] - state["x"][:, None, None] + 0.5) % 1 - 0.5
    y = (places[None, :, None] - state["y"][:, None, None] + 0.5) % 1 - 0.5
    angle = 2 * np.pi * state["turn"][:, None, None]
    least, most = _SCALES
    scale = (least * (most / least) ** state["growth"])[:, None, None] / _GRID
    across = (np.cos(angle) * x + np.sin(angle) * y) / scale
    down = (np.cos(angle) * y - np.sin(angle) * x) / scale
    middle = (_GRID - 1) / 2 + 1
    return ndimage.map_coordinates(np.pad(drawing, 1), [down + middle, across + middle], order=1, mode="constant")


@functools.cache
def _digits():
    from sklearn.datasets import load_digits

    return load_digits().images


def _digit(rng, split):
    images = _digits()
    first, last = {"train": (0, 1200), "holdout": (1200, 1500), "test": (1500, len(images))}[split]
    return images[rng.integers(first, last)] / 16


def _texture(rng):
    """Wavy stripes in a soft disc."""
    y, x = np.mgrid[:_GRID, :_GRID] - (_GRID - 1) / 2
    angle, waves = rng.uniform(0, np.pi), rng.uniform(0.22, 0.34)
    along = 2 * np.pi * (waves * (np.cos(angle) * x + np.sin(angle) * y) + rng.uniform())
    stripes = 0.5 + 0.5 * np.sin(along + 0.8 * _smooth_noise(rng, (_GRID, _GRID)))
    return stripes * np.clip(_GRID / 2 - np.hypot(x, y) + 0.5, 0, 1)


def _smooth_noise(rng, shape):
    """Noise of variance 1 that is smooth over an eighth of a side."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), shape[0] / 8, mode="wrap")
    return noise / noise.std()


def _shrunk(pictures, rng):
    """Pictures of fewer pixels, each the mean of an area."""
    least, most = np.log(LOW_SIDES)
    side = int(np.rint(np.exp(rng.uniform(least, most))))
    edges = np.linspace(0, pictures.shape[1], side + 1)
    for axis in (1, 2):
        pictures = _means(np.moveaxis(pictures, axis, -1).astype(np.float64), edges)
        pictures = np.moveaxis(pictures, -1, axis)
    return np.rint(pictures).astype(np.uint8)


def _means(values, edges):
    """Means of (..., n) values between ``edges``, of which parts of a value count as such."""
    sums = np.concatenate([np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)], axis=-1)
    whole = np.minimum(edges.astype(int), values.shape[-1] - 1)
    until = sums[..., whole] + (edges - whole) * values[..., whole]
    return np.diff(until) / np.diff(edges)


def _darkened(pictures, rng):
    """Pictures in little light: gamma and gain, then noise of photons and of the sensor."""
    light = rng.uniform(0.1, 0.3) * (pictures / 255) ** rng.uniform(1.8, 2.6)
    photons, readout = rng.uniform(2e-4, 6e-4), rng.uniform(0.004, 0.012)
    noise = rng.standard_normal(light.shape) * np.sqrt(photons * light + readout**2)
    return np.rint(255 * np.clip(light + noise, 0, 1)).astype(np.uint8)


def _video_id(version, split, index):
    return f"{version}-{split}{index:05d}"


def _write_csv(path, rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())
