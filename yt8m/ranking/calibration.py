"""Temperature and Platt scaling, fitted on rated pairs, of scores to probabilities.

Both change a score s to sigmoid(slope * logit(s) + offset). Temperature scaling (Guo et al. 2017, arXiv 1706.04599)
has offset 0 and slope 1 / T; Platt scaling (Platt 1999) fits both, which also corrects scores that are too high or too
low throughout.
"""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from yt8m.runtime.files import read_json, write_text
from yt8m.types import InputError

METHODS = ("temperature", "platt")
_EPSILON = 1e-6
_WHAT = "a calibration, remove it or write it anew by eval.py --calibrate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Calibration:
    """A fitted scaling.

    num_rated: pairs it was fitted on; log_loss_before, log_loss_after: theirs, a pair, in nats; fitted_on: words on
    where they came from; model: SHA-256 of the model file, in hexadecimal.
    """

    method: str
    slope: float
    offset: float
    num_rated: int
    log_loss_before: float
    log_loss_after: float
    fitted_on: str = ""
    model: str = ""

    def __post_init__(self) -> None:
        if not all(isinstance(value, (int, float)) and np.isfinite(value) for value in (self.slope, self.offset)):
            raise TypeError(f"slope {self.slope!r} and offset {self.offset!r} must be finite numbers")

    def __call__(self, scores: np.ndarray) -> np.ndarray:
        """Calibrated scores, float32, of scores in [0, 1] of any shape."""
        return _sigmoid(self.slope * _logit(scores) + self.offset).astype(np.float32)


def kind_of_scores(calibration: Calibration | None) -> str:
    """Words on what scores are: uncalibrated, where there is None."""
    return f"calibrated on rated pairs ({calibration.method})" if calibration else "uncalibrated"


def fit_calibration(scores: Any, positive: Any, *, method: str) -> Calibration:
    """The Calibration of least log loss. scores: (N,) in [0, 1]; positive: (N,) bool.

    Labels are smoothed as in Platt's paper, so that the fit is finite where scores part the classes perfectly.
    Raises InputError where there are no positives or no negatives, where scores are not finite or all equal, or where
    higher scores are rated lower.
    """
    if method not in METHODS:
        raise InputError(f"--calibrate={method} is none of {', '.join(METHODS)}")
    scores, positive = np.asarray(scores, np.float64), np.asarray(positive, bool)
    count = int(positive.sum())
    if count in (0, len(positive)):
        raise InputError(f"calibration needs positive and negative ratings: {count} of {len(positive)} are positive")
    targets = np.where(positive, (count + 1) / (count + 2), 1 / (len(positive) - count + 2))
    if not np.isfinite(scores).all():
        raise InputError("calibration needs scores that are finite numbers, and some of these are not")
    if np.ptp(scores) == 0:
        raise InputError("calibration needs scores that differ, and these are all equal")
    slope, offset = _logistic_regression(_logit(scores), targets, with_offset=method == "platt")
    if not slope > 0:
        raise InputError("calibration needs scores that rank positives above negatives, and these do not")
    fitted = _sigmoid(slope * _logit(scores) + offset)
    losses = {"log_loss_before": _log_loss(scores, positive), "log_loss_after": _log_loss(fitted, positive)}
    return Calibration(method=method, slope=slope, offset=offset, num_rated=len(scores), **losses)


def read_calibration(path: str | os.PathLike) -> Calibration | None:
    """The Calibration at ``path``, None where there is no file; InputError where it is another kind of file."""
    if not os.path.exists(path):
        return None
    content = read_json(path, what=_WHAT)
    try:
        return Calibration(**content)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is not {_WHAT}") from error


def write_calibration(path: str | os.PathLike, calibration: Calibration) -> None:
    """Writes what read_calibration reads."""
    write_text(path, json.dumps(dataclasses.asdict(calibration), indent=1) + "\n")


def _logistic_regression(logits, targets, *, with_offset):
    """(slope, offset) of least log loss of ``targets`` (N,) in [0, 1]: each row is one of either class, so weighted."""
    from sklearn.linear_model import LogisticRegression

    rows = np.concatenate([logits, logits])[:, None]
    classes = np.repeat([1, 0], len(targets))
    weights = np.concatenate([targets, 1 - targets])
    model = LogisticRegression(C=np.inf, fit_intercept=with_offset, solver="newton-cholesky", tol=1e-9)
    model.fit(rows, classes, sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def _logit(scores):
    from scipy.special import logit

    return logit(np.clip(np.asarray(scores, np.float64), _EPSILON, 1 - _EPSILON))


def _sigmoid(values):
    from scipy.special import expit

    return expit(values)


def _log_loss(scores, positive):
    from sklearn.metrics import log_loss

    return float(log_loss(positive, np.clip(scores, _EPSILON, 1 - _EPSILON)))
