"""Calibration finds the scaling that made the scores, and keeps it."""

import numpy as np
import pytest

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


def test_platt_is_that_of_scikit_learn():
    calibration = pytest.importorskip("sklearn.calibration")
    scores, positive = draw(0.7, 0.4, count=500)
    logits = np.log(scores) - np.log1p(-scores)
    expected = calibration._SigmoidCalibration().fit(logits, positive)
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
