"""YouTube-8M's own features from the files that its makers publish: ``yt8m:DIR`` and, of sound, ``yt8m-audio:DIR``."""

import os

import numpy as np

from yt8m.features.backbones.base import PictureInput, SoundInput
from yt8m.features.backbones.frozen_graph import load_frozen_graph
from yt8m.features.backbones.pictures import PictureBackbone, digest_of_files
from yt8m.features.backbones.projection import read_projection
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.backbones.sound import MEL_BANDS, SoundBackbone, log_mel, samples_of_frames
from yt8m.types import InputError

_INCEPTION, _INCEPTION_SIZE, _RGB_SIZE = "classify_image_graph_def.pb", 2048, 1024
_VGGISH, _AUDIO_SIZE = "vggish_new.pb", 128
_FRAMES = 96
"""Of log_mel in a patch: 0.96 s."""


@BACKBONES.register("yt8m")
class YouTube8M(PictureBackbone):
    """The feature ``rgb`` of YouTube-8M, uint8 (N, 1024): Inception's last pooling, projected, in steps of 4 / 255.

    argument: folder of classify_image_graph_def.pb (inception-2015-12-05) and of a projection, as read_projection takes
    it. The graph scales pictures of any size itself. Values are clipped to [-2, 2] and rounded, as YouTube-8M's
    ``extract_tfrecords_main.py`` does.
    """

    stores_bytes = True

    def __init__(self, argument: str):
        graph = _file_of("yt8m", argument, _INCEPTION)
        self._pool = load_frozen_graph(graph, feed="ExpandDims:0", fetch=["pool_3:0"])
        self._projection = read_projection(argument, "inception3", inputs=_INCEPTION_SIZE, outputs=_RGB_SIZE)
        self.digest = digest_of_files([graph, *self._projection.paths])
        self.input = PictureInput(size=None)
        self.size = _RGB_SIZE

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, 2048) float32, before the projection."""
        return self._pool(batch.astype(np.float32)).reshape(len(batch), _INCEPTION_SIZE)

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 -> (N, 1024) uint8."""
        return np.rint(_in_steps(self._projection(super().features(inputs)))).astype(np.uint8)


@BACKBONES.register("yt8m-audio")
class YouTube8MAudio(SoundBackbone):
    """The feature ``audio`` of YouTube-8M, uint8 (N, 128): VGGish on the first 0.96 s of each second, projected.

    argument: folder of vggish_new.pb, as MediaPipe's generate_vggish_frozen_graph.py writes it, and of a projection, as
    read_projection takes it. Values are clipped to [-2, 2] and cut to steps of 4 / 255, as ``vggish_postprocess.py`` of
    AudioSet does.
    """

    stores_bytes = True

    def __init__(self, argument: str):
        graph = _file_of("yt8m-audio", argument, _VGGISH)
        fetch = ["vggish/fc2/BiasAdd:0", "vggish/embedding:0"]
        self._network = load_frozen_graph(graph, feed="vggish/input_features:0", fetch=fetch)
        self._projection = read_projection(argument, "vggish", inputs=_AUDIO_SIZE, outputs=_AUDIO_SIZE)
        self.digest = digest_of_files([graph, *self._projection.paths])
        self.input = SoundInput(samples=samples_of_frames(_FRAMES))
        self.size = _AUDIO_SIZE

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, samples) float32 -> (N, 128) uint8."""
        patches = log_mel(batch)
        assert patches.shape[1:] == (_FRAMES, MEL_BANDS)
        embeddings = self._network(patches).reshape(len(batch), _AUDIO_SIZE)
        return _in_steps(self._projection(embeddings)).astype(np.uint8)


def _file_of(backbone, folder, name):
    if not folder:
        raise InputError(f"{backbone} names no folder: write {backbone}:DIR, a folder with {name} and its projection")
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        raise InputError(f"{backbone}:{folder}: {path} is not there")
    return path


def _in_steps(values):
    """Values in [-2, 2] as steps of 4 / 255 from -2 on."""
    return (np.clip(values, -2, 2) + 2) * np.float32(255 / 4)
