"""Networks of keras.applications with a file of their weights: ``keras:NAME=FILE``."""

import keras
import numpy as np

from yt8m.features.backbones.base import LinearHead, PictureInput
from yt8m.features.backbones.pictures import PictureBackbone, digest_of_files, imagenet_classes, model_and_file
from yt8m.features.backbones.registry import BACKBONES
from yt8m.runtime.devices import default_jit_compile, has_accelerator
from yt8m.runtime.keras_networks import CLASSES, keras_networks, layers_of, problem_of_loading
from yt8m.types import InputError

_USUAL_SIDE = 224


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
        with layers_of("float32"):
            # Without a shape of input, a network that has its top is built for the size that it was published with.
            network = build(weights=None, classes=CLASSES)
            side = network.input_shape[1] or _USUAL_SIDE
            if not problem_of_loading(network, path):
                self.network, self.head = _split(network)
            else:
                self.network = build(weights=None, include_top=False, pooling="avg", input_shape=(side, side, 3))
                if problem := problem_of_loading(self.network, path):
                    raise InputError(f"{path} is not weights of {name}: {problem}")
        self.network.compile(jit_compile=default_jit_compile())
        self.accelerated = has_accelerator()
        self.size = int(self.network.output_shape[-1])
        self.input = PictureInput(size=(side, side), shorter_side=round(side / 0.875))

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, D) float32."""
        return self.network.predict_on_batch(self._preprocess(batch.astype(np.float32), data_format="channels_last"))


def _split(network):
    """(the network up to its last layer with weights, that layer as a LinearHead)."""
    last = next(layer for layer in reversed(network.layers) if layer.weights)
    kernel, bias = last.get_weights()
    # MobileNets end in a convolution of a map of one pixel.
    features = keras.layers.Flatten()(last.input)
    head = LinearHead(weights=kernel.reshape(-1, CLASSES), bias=bias, class_names=imagenet_classes())
    return keras.Model(network.input, features), head
