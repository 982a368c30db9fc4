"""What backbones of pictures and clips share: batches of few sizes, and how values are normalised."""

import abc
import difflib
import hashlib
import importlib.resources
import os
from collections.abc import Sequence

import numpy as np

from yt8m.features.backbones.base import Backbone, PictureInput
from yt8m.runtime.files import file_digest
from yt8m.types import InputError, StrPath

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Of the channels of ImageNet's pictures, red first, in [0, 1]."""

_PICTURE = 224 * 224 * 3
"""Values of a picture of the usual size; of larger pictures and of clips, fewer go in a batch."""

_ON_CPU, _ON_ACCELERATOR = 8, 64
"""Pictures of that size in a batch. On a CPU more are no faster, and the activations of 32 take 240 MB more."""

_MOST = 64


class PictureBackbone(Backbone):
    """A backbone of pictures or clips; subclasses give the vectors of one batch.

    Batches have a power of two of pictures, the last one filled up with black: so a network is compiled for few shapes.
    accelerated: whether the network runs on a GPU or TPU, which wants larger batches.
    """

    input: PictureInput
    accelerated: bool = False

    @abc.abstractmethod
    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) or (N, T, H, W, 3) uint8, of this backbone's size -> (N, D) float32; N is a power of two."""

    def features(self, inputs: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) uint8 pictures or (N, T, H, W, 3) uint8 clips -> (N, D) float32. ValueError for others."""
        clip = (self.input.frames,) if self.input.frames > 1 else ()
        wanted = (*clip, *(self.input.size or inputs.shape[-3:-1]), 3)
        if inputs.dtype != np.uint8 or inputs.shape[1:] != wanted or not len(inputs):
            raise ValueError(
                f"{self.spec} takes uint8 (N, {', '.join(map(str, wanted))}), not {inputs.dtype} {inputs.shape}"
            )
        values = _PICTURE * (_ON_ACCELERATOR if self.accelerated else _ON_CPU)
        most = min(_MOST, 1 << max(0, (values // inputs[0].size).bit_length() - 1))
        parts = []
        for first in range(0, len(inputs), most):
            batch = inputs[first : first + most]
            filled = np.zeros((1 << (len(batch) - 1).bit_length(), *wanted), np.uint8)
            filled[: len(batch)] = batch
            parts.append(np.asarray(self.vectors(filled), np.float32)[: len(batch)])
        return np.concatenate(parts)


def imagenet_classes() -> tuple[str, ...]:
    """Names of the 1000 classes of ILSVRC 2012 in their order, each the first of its WordNet synset."""
    text = importlib.resources.files(__package__).joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


def model_and_file(backbone: str, argument: str, *, known: Sequence[str]) -> tuple[str, str]:
    """(MODEL, FILE) of the text behind the colon of a spec ``backbone:MODEL=FILE``.

    known: names of models. InputError for others, and where one of both is missing.
    """
    model, _, path = argument.partition("=")
    if not model or not path:
        raise InputError(f"{backbone}:{argument} names no model and file: write {backbone}:NAME=FILE")
    if model not in known:
        near = difflib.get_close_matches(model, known, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise InputError(f"{backbone}:{argument}: there is no network {model!r}; {hint}Known: {', '.join(known)}")
    return model, path


def digest_of_files(paths: Sequence[StrPath]) -> str:
    """SHA-256 in hex of a file, or of the digests of several in their order; InputError where one cannot be read."""
    digests = []
    for path in paths:
        try:
            digests.append(file_digest(path))
        except OSError as error:
            raise InputError(f"cannot read {os.fspath(path)}: {error.strerror or error}") from error
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()
