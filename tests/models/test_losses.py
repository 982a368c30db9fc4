import numpy as np
import pytest

from yt8m.models.losses import asymmetric, focal, make_loss, rated_binary_crossentropy

LABELS = np.array([[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]], np.float32)
GIVEN = np.array([[0.8, 0.3, 0.5], [0.02, 0.1, 0.9]], np.float32)
RATED = np.array([[1.0, 1.0, 0.5], [1.0, 0.0, 1.0]], np.float32)


def by_hand(positive, negative):
    total = 0.0
    for label, p, weight in zip(LABELS.ravel(), GIVEN.ravel().astype(float), RATED.ravel()):
        total -= weight * (label * positive(p) + (1 - label) * negative(p))
    return total / 2


@pytest.mark.parametrize(
    "loss, positive, negative",
    [
        (rated_binary_crossentropy, np.log, lambda p: np.log(1 - p)),
        (focal, lambda p: (1 - p) ** 2 * np.log(p), lambda p: p**2 * np.log(1 - p)),
        (asymmetric, np.log, lambda p: max(p - 0.05, 0) ** 4 * np.log(1 - max(p - 0.05, 0))),
    ],
)
def test_losses_by_hand(loss, positive, negative):
    assert float(loss(LABELS, GIVEN, RATED)) == pytest.approx(by_hand(positive, negative), rel=1e-4)


def test_smoothing_moves_labels_towards_a_half():
    smooth = make_loss("focal", label_smoothing=0.2)
    assert float(smooth(LABELS, GIVEN, RATED)) == pytest.approx(
        float(focal(0.8 * LABELS + 0.1, GIVEN, RATED)), rel=1e-6
    )
    assert make_loss("cross_entropy") is rated_binary_crossentropy
