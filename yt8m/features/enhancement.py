"""Enhancement of dark pictures before a backbone sees them: gamma correction and equalised contrast."""

from collections.abc import Callable

import numpy as np

from yt8m.features.settings import PictureSettings
from yt8m.types import InputError

_USUAL = 0.25
"""Median brightness to which dark pictures are lifted: that of pictures in good light is a little more."""

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue. Source: ITU-R BT.601."""

_CLIP_LIMIT = 0.01


def make_enhancement(settings: PictureSettings) -> Callable[[np.ndarray], np.ndarray] | None:
    """Function of a picture, uint8 (H, W, 3), to the same enhanced; None where the settings ask for nothing.

    Gamma comes first. Raises InputError where a package is missing.
    """
    steps: list[Callable[[np.ndarray], np.ndarray]] = []
    if settings.gamma == "auto":
        steps.append(lambda picture: corrected(picture, automatic_gamma(picture)))
    elif settings.gamma != "off":
        steps.append(lambda picture: corrected(picture, float(settings.gamma)))
    if settings.enhance != "off":
        steps.append(_contrast(settings.enhance))
    if not steps:
        return None

    def enhance(picture):
        for step in steps:
            picture = step(picture)
        return picture

    return enhance


def automatic_gamma(picture: np.ndarray) -> float:
    """The exponent that lifts the median brightness of a uint8 (H, W, 3) picture to a usual one: 0.25 to 1.

    Bright pictures stay as they are: they have 1.
    """
    median = float(np.median(picture.astype(np.float32) @ _LUMA)) / 255
    if median >= _USUAL:
        return 1.0
    return float(np.log(_USUAL) / np.log(max(median, 1 / 255)))


def corrected(picture: np.ndarray, gamma: float) -> np.ndarray:
    """255 (p / 255)^gamma of each value p of a uint8 array, rounded."""
    table = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return table[picture]


def _contrast(method):
    """Function that equalises the brightness of a picture and keeps its hues."""
    try:
        from skimage import color, exposure
    except ImportError:
        raise InputError(f"--enhance={method} needs scikit-image: pip install 'yt8m[video]'") from None
    change = exposure.equalize_hist
    if method == "clahe":
        change = lambda values: exposure.equalize_adapthist(values, clip_limit=_CLIP_LIMIT)  # noqa: E731

    def enhance(picture):
        hsv = color.rgb2hsv(picture)
        hsv[..., 2] = change(hsv[..., 2])
        return np.rint(color.hsv2rgb(hsv).clip(0, 1) * 255).astype(np.uint8)

    return enhance
