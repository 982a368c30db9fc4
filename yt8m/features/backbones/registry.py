"""The registry of backbones, and the specs that name one: ``NAME``, ``NAME:FILE`` or ``NAME:MODEL=FILE``."""

from yt8m.features.backbones.base import Backbone
from yt8m.registry import Registry

BACKBONES = Registry(
    "backbone",
    modules={
        "efficientnet-lite0": "yt8m.features.backbones.efficientnet_lite",
        "efficientnet-lite1": "yt8m.features.backbones.efficientnet_lite",
        "efficientnet-lite2": "yt8m.features.backbones.efficientnet_lite",
        "hf": "yt8m.features.backbones.hugging_face",
        "keras": "yt8m.features.backbones.keras_network",
        "logmel": "yt8m.features.backbones.sound",
        "onnx": "yt8m.features.backbones.onnx_network",
        "timm": "yt8m.features.backbones.timm_folder",
        "torchvision": "yt8m.features.backbones.torchvision_network",
        "yamnet": "yt8m.features.backbones.yamnet",
        "yt8m": "yt8m.features.backbones.youtube8m",
        "yt8m-audio": "yt8m.features.backbones.youtube8m",
    },
)
"""Name to a function of (what stands behind the colon, "" for nothing) to a Backbone."""


def load_backbone(spec: str) -> Backbone:
    """The Backbone that ``spec`` names. Raises InputError for an unknown name, and where its file is no such model."""
    name, _, argument = spec.partition(":")
    backbone = BACKBONES[name](argument)
    backbone.spec = spec
    return backbone
