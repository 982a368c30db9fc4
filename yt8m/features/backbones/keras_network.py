"""Networks of keras.applications with a file of their weights: ``keras:NAME=FILE``."""

import contextlib
import functools
import inspect
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from yt8m.features.backbones.base import LinearHead, PictureInput
from yt8m.features.backbones.pictures import PictureBackbone, digest_of_files, imagenet_classes, model_and_file
from yt8m.features.backbones.registry import BACKBONES
from yt8m.runtime.devices import default_jit_compile, has_accelerator
from yt8m.types import InputError

_CLASSES = 1000
_USUAL_SIDE = 224
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, zipfile.BadZipFile)


@BACKBONES.register("keras")
class KerasNetwork(PictureBackbone):
    """A network of keras.applications, at its own size, with its own scaling of pixel values.

    argument: NAME=FILE, weights as ``save_weights`` writes them or as the Keras team publishes them. Of a file that has
    the network's last layer, features are the input of that layer and the head is the layer; of one that has not
    ("notop"), they are the mean over the last feature map, and there is no head. network: the Keras model of prepared
    pixel values to features. Raises InputError for names that
    keras.applications does not have, and for files that are no weights of that network.
    """

    def __init__(self, argument: str):
        networks = keras_networks()
        name, path = model_and_file("keras", argument, known=sorted(networks))
        self.digest = digest_of_files([path])
        build, self._preprocess = networks[name]
        with float32_layers():
            # Without a shape of input, a network that has its top is built for the size that it was published with.
            network = build(weights=None, classes=_CLASSES)
            side = network.input_shape[1] or _USUAL_SIDE
            if not _problem_of_loading(network, path):
                self.network, self.head = _split(network)
            else:
                self.network = build(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
                if problem := _problem_of_loading(self.network, path):
                    raise InputError(f"{path} is not weights of {name}: {problem}")
        self.network.compile(jit_compile=default_jit_compile())
        self.accelerated = has_accelerator()
        self.size = int(self.network.output_shape[-1])
        self.input = PictureInput(size=(side, side), shorter_side=round(side / 0.875))

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, D) float32."""
        return self.network.predict_on_batch(self._preprocess(batch.astype(np.float32), data_format="channels_last"))


@functools.cache
def keras_networks() -> dict[str, tuple[Callable[..., keras.Model], Callable[..., Any]]]:
    """Name of each network of keras.applications to (its function, that which prepares pixel values for it)."""
    functions = {name: value for name, value in vars(keras.applications).items() if inspect.isfunction(value)}
    return {name: (build, sys.modules[build.__module__].preprocess_input) for name, build in functions.items()}


@contextlib.contextmanager
def float32_layers() -> Iterator[None]:
    """Context manager: layers made in the block compute in float32, whatever the program's own policy is."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)


def _problem_of_loading(network, path):
    """Loads a file of weights; "" where all weights of the network came from it, else why they did not."""
    try:
        # Of a file that is another network's, Keras warns once for each layer.
        with warnings.catch_warnings(action="ignore"):
            network.load_weights(path)
    except _UNREADABLE as error:
        return (str(error).strip() or type(error).__name__).splitlines()[0]
    odd = (weight.path for weight in network.weights if not np.isfinite(keras.ops.convert_to_numpy(weight)).all())
    return next((f"{path} has values that are no finite numbers" for path in odd), "")


def _split(network):
    """(the network up to its last layer with weights, that layer as a LinearHead)."""
    last = next(layer for layer in reversed(network.layers) if layer.weights)
    kernel, bias = last.get_weights()
    # MobileNets end in a convolution of a map of one pixel.
    features = keras.layers.Flatten()(last.input)
    head = LinearHead(weights=kernel.reshape(-1, _CLASSES), bias=bias, class_names=imagenet_classes())
    return keras.Model(network.input, features), head
