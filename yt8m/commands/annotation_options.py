"""Annotations that a command line names, as labels and rated intervals of the videos that are packed."""

import csv
import dataclasses
import io
import os
import re
import warnings
from collections.abc import Collection
from typing import Any

from yt8m.commands.command_line import Options
from yt8m.commands.groups import VOCABULARY_HELP
from yt8m.data.making.annotation_files import AnnotationFile, videos_of_subset
from yt8m.data.making.annotations import ClassIds, Interval, read_intervals, read_labels
from yt8m.options import option
from yt8m.runtime.files import write_text
from yt8m.text import read_text
from yt8m.types import DataWarning, InputError, sanitized_id
from yt8m.vocabulary import read_class_codes, read_class_names

_PREFIXES = ("v_", "Y")
"""What ActivityNet and AudioSet put before the ids of their annotations in the names of files."""

_CLIP = re.compile(r"([\w-]{11})_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)")
"""The name of a clip of a video of YouTube, ID_START_END, in seconds or milliseconds; no clip has 1000 seconds."""

_MILLISECONDS = 1000

_VOCABULARY = "vocabulary.csv"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotations:
    """Labels and intervals, as Packer takes them, the number of classes, and the ``ids`` of the videos to pack.

    class_names: dict of class id to name, None where there is no vocabulary.
    """

    ids: frozenset[str]
    labels: dict[str, tuple[int, ...]] | None
    intervals: dict[str, list[Interval]] | None
    num_classes: int | None
    class_names: dict[int, str] | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotationOptions(Options):
    """Files of annotations."""

    labels_csv: str = option(
        "",
        "Classes that are somewhere in a video: CSV of video_id,class[,class...], or another format of "
        "docs/annotations.md.",
    )
    intervals_csv: str = option(
        "",
        "Rated intervals: CSV of video_id,start,end,class[,score], in seconds, score 1 is positive, 0 negative; or "
        "another format of docs/annotations.md: a file, a folder or a glob.",
    )
    vocabulary: str = option(
        "", f"{VOCABULARY_HELP} For annotations that name their classes; other forms are in docs/annotations.md."
    )
    subset: str = option("", "Subset of an ActivityNet JSON whose videos alone are packed, such as training.")

    def read_annotations(self, ids: Collection[str], output_dir: str, *, complete: bool) -> Annotations:
        """The Annotations of videos, those of --subset where it is given. ids: of the videos that are there.

        complete: whether intervals are to be taken for all that there are. Warns of annotations of videos that are not
        there; raises InputError where that is all of them. Published classes without a vocabulary are given one,
        OUTPUT_DIR/vocabulary.csv.
        """
        if complete and not self.intervals_csv:
            raise InputError("--rate_the_rest needs --intervals_csv")
        if self.subset and not (self.labels_csv or self.intervals_csv):
            raise InputError("--subset is for the JSON of --intervals_csv or --labels_csv: give one")
        classes = self._classes(output_dir)
        labels = read_labels(self.labels_csv, classes, subset=self.subset) if self.labels_csv else None
        intervals = read_intervals(self.intervals_csv, classes, subset=self.subset) if self.intervals_csv else None
        num_classes = classes.size(labels, intervals)
        if self.subset:
            ids = _ids_of_subset(self.intervals_csv or self.labels_csv, self.subset, ids)
        labels = labels and _as_files_are_named(labels, ids)
        intervals = intervals and _as_files_are_named(intervals, ids)
        for path, found in ((self.labels_csv, labels), (self.intervals_csv, intervals)):
            if found is not None:
                _say_who_is_missing(path, found, ids)
        return Annotations(
            ids=frozenset(ids),
            labels=labels,
            intervals=intervals,
            num_classes=num_classes,
            class_names=classes.names,
        )

    def _classes(self, output_dir):
        if self.vocabulary:
            return ClassIds(read_class_names(self.vocabulary), read_class_codes(self.vocabulary))
        names: set[str] = set()
        for path, timed in ((self.labels_csv, False), (self.intervals_csv, True)):
            if path and (file := AnnotationFile(path, timed=timed)).published:
                names.update(file.class_names())
        if not names:
            return ClassIds()
        path = os.path.join(output_dir, _VOCABULARY)
        _write_vocabulary(path, sorted(names))
        return ClassIds(dict(enumerate(sorted(names))))


def _write_vocabulary(path, names):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("Index", "Name"), *enumerate(names)])
    if os.path.exists(path) and read_text(path) != text.getvalue():
        raise InputError(f"{path} has other classes than the annotations: give it as --vocabulary, or remove it")
    write_text(path, text.getvalue())
    print(
        f"wrote {path}: the {len(names):,} classes of the annotations by their names; give it as --vocabulary elsewhere"
    )


def _as_files_are_named(found: dict[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """``found`` by the ids of the files that are of its videos, and what has no file by its own.

    Intervals of a clip count from where the clip begins; those before it are left out, which is said.
    """
    files = set(ids)
    by_name = {sanitized_id(video_id): video_id for video_id in found} | {video_id: video_id for video_id in found}
    named, used, clips, before = {}, set(), 0, 0
    for file_id in ids:
        for name, begin in _names_of_video(file_id):
            if name not in by_name or (name in files and name != file_id):
                continue
            video_id = by_name[name]
            used.add(video_id)
            named[file_id] = _from_second(found[video_id], begin)
            clips += begin is not None
            before += len(found[video_id] or ()) - len(named[file_id] or ())
            break
    if clips:
        text = f"files named ID_START_END that are taken for clips of annotated videos: {clips:,} of {len(ids):,}"
        warnings.warn(text, DataWarning, stacklevel=2)
    if before:
        text = f"intervals left out, because they end before the clip of their video begins: {before:,}"
        warnings.warn(text, DataWarning, stacklevel=2)
    return named | {video_id: items for video_id, items in found.items() if video_id not in used}


def _names_of_video(file_id):
    """Yields (an id by which annotations may know the video of a file, second of it at which the file begins).

    The second is None where the file is no clip of it, or annotations count from where the clip begins.
    """
    names = [file_id, *(file_id.removeprefix(prefix) for prefix in _PREFIXES if file_id.startswith(prefix))]
    for name in names:
        yield name, None
    for name in names:
        if clip := _CLIP.fullmatch(name):
            begin, end = float(clip[2]), float(clip[3])
            if end - begin >= _MILLISECONDS:
                begin /= _MILLISECONDS
            yield f"{clip[1]}_{round(begin * _MILLISECONDS)}", None
            yield clip[1], begin


def _from_second(items, begin):
    """Intervals counted from second ``begin`` on, without those before it; anything else as it is."""
    if not begin or not isinstance(items, list):
        return items
    return [
        dataclasses.replace(item, start=max(item.start - begin, 0.0), end=item.end - begin)
        for item in items
        if item.end > begin
    ]


def _ids_of_subset(path, subset, ids):
    wanted = _as_files_are_named(dict.fromkeys(videos_of_subset(path, subset)), ids)
    taken = [video_id for video_id in ids if video_id in wanted]
    if not taken:
        raise InputError(f"{path}: no video of the subset {subset} has a file, say {next(iter(wanted))}")
    if len(taken) < len(ids):
        print(f"left out {len(ids) - len(taken):,} of {len(ids):,} videos, not in the subset {subset}")
    return taken


def _say_who_is_missing(path, found, ids):
    """Warns of annotations without a video; raises InputError where that is all of them."""
    absent = sorted(set(found) - set(ids))
    if absent and len(absent) == len(found):
        raise InputError(
            f"{path} is of other videos: none of its ids, say {absent[0]}, has a file, say {next(iter(ids))}"
        )
    if absent:
        text = f"{path} has {len(absent)} videos without files, the first {absent[0]}"
        warnings.warn(text, DataWarning, stacklevel=2)
    unnamed = len(ids) - (len(found) - len(absent))
    if unnamed:
        print(f"{unnamed} of {len(ids)} videos are not in {path}")
