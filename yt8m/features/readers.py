"""The reader of a video's pictures that settings ask for."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from yt8m.features.decoding import read_pictures
from yt8m.features.settings import PictureSettings


def reader_of(settings: PictureSettings) -> Callable[..., Iterator[tuple[int, int, np.ndarray]]]:
    """yt8m.features.decoding.read_pictures, or where settings.super_resolve is given that of a Resolving."""
    return resolving(settings.super_resolve).read_pictures if settings.super_resolve else read_pictures


def resolving(run_dir: str) -> Any:
    """The Resolving of a run. Raises InputError where the folder has no network."""
    # With Keras, which much else does without.
    from yt8m.features.resolving import Resolving

    return Resolving(run_dir)
