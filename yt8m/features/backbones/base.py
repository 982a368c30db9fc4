"""What a backbone is: pictures, clips or sound in, a vector of features for each out, and the classes that it knows."""

import abc
import dataclasses

import numpy as np

from yt8m.types import InputError

SOUND_RATE = 16_000
"""Samples a second of the sound that backbones are given, mono."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureInput:
    """Pictures or clips as a backbone wants them.

    size: (height, width) in pixels after scaling and crop; None for pictures as large as they are in the video.
    shorter_side: pixels to which the shorter side of a picture is scaled before the crop in its middle; None where the
    whole picture is stretched to ``size``. frames: T of a clip; 1 for single pictures. rate: frames a second within a
    clip. interpolation: of the scaling, "bilinear" or "bicubic". enlarged: whether pictures whose shorter side is less
    than that are scaled up.
    """

    size: tuple[int, int] | None
    shorter_side: int | None = None
    frames: int = 1
    rate: float = 1.0
    interpolation: str = "bilinear"
    enlarged: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoundInput:
    """Sound as a backbone wants it: windows of ``samples`` float32 in [-1, 1] at SOUND_RATE, one a second."""

    samples: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearHead:
    """Scores of named classes from a backbone's features: activation(features @ weights + bias).

    weights: (D, C) float32; bias: (C,) float32. class_names: tuple of C str. activation: "softmax" or "sigmoid".
    normalize: whether features are divided by their Euclidean length first, as image-text models compare them.
    """

    weights: np.ndarray
    bias: np.ndarray
    class_names: tuple[str, ...]
    activation: str = "softmax"
    normalize: bool = False

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(N, D) float32 -> scores (N, C) float32 in [0, 1]."""
        features = np.asarray(features, np.float32)
        if self.normalize:
            features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
        logits = (features @ self.weights + self.bias).astype(np.float64)
        if self.activation == "sigmoid":
            return (1 / (1 + np.exp(-logits))).astype(np.float32)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


class Backbone(abc.ABC):
    """A network, or a fixed transform, that gives features of pictures, clips or sound.

    Attributes: spec, what the user names it by, as in "onnx:clip.onnx"; input, a PictureInput or SoundInput;
    size, D; digest, SHA-256 in hex of all files that decide its outputs, "" for a transform without weights;
    head, a LinearHead over its features, None where it knows no classes; stores_bytes, whether ``features`` are uint8
    that records hold as they are, as YouTube-8M's own are.
    """

    spec: str
    input: PictureInput | SoundInput
    size: int
    digest: str = ""
    head: LinearHead | None = None
    stores_bytes: bool = False

    @abc.abstractmethod
    def features(self, inputs: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 pictures, (N, T, H, W, 3) uint8 clips or (N, samples) float32 sound -> (N, D) float32.

        uint8 (N, D) where ``stores_bytes``. N is at least 1 and may differ from call to call; RGB order.
        """

    def head_for_names(self, names: list[str]) -> LinearHead:
        """LinearHead that scores any classes by their names, for backbones that were trained on images and texts.

        Raises InputError for those that were not.
        """
        raise self._knows_no_texts()

    def embed_text(self, text: str) -> np.ndarray:
        """(D,) float32 to which features are compared by their cosine; for which backbones as in head_for_names."""
        raise self._knows_no_texts()

    def _knows_no_texts(self):
        return InputError(f"{self.spec} knows no texts: name a CLIP or SigLIP folder, as in hf:DIR")
