"""Networks of timm in a folder, ``timm:DIR``: config.json and model.safetensors, as timm saves them for a hub."""

import math
import os

from yt8m.features.backbones.base import Backbone, PictureInput
from yt8m.features.backbones.pictures import IMAGENET_MEAN, IMAGENET_STD, digest_of_files, imagenet_classes
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.backbones.torch_network import (
    PictureConfig,
    TorchBackbone,
    first_line,
    folder_files,
    head_of,
    load_strictly,
    needed,
    offline,
    read_weights,
)
from yt8m.runtime.files import read_json
from yt8m.types import InputError


@BACKBONES.register("timm")
def load_timm(argument: str) -> Backbone:
    """The network of timm in a folder: features are what its classifier gets, the head is the classifier.

    Class names are the folder's own label_names, or ImageNet's where it has 1000 classes. Raises InputError where the
    folder is not as timm's save_for_hf writes it.
    """
    folder = argument
    timm, torch = needed("timm", "timm"), needed("torch", "timm")
    files = folder_files(folder, "timm", ("config.json", ".safetensors"))
    path = os.path.join(folder, "model.safetensors")
    config = read_json(
        os.path.join(folder, "config.json"), what="the config of a network of timm", fields={"architecture": str}
    )
    arguments = config.get("model_args") or {}
    if "num_classes" in config:
        arguments = arguments | {"num_classes": config["num_classes"]}
    try:
        with offline():
            # Named here, so that no config can ask for others.
            network = timm.create_model(
                config["architecture"], pretrained=False, pretrained_cfg=None, checkpoint_path="", **arguments
            )
    # The config reaches any class of timm, and each has errors of its own.
    except Exception as error:
        raise InputError(f"{folder}/config.json describes no network of timm: {first_line(error)}") from error
    load_strictly(network, read_weights(path, "timm"), path, config["architecture"])
    backbone = TorchBackbone(
        network,
        lambda values: network.forward_head(network.forward_features(values), pre_logits=True),
        _picture_config(config.get("pretrained_cfg") or {}, folder),
        source=folder,
    )
    classifier = network.get_classifier()
    if isinstance(classifier, torch.nn.Linear) and classifier.in_features == backbone.size:
        names = config.get("label_names") or (imagenet_classes() if classifier.out_features == 1000 else ())
        backbone.head = head_of(classifier, names)
    backbone.digest = digest_of_files(files)
    return backbone


def _picture_config(config, folder):
    """The PictureConfig that timm's pretrained_cfg is."""
    try:
        _, height, width = config.get("input_size", (3, 224, 224))
        share = float(config.get("crop_pct", 0.875))
        mean, std = (tuple(map(float, config.get(*part))) for part in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)))
        stretched = config.get("crop_mode", "center") == "squash" or share <= 0
        given = PictureInput(
            size=(int(height), int(width)),
            shorter_side=None if stretched else math.floor(min(height, width) / share),
            interpolation="bilinear" if config.get("interpolation") == "bilinear" else "bicubic",
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{folder}/config.json does not say how pictures are scaled: {first_line(error)}") from error
    return PictureConfig(given=given, mean=mean, std=std)
