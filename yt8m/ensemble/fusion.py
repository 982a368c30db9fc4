"""Fusion of ranked submissions: eq. 20 of Liu & Shao (2019, arXiv 1912.01127), Borda counts, means of scores.

One class of all files is fused at a time, so that memory depends on the number of files and segments of a class, not on
the number of classes. Every method scores a segment by a sum over the files, in the order of the files; the best
``top_n`` of a class are kept, and equal sums rank by video id (code points), then by start time.

Merging the files that one model wrote for several shifts (test-time augmentation) is the same thing: the authors fused
these by rank with equal weights and w0 = 3.72, and the models then with w0 = 6.06.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.options import check_options, option
from yt8m.ranking.segment_lists import SegmentList, gather
from yt8m.ranking.submission import Submission, SubmissionWriter
from yt8m.runtime import cluster, parallel
from yt8m.runtime.progress import Progress
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError, StrPath

METHODS = ("reciprocal_rank", "borda", "mean", "geometric_mean")
SCORE_METHODS = ("mean", "geometric_mean")
LEAST_SCORE = 1e-6
"""In geometric means, the score of segments that a file does not list, and the least of those that it does."""


@dataclasses.dataclass(frozen=True)
class Fusion:
    """Settings of a fusion: method, a weight per file, w0 of reciprocal ranks, and how many segments to keep.

    With rank 0 for the best, and n the length of the longest list of the class, a file's share of the sum is

    - reciprocal_rank: weight * w0 / (rank + w0), w0 being ``w0_share`` * n unless it is given; w0 = 1 is eq. 20,
      weight / rank from 1;
    - borda: weight * (n - rank);
    - mean: weight * score / sum of weights, a segment that is not listed having score 0;
    - geometric_mean: weight * log(max(score, 1e-6) / 1e-6) / sum of weights; the score kept is exp(sum) * 1e-6.

    Raises InputError where a value is out of range.
    """

    weights: tuple
    method: str = option(
        "reciprocal_rank", "Fusion method; the means need parquet files, which hold scores.", choices=METHODS
    )
    w0: float | None = option(
        None,
        "Constant w0 of weight * w0 / (rank from 0 + w0), the same for all lists; 1 is the paper's eq. 20.",
        above=0,
        high=1e9,
        defaults_to="--w0_share of the list",
    )
    w0_share: float = option(
        0.2,
        "The constant w0 as a share of the longest list of the class, where --w0 is not given.",
        above=0,
        high=1e6,
        defaults_to="0.2; --search finds it",
    )
    top_n: int = option(
        MAX_SEGMENTS_PER_CLASS, "Most segments to list for a class, K of MAP@K.", unit="segments", low=1
    )

    def __post_init__(self):
        check_options(self)
        if not self.weights or not all(math.isfinite(weight) and weight >= 0 for weight in self.weights):
            raise InputError(f"weights must be finite and at least 0, not {list(self.weights)}")
        if not any(self.weights):
            raise InputError("all weights are 0: at least one file must count")

    @property
    def by_score(self) -> bool:
        """Whether it fuses scores and not ranks."""
        return self.method in SCORE_METHODS

    def w0_of(self, longest: Any) -> Any:
        """The constant w0 of classes whose longest lists have ``longest`` segments, a number or an array."""
        return self.w0_share * longest if self.w0 is None else self.w0

    def w0_words(self) -> str:
        """The constant w0 in words, "" where the method has none."""
        if self.method != "reciprocal_rank":
            return ""
        return f"{self.w0_share:.3g} of the list" if self.w0 is None else f"{self.w0:.3g}"

    def share(self, index: int, distances: np.ndarray, *, longest: Any) -> np.ndarray:
        """What file ``index`` adds to the sums, float64.

        distances: ranks from 0, or for methods by score the scores times -1; infinite where the file does not list a
        segment. longest: n of their classes.
        """
        weight = self.weights[index]
        distances = distances.astype(np.float64)
        if self.method == "reciprocal_rank":
            w0 = self.w0_of(longest)
            return weight * w0 / (distances + w0)
        if self.method == "borda":
            return weight * np.maximum(longest - distances, 0)
        total = math.fsum(self.weights)
        scores = np.where(np.isfinite(distances), -distances, 0)
        if self.method == "mean":
            return weight * scores / total
        return weight * np.log(np.maximum(scores, LEAST_SCORE) / LEAST_SCORE) / total

    def scores_of(self, sums: np.ndarray) -> np.ndarray:
        """The scores that are kept of ``sums``."""
        return np.exp(sums) * LEAST_SCORE if self.method == "geometric_mean" else sums

    def farthest(self, sums: np.ndarray, *, longest: Any) -> np.ndarray:
        """The distance that gives ``sums`` if all files give it, and a little more; some file must be as close."""
        with np.errstate(divide="ignore"):
            if self.method == "reciprocal_rank":
                w0 = self.w0_of(longest)
                return w0 * math.fsum(self.weights) / sums * (1 + 1e-9) - w0 + 1e-6
            if self.method == "borda":
                return longest - sums / math.fsum(self.weights) * (1 - 1e-9) + 1e-6
        if self.method == "mean":
            return -sums * (1 - 1e-9) + 1e-12
        return -LEAST_SCORE * np.exp(sums) * (1 - 1e-9) + 2 * LEAST_SCORE


@dataclasses.dataclass(frozen=True)
class FusionReport:
    """Totals of a fusion: num_classes, rows_read and rows_written; notes, sentences on what users should know."""

    num_classes: int
    rows_read: int
    rows_written: int
    notes: tuple

    def summary(self) -> dict[str, Any]:
        """JSON-able dict of the numbers."""
        return {"num_classes": self.num_classes, "rows_read": self.rows_read, "rows_written": self.rows_written}


def fuse(
    paths: Sequence[str],
    output: str,
    *,
    fusion: Fusion | None = None,
    class_range: tuple[int, int] | None = None,
    workers: int = 1,
    ray: str = "",
    progress: Progress | None = None,
) -> FusionReport:
    """Fuses submission files into ``output``, classes ascending; returns a FusionReport.

    paths: submission files, of any form each; one with weight 0 is not read. fusion: None for equal weights and the
    defaults of Fusion. output: path; its suffix chooses the form, and parquet carries the sums as scores. class_range:
    (first, end), only class ids in [first, end). workers: processes, one class each at a time; with more than one,
    calls belong under ``if __name__ == "__main__"``. ray: address of a Ray cluster that does the work instead, see
    yt8m.runtime.cluster, a class on each of its CPUs. progress: a Progress, whose total is set to the number of
    classes. The bytes written do not depend on ``workers`` or ``ray``.

    Raises InputError naming the file, line and class of bad input; then ``output`` is untouched.
    """
    fusion = fusion or Fusion((1.0,) * len(paths))
    if len(fusion.weights) != len(paths):
        raise InputError(f"{len(fusion.weights)} weights for {len(paths)} submissions: one each is needed")
    used = [(path, weight) for path, weight in zip(paths, fusion.weights) if weight > 0]
    fusion = dataclasses.replace(fusion, weights=tuple(weight for _, weight in used))
    with contextlib.ExitStack() as stack:
        submissions = [stack.enter_context(Submission(path)) for path, _ in used]
        for submission in submissions:
            if fusion.by_score and not submission.has_scores:
                raise InputError(f"{submission.path} has no scores: method {fusion.method} needs parquet files")
        class_ids = _class_ids(submissions, class_range)
        as_text = not str(output).endswith(".parquet")
        task = functools.partial(_fuse_class, submissions=submissions, fusion=fusion, as_text=as_text)
        if progress is not None:
            progress.total = len(class_ids)
        rows_read = rows_written = 0
        repeats = np.zeros(len(submissions), np.int64)
        writer = stack.enter_context(SubmissionWriter(output))
        results = _results(task, class_ids, paths, workers=workers, ray=ray)
        for class_id, (fused, num_read, num_written, num_repeats) in zip(class_ids, results):
            if as_text:
                writer.write_line(fused)
            else:
                writer.write(class_id, fused)
            rows_read += num_read
            rows_written += num_written
            repeats += num_repeats
            if progress is not None:
                progress.update()
    return FusionReport(len(class_ids), rows_read, rows_written, tuple(_notes(submissions, class_ids, repeats)))


def fuse_lists(lists: Sequence[SegmentList | None], *, fusion: Fusion) -> tuple[SegmentList, np.ndarray]:
    """The SegmentList, with the sums as scores, of one class.

    lists: SegmentList or None per file, with scores where the method needs them; fusion: a Fusion with a weight each.
    Returns (fused, repeats), the latter (F,) int64, how many segments of each list stood in it before; they are left
    out, and the ranks behind them close up. Raises InputError where a segment is malformed.
    """
    present = [SegmentList.from_text(b"", scores=np.zeros(0)) if part is None else part for part in lists]
    everything = SegmentList.concatenate(present)
    if not len(everything):
        return everything, np.zeros(len(present), np.int64)
    counts = np.array([len(part) for part in present])
    order, first = everything.group()
    files = gather(np.repeat(np.arange(len(present), dtype=np.min_scalar_type(len(present))), counts), order)
    repeated = ~first[1:] & (files[1:] == files[:-1])
    if repeated.any():
        repeats = np.bincount(files[1:][repeated], minlength=len(present))
        kept = np.ones(len(order), bool)
        kept[order[1:][repeated]] = False
        bounds = np.cumsum(counts)[:-1]
        present = [part.take(rows) for part, rows in zip(present, np.split(kept, bounds))]
        return fuse_lists(present, fusion=fusion)[0], repeats
    shares = np.concatenate(list(_shares(present, fusion)))
    # bincount adds in row order, which within a group is file order: the sums are those of a plain loop.
    sums = np.bincount(np.cumsum(first) - 1, weights=gather(shares, order))
    distinct = everything.take(gather(order, np.flatnonzero(first)))
    distinct.check()
    best = distinct.best(sums, fusion.top_n)
    fused = distinct.take(best)
    fused.scores = fusion.scores_of(sums[best])
    return fused, np.zeros(len(present), np.int64)


def rank_overlap(
    paths: Sequence[StrPath], *, depth: int = 1000, class_range: tuple[int, int] | None = None
) -> np.ndarray:
    """(F, F) float64: the share of two files' best ``depth`` segments that both list, averaged over shared classes.

    Where lists are shorter than ``depth``, the share is of the shorter one. nan where two files share no class.
    """
    totals = np.zeros((len(paths), len(paths)))
    shared = np.zeros_like(totals)
    with contextlib.ExitStack() as stack:
        submissions = [stack.enter_context(Submission(path)) for path in paths]
        for class_id in _class_ids(submissions, class_range):
            lists = [
                submission.read(class_id, depth=depth) if class_id in submission else SegmentList.from_text(b"")
                for submission in submissions
            ]
            counts = np.array([len(part) for part in lists])
            if not counts.any():
                continue
            order, first = SegmentList.concatenate(lists).group()
            present = np.zeros((int(first.sum()), len(paths)), np.float32)
            present[np.cumsum(first) - 1, np.repeat(np.arange(len(paths)), counts)[order]] = 1
            sizes = np.minimum.outer(present.sum(axis=0), present.sum(axis=0))
            totals += np.divide(present.T @ present, sizes, out=np.zeros_like(totals), where=sizes > 0)
            shared += sizes > 0
    return np.divide(totals, shared, out=np.full_like(totals, np.nan), where=shared > 0)


def parse_class_range(text: str | None) -> tuple[int, int] | None:
    """(first, end) from "0:250"; None from "" or None. Raises InputError."""
    if not text:
        return None
    first, colon, end = text.partition(":")
    if not (colon and first.isdecimal() and end.isdecimal() and int(first) < int(end)):
        raise InputError(f"--classes={text}: expected FIRST:END with FIRST under END, as in 0:250 for classes 0 to 249")
    return int(first), int(end)


def _class_ids(submissions, class_range):
    first, end = class_range or (0, math.inf)
    class_ids = sorted({c for submission in submissions for c in submission.class_ids if first <= c < end})
    if not class_ids:
        raise InputError(f"no submission has a class in the range {first}:{end}")
    return class_ids


def _results(task, class_ids, paths, *, workers, ray):
    if not ray:
        return parallel.map_in_order(task, class_ids, workers=workers)
    for path in paths:
        if str(path).endswith(".gz"):
            raise InputError(f"{path} is unpacked on this machine alone: unpack it, or make it parquet, for --ray")
    return cluster.map_in_order(task, class_ids, address=ray, cpus=1)


def _fuse_class(class_id, *, submissions, fusion, as_text):
    """(line of text or SegmentList, rows read, rows written, repeats) of one class; runs in a worker."""
    present = [(place, submission) for place, submission in enumerate(submissions) if class_id in submission]
    lists = [None] * len(submissions)
    for place, submission in present:
        lists[place] = submission[class_id]
        if fusion.by_score and not np.isfinite(lists[place].scores).all():
            raise InputError(f"{submission.where(class_id)}: a score is not a finite number")
    try:
        fused, repeats = fuse_lists(lists, fusion=fusion)
    except InputError:
        for place, submission in present:
            submission.check(class_id, lists[place])
        raise
    num_read = sum(len(segments) for segments in lists if segments is not None)
    result = b"%d,%s" % (class_id, fused.to_text()) if as_text else fused
    return result, num_read, len(fused), repeats


def _shares(lists, fusion):
    longest = max(len(part) for part in lists)
    for index, part in enumerate(lists):
        distances = -part.scores.astype(np.float64) if fusion.by_score else np.arange(len(part))
        yield fusion.share(index, distances, longest=longest)


def _notes(submissions, class_ids, repeats):
    for submission, num_repeats in zip(submissions, repeats):
        missing = [class_id for class_id in class_ids if class_id not in submission]
        if missing:
            shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
            yield f"{submission.path} lacks {len(missing)} of {len(class_ids)} classes: {shown}"
        if submission.lines is not None and not submission.has_header:
            yield f"{submission.path} has no header line"
        if not submission.ends_whole:
            yield f"{submission.path} does not end with a line end: it may have been cut"
        if num_repeats:
            yield f"{submission.path} lists {num_repeats} segments more than once in a class; the first place counts"
