"""Speech of a video as text, by a Whisper model in a local folder."""

import functools
import os
from collections.abc import Iterator
from importlib import metadata, util
from typing import Any

import numpy as np

from yt8m.features.backbones.base import SOUND_RATE
from yt8m.features.backbones.pictures import digest_of_files
from yt8m.features.decoding import read_sound
from yt8m.features.words.texts import SPEECH
from yt8m.types import InputError, StrPath, TimedText

_FILES = ("config.json", "model.bin", "tokenizer.json")
_BLOCK_SECONDS, _PAUSE_SECONDS = 600, 30
"""Seconds that are heard at a time, and those at their end, of which the quietest is where they are cut."""

_LEAST_LOG_PROBABILITY = -1.0
_MOST_COMPRESSION = 2.4
"""Whisper's own bounds of a text that it believes in: mean log probability of a token, and how much it repeats."""


class SpeechReader:
    """Hears speech by a model for faster-whisper, in CTranslate2's format, in ``folder``.

    Raises InputError where faster-whisper is not installed or the folder holds no model: it is not fetched.
    """

    def __init__(self, folder: str):
        self.folder = folder
        if util.find_spec("faster_whisper") is None:
            raise InputError("to hear speech faster-whisper is needed: pip install 'yt8m[asr]'")
        missing = [name for name in _FILES if not os.path.isfile(os.path.join(folder, name))]
        if missing:
            raise InputError(
                f"--asr={folder} holds no model of faster-whisper: there is no {', '.join(missing)}; docs/words.md "
                "says where models are"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return SpeechReader, (self.folder,)

    def described(self) -> dict[str, Any]:
        """What decides the texts, as JSON values."""
        digest = digest_of_files([os.path.join(self.folder, name) for name in _FILES])
        return {"faster_whisper": metadata.version("faster-whisper"), "model": digest}

    @functools.cached_property
    def _model(self):
        from faster_whisper import WhisperModel

        try:
            return WhisperModel(self.folder, compute_type="auto", local_files_only=True)
        except (RuntimeError, ValueError, OSError) as error:
            raise InputError(f"--asr={self.folder} cannot be loaded: {' '.join(str(error).split())}") from error

    def __call__(self, source: StrPath, *, seconds: int | None = None) -> Iterator[TimedText]:
        """The texts that are spoken in a video, one for each sentence or so, of any length in flat memory.

        seconds: how much of it is heard. Nothing where there is no sound.
        """
        for start, sound in _blocks(read_sound(source, samples=SOUND_RATE, seconds=seconds)):
            # At temperatures above 0 texts are drawn by chance.
            found, _ = self._model.transcribe(sound, temperature=0.0, condition_on_previous_text=False, vad_filter=True)
            for part in found:
                text = " ".join(part.text.split())
                believed = part.avg_logprob >= _LEAST_LOG_PROBABILITY and part.compression_ratio <= _MOST_COMPRESSION
                if text and believed:
                    yield TimedText(round(start + part.start, 2), round(start + part.end, 2), SPEECH, text)


def _blocks(windows: Iterator[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
    """(second at which it begins, sound) of blocks that are cut before the quietest of their last seconds."""
    held: list[np.ndarray] = []
    start = 0
    for window in windows:
        held.append(window)
        if len(held) == _BLOCK_SECONDS:
            powers = [float(np.square(part).mean()) for part in held[-_PAUSE_SECONDS:]]
            cut = _BLOCK_SECONDS - _PAUSE_SECONDS + int(np.argmin(powers))
            yield start, np.concatenate(held[:cut])
            held, start = held[cut:], start + cut
    if held:
        yield start, np.concatenate(held)
