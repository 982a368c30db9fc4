"""MAP@K of fused submissions as a function of the fusion, exact with the cut at K.

Only rated pairs (segment, class) move MAP, so their ranks or scores in every file are read once. A fused list that is
longer than K is cut, and then unrated segments matter too: see yt8m.ensemble.cut_classes.
"""

import functools
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.ensemble.cut_classes import CutClass, read_cut_classes, uncertain_positives
from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.objective import Objective, fused_sums
from yt8m.ranking.overlap import check_overlap
from yt8m.ranking.ranks import UNLISTED, find_ranks, read_distinct
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission
from yt8m.runtime.parallel import map_in_order
from yt8m.types import MAX_SEGMENTS_PER_CLASS, InputError, StrPath


class SegmentObjective(Objective):
    """MAP@K of the fusion of submissions, called with a Fusion.

    Attributes beside those of Objective: class_ids (P,) of the rated pairs, which are those of classes with positives,
    sorted by class and segment; lengths (F, G) int64, of the lists of these classes; cut_classes, list of CutClass;
    by_score, whether distances are scores or ranks; top_n, K.
    """

    metric = "map_at_k"

    def __init__(
        self,
        distances: np.ndarray,
        class_ids: np.ndarray,
        positive: np.ndarray,
        videos: np.ndarray,
        *,
        lengths: np.ndarray,
        by_score: bool = False,
        cut_classes: Sequence[CutClass] = (),
        top_n: int = MAX_SEGMENTS_PER_CLASS,
    ):
        super().__init__(distances, positive, class_ids, videos)
        self.class_ids = class_ids
        self.lengths = lengths
        self.by_score = by_score
        self.cut_classes = list(cut_classes)
        self.top_n = top_n

    @classmethod
    def from_submissions(
        cls,
        paths: Sequence[StrPath],
        labels: RatedLabels,
        *,
        by_score: bool = False,
        top_n: int = MAX_SEGMENTS_PER_CLASS,
        class_range: tuple[int, int] | None = None,
        workers: int = 1,
        progress: Any = None,
    ) -> "SegmentObjective":
        """Reads the ranks, or with ``by_score`` the scores, of all rated pairs in submission files.

        labels: RatedLabels; class_range: (first, end) of class ids; workers: processes; progress: a Progress. What cut
        classes need goes to an unnamed temporary file in $TMPDIR. Raises InputError where a file is bad, has no scores
        or lists no rated segment, or no class has positives.
        """
        first, end = class_range or (0, np.inf)
        class_ids = [c for c in labels.classes if first <= c < end and labels.positive[labels.rows(c)].any()]
        if not class_ids:
            raise InputError("no class has a positive label, so that there is no MAP to search weights for")
        submissions = []
        try:
            for path in paths:
                submissions.append(Submission(path))
                if by_score and not submissions[-1].has_scores:
                    raise InputError(f"{path} has no scores: means of scores need parquet files")
            if progress is not None:
                progress.total = len(class_ids)
            distances, lengths, stored = [], [], []
            storage = tempfile.TemporaryFile(prefix="yt8m-ranks-")
            offset = 0
            task = functools.partial(
                _read_class, submissions=submissions, labels=labels, by_score=by_score, top_n=top_n
            )
            for of_class, counts, cut in map_in_order(task, class_ids, workers=workers):
                distances.append(of_class)
                lengths.append(counts)
                if cut is not None:
                    cut[0].tofile(storage)
                    stored.append((cut[0].shape, cut[1] + offset, cut[2]))
                offset += of_class.shape[1]
                if progress is not None:
                    progress.update()
            kept = np.isin(labels.class_ids, class_ids)
            for submission, listed in zip(submissions, np.isfinite(np.concatenate(distances, axis=1))):
                everywhere = np.zeros(len(labels), bool)
                everywhere[kept] = listed
                check_overlap(submission, labels, class_ids, everywhere)
        except OSError as error:
            raise InputError(f"cannot keep ranks in {tempfile.gettempdir()} (see $TMPDIR): {error}") from error
        finally:
            for submission in submissions:
                submission.close()
        return cls(
            np.concatenate(distances, axis=1),
            labels.class_ids[kept],
            labels.positive[kept],
            labels.videos[kept],
            lengths=np.stack(lengths, axis=1),
            by_score=by_score,
            cut_classes=read_cut_classes(storage, stored),
            top_n=top_n,
        )

    def keys(self, fusion: Fusion) -> np.ndarray:
        """(P,) float64, the sums times -1, infinite for what the best K of the fused lists do not hold."""
        if fusion.by_score != self.by_score:
            raise ValueError(f"{fusion.method} on {'scores' if self.by_score else 'ranks'}")
        used = np.asarray(fusion.weights) > 0
        # As in fuse, a file without weight is not read.
        longest = self.lengths[used].max(axis=0)[self.groups].astype(np.float64)
        sums = fused_sums(self.distances, fusion, longest=longest)
        listed = np.isfinite(self.distances[used]).any(axis=0)
        keys = np.where(listed, -sums, np.inf)
        if not self.cut_classes:
            return keys
        in_doubt = listed & self._may_be_cut(sums, fusion, longest)
        for cut in self.cut_classes:
            doubtful = in_doubt[cut.rows]
            if doubtful.any():
                rows, columns = cut.rows[doubtful], cut.own[doubtful]
                are_cut = cut.are_cut(columns, sums[rows], fusion=fusion, longest=longest[rows[0]], top_n=self.top_n)
                keys[rows[are_cut]] = np.inf
        return keys

    def restrict(self, kept: np.ndarray) -> "SegmentObjective":
        """The objective of the rated pairs where ``kept`` (P,) bool alone, and of the classes with positives in it."""
        kept = kept & np.isin(self.groups, self.groups[kept & self.positive])
        if not kept.any():
            raise InputError("a part of the labels has no positives: use fewer folds")
        index = np.cumsum(kept) - 1
        cuts = [part for cut in self.cut_classes if (part := cut.restrict(kept, index)) is not None]
        return SegmentObjective(
            self.distances[:, kept],
            self.class_ids[kept],
            self.positive[kept],
            self.videos[kept],
            lengths=self.lengths[:, np.unique(self.groups[kept])],
            by_score=self.by_score,
            cut_classes=cuts,
            top_n=self.top_n,
        )

    def _may_be_cut(self, sums, fusion, longest):
        """(P,) bool, False where fewer segments than fit have ranks that could add up to as much."""
        if self.by_score:
            return np.ones(len(sums), bool)
        return np.count_nonzero(fusion.weights) * (fusion.farthest(sums, longest=longest) + 1) >= self.top_n


def _read_class(class_id, *, submissions, labels, by_score, top_n):
    """((F, R) distances of the rated pairs of a class, (F,) lengths, uncertain_positives or None); runs in a worker."""
    rows = labels.rows(class_id)
    texts = labels.texts[rows]
    lists = [
        read_distinct(submission, class_id) if class_id in submission else SegmentList.from_text(b"")
        for submission in submissions
    ]
    own = [_distances(*pair, class_id, by_score) for pair in zip(lists, submissions)]
    found = np.stack([find_ranks(segments, texts) for segments in lists])
    distances = np.full(found.shape, np.inf)
    for index, of_list in enumerate(own):
        listed = found[index] < UNLISTED
        distances[index, listed] = of_list[found[index, listed]]
    counts = np.array([len(part) for part in lists])
    if counts.sum() <= top_n:
        return distances, counts, None
    return distances, counts, uncertain_positives(lists, own, found, positive=labels.positive[rows], top_n=top_n)


def _distances(segments, submission, class_id, by_score):
    """(n,) float64 of a list: ranks, or scores times -1."""
    if not by_score or not len(segments):
        return np.arange(len(segments), dtype=np.float64)
    scores = segments.scores.astype(np.float64)
    if not (np.isfinite(scores) & (scores >= 0)).all():
        raise InputError(f"{submission.where(class_id)}: a score is no number from 0 on, and a search needs such")
    return -scores
