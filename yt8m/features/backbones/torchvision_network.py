"""Networks of torchvision with a file of their weights: ``torchvision:NAME=FILE``, of pictures or of clips."""

from yt8m.features.backbones.base import Backbone, PictureInput
from yt8m.features.backbones.pictures import digest_of_files, model_and_file
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.backbones.torch_network import (
    PictureConfig,
    TorchBackbone,
    head_of,
    inputs_of,
    load_strictly,
    needed,
    read_weights,
)
from yt8m.types import InputError

CLIPS = {
    "mc3_18": (16, 15.0),
    "mvit_v1_b": (16, 7.5),
    "mvit_v2_s": (16, 7.5),
    "r2plus1d_18": (16, 15.0),
    "r3d_18": (16, 15.0),
    "s3d": (64, 15.0),
    "swin3d_b": (32, 15.0),
    "swin3d_s": (32, 15.0),
    "swin3d_t": (32, 15.0),
}
"""Networks of clips: name to (frames, frames a second) as torchvision evaluates them; of S3D's 128, half."""

_NORMALISED_ANEW = {"googlenet", "inception_v3"}
"""Networks whose published weights want the values of pictures changed once more, which a state dict cannot say."""


@BACKBONES.register("torchvision")
def load_torchvision(argument: str) -> Backbone:
    """A network of torchvision: features are what its last layer gets, the head is that layer.

    argument: NAME=FILE, a classifier of pictures or clips and its weights, .safetensors or of torch.save, with as many
    classes as it may have. Size and normalisation are those of the weights that torchvision publishes for it, and
    the class names too where it has as many classes. Raises InputError for other names and files.
    """
    models, torch = needed("torchvision.models", "torchvision"), needed("torch", "torchvision")
    known = sorted({*models.list_models(module=models), *CLIPS} - _NORMALISED_ANEW)
    name, path = model_and_file("torchvision", argument, known=known)
    published = models.get_model_weights(name).DEFAULT
    weights = read_weights(path, "torchvision")
    empty = models.get_model(name, weights=None)
    last, key = _last_layer(empty, torch)
    if f"{key}.weight" not in weights:
        raise InputError(f"{path} is not weights of {name}: it has no {key}.weight")
    number = len(weights[f"{key}.weight"])
    network = empty if number == len(last.weight) else models.get_model(name, weights=None, num_classes=number)
    load_strictly(network, weights, path, name)
    last, _ = _last_layer(network, torch)

    def embed(values):
        found = inputs_of(network, last, values)
        # A convolution comes before the mean over the map, and may as well come after it.
        return found if found.ndim == 2 else found.flatten(2).mean(-1)

    preset = published.transforms()
    frames, rate = CLIPS.get(name, (1, 1.0))
    height, width = tuple(preset.crop_size) * (2 // len(preset.crop_size))
    backbone = TorchBackbone(
        network,
        embed,
        PictureConfig(
            given=PictureInput(
                size=(height, width),
                shorter_side=max(min(preset.resize_size), height, width),
                frames=frames,
                rate=rate,
                interpolation="bicubic" if preset.interpolation.value == "bicubic" else "bilinear",
            ),
            mean=tuple(preset.mean),
            std=tuple(preset.std),
        ),
        source=path,
        layout="NCTHW",
    )
    # After the convolution of SqueezeNet comes more than a mean: it scores no vectors.
    if not name.startswith("squeezenet"):
        backbone.head = head_of(last, published.meta["categories"])
    backbone.digest = digest_of_files([path])
    return backbone


def _last_layer(network, torch):
    """(the last layer with weights, its name)."""
    layers = [
        (layer, name)
        for name, layer in network.named_modules()
        if isinstance(layer, (torch.nn.Linear, torch.nn.Conv2d, torch.nn.Conv3d))
    ]
    return layers[-1]
