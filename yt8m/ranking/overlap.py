"""Whether a ranking and the ratings that it is scored by are of the same videos and segments."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import Submission
from yt8m.types import SEGMENT_SECONDS, DataWarning, InputError

_MOST_MISSING = 0.5
"""Share of the rated videos that may be nowhere in a ranking without a word: short lists lose many, but not most."""


def check_overlap(submission: Submission, labels: RatedLabels, class_ids: Sequence[int], listed: np.ndarray) -> None:
    """Compares an open Submission with the ratings of the classes that are scored.

    listed: (N,) bool, which pairs of ``labels`` it lists. Raises InputError, with an id of each side, where that is
    none of ``class_ids``; says as a DataWarning how many of the rated videos are nowhere in its lists, where these are
    more than half, and how many ratings start where no segment does.
    """
    rows = np.isin(labels.class_ids, class_ids)
    unlisted = np.flatnonzero(rows & ~listed)
    if not len(unlisted):
        return
    if not (rows & listed).any():
        reason = _reason(submission, labels, unlisted)
        raise InputError(f"{submission.path} ranks none of the {rows.sum():,} rated segments: {reason}")
    off = [row for row in unlisted.tolist() if _start(labels.texts[row]) % SEGMENT_SECONDS]
    if off:
        _warn(
            f"{len(off):,} of {rows.sum():,} ratings start at no multiple of {SEGMENT_SECONDS} s, the first "
            f"{labels.texts[off[0]].decode()}: no ranking lists them"
        )
    videos = np.unique(labels.videos[rows])
    missing = np.setdiff1d(videos, labels.videos[rows & listed])
    if len(missing) > _MOST_MISSING * len(videos):
        missing = _nowhere(submission, [labels.video_ids[video] for video in missing.tolist()])
        if len(missing) > _MOST_MISSING * len(videos):
            _warn(
                f"{len(missing):,} of the {len(videos):,} rated videos are nowhere in {submission.path}, the first "
                f"{missing[0]}: nothing of them is found"
            )


def check_videos(path: str, known: Mapping[str, Any], labels: Mapping[str, Any]) -> None:
    """Compares predictions of whole videos, by id, with labels by id.

    Raises InputError, with an id of each side, where none is labelled; says as a DataWarning how many labelled videos
    are missing.
    """
    missing = [video_id for video_id in labels if video_id not in known]
    if len(missing) == len(labels):
        raise InputError(
            f"{path} has none of the {len(labels):,} labelled videos: {_ids(missing[0], next(iter(known)))}"
        )
    if missing:
        _warn(
            f"{path} lacks {len(missing):,} of {len(labels):,} labelled videos, the first {missing[0]}: nothing is "
            "found in these"
        )


def _reason(submission, labels, unlisted):
    """Words on why nothing that is rated is listed."""
    rated = labels.texts[unlisted[0]].decode()
    classes = np.unique(labels.class_ids[unlisted]).tolist()
    shared = [class_id for class_id in classes if class_id in submission]
    if not shared:
        return f"the ratings are of classes such as {classes[0]}, and it has {next(iter(submission))}"
    ids = {labels.video_ids[video] for video in labels.videos[unlisted].tolist()}
    for class_id in shared:
        for segment in submission[class_id]:
            if segment.video_id in ids:
                same = next(text for text in labels.texts if text.startswith(f"{segment.video_id}:".encode()))
                return f"of one video, the ratings have {same.decode()}, and it has {segment}"
    return _ids(rated.rpartition(":")[0], next((segment.video_id for segment in submission[shared[0]]), "no segment"))


def _ids(rated, ranked):
    text = f"the ratings have ids such as {rated}, and it has {ranked}"
    for video_id in (rated, ranked):
        if video_id[:2] in ("b'", 'b"'):
            text += f"; {video_id} is what Python 3 makes of bytes: write {video_id[2:-1]}"
    return text


def _nowhere(submission, video_ids):
    """Those of ``video_ids`` that no list of an open Submission has."""
    left = dict.fromkeys(video_id.encode() for video_id in video_ids)
    for class_id in submission:
        for video_id in {text.rpartition(b":")[0] for text in submission[class_id].byte_texts()} & left.keys():
            del left[video_id]
        if not left:
            break
    return [video_id.decode() for video_id in left]


def _start(text):
    return int(text.rpartition(b":")[2])


def _warn(text):
    warnings.warn(text, DataWarning, stacklevel=3)
