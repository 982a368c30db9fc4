"""Counts of the contents of a data set, block by block."""

import collections
from collections.abc import Callable, Sequence

import numpy as np

from yt8m.config import DataConfig
from yt8m.data.record_checks import SEGMENT_LISTS
from yt8m.data.survey.clips import PictureTally
from yt8m.data.survey.findings import NOTE, WARNING, Findings
from yt8m.data.survey.id_index import IdIndex
from yt8m.data.survey.texts import TextTally
from yt8m.ranking.metrics import POSITIVE
from yt8m.types import SEGMENT_SECONDS

_ROW = 2**32


class Tally:
    """Counts over good records, and findings about all.

    Attributes: records, bad_records; lengths, Counter of the frames of a video, of a clip its seconds; videos, rated
    and positive, (num_classes,) int64 arrays of the videos, ratings and positive ratings of each class; unlabeled,
    videos without labels; rated_videos, rated_segments (distinct), ratings; pictures, a PictureTally; texts, a
    TextTally; ids, an IdIndex; findings, Findings.
    """

    def __init__(self, config: DataConfig, texts: TextTally | None = None):
        self.config = config
        self.texts = texts or TextTally()
        self.records = self.bad_records = 0
        self.unlabeled = self.rated_videos = self.rated_segments = self.ratings = 0
        self.lengths = collections.Counter()
        self.videos, self.rated, self.positive = (np.zeros(config.num_classes, np.int64) for _ in range(3))
        self.pictures = PictureTally()
        self.ids = IdIndex()
        self.findings = Findings()

    def add_bad(self, file: str, index: int, problem: str | None) -> None:
        """Record ``index`` of ``file`` has a ``problem``, half a sentence, that makes the reader stop."""
        self.records += 1
        self.bad_records += 1
        self.ids.add(file, index, [b""])
        self.findings.error(str(problem), f"{file}, record {index}")

    def add(
        self,
        file: str,
        index: int,
        parsed: dict[str, np.ndarray],
        explain: Callable[[int], str | None],
        records: Sequence[bytes],
    ) -> None:
        """Counts records ``index``, index + 1, ... of ``file``, serialized ``records``.

        parsed: of survey.frame_parser or video_parser. explain: function of a row that says what is wrong with it.
        """
        good = good_rows(parsed, self.config.num_classes)
        for row in np.flatnonzero(~good).tolist():
            self.findings.error(str(explain(row)), f"{file}, record {index + row}")
        self.records += len(good)
        self.bad_records += int((~good).sum())
        self.ids.add(file, index, [name if fine else b"" for name, fine in zip(parsed["id"], good.tolist())])

        def place(row):
            return f"{file}, record {index + int(row)}, video {parsed['id'][int(row)].decode(errors='replace')}"

        self._count_labels(parsed, good)
        self.texts.add(records, good, self.findings, place)
        if self.config.level != "video":
            self._count_frames(parsed, good, place)
            self._count_ratings(parsed, good, place)
        if self.config.level == "clip":
            self.pictures.add(parsed, good)
            for other in np.flatnonzero(good & parsed["uneven"]).tolist():
                self.findings.note("clips whose pictures differ in size", place(other))

    def _count_labels(self, parsed, good):
        values, lengths = parsed["labels"]
        rows = np.repeat(np.arange(len(lengths)), lengths)
        # A label that stands twice in a record counts once, as for the reader.
        pairs = np.unique(rows[good[rows]] * _ROW + values[good[rows]])
        np.add.at(self.videos, pairs % _ROW, 1)
        self.unlabeled += int((good & (lengths == 0)).sum())

    def _count_frames(self, parsed, good, place):
        lengths, names = parsed["lengths"], self.config.feature_names
        shortest = lengths.min(axis=1)
        self.lengths.update(shortest[good].tolist())
        for row in np.flatnonzero(good & (lengths.max(axis=1) != shortest)):
            found = " and ".join(f"{length} frames of {name}" for name, length in zip(names, lengths[row]))
            self.findings.warning(
                "videos whose features differ in length; the shorter counts", f"{place(row)}: {found}"
            )

    def _count_ratings(self, parsed, good, place):
        values, lengths = parsed["segment_labels"]
        rows = np.repeat(np.arange(len(lengths)), lengths)
        kept = good[rows]
        rows, classes = rows[kept], values[kept]
        starts, scores = (_of_ratings(parsed, name, 0)[kept] for name in ("segment_start_times", "segment_scores"))
        np.add.at(self.rated, classes, 1)
        np.add.at(self.positive, classes[scores >= POSITIVE], 1)
        self.ratings += len(rows)
        self.rated_videos += len(np.unique(rows))
        self.rated_segments += len(np.unique(rows * _ROW + starts))
        frames = parsed["lengths"].min(axis=1)[rows]

        def mark(severity, what, wrong):
            count = int(wrong.sum())
            if count:
                first = int(np.flatnonzero(wrong)[0])
                example = f"{place(rows[first])}, start {starts[first]}"
                self.findings.add(severity, what, [example], count)

        if self.config.max_frames:
            mark(WARNING, "ratings of segments behind the frames that are read", starts >= self.config.max_frames)
        mark(WARNING, "scores outside [0, 1], read as the nearer end", ~((scores >= 0) & (scores <= 1)))
        mark(NOTE, "ratings of segments that their video ends within", starts + SEGMENT_SECONDS > frames)
        mark(NOTE, f"segment starts that are no multiple of {SEGMENT_SECONDS}", starts % SEGMENT_SECONDS != 0)
        ends = _of_ratings(parsed, "segment_end_times", -1)[kept]
        what = f"segments that are not {SEGMENT_SECONDS} s long, read as if they were"
        mark(NOTE, what, (ends >= 0) & (ends - starts != SEGMENT_SECONDS))


def _of_ratings(parsed, name, absent):
    """Values of a rating field, one for each segment label; ``absent`` in records that have another number of them."""
    values, found = parsed[name]
    _, expected = parsed["segment_labels"]
    same = found == expected
    complete = np.full(int(expected.sum()), absent, values.dtype)
    complete[np.repeat(same, expected)] = values[np.repeat(same, found)]
    return complete


def good_rows(parsed: dict[str, np.ndarray], num_classes: int) -> np.ndarray:
    """(B,) bool: which of the records that were parsed the reader accepts."""
    good = parsed["right"].copy()
    for name in ("labels", "segment_labels"):
        if name in parsed:
            values, lengths = parsed[name]
            good[np.repeat(np.arange(len(lengths)), lengths)[(values < 0) | (values >= num_classes)]] = False
    if "label_scores" in parsed:
        given = parsed["label_scores"][1]
        good &= (given == 0) | (given == parsed["labels"][1])
    for name in ("label_scores", "segment_scores"):
        if name in parsed:
            values, lengths = parsed[name]
            good[np.repeat(np.arange(len(lengths)), lengths)[~np.isfinite(values)]] = False
    if "segment_labels" not in parsed:
        return good
    expected = parsed["segment_labels"][1]
    for name in (*SEGMENT_LISTS[1:], "segment_scores"):
        lengths = parsed[name][1]
        good &= (lengths == expected) | ((lengths == 0) & (name == "segment_end_times"))
    starts, lengths = parsed["segment_start_times"]
    rows = np.repeat(np.arange(len(lengths)), lengths)
    good[rows[(starts < 0) | (starts >= parsed["lengths"].min(axis=1)[rows])]] = False
    return good
