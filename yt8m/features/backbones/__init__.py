"""Backbones: networks and transforms that turn pictures, clips or sound into vectors, each in a file of its own."""

from yt8m.features.backbones.base import Backbone, LinearHead, PictureInput, SoundInput
from yt8m.features.backbones.registry import BACKBONES, load_backbone

__all__ = ["BACKBONES", "Backbone", "LinearHead", "PictureInput", "SoundInput", "load_backbone"]
