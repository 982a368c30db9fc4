"""MAP@K of submission files against rated labels, exactly, with intervals.

Per class: the list is cut to K, segments without a rating are dropped, and the average precision is the sum of the
precisions at the positives divided by all positives of the class. MAP@K is the mean over the classes that have
positives; a class that the submission lacks scores 0. A segment listed twice in a class counts at its first place, and
the places behind the second close up.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from yt8m.ranking.overlap import check_overlap
from yt8m.ranking.ranks import UNLISTED, average_precisions, find_ranks, mean_precision, read_distinct
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission
from yt8m.runtime.files import write_text
from yt8m.tables import read_columns
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError, StrPath


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Scores of a submission on rated segments.

    class_ids (C,) int64 and average_precision (C,) float64: the classes with positives, ascending.
    num_rated, num_positive, num_listed (C,) int64: rated pairs, positives, and positives within the best K.
    missing: those of class_ids that the submission lacks. labels: the RatedLabels. ranks: (N,) int64, the rank from 0
    of each rated pair, UNLISTED where it is not within the best K. scores: (N,) float32, the score of each rated pair,
    nan where it is UNLISTED; None where the submission holds no scores.
    """

    path: str
    top_n: int
    class_ids: np.ndarray
    average_precision: np.ndarray
    num_rated: np.ndarray
    num_positive: np.ndarray
    num_listed: np.ndarray
    missing: tuple
    labels: RatedLabels
    ranks: np.ndarray
    scores: Any = None

    @property
    def map_at_k(self) -> float:
        """Mean of average_precision; nan where no class has positives."""
        return mean_precision(self.average_precision)

    def summary(self) -> dict[str, Any]:
        """JSON-able dict of the main numbers."""
        return {
            "map_at_k": self.map_at_k,
            "top_n": self.top_n,
            "num_classes": len(self.class_ids),
            "num_rated": int(self.num_rated.sum()),
            "num_positive": int(self.num_positive.sum()),
            "num_listed": int(self.num_listed.sum()),
            "num_missing_classes": len(self.missing),
        }


def evaluate_submission(
    path: StrPath,
    labels: RatedLabels,
    *,
    top_n: int = MAX_SEGMENTS_PER_CLASS,
    class_range: tuple[int, int] | None = None,
    progress: Any = None,
) -> Evaluation:
    """The Evaluation of a submission file.

    labels: RatedLabels. top_n: K of MAP@K. class_range: (first, end) scores class ids in [first, end) only.
    progress: called with 1 after every class. Raises InputError where the file is bad, lists no rated
    segment, or no class has positives; a DataWarning says where many are not listed, see yt8m.ranking.overlap.
    """
    class_ids = _classes_to_score(labels, class_range)
    ranks = np.full(len(labels), UNLISTED)
    missing = []
    with Submission(path) as submission:
        scores = np.full(len(labels), np.nan, np.float32) if submission.has_scores else None
        for class_id in class_ids:
            rows = labels.rows(class_id)
            if class_id in submission:
                segments = read_distinct(submission, class_id)
                ranks[rows] = find_ranks(segments, labels.texts[rows])
                if scores is not None:
                    listed = ranks[rows] < UNLISTED
                    scores[rows][listed] = segments.scores[ranks[rows][listed]]
            else:
                missing.append(class_id)
            if progress:
                progress(1)
        check_overlap(submission, labels, class_ids, ranks < UNLISTED)
    return _evaluation(str(path), labels, ranks, class_ids, top_n=top_n, missing=missing, scores=scores)


def evaluate_scores(
    labels: RatedLabels, scores: np.ndarray, *, top_n: int = MAX_SEGMENTS_PER_CLASS, name: str = "model"
) -> Evaluation:
    """The Evaluation of a model that scored the rated segments and no others.

    labels: RatedLabels; scores: (N,) float array, one a rated pair, in their order. Ties go to the smaller segment.
    """
    class_ids = _classes_to_score(labels, None)
    ranks = np.full(len(labels), UNLISTED)
    for class_id in class_ids:
        rows = labels.rows(class_id)
        order = np.argsort(-scores[rows], kind="stable")
        ranks[rows.start + order] = np.arange(len(order))
    scores = np.asarray(scores, np.float32)
    return _evaluation(name, labels, ranks, class_ids, top_n=top_n, missing=(), scores=scores)


def evaluate_lists(
    lists: Iterable[tuple[int, SegmentList, Any]],
    labels: RatedLabels,
    *,
    top_n: int = MAX_SEGMENTS_PER_CLASS,
    name: str = "model",
) -> Evaluation:
    """The Evaluation of ranked lists in memory: an iterable of (class id, SegmentList, scores), as TopSegments is.

    labels, top_n: as of evaluate_submission; each segment is once in a list.
    """
    class_ids = _classes_to_score(labels, None)
    ranks = np.full(len(labels), UNLISTED)
    found = set()
    for class_id, segments, _ in lists:
        rows = labels.rows(class_id)
        ranks[rows] = find_ranks(segments, labels.texts[rows])
        found.add(class_id)
    missing = [class_id for class_id in class_ids if class_id not in found]
    return _evaluation(name, labels, ranks, class_ids, top_n=top_n, missing=missing, scores=None)


def _classes_to_score(labels, class_range):
    first, end = class_range or (0, math.inf)
    class_ids = [c for c in labels.classes if first <= c < end and labels.positive[labels.rows(c)].any()]
    if not class_ids:
        within = f" in the class range {first}:{end}" if class_range else ""
        raise InputError(f"no class{within} has a positive label, so that there is no MAP")
    return class_ids


def _evaluation(path, labels, ranks, class_ids, *, top_n, missing, scores):
    """The Evaluation of ``ranks``, of which those from ``top_n`` on are cut."""
    if top_n < 1:
        raise InputError(f"top_n is {top_n}: MAP@K needs 1 or more")
    ranks = np.where(ranks < top_n, ranks, UNLISTED)
    if scores is not None:
        scores = np.where(ranks < UNLISTED, scores, np.nan)
    counts = np.zeros((3, len(class_ids)), np.int64)
    precisions = np.zeros(len(class_ids))
    for index, class_id in enumerate(class_ids):
        rows = labels.rows(class_id)
        positive = labels.positive[rows]
        precisions[index] = average_precisions(ranks[rows], positive, np.zeros(len(positive), np.int64))[0]
        counts[:, index] = len(positive), positive.sum(), np.sum(positive & (ranks[rows] < UNLISTED))
    return Evaluation(
        path=path,
        top_n=top_n,
        class_ids=np.array(class_ids),
        average_precision=precisions,
        num_rated=counts[0],
        num_positive=counts[1],
        num_listed=counts[2],
        missing=tuple(missing),
        labels=labels,
        ranks=ranks,
        scores=scores,
    )


def write_per_class_csv(evaluation: Evaluation, path: StrPath, *, class_names: dict[int, str] | None = None) -> None:
    """Table with a line per class with positives: Class,Name,AveragePrecision,Rated,Positive,Listed,Missing.

    class_names: dict of class id to name. Numbers are written in full, so that merge_per_class is exact.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["Class", "Name", "AveragePrecision", "Rated", "Positive", "Listed", "Missing"])
    counts = (evaluation.num_rated, evaluation.num_positive, evaluation.num_listed)
    for class_id, value, *row in zip(evaluation.class_ids.tolist(), evaluation.average_precision.tolist(), *counts):
        name = (class_names or {}).get(class_id, "")
        writer.writerow([class_id, name, repr(value), *row, int(class_id in evaluation.missing)])
    write_text(path, text.getvalue())


def merge_per_class(paths: Sequence[StrPath]) -> dict[str, Any]:
    """Summary of tables written by write_per_class_csv for class ranges: exactly that of one run over all.

    Raises InputError where a class stands in two tables or a line is malformed.
    """
    values, totals = {}, dict.fromkeys(("Rated", "Positive", "Listed", "Missing"), 0)
    for path in paths:
        for row in read_columns(path, ("Class", "AveragePrecision", *totals), what="average precisions"):
            class_id = row.class_id(0)
            if class_id in values:
                raise InputError(f"{row.where}: class {class_id} stands in another table already")
            values[class_id] = row.number(1, "AveragePrecision", low=0, high=1)
            for place, name in enumerate(totals, 2):
                totals[name] += int(row.number(place, name, low=0))
    return {
        "map_at_k": mean_precision(list(values.values())),
        "num_classes": len(values),
        "num_rated": totals["Rated"],
        "num_positive": totals["Positive"],
        "num_listed": totals["Listed"],
        "num_missing_classes": totals["Missing"],
    }
