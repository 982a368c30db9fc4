"""Enhancement of dark pictures, against its formulas and scikit-image."""

import numpy as np
import pytest

from yt8m.features.enhancement import automatic_gamma, corrected, make_enhancement
from yt8m.features.settings import ExtractionSettings


@pytest.fixture
def picture():
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def test_gamma_is_a_power(picture):
    wanted = np.rint(255 * (picture / 255.0) ** 0.4).astype(np.uint8)
    np.testing.assert_array_equal(corrected(picture, 0.4), wanted)
    enhance = make_enhancement(ExtractionSettings(gamma="0.4"))
    np.testing.assert_array_equal(enhance(picture), wanted)


@pytest.mark.parametrize("level", [5, 20, 60])
def test_automatic_gamma_lifts_a_dark_picture_to_a_quarter_of_white(level):
    dark = np.full((8, 8, 3), level, np.uint8)
    assert np.median(corrected(dark, automatic_gamma(dark))) == pytest.approx(255 / 4, abs=1)


def test_automatic_gamma_leaves_bright_pictures_and_lifts_black_ones_little():
    bright = np.full((8, 8, 3), 180, np.uint8)
    assert automatic_gamma(bright) == 1
    np.testing.assert_array_equal(corrected(bright, 1), bright)
    assert automatic_gamma(np.zeros((8, 8, 3), np.uint8)) == pytest.approx(0.25, abs=1e-3)


def test_nothing_is_done_where_nothing_is_asked_for():
    assert make_enhancement(ExtractionSettings()) is None


@pytest.mark.parametrize("method", ["equalize", "clahe"])
def test_contrast_is_that_of_scikit_image_on_brightness_alone(picture, method):
    pytest.importorskip("skimage", reason="scikit-image is not installed: pip install -e '.[video]'")
    from skimage import color, exposure

    dark = (picture // 5).astype(np.uint8)
    found = make_enhancement(ExtractionSettings(enhance=method))(dark)
    assert found.dtype == np.uint8 and found.std() > 2 * dark.std()
    value = color.rgb2hsv(found)[..., 2]
    before = color.rgb2hsv(dark)[..., 2]
    wanted = (
        exposure.equalize_hist(before) if method == "equalize" else exposure.equalize_adapthist(before, clip_limit=0.01)
    )
    np.testing.assert_allclose(value, wanted, atol=1 / 255)
