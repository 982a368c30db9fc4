"""How a folder of transformers wants its pictures: preprocessor_config.json and its kin."""

import os
from typing import Any

from yt8m.features.backbones.base import PictureInput
from yt8m.features.backbones.torch_network import PictureConfig
from yt8m.runtime.files import read_json
from yt8m.types import InputError

_NAMES = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
_PARTS = ("image_processor", "video_processor")
_BILINEAR = 2
"""Of the numbers that Pillow has for ways of scaling; the others are close to bicubic, or not used."""


def read_picture_config(folder: str) -> PictureConfig:
    """The PictureConfig of a folder. InputError where it has none, or one that does not say a size."""
    path = next((found for name in _NAMES if os.path.exists(found := os.path.join(folder, name))), None)
    if path is None:
        raise InputError(f"{folder} has no {_NAMES[0]}, which says how pictures are scaled")
    config = read_json(path, what="the description of how pictures are scaled")
    config = next((config[part] for part in _PARTS if isinstance(config.get(part), dict)), config)
    try:
        scale, mean, std = _normalization(config)
        return PictureConfig(given=_given(config), scale=scale, mean=mean, std=std)
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(f"{path} does not say how pictures are scaled: {error or type(error).__name__}") from error


def _given(config: dict[str, Any]) -> PictureInput:
    """The middle is cut out where pictures are scaled to a shorter side; to a height and width they are stretched."""
    scaled, cut = config.get("size"), None
    if config.get("do_center_crop", "crop_size" in config):
        cut = _height_and_width(config["crop_size"])
    shorter = scaled.get("shortest_edge") if isinstance(scaled, dict) else None
    # One number is a shorter side for those that crop, and a square for others.
    if isinstance(scaled, int) and cut:
        shorter = scaled
    size = cut or _height_and_width(shorter or scaled)
    if cut and not shorter:
        shorter = min(_height_and_width(scaled))
    if min(size) < 1 or (shorter is not None and shorter < 1):
        raise ValueError(f"it asks for pictures of {size}")
    bilinear = config.get("resample", _BILINEAR) == _BILINEAR
    return PictureInput(size=size, shorter_side=shorter, interpolation="bilinear" if bilinear else "bicubic")


def _height_and_width(size):
    if isinstance(size, int):
        return size, size
    return int(size["height"]), int(size["width"])


def _normalization(config):
    scale = float(config.get("rescale_factor", 1 / 255)) if config.get("do_rescale", True) else 1.0
    mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    if config.get("do_normalize", True):
        mean, std = (tuple(map(float, config[f"image_{part}"])) for part in ("mean", "std"))
    if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
        raise ValueError(f"it has the mean {mean} and the deviation {std}")
    if config.get("offset"):
        # ViViT's values are moved down by 1 before they are normalised.
        mean = tuple(value + 1 for value in mean)
    return scale, mean, std
