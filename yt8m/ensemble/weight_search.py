"""Search of an ensemble's weights and w0 on labels, held to what it gains on videos that it has not seen.

``bagging``, the default: many weightings are scored on many halves of the videos; the best one of each half, averaged
over the halves (bagging, Breiman 1996; halves without replacement as in Buehlmann & Yu 2002), says where to go from
equal weights. How far, nowhere included, and whether with another w0, is chosen by cross-validation over videos: a
candidate must gain more there than half of its standard error, and the search as a whole, choice included, more than
its own on videos left out of both (the one-standard-error rule of Breiman et al. 1984, section 3.4); or equal weights
with the default w0 stay.

``bayesian``: the highest score on the labels, by Bayesian optimisation (Liu & Shao 2019, arXiv 1912.01127, section 6).
It promises more than it holds on other videos; the cross-validation says by how much.

The weights of what cross-validation leaves out are never made of it, and all is deterministic for a seed.
"""

import dataclasses
from typing import Any

import numpy as np

from yt8m.ensemble.bayesian_search import find_best
from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.objective import Objective
from yt8m.options import check_options, option
from yt8m.types import InputError

METHODS = ("bagging", "bayesian")
W0_SHARES = (0.002, 0.006, 0.02, 0.06, 0.2, 0.6, 2.0)
STRENGTHS = (0.25, 0.5, 0.75, 1.0)
"""How far the weights go from equal ones to the bagged ones."""

CAUTION = 0.5
"""Standard errors that the gain of a candidate must be above 0."""

CAUTION_OF_ALL = 1.0
"""Standard errors that the gain of the search as a whole must be above 0."""

_HALVES_OF_FOLD = 12
_RANDOM_WEIGHTINGS = 200
_CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """Settings of a search. Raises InputError where a value is out of range.

    search_w0: whether w0 is searched too, where the method of fusion has one.
    """

    method: str = option(
        "bagging",
        "Search method: bagging, held near equal weights by cross-validation; bayesian, the highest MAP on the labels, "
        "as in the paper.",
        choices=METHODS,
        flag="search_method",
    )
    steps: int = option(
        150,
        "Most weights to try in --search_method=bayesian; fewer where none improve.",
        unit="evaluations",
        low=1,
        flag="search_steps",
    )
    num_folds: int = option(
        5,
        "Parts of the videos that cross-validate the search; at least 3, or for --search_method=bayesian 0 for none.",
        unit="folds",
        low=0,
        high=1000,
    )
    seed: int = option(0, "Seed of everything random.", low=0, flag=None)
    search_w0: bool = option(True, "Search of w0.", flag=None)

    def __post_init__(self):
        check_options(self)
        if self.num_folds < (least := 3 if self.method == "bagging" else 2) and (self.num_folds, self.method) != (
            0,
            "bayesian",
        ):
            or_none = "" if self.method == "bagging" else "0, or "
            raise InputError(f"num_folds is {self.num_folds}; valid for {self.method}: {or_none}{least} or more")


@dataclasses.dataclass(frozen=True)
class Gain:
    """Gain of the score over equal weights with the default w0, on videos left out: mean over folds, 95% interval.

    The interval is the corrected resampled t interval of Nadeau & Bengio (2003), as folds share what is learned from.
    """

    mean: float
    low: float
    high: float
    folds: tuple

    @classmethod
    def of(cls, differences: Any) -> "Gain":
        """The gain whose differences, one a fold, are ``differences``."""
        from scipy.stats import t

        values = np.asarray(differences, np.float64)
        reach = t.ppf((1 + _CONFIDENCE) / 2, len(values) - 1) * _standard_error(values)
        mean = float(values.mean())
        return cls(mean, float(mean - reach), float(mean + reach), tuple(values.tolist()))


@dataclasses.dataclass(frozen=True)
class Candidate:
    """What cross-validation chooses from: a fusion, ``strength`` of the way from equal weights, and its gain."""

    fusion: Fusion
    strength: float
    gain: Gain


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """What a search found.

    fusion: weights and w0; score: theirs on all labels; plain: equal weights with the default w0, and its plain_score.
    single_scores: of each file alone. gain: what the search, its choice included, gains on videos left out, None
    without folds. candidates: tuple of Candidate; chosen: index of the one taken. droppable: indices of files without
    which ``score`` is no lower. note: a sentence where there was nothing to search, else "".
    """

    fusion: Fusion
    score: float
    plain: Fusion
    plain_score: float
    single_scores: tuple
    gain: Gain | None = None
    candidates: tuple = ()
    chosen: int = 0
    droppable: tuple = ()
    note: str = ""


def search_weights(
    objective: Objective, *, plain: Fusion, settings: SearchSettings, progress: Any = None
) -> SearchResult:
    """Searches for weights and w0; returns a SearchResult.

    plain: Fusion with equal weights, which is searched around. progress: a Progress, told of every evaluation. Raises
    InputError where the labels have fewer videos than folds, or too few positives for them, or are of other videos.
    """
    if not np.isfinite(objective.distances).any():
        raise InputError("the submissions list nothing of what the labels rate: are the labels of other videos?")
    note = _obvious(objective)
    gain, candidates, chosen, fusion = None, (), 0, plain
    if not note:
        if settings.num_folds:
            folds = _Folds(objective, settings)
        if settings.method == "bagging":
            gain, candidates, chosen = _Bagging(objective, plain, settings, folds, progress).run()
            fusion = candidates[chosen].fusion
        else:
            gain, fusion = _bayesian(objective, plain, settings, folds if settings.num_folds else None, progress)
    score = objective(fusion)
    return SearchResult(
        fusion=fusion,
        score=score,
        plain=plain,
        plain_score=objective(plain),
        single_scores=tuple(objective(_weighted(plain, row)) for row in np.eye(objective.num_files)),
        gain=gain,
        candidates=candidates,
        chosen=chosen,
        droppable=tuple(_droppable(objective, fusion, score)),
        note=note,
    )


def _obvious(objective):
    """Words on why there is nothing to search, or ""."""
    if objective.num_files == 1:
        return "there is one submission: nothing to search"
    if (objective.distances == objective.distances[0]).all():
        return "the submissions rank what is rated alike: nothing to search"
    return ""


def _weighted(plain, weights, **changes):
    # Three digits say more than any labels can.
    weights = np.asarray(weights, np.float64)
    return dataclasses.replace(plain, weights=tuple((weights / weights.mean()).round(3).tolist()), **changes)


def _droppable(objective, fusion, score):
    for index in range(objective.num_files):
        weights = np.array(fusion.weights)
        weights[index] = 0
        if weights.any() and objective(dataclasses.replace(fusion, weights=tuple(weights.tolist()))) >= score:
            yield index


class _Folds:
    """The videos in parts: inside and outside, (K, V) float64 of 0 and 1, what each fold learns from and leaves out."""

    def __init__(self, objective, settings):
        if not 2 <= settings.num_folds <= objective.num_videos:
            raise InputError(
                f"{settings.num_folds} folds: expected 2 to {objective.num_videos}, the number of rated videos"
            )
        self.generator = np.random.default_rng(settings.seed)
        parts = np.empty(objective.num_videos, np.int64)
        parts[self.generator.permutation(objective.num_videos)] = np.arange(objective.num_videos) % settings.num_folds
        self.outside = (parts == np.arange(settings.num_folds)[:, None]).astype(np.float64)
        self.inside = 1 - self.outside

    def halves(self):
        """((K * 12, V) float32, (K * 12,) fold): random halves of what each fold learns from."""
        halves = []
        for inside in self.inside:
            videos = np.flatnonzero(inside)
            for _ in range(_HALVES_OF_FOLD):
                half = np.zeros(len(inside), np.float32)
                half[self.generator.permutation(videos)[: (len(videos) + 1) // 2]] = 1
                halves.append(half)
        return np.array(halves), np.repeat(np.arange(len(self.inside)), _HALVES_OF_FOLD)


class _Bagging:
    """Scores of weightings on halves of the videos, and what follows from them."""

    def __init__(self, objective, plain, settings, folds, progress):
        self.objective = objective
        self.folds = folds
        self.progress = progress
        self.halves, self.fold_of_half = folds.halves()
        self.weightings = _weightings(objective.num_files, folds.generator)
        self.plain = plain
        self.fusions = [plain]
        if settings.search_w0 and plain.method == "reciprocal_rank":
            shares = [share for share in W0_SHARES if share != plain.w0_share]
            self.fusions += [dataclasses.replace(plain, w0=None, w0_share=share) for share in shares]
        self._tables = {}

    def run(self):
        """(Gain of the procedure, tuple of Candidate, index of the one to take)."""
        equal = np.array([self._on_halves(fusion) for fusion in self.fusions])
        if np.isnan(equal).any():
            raise InputError("a part of the labels has no positives: use fewer folds")
        folds = range(len(self.folds.outside))
        of_folds = [self._candidates(equal, self.fold_of_half == fold) for fold in folds]
        scores = np.array([self._outside(of_folds[fold], fold) for fold in folds]).T
        if np.isnan(scores).any():
            raise InputError("a part of the labels has no positives: use fewer folds")
        gains = scores - scores[0]
        # The choice, too, is made without the fold that it is scored on.
        chosen = [_choose(np.delete(gains, fold, axis=1)) for fold in folds]
        final = self._candidates(equal, np.ones(len(self.halves), bool))
        candidates = [Candidate(fusion, strength, Gain.of(row)) for (fusion, strength), row in zip(final, gains)]
        procedure = Gain.of([gains[which, fold] for which, fold in zip(chosen, folds)])
        holds = procedure.mean > CAUTION_OF_ALL * _standard_error(np.array(procedure.folds))
        return procedure, tuple(candidates), _choose(gains) if holds else 0

    def _candidates(self, equal, halves):
        """List of (Fusion, strength) as ``halves``, (H,) bool, suggest: equal weights, and towards the bagged ones."""
        best = self.fusions[int(np.argmax(equal[:, halves].mean(axis=1)))]
        found = []
        # The same list for every fold: its places are what cross-validation compares.
        for base in [self.plain, best] if len(self.fusions) > 1 else [self.plain]:
            table = self._table(base)[:, halves]
            bagged = self.weightings[np.argmax(table, axis=0)].mean(axis=0)
            found.append((base, 0.0))
            found += [(_weighted(base, 1 - strength + strength * bagged), strength) for strength in STRENGTHS]
        return found

    def _outside(self, candidates, fold):
        weights = self.folds.outside[fold : fold + 1]
        return [self.objective.scores(self.objective.keys(fusion), weights)[0] for fusion, _ in candidates]

    def _table(self, base):
        """(weightings, halves) scores."""
        if base not in self._tables:
            if self.progress is not None:
                self.progress.total = (self.progress.total or len(self.fusions)) + len(self.weightings)
            self._tables[base] = np.array([self._on_halves(_weighted(base, row)) for row in self.weightings])
        return self._tables[base]

    def _on_halves(self, fusion):
        if self.progress is not None:
            self.progress.update()
        return self.objective.scores(self.objective.keys(fusion), self.halves)


def _weightings(num_files, generator):
    """(N, F) weights of mean 1: equal, one file without, at half and at twice its weight, and random ones."""
    rows = [np.ones((1, num_files))]
    for factor in (0.0, 0.5, 2.0):
        rows.append(np.where(np.eye(num_files, dtype=bool), factor, 1.0))
    for concentration in (1.0, 4.0):
        rows.append(generator.dirichlet(np.full(num_files, concentration), _RANDOM_WEIGHTINGS // 2))
    weights = np.concatenate(rows)
    return weights / weights.mean(axis=1, keepdims=True)


def _choose(gains):
    """Index of the candidate, (C, K) gains, whose mean is highest after CAUTION; 0 where none is above 0."""
    cautious = gains.mean(axis=1) - CAUTION * _standard_error(gains)
    cautious[0] = 0.0
    return int(np.argmax(cautious))


def _standard_error(values):
    """Of means over K folds (last axis), corrected for what the folds share (Nadeau & Bengio 2003)."""
    number = values.shape[-1]
    return np.sqrt((1 / number + 1 / (number - 1)) * values.var(axis=-1, ddof=1))


def _bayesian(objective, plain, settings, folds, progress):
    """(Gain or None, Fusion)."""
    if progress is not None:
        progress.total = settings.steps * (1 + settings.num_folds)
    options = {"steps": settings.steps, "seed": settings.seed, "progress": progress}
    options["search_w0"] = settings.search_w0 and plain.method == "reciprocal_rank"
    everything = np.ones(objective.num_videos)
    found = find_best(objective, plain, everything, **options)
    if folds is None:
        return None, found
    gains = []
    for inside, outside in zip(folds.inside, folds.outside):
        inner = find_best(objective, plain, inside, **options)
        scores = [objective.scores(objective.keys(fusion), outside[None])[0] for fusion in (inner, plain)]
        gains.append(scores[0] - scores[1])
    if np.isnan(gains).any():
        raise InputError("a part of the labels has no positives: use fewer folds")
    return Gain.of(gains), found
