"""Small stand-ins of every backbone: files with random weights, so that none needs anything from elsewhere."""

import functools
import pathlib
import tempfile

import numpy as np
import pytest

from tests.helpers import youtube8m
from tests.helpers.onnx_models import picture_model, random_weights, write_model
from tests.helpers.torch_files import saved
from tests.helpers.torch_folders import hf_folder, timm_folder, torchvision_file
from yt8m.features.backbones import PictureInput, load_backbone
from yt8m.runtime.quiet_imports import without_chatter


def stand_in(name, folder, *, seed=0):
    """Backbone of a name in the registry, with weights drawn from ``seed`` in files within ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    return load_backbone(f"{name}:{STAND_INS[name](folder, seed)}".removesuffix(":"))


def inputs_for(backbone, number, *, seed=0):
    """Random pictures, clips or sound as a backbone takes them."""
    random = np.random.default_rng(seed)
    if not isinstance(backbone.input, PictureInput):
        return random.uniform(-1, 1, (number, backbone.input.samples)).astype(np.float32)
    clip = (backbone.input.frames,) if backbone.input.frames > 1 else ()
    return random.integers(0, 256, (number, *clip, *(backbone.input.size or (32, 48)), 3), dtype=np.uint8)


@functools.cache
def efficientnet_weights(number, seed=0):
    """Random tensors by the names of EfficientNet-Lite's, whose outputs are neither all zero nor all at their limit."""
    from yt8m.features.backbones.efficientnet_lite import VARIANTS, build_network

    random, tensors = np.random.default_rng(seed), {}

    class Drawn:
        def convolution(self, name, norm, shape):
            fan_in = np.prod(shape[1:])
            tensors[f"{name}.weight"] = random.normal(0, np.sqrt(2 / fan_in), shape)
            for part, mean in {"weight": 1, "bias": 0.1, "running_mean": 0, "running_var": 1}.items():
                tensors[f"{norm}.{part}"] = mean + random.uniform(0, 0.1, shape[0])
            return np.zeros((*shape[2:], shape[1], shape[0])), np.zeros(shape[0])

    build_network(VARIANTS[number], Drawn())
    tensors["_fc.weight"], tensors["_fc.bias"] = random.normal(0, 0.02, (1000, 1280)), np.zeros(1000)
    return {name: value.astype(np.float32) for name, value in tensors.items()}


def _efficientnet(number):
    def write(folder, seed):
        path = folder / "weights.pth"
        path.write_bytes(saved(efficientnet_weights(number, seed)))
        return path

    return write


@functools.cache
def _keras_weights(seed):
    """Bytes of a file of weights whose features are of the size of 1; a network's own start makes them tiny."""
    import keras

    network, random = keras.applications.MobileNet(weights=None), np.random.default_rng(seed)
    for variable in network.trainable_variables:
        if len(variable.shape) == 4:
            fan_in = np.prod(variable.shape[: 2 if "dw" in variable.path else 3])
            variable.assign(random.normal(0, np.sqrt(2 / fan_in), variable.shape))
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "own.weights.h5")
        network.save_weights(path)
        return path.read_bytes()


def _keras(folder, seed):
    path = folder / "own.weights.h5"
    path.write_bytes(_keras_weights(seed))
    return f"MobileNet={path}"


def _youtube8m(folder, seed):
    random = np.random.default_rng(seed)
    (folder / "classify_image_graph_def.pb").write_bytes(youtube8m.inception(seed))
    youtube8m.write_projection(folder, "inception3", np.zeros(2048), random.normal(0, 0.05, (1024, 2048)))
    return folder


def _youtube8m_audio(folder, seed):
    (folder / "vggish_new.pb").write_bytes(youtube8m.vggish(seed))
    np.savez(folder / "vggish_pca_params.npz", pca_means=np.zeros((128, 1)), pca_eigen_vectors=np.eye(128) / 3)
    return folder


@functools.cache
def sound_classifier(seed=0, *, activation="sigmoid"):
    """Bytes of a LiteRT file with YAMNet's shapes: 15600 samples to 1024 features and 521 scores."""
    import tensorflow as tf

    random = np.random.default_rng(seed)
    first, last = (
        random.normal(0, scale, shape).astype(np.float32) for scale, shape in ((0.1, (400, 1024)), (0.03, (1024, 521)))
    )
    bias = random.normal(0, 0.5, 521).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, 15_600], tf.float32)])
    def network(sound):
        hidden = tf.reduce_mean(tf.nn.relu(tf.matmul(tf.reshape(sound, (39, 400)), first)), axis=0, keepdims=True)
        return getattr(tf.nn, activation)(tf.matmul(hidden, last) + bias)

    with without_chatter():
        return tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()]).convert()


def _yamnet(folder, seed):
    path = folder / "yamnet.tflite"
    path.write_bytes(sound_classifier(seed))
    rows = [f'{number},/m/{number},"class {number}, so to say"' for number in range(521)]
    (folder / "yamnet_class_map.csv").write_text("\n".join(["index,mid,display_name", *rows]))
    return path


def _onnx(folder, seed):
    pytest.importorskip("onnx", reason="the onnx package, which makes the stand-in, is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    weights = random_weights(3, 20, seed)
    model = picture_model("NCTHW", lengths={"C": 3, "T": 4}, weights=weights)
    names = [f"class {number}" for number in range(20)]
    return write_model(folder, model, size=[16, 24], mean=[0.4] * 3, std=[0.1] * 3, frames=4, class_names=names)


def _hugging_face(folder, seed):
    hf_folder("dinov2", folder, seed)
    return folder


def _timm(folder, seed):
    timm_folder(folder, seed)
    return folder


def _torchvision(folder, seed):
    torchvision_file("mobilenet_v3_small", folder / "own.pth", seed)
    return f"mobilenet_v3_small={folder / 'own.pth'}"


STAND_INS = {f"efficientnet-lite{number}": _efficientnet(number) for number in range(3)} | {
    "hf": _hugging_face,
    "keras": _keras,
    "logmel": lambda folder, seed: "",
    "onnx": _onnx,
    "timm": _timm,
    "torchvision": _torchvision,
    "yamnet": _yamnet,
    "yt8m": _youtube8m,
    "yt8m-audio": _youtube8m_audio,
}
"""Name in the registry to a function of (folder, seed) that writes there what the backbone reads, and returns what stands
behind the colon; it skips the test where a package of the user's choice is missing."""
