"""Cosines by hand."""

import numpy as np

from yt8m.similarity.cosine import cosines, unit_rows


def test_cosines_by_hand():
    np.testing.assert_allclose(cosines([[3, 4], [1, 0], [0, 0]], [[4, 3], [-2, 0], [1, 1]]), [0.96, -1, 0])


def test_unit_rows_by_hand():
    found = unit_rows(np.array([[3, 4], [0, 0]]))
    np.testing.assert_allclose(found, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert found.dtype == np.float32
