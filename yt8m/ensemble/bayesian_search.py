"""The weights and w0 with the highest score on some videos, by Bayesian optimisation with bayesian-optimization.

As in Liu & Shao (2019, arXiv 1912.01127, section 6), a file's weight is searched between 0 and its own score over the
best file's. w0 is searched as a share of the list, on a log scale.
"""

import dataclasses
import warnings
from typing import Any

import numpy as np

from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.objective import Objective

SHARE_RANGE = (5e-4, 5.0)
_LEAST_GAIN = 1e-6
"""A smaller gain counts as none: the search ends after ``_PATIENCE`` steps without more."""

_PATIENCE = 60
_STEPS_A_FIT = 10
"""Steps between fits of the kernel's scales, which take most of the time."""


def find_best(
    objective: Objective,
    plain: Fusion,
    video_weights: np.ndarray,
    *,
    steps: int,
    seed: int,
    search_w0: bool,
    progress: Any = None,
) -> Fusion:
    """The Fusion with the highest score of at most ``steps``; the earliest of equals.

    plain: a Fusion whose method is searched, with its w0 unless ``search_w0``. video_weights: (num_videos,), how often
    each video counts. progress: a Progress, told of every step.
    """
    return _Search(objective, plain, video_weights, steps, seed, search_w0, progress).run()


class _Search:
    def __init__(self, objective, plain, video_weights, steps, seed, search_w0, progress):
        self.objective, self.plain, self.video_weights = objective, plain, video_weights[None]
        self.steps, self.seed, self.search_w0, self.progress = steps, seed, search_w0, progress
        self.num_files = objective.num_files
        self.highest = np.ones(self.num_files)
        self.points, self.fusions, self.values = [], [], []

    def run(self):
        for row in np.eye(self.num_files):
            self._evaluate(row, self.plain)
        singles = np.array(self.values)
        if len(singles) == self.num_files and singles.max() > 0:
            self.highest = singles / singles.max()
        self._evaluate(np.ones(self.num_files), self.plain)
        self._evaluate(self.highest, self.plain)
        self._optimise()
        return self.fusions[int(np.argmax(self.values))]

    def _optimise(self):
        from bayes_opt import acquisition
        from bayes_opt.target_space import TargetSpace
        from sklearn.gaussian_process import GaussianProcessRegressor, kernels
        from threadpoolctl import threadpool_limits

        space = TargetSpace(None, {f"x{index:02}": (0.0, 1.0) for index in range(self.num_files + self.search_w0)})
        proposer = acquisition.ExpectedImprovement(xi=0.0)
        kernel = kernels.Matern(nu=2.5)
        num_random = len(self.values) + 2 * space.dim
        seen, registered = set(), 0
        generator = np.random.default_rng(self.seed)
        while not self._is_done():
            while registered < len(self.points):
                # bayes_opt refuses a point twice.
                if (point := tuple(self.points[registered])) not in seen:
                    seen.add(point)
                    space.register(self.points[registered], self.values[registered])
                registered += 1
            point = generator.random(space.dim)
            if len(self.values) >= num_random:
                refit = (len(self.values) - num_random) % _STEPS_A_FIT == 0
                process = GaussianProcessRegressor(
                    kernel, alpha=1e-6, normalize_y=True, optimizer="fmin_l_bfgs_b" if refit else None
                )
                state = np.random.RandomState([self.seed, len(self.values)])
                # Matrices of this size are slower on many threads.
                with warnings.catch_warnings(), threadpool_limits(1):
                    warnings.simplefilter("ignore")
                    proposed = proposer.suggest(process, space, n_random=2000, n_smart=0, random_state=state)
                kernel = process.kernel_
                if tuple(proposed) not in seen:
                    point = proposed
            self._evaluate(np.clip(point[: self.num_files], 0, 1) * self.highest, self._with_w0(point))

    def _with_w0(self, point):
        if not self.search_w0:
            return self.plain
        low, high = np.log(SHARE_RANGE)
        share = float(np.exp(low + np.clip(point[-1], 0, 1) * (high - low)))
        return dataclasses.replace(self.plain, w0=None, w0_share=share)

    def _evaluate(self, weights, base):
        """Scores a point; none of weights 0, nor beyond the number of steps."""
        if len(self.values) >= self.steps or not np.any(weights > 0):
            return
        fusion = dataclasses.replace(base, weights=tuple(map(float, weights)))
        self.values.append(float(self.objective.scores(self.objective.keys(fusion), self.video_weights)[0]))
        self.fusions.append(fusion)
        point = np.divide(weights, self.highest, out=np.zeros(self.num_files), where=self.highest > 0)
        if self.search_w0:
            low, high = np.log(SHARE_RANGE)
            point = np.append(point, (np.log(base.w0_share) - low) / (high - low))
        self.points.append(np.clip(point, 0, 1))
        if self.progress is not None:
            self.progress.update(note=lambda: f"best {max(self.values):.5f}")

    def _is_done(self):
        if len(self.values) >= self.steps:
            return True
        if len(self.values) <= _PATIENCE + self.num_files:
            return False
        return max(self.values[-_PATIENCE:]) < max(self.values[:-_PATIENCE]) + _LEAST_GAIN
