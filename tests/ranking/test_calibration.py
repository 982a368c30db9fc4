"""Calibration finds the scaling that made the scores, and keeps it."""

import numpy as np
import pytest
from sklearn.calibration import _SigmoidCalibration

from yt8m.ranking.calibration import fit_calibration, read_calibration, write_calibration
from yt8m.types import InputError


def draw(slope, offset, *, count=200_000):
    """Scores whose sigmoid(slope * logit + offset) is the chance of a positive, and drawn ratings."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, count)
    positive = random.random(count) < 1 / (1 + np.exp(-(slope * logits + offset)))
    return 1 / (1 + np.exp(-logits)), positive


def test_platt_finds_slope_and_offset(tmp_path):
    scores, positive = draw(0.5, -1.5)
    fitted = fit_calibration(scores, positive, method="platt")
    assert fitted.slope == pytest.approx(0.5, abs=0.01) and fitted.offset == pytest.approx(-1.5, abs=0.02)
    assert fitted.log_loss_after < fitted.log_loss_before - 0.1
    assert fitted(np.array([0.5])) == pytest.approx(1 / (1 + np.exp(1.5)), abs=0.005)
    write_calibration(tmp_path / "c.json", fitted)
    assert read_calibration(tmp_path / "c.json") == fitted


def test_temperature_finds_the_slope_alone():
    fitted = fit_calibration(*draw(2.0, 0.0), method="temperature")
    assert fitted.slope == pytest.approx(2.0, abs=0.03) and fitted.offset == 0


def newton(columns, targets):
    """Weights (K,) of least log loss of ``targets`` (N,), by plain Newton steps."""
    weights = np.zeros(columns.shape[1])
    for _ in range(50):
        chances = 1 / (1 + np.exp(-columns @ weights))
        hessian = (columns * (chances * (1 - chances))[:, None]).T @ columns
        weights = weights - np.linalg.solve(hessian, columns.T @ (chances - targets))
    return weights


@pytest.mark.parametrize("method, num_columns", [("temperature", 1), ("platt", 2)])
@pytest.mark.parametrize("count", [12, 500])
def test_the_fit_is_that_of_newtons_method(method, num_columns, count):
    scores, positive = draw(0.7, 0.4, count=count)
    num_positive = positive.sum()
    targets = np.where(positive, (num_positive + 1) / (num_positive + 2), 1 / (count - num_positive + 2))
    columns = np.stack([np.log(scores) - np.log1p(-scores), np.ones(count)], axis=1)[:, :num_columns]
    expected = np.append(newton(columns, targets), 0)[:2]
    fitted = fit_calibration(scores, positive, method=method)
    np.testing.assert_allclose([fitted.slope, fitted.offset], expected, atol=1e-7)
    losses = [-np.log(np.where(positive, chances, 1 - chances)).mean()
              for chances in (scores, 1 / (1 + np.exp(-columns @ expected[:num_columns])))]  # fmt: skip
    np.testing.assert_allclose([fitted.log_loss_before, fitted.log_loss_after], losses, atol=1e-7)


def test_platt_is_that_of_scikit_learn():
    scores, positive = draw(0.7, 0.4, count=500)
    expected = _SigmoidCalibration().fit(np.log(scores) - np.log1p(-scores), positive)
    fitted = fit_calibration(scores, positive, method="platt")
    np.testing.assert_allclose([-fitted.slope, -fitted.offset], [expected.a_, expected.b_], atol=2e-4)


def test_a_perfect_ranking_has_a_finite_fit():
    fitted = fit_calibration([0.1, 0.2, 0.8, 0.9, 0.0, 1.0], [False, False, True, True, False, True], method="platt")
    assert np.isfinite(fitted.slope) and 0.5 < float(fitted(np.array(0.9))) < 1


@pytest.mark.parametrize(
    "scores, positive, sentence",
    [
        ([0.1, 0.9], [True, True], "2 of 2 are positive"),
        ([0.1, 0.2, 0.8, 0.9], [True, True, False, False], "rank positives above negatives"),
        ([0.4, 0.4, 0.4], [True, True, False], "needs scores that differ"),
        ([0.4, np.nan, 0.5], [True, True, False], "scores that are finite numbers"),
    ],
)
def test_refuses(scores, positive, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_calibration(scores, positive, method="platt")


@pytest.mark.parametrize("text", ["{}", "[1]", "no", '{"method": "platt", "slope": "x"}'])
def test_another_file_is_named(tmp_path, text):
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(InputError, match="c.json is not a calibration"):
        read_calibration(tmp_path / "c.json")
    assert read_calibration(tmp_path / "none.json") is None
