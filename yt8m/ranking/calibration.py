"""Scores that can be read as probabilities: temperature and Platt scaling, fitted on rated pairs.

Both change a score s to sigmoid(slope * logit(s) + offset). Temperature scaling (Guo et al. 2017, arXiv 1706.04599) has
offset 0 and slope 1 / T; Platt scaling (Platt 1999) fits both, which also mends scores that are too high or low all over.
"""

import dataclasses
import json

import numpy as np

from yt8m.runtime.files import write_text
from yt8m.types import InputError

METHODS = ("temperature", "platt")
_EPSILON = 1e-6
_STEPS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted scaling. num_rated: pairs it was fitted on; log_loss_before, log_loss_after: theirs, a pair, in nats;
    fitted_on: words on where they came from; model: SHA-256 of the model file, in hexadecimal.
    """

    method: str
    slope: float
    offset: float
    num_rated: int
    log_loss_before: float
    log_loss_after: float
    fitted_on: str = ""
    model: str = ""

    def __post_init__(self):
        if not all(isinstance(value, (int, float)) and np.isfinite(value) for value in (self.slope, self.offset)):
            raise TypeError(f"slope {self.slope!r} and offset {self.offset!r} must be finite numbers")

    def __call__(self, scores):
        """Calibrated scores, float32, of scores in [0, 1] of any shape."""
        return _sigmoid(self.slope * _logit(scores) + self.offset).astype(np.float32)


def fit_calibration(scores, positive, *, method):
    """The Calibration of least log loss. scores: (N,) in [0, 1]; positive: (N,) bool.

    Labels are smoothed as in Platt's paper, so that the fit is finite where scores part the classes perfectly.
    Raises InputError where there are no positives or no negatives, or where higher scores are rated lower.
    """
    if method not in METHODS:
        raise InputError(f"--calibrate={method} is none of {', '.join(METHODS)}")
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    count = int(positive.sum())
    if count in (0, len(positive)):
        raise InputError(f"calibration needs positive and negative ratings: {count} of {len(positive)} are positive")
    targets = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    columns = [_logit(scores), np.ones(len(scores))][: 1 if method == "temperature" else 2]
    weights = _logistic_regression(np.stack(columns, axis=1), targets)
    slope, offset = float(weights[0]), float(weights[1]) if len(weights) > 1 else 0.0
    if not slope > 0:
        raise InputError("calibration needs scores that rank positives above negatives, and these do not")
    fitted = _sigmoid(slope * _logit(scores) + offset)
    losses = {"log_loss_before": _log_loss(scores, positive), "log_loss_after": _log_loss(fitted, positive)}
    return Calibration(method=method, slope=slope, offset=offset, num_rated=len(scores), **losses)


def read_calibration(path):
    """The Calibration at ``path``, None where there is no file; InputError where it is another kind of file."""
    try:
        with open(path, encoding="utf-8") as file:
            return Calibration(**json.load(file))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is not a calibration: remove it, or write it anew by eval.py --calibrate") from error


def write_calibration(path, calibration):
    """Writes what read_calibration reads."""
    write_text(path, json.dumps(dataclasses.asdict(calibration), indent=1) + "\n")


def _logistic_regression(columns, targets):
    """Weights (K,) of least log loss of ``targets`` (N,), by Newton's method with halved steps where one goes too far."""
    weights = np.eye(columns.shape[1])[0]

    def loss(candidate):
        margins = columns @ candidate
        return np.mean(np.logaddexp(0, margins) - targets * margins)

    for _ in range(_STEPS):
        chances = _sigmoid(columns @ weights)
        gradient = columns.T @ (chances - targets) / len(targets)
        spread = chances * (1 - chances)
        hessian = (columns * spread[:, None]).T @ columns / len(targets) + 1e-12 * np.eye(len(weights))
        step = np.linalg.solve(hessian, gradient)
        while loss(weights - step) > loss(weights) and np.abs(step).max() > 1e-12:
            step /= 2
        weights = weights - step
        if np.abs(step).max() < 1e-10:
            break
    return weights


def _logit(scores):
    scores = np.clip(np.asarray(scores, np.float64), _EPSILON, 1 - _EPSILON)
    return np.log(scores) - np.log1p(-scores)


def _sigmoid(values):
    return np.exp(-np.logaddexp(0, -values))


def _log_loss(scores, positive):
    scores = np.clip(scores, _EPSILON, 1 - _EPSILON)
    return float(-np.mean(np.where(positive, np.log(scores), np.log1p(-scores))))
