"""Texts that are read off the pictures of a video, by RapidOCR with the networks that its package carries."""

import functools
import glob
import importlib.util
import os
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from yt8m.features.backbones.base import PictureInput
from yt8m.features.backbones.pictures import digest_of_files
from yt8m.features.decoding import Grid, read_pictures
from yt8m.features.words.texts import SCREEN
from yt8m.features.words.tokens import tokens
from yt8m.types import InputError, StrPath, TimedText

_SIDE = 640
"""Pixels of the longer side at which lines of text are looked for; they are read in the picture as it is."""

_LEAST_SCORE = 0.6
_LEAST_CHARACTERS = 2
"""Of a line that counts: below, patterns are taken for letters."""

_LINE_GAP = 0.5
"""Part of a line's height by which tops of boxes in one line may differ."""

LINES = " | "
"""Between the lines of a picture."""


class ScreenReader:
    """Reads texts off pictures every ``every`` seconds.

    model: ONNX file of another recognition network of PaddleOCR, for scripts that RapidOCR's own, of Latin, Chinese and
    Japanese, does not know. Raises InputError where RapidOCR is not installed, or its package has no networks: they are
    not fetched.
    """

    def __init__(self, *, every: int, model: str = ""):
        self.every, self.model = every, model
        self._files = _packaged()
        if model:
            self._files["Rec"] = model
            if not os.path.isfile(model):
                raise InputError(f"there is no file {model}, which should be a recognition network of PaddleOCR")

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(ScreenReader, every=self.every, model=self.model), ()

    def described(self) -> dict[str, Any]:
        """What decides the texts, as JSON values."""
        version, digest = metadata.version("rapidocr"), digest_of_files(list(self._files.values()))
        return {"every": self.every, "rapidocr": version, "networks": digest}

    @functools.cached_property
    def _network(self):
        from rapidocr import RapidOCR

        paths = {f"{task}.model_path": path for task, path in self._files.items()}
        limits = {"Det.limit_side_len": _SIDE, "Det.limit_type": "max"}
        return RapidOCR(params={"Global.log_level": "critical", "Global.use_cls": False, **limits, **paths})

    def __call__(self, source: StrPath, *, seconds: int | None = None) -> Iterator[TimedText]:
        """The texts of a video, the lines of a picture in one; one that stays on the screen comes once.

        seconds: how much of the video is looked at. Nothing where there are no pictures.
        """
        grid = Grid(rate=1 / self.every, input=PictureInput(size=None))
        held: TimedText | None = None
        for _, place, picture in read_pictures(source, [grid], max_seconds=seconds):
            start = float(place * self.every)
            text = self.read(picture)
            if held and (held.text != text or held.end != start):
                yield held
                held = None
            if text:
                held = TimedText(held.start if held else start, start + self.every, SCREEN, text)
        if held:
            yield held

    def read(self, picture: Any) -> str:
        """The text of a picture, uint8 (H, W, 3) RGB: its lines from top to bottom, joined by LINES."""
        # The network is given colours in OpenCV's order.
        found = self._network(picture[:, :, ::-1])
        if found.txts is None:
            return ""
        boxes = [
            (float(box[:, 1].min()), float(box[:, 1].max()), float(box[:, 0].min()), " ".join(text.split()))
            for box, text, score in zip(found.boxes, found.txts, found.scores)
            if score >= _LEAST_SCORE and sum(map(len, tokens(text))) >= _LEAST_CHARACTERS
        ]
        return LINES.join(text for line in _lines(sorted(boxes)) for *_, text in line)


def _lines(boxes):
    """Boxes (top, bottom, left, text) in lists of those side by side, each from left to right."""
    lines: list[list] = []
    for box in boxes:
        first = lines[-1][0] if lines else None
        if first and box[0] - first[0] <= _LINE_GAP * (first[1] - first[0]):
            lines[-1].append(box)
        else:
            lines.append([box])
    return [sorted(line, key=lambda box: box[2]) for line in lines]


def _packaged():
    """Dict of RapidOCR's task to the ONNX file that its package carries for it."""
    try:
        found = importlib.util.find_spec("rapidocr")
    except (ImportError, ValueError):
        found = None
    if found is None or not found.submodule_search_locations:
        raise InputError("to read texts off pictures RapidOCR is needed: pip install 'yt8m[ocr]'")
    folder = os.path.join(next(iter(found.submodule_search_locations)), "models")
    files = {}
    for task, part in (("Det", "_det_"), ("Rec", "_rec_")):
        paths = sorted(path for path in glob.glob(os.path.join(glob.escape(folder), "*.onnx")) if part in path)
        if not paths:
            raise InputError(f"{folder} has no ONNX file with {part} in its name, which RapidOCR's package carries")
        files[task] = paths[0]
    return files
