"""Search of the ensemble's weights and w0 on rated segments (Liu & Shao 2019, arXiv 1912.01127, section 3.4).

Every method starts from the files alone, equal weights and weights by MAP. A file's weight is searched between 0 and
its own MAP over the best file's, the paper's first step; w0 between 0.5 and 1000 on a log scale, unless it is given.
All methods are deterministic: the same history, seed and settings give the same next step, which resumes a search.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from yt8m.options import check_options, option
from yt8m.types import InputError

METHODS = ("bayesian", "nelder_mead", "random", "greedy")
W0_RANGE = (0.5, 1000.0)
LEAST_GAIN = 1e-6
"""A smaller gain of MAP counts as none: the search has converged after ``patience`` steps without more."""


@dataclasses.dataclass(frozen=True)
class SearchSettings:
    """Settings of a search. Raises InputError where a value is out of range."""

    method: str = option("bayesian", "Search method.", choices=METHODS, flag="search_method")
    steps: int = option(
        150, "Most weights to try; fewer where none improve.", unit="evaluations", low=1, flag="search_steps"
    )
    patience: int = option(60, "Steps without gain after which the search ends.", unit="evaluations", low=1, flag=None)
    seed: int = option(0, "Seed of everything random.", low=0, flag=None)
    w0: float | None = option(None, "Fixed w0, or None to search it.", above=0, flag=None)

    def __post_init__(self):
        check_options(self)


@dataclasses.dataclass(frozen=True)
class Step:
    """One evaluation: weights (tuple of F floats), w0, and the MAP@K that they gave."""

    weights: tuple
    w0: float
    map_at_k: float


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """weights, w0 and map_at_k: the best found, without weights that do not help.

    droppable: indices of the files that those are of. history: tuple of Step, in order. converged: whether the search
    ended before its steps did.
    """

    weights: tuple
    w0: float
    map_at_k: float
    droppable: tuple
    history: tuple
    converged: bool


class _Done(Exception):
    """Ends a search from within its objective."""


def search_weights(
    objective: Any,
    *,
    settings: SearchSettings,
    history: Sequence[Step] = (),
    on_step: Callable[[list[Step]], None] | None = None,
) -> SearchResult:
    """Searches for the weights and w0 with the highest MAP@K; returns a SearchResult.

    objective: RankObjective, or any function of (weights, w0) with num_files and single_maps. history: Steps of an
    earlier run with the same objective and settings, which are not evaluated again. on_step: called with the list of
    Steps after every new one.
    """
    search = _Search(objective, settings, history, on_step)
    try:
        for start in search.starting_points():
            search.evaluate(*start)
        _ALGORITHMS[settings.method](search)
        converged = True
    except _Done:
        converged = search.is_converged()
    best = search.best()
    weights, droppable = _without_useless(objective, best)
    return SearchResult(
        weights=weights,
        w0=best.w0,
        map_at_k=objective(np.array(weights), best.w0),
        droppable=droppable,
        history=tuple(search.history),
        converged=converged,
    )


def cross_validate(
    objective: Any, *, settings: SearchSettings, num_folds: int, on_step: Callable[[list[Step]], None] | None = None
) -> dict[str, Any]:
    """Searches weights on all but one of ``num_folds`` parts of the videos and scores them on that one, for each part.

    Returns dict: in_fold and out_of_fold, mean MAP@K on the videos searched on and left out; in_fold_gain and
    out_of_fold_gain, the same over equal weights with w0 = 1 (parts of different size have MAPs of different level,
    gains compare); optimism, in_fold_gain - out_of_fold_gain: what the search promises and does not hold; folds, a list
    of dicts with these numbers of each. on_step: called as by search_weights, anew in each fold.
    """
    videos = np.unique(objective.videos)
    if not 2 <= num_folds <= len(videos):
        raise InputError(f"{num_folds} folds: expected 2 to {len(videos)}, the number of rated videos")
    parts = np.empty(int(videos[-1]) + 1, np.int64)
    parts[np.random.default_rng(settings.seed).permutation(videos)] = np.arange(len(videos)) % num_folds
    equal = np.ones(objective.num_files)
    folds = []
    for fold in range(num_folds):
        left_out = parts[objective.videos] == fold
        inside, outside = objective.restrict(~left_out), objective.restrict(left_out)
        found = search_weights(inside, settings=settings, on_step=on_step)
        weights = np.array(found.weights)
        entry = {"in_fold": found.map_at_k, "out_of_fold": outside(weights, found.w0)}
        entry["in_fold_gain"] = entry["in_fold"] - inside(equal, 1.0)
        entry["out_of_fold_gain"] = entry["out_of_fold"] - outside(equal, 1.0)
        entry["optimism"] = entry["in_fold_gain"] - entry["out_of_fold_gain"]
        folds.append(entry | {"weights": list(found.weights), "w0": found.w0})
    return {name: float(np.mean([fold[name] for fold in folds])) for name in entry} | {"folds": folds}


class _Search:
    """The history of a search, what may be tried, and when it ends."""

    def __init__(self, objective, settings, history, on_step):
        self.settings = settings
        self.num_files = objective.num_files
        maps = np.array(objective.single_maps)
        self.highest = maps / maps.max() if maps.max() > 0 else np.ones(len(maps))
        self.fixed_w0 = settings.w0
        self.history = []
        self._objective = objective
        self._earlier = tuple(history)
        self._known = {(step.weights, step.w0): step.map_at_k for step in history}
        self._on_step = on_step

    def starting_points(self):
        """(weights, w0) of each file alone, of all equal, and of all by MAP."""
        first = self.fixed_w0 or 1.0
        yield from ((row, first) for row in np.eye(self.num_files))
        yield np.ones(self.num_files), first
        yield from ((self.highest, w0) for w0 in ([self.fixed_w0] if self.fixed_w0 else [1.0, 6.06]))

    def evaluate(self, weights, w0):
        """MAP@K; raises _Done where the search has ended."""
        if len(self.history) >= self.settings.steps or self.is_converged():
            raise _Done
        key = tuple(float(weight) for weight in weights), float(w0)
        value = self._known.get(key)
        known = value is not None
        if not known:
            value = self._known[key] = self._objective(np.array(key[0]), key[1]) if any(key[0]) else 0.0
        self.history.append(Step(*key, value))
        if self._on_step is not None and not known:
            self._on_step(self.history)
        return value

    def replay(self):
        """Repeats the next step of the earlier history without asking how it was chosen; False where there is none."""
        if len(self.history) >= len(self._earlier):
            return False
        step = self._earlier[len(self.history)]
        self.evaluate(step.weights, step.w0)
        return True

    def evaluate_point(self, point):
        """MAP@K at a point of the unit cube, one dimension a file and one of w0 unless that is fixed."""
        return self.evaluate(*self.decoded(point))

    def decoded(self, point):
        weights = np.clip(point[: self.num_files], 0, 1) * self.highest
        if self.fixed_w0:
            return weights, self.fixed_w0
        low, high = np.log(W0_RANGE)
        return weights, float(np.exp(low + np.clip(point[-1], 0, 1) * (high - low)))

    def encoded(self, weights, w0):
        # Only ratios of weights matter, so that weights beyond the bounds can be scaled down to them.
        point = np.divide(weights, self.highest, out=np.zeros(self.num_files), where=self.highest > 0)
        point /= max(point.max(), 1.0)
        if self.fixed_w0:
            return point
        low, high = np.log(W0_RANGE)
        return np.append(point, np.clip((np.log(w0) - low) / (high - low), 0, 1))

    @property
    def num_dimensions(self):
        return self.num_files + (not self.fixed_w0)

    def random_point(self):
        """A point of the unit cube that depends on the seed and the number of steps so far only."""
        return np.random.default_rng([self.settings.seed, len(self.history)]).random(self.num_dimensions)

    def best(self):
        """The Step with the highest MAP@K, the earliest of equals."""
        return max(self.history, key=lambda step: step.map_at_k)

    def is_converged(self):
        patience = self.settings.patience
        if len(self.history) <= patience + self.num_files:
            return False
        values = [step.map_at_k for step in self.history]
        return max(values[-patience:]) < max(values[:-patience]) + LEAST_GAIN


def _search_at_random(search):
    while True:
        search.evaluate_point(search.random_point())


def _search_bayesian(search):
    import warnings

    from bayes_opt import acquisition
    from bayes_opt.target_space import TargetSpace
    from sklearn.gaussian_process import GaussianProcessRegressor, kernels

    space = TargetSpace(None, {f"x{index:02}": (0.0, 1.0) for index in range(search.num_dimensions)})
    seen = set()

    def register(step):
        point = search.encoded(step.weights, step.w0)
        # bayes_opt refuses a point twice.
        if tuple(point) not in seen:
            seen.add(tuple(point))
            space.register(point, step.map_at_k)

    def suggest():
        # A random state that depends on the step alone makes a resumed search go on as if it had never stopped.
        state = np.random.RandomState([search.settings.seed, len(search.history)])
        process = GaussianProcessRegressor(
            kernels.Matern(nu=2.5), alpha=1e-6, normalize_y=True, n_restarts_optimizer=1, random_state=state
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return proposer.suggest(process, space, n_random=4000, n_smart=1, random_state=state)

    proposer = acquisition.ExpectedImprovement(xi=0.0)
    for step in search.history:
        register(step)
    num_random = len(search.history) + 2 * search.num_dimensions
    while True:
        if not search.replay():
            point = suggest() if len(search.history) >= num_random else search.random_point()
            search.evaluate_point(search.random_point() if tuple(point) in seen else point)
        register(search.history[-1])


def _search_nelder_mead(search):
    from scipy.optimize import minimize

    start = search.encoded(search.best().weights, search.best().w0)
    # MAP is a staircase: a first simplex of scipy's size, 5%, may not leave a step.
    corners = np.where(start > 0.5, start - 0.3, start + 0.3)
    simplex = np.vstack([start, np.where(np.eye(len(start), dtype=bool), corners, start)])
    minimize(
        lambda point: -search.evaluate_point(point),
        start,
        method="Nelder-Mead",
        bounds=[(0, 1)] * len(start),
        options={"initial_simplex": simplex, "maxfev": search.settings.steps, "xatol": 1e-4, "fatol": LEAST_GAIN},
    )


def _search_greedy(search):
    """Forward selection with replacement: the file, and the change of w0, that gain most, again and again."""
    counts = np.zeros(search.num_files)
    w0, value = search.best().w0, 0.0
    while True:
        tried = []
        for candidate in [w0] if search.fixed_w0 else [w0, w0 / 2, w0 * 2]:
            if search.fixed_w0 or W0_RANGE[0] <= candidate <= W0_RANGE[1]:
                for row in np.eye(search.num_files):
                    tried.append((search.evaluate(counts + row, candidate), -len(tried), counts + row, candidate))
        best, _, counts, w0 = max(tried, key=lambda entry: entry[:2])
        if best <= value:
            return
        value = best


_ALGORITHMS = {
    "bayesian": _search_bayesian,
    "nelder_mead": _search_nelder_mead,
    "random": _search_at_random,
    "greedy": _search_greedy,
}


def _without_useless(objective, best):
    """(weights, indices of files that are useless): weights that can be 0 without a lower MAP, the smallest first."""
    weights = np.array(best.weights)
    value = best.map_at_k
    for index in np.argsort(weights, kind="stable"):
        without = weights.copy()
        without[index] = 0.0
        if weights[index] and without.any():
            reached = objective(without, best.w0)
            if reached >= value:
                weights, value = without, reached
    return tuple(weights.tolist()), tuple(np.flatnonzero(weights == 0).tolist())
