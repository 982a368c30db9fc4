"""Checks of submission files, and the merge of one submission's parts."""

import contextlib
import dataclasses
import math
import os
from collections.abc import Collection, Iterator, Sequence

import numpy as np

from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission, SubmissionWriter
from yt8m.types import MAX_SEGMENTS_PER_CLASS, SEGMENT_SECONDS, InputError, id_problem


@dataclasses.dataclass(frozen=True)
class SubmissionProblem:
    """An error or a warning on a submission file, at a line and class where these are not None."""

    path: str
    message: str
    is_error: bool = True
    line: int | None = None
    class_id: int | None = None

    def __str__(self) -> str:
        line = "" if self.line is None else f", line {self.line}"
        class_id = "" if self.class_id is None else f", class {self.class_id}"
        return f"{self.path}{line}{class_id}: {'error' if self.is_error else 'warning'}: {self.message}"


def check_submission(
    path: str | os.PathLike, *, expected_classes: Collection[int] | None = None, top_n: int = MAX_SEGMENTS_PER_CLASS
) -> Iterator[SubmissionProblem]:
    """The problems of a submission file, yielded a class at a time.

    Errors: unreadable, a class that is missing or not among ``expected_classes`` (None: any), malformed or repeated
    segments, ids with a comma or the like, starts that are no multiple of 5, more than ``top_n`` segments. Warnings: no
    header, a blank line, an empty class, no line end at the end.
    """
    path = str(path)
    try:
        submission = Submission(path)
    except InputError as error:
        yield SubmissionProblem(path, str(error))
        return
    with submission:
        if submission.lines is not None and not submission.has_header:
            yield SubmissionProblem(path, "no header Class,Segments", is_error=False, line=1)
        for line in submission.blank_lines:
            yield SubmissionProblem(path, "blank line", is_error=False, line=line)
        for class_id in submission.class_ids if expected_classes is not None else ():
            if class_id not in (expected_classes or ()):
                yield _problem(submission, class_id, "this class is not expected")
        for class_id in submission:
            try:
                yield from _check_class(submission, class_id, top_n)
            except InputError as error:
                yield _problem(submission, class_id, str(error))
        missing = sorted(set(expected_classes or ()) - set(submission.class_ids))
        if missing:
            shown = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
            yield SubmissionProblem(path, f"{len(missing)} expected classes are missing: {shown}")
        if not submission.ends_whole:
            yield SubmissionProblem(path, "no line end at the end: the file may have been cut", is_error=False)


def merge_submissions(
    paths: Sequence[str | os.PathLike], output: str | os.PathLike, *, top_n: int = MAX_SEGMENTS_PER_CLASS
) -> int:
    """The number of classes of ``output``, which is written as the merge of parts of one submission.

    A class that one part has is copied. One that several have is merged by score, the best ``top_n`` kept and equal
    scores ordered by segment, which needs parquet parts and is then exactly what one run over all videos writes. A
    segment in several parts keeps its highest score. Raises InputError where a part has no scores but needs them.
    """
    with contextlib.ExitStack() as stack:
        parts = [stack.enter_context(Submission(path)) for path in paths]
        writer = stack.enter_context(SubmissionWriter(output))
        class_ids = sorted(set().union(*(part.class_ids for part in parts)))
        for class_id in class_ids:
            holders = [part for part in parts if class_id in part]
            lists = []
            for part in holders:
                lists.append(part[class_id])
                part.check(class_id, lists[-1])
                if lists[-1].scores is None and len(holders) > 1:
                    raise InputError(
                        f"{part.where(class_id)}: this class is in {len(holders)} of the files and has no scores to "
                        "merge by: write the parts as parquet"
                    )
                if lists[-1].scores is None and str(output).endswith(".parquet"):
                    raise InputError(f"{part.path} has no scores, which the parquet form of {output} needs")
            writer.write(class_id, lists[0] if len(lists) == 1 else _merge_by_score(lists, top_n))
    return len(class_ids)


def _problem(submission, class_id, message, *, is_error=True):
    line = None if submission.lines is None else submission.lines[class_id]
    return SubmissionProblem(submission.path, message, is_error=is_error, line=line, class_id=class_id)


def _check_class(submission, class_id, top_n):
    segments = submission[class_id]
    if not len(segments):
        yield _problem(submission, class_id, "no segments", is_error=False)
        return
    _, times, valid = segments.parse()
    if len(segments) > top_n:
        yield _problem(submission, class_id, f"{len(segments):,} segments, more than {top_n:,}")
    yield from _segment_problem(
        submission, class_id, segments, ~valid, "not video_id:start_time with a start in seconds", "malformed"
    )
    bad_ids = np.zeros(len(segments), bool)
    bad_ids[segments.rows_of_bad_ids()] = True
    for row in np.flatnonzero(bad_ids & valid)[:1]:
        (text,) = segments.take(np.array([row])).byte_texts()
        problem = f"the id {id_problem(text.rpartition(b':')[0])}"
        yield from _segment_problem(submission, class_id, segments, bad_ids & valid, problem, "such")
    off = valid & (times % SEGMENT_SECONDS > 0)
    yield from _segment_problem(submission, class_id, segments, off, f"no multiple of {SEGMENT_SECONDS} s", "off")
    order, first = segments.group()
    repeated = np.zeros(len(segments), bool)
    repeated[order[~first]] = True
    yield from _segment_problem(submission, class_id, segments, repeated, "listed before in this class", "repeated")
    if len(segments.rows_of_bad_scores()):
        yield _problem(submission, class_id, "a score is not a finite number")


def _segment_problem(submission, class_id, segments, bad, what, word):
    rows = np.flatnonzero(bad)
    if len(rows):
        (text,) = segments.take(rows[:1]).texts()
        others = f", and {len(rows) - 1:,} more {word}" if len(rows) > 1 else ""
        yield _problem(submission, class_id, f"segment {rows[0] + 1:,}, {text[:80]!r}: {what}{others}")


def _merge_by_score(lists, top_n):
    everything = SegmentList.concatenate(lists)
    if not len(everything):
        return SegmentList.from_text(b"", scores=np.zeros(0))
    scores = np.concatenate([part.scores for part in lists])
    order, first = everything.group()
    highest = np.full(int(first.sum()), -math.inf, scores.dtype)
    np.maximum.at(highest, np.cumsum(first) - 1, scores[order])
    distinct = everything.take(order[first])
    distinct.scores = highest
    return distinct.take(distinct.best(highest, top_n))
