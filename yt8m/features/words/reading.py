"""Texts of many videos, each kept beside the features, so that what was interrupted goes on."""

import dataclasses
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from yt8m.features.decoding.sources import open_container
from yt8m.features.feature_folder import described_source
from yt8m.features.words.screen import ScreenReader
from yt8m.features.words.speech import SpeechReader
from yt8m.features.words.texts import FIELDS, TITLE
from yt8m.runtime import cluster, parallel
from yt8m.runtime.files import read_json, write_text
from yt8m.runtime.progress import Progress
from yt8m.types import DataWarning, InputError, StrPath, TimedText


@dataclasses.dataclass(frozen=True)
class TextReader:
    """Reads the texts of a video: its id and title, and what ``screen`` and ``speech`` find, where they are not None.

    seconds: how much of a video is looked at, None for all.
    """

    screen: ScreenReader | None = None
    speech: SpeechReader | None = None
    seconds: int | None = None

    def described(self) -> dict[str, Any]:
        """What decides the texts, as JSON values."""
        return {
            "screen": self.screen.described() if self.screen else None,
            "speech": self.speech.described() if self.speech else None,
            "seconds": self.seconds,
        }

    def __call__(self, item: tuple[str, str, float]) -> tuple[str, list[TimedText]]:
        """(id, source, seconds of the video) -> (id, TimedTexts by time)."""
        video_id, source, length = item
        with warnings.catch_warnings():
            # What is damaged is told when features are extracted.
            warnings.simplefilter("ignore", DataWarning)
            texts = [TimedText(0.0, float(length), TITLE, title) for title in (video_id, *_carried_title(source))]
            if self.screen:
                texts += self.screen(source, seconds=self.seconds)
            if self.speech:
                texts += self.speech(source, seconds=self.seconds)
        return video_id, sorted(texts)


def _carried_title(source):
    """The title that is written in a file, if one is."""
    with open_container(source) as container:
        title = " ".join(container.metadata.get("title", "").split())
    if title:
        yield title


class TextFolder:
    """A folder of texts, a JSON file a video, with what decided them. described: as TextReader.described gives it."""

    def __init__(self, path: StrPath, described: Mapping[str, Any]):
        self.path, self._described = os.fspath(path), dict(described)

    def load(self, video_id: str, source: str) -> list[TimedText] | None:
        """The texts of a video; None where there are none of its file as it is now, by the same readers."""
        path = self._file(video_id)
        if not os.path.exists(path):
            return None
        try:
            found = read_json(path, fields={"reader": dict, "file": list, "texts": list})
            if found["reader"] != self._described or found["file"] != described_source(source):
                return None
            return [_checked(*fields) for fields in found["texts"]]
        except (InputError, TypeError, ValueError):
            # What is damaged is read again.
            return None

    def save(self, video_id: str, source: str, texts: list[TimedText]) -> None:
        """Keeps the texts of a video; the file is there whole or not at all."""
        content = {
            "reader": self._described,
            "file": described_source(source),
            "texts": [dataclasses.astuple(text) for text in texts],
        }
        write_text(self._file(video_id), json.dumps(content, ensure_ascii=False) + "\n")

    def _file(self, video_id):
        return os.path.join(self.path, f"{video_id}.json")


def _checked(start, end, field, text):
    if field not in FIELDS or not isinstance(text, str):
        raise ValueError
    return TimedText(float(start), float(end), field, text)


def read_texts_of_videos(
    sources: Mapping[str, str],
    lengths: Mapping[str, float],
    reader: TextReader,
    path: StrPath,
    *,
    workers: int = 1,
    ray: str = "",
) -> dict[str, list[TimedText]]:
    """Dict of video id to TimedTexts of ``sources``, dict of id to source; those not yet in the folder are read.

    lengths: dict of id to the seconds of the video. workers: processes on this machine; ray: address of a cluster,
    instead. The texts are the same, whoever reads them on machines alike.
    """
    folder = TextFolder(path, reader.described())
    found = {video_id: folder.load(video_id, source) for video_id, source in sources.items()}
    missing = [(video_id, sources[video_id], lengths[video_id]) for video_id, texts in found.items() if texts is None]
    with Progress("reading texts", total=len(sources), unit="videos") as progress:
        progress.skip(len(sources) - len(missing))
        for video_id, texts in _read(reader, missing, workers, ray):
            folder.save(video_id, sources[video_id], texts)
            found[video_id] = texts
            progress.update(note=video_id)
        progress.complete()
    return {video_id: texts or [] for video_id, texts in found.items()}


def _read(
    reader: TextReader, items: list[tuple[str, str, float]], workers: int, ray: str
) -> Iterator[tuple[str, list[TimedText]]]:
    if ray:
        return cluster.map_in_order(reader, items, address=ray)
    return parallel.map_in_order(reader, items, workers=workers)
