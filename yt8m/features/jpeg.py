"""Pictures as JPEGs."""

import io

import numpy as np

from yt8m.types import InputError


def encode_jpeg(picture: np.ndarray, *, quality: int = 90) -> bytes:
    """JPEG bytes of a uint8 (H, W, 3) or grey (H, W) picture. Raises InputError where Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise InputError("JPEGs of pictures need Pillow: pip install 'yt8m[video]'") from None
    file = io.BytesIO()
    try:
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
    except OSError as error:
        raise InputError(f"a picture of {picture.shape[1]} x {picture.shape[0]} is no JPEG: {error}") from error
    return file.getvalue()
