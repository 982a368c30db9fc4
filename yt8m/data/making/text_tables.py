"""Texts of videos from CSV files, for the records that are made, or are there already."""

import hashlib
import warnings
from collections.abc import Collection, Mapping, Sequence

from yt8m.features.words.texts import read_texts
from yt8m.text import counted
from yt8m.types import DataWarning, InputError, TimedText

Texts = Mapping[str, tuple[TimedText, ...]]
"""Video id to its texts."""


def read_text_tables(paths: Sequence[str]) -> Texts:
    """The texts of several files together, see yt8m.features.words.texts.read_texts.

    Texts without a character are left out, and those that are there twice, in the same field and at the same time, are
    there once: a DataWarning counts both. Raises InputError for a file of another form, and where there is no text.
    """
    found: dict[str, dict[TimedText, None]] = {}
    total = kept = empty = 0
    for path in paths:
        for video_id, texts in read_texts(path).items():
            total += len(texts)
            empty += sum(not text.text for text in texts)
            known = found.setdefault(video_id, {})
            kept -= len(known)
            known.update((text, None) for text in texts if text.text)
            kept += len(known)
    if not kept:
        raise InputError(f"{', '.join(paths)} holds no texts")
    if total > kept:
        text = f"{total - kept:,} of {total:,} texts are left out: {empty:,} are empty"
        text += f", {total - kept - empty:,} there twice"
        warnings.warn(text, DataWarning, stacklevel=2)
    return {
        video_id: tuple(sorted(texts, key=lambda text: (text.field, text.start)))
        for video_id, texts in found.items()
        if texts
    }


def say_whose_texts(texts: Texts, ids: Collection[str], *, paths: Sequence[str]) -> None:
    """Says how many of the videos ``ids`` have texts, and warns of those of others; InputError where none has any."""
    others = [video_id for video_id in texts if video_id not in ids]
    if len(others) == len(texts):
        whose = f"{counted(len(texts), 'video')}, the first {others[0]}"
        raise InputError(f"{', '.join(paths)} has texts of {whose}, none of which is there")
    if others:
        text = (
            f"{', '.join(paths)} has texts of {counted(len(others), 'video')} that are not there, the first {others[0]}"
        )
        warnings.warn(text, DataWarning, stacklevel=2)
    print(f"texts of {len(texts) - len(others):,} of {counted(len(ids), 'video')}")


def described_texts(texts: Texts, ids: Collection[str]) -> list[str]:
    """What decides the texts of the videos ``ids``, as JSON values; nothing where none of them has any."""
    digest = hashlib.blake2b(digest_size=16)
    mine = [video_id for video_id in sorted(ids) if video_id in texts]
    for video_id in mine:
        digest.update(repr((video_id, texts[video_id])).encode())
    return [digest.hexdigest()] if mine else []
