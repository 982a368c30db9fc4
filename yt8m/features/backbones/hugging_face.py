"""Networks of transformers in a folder, ``hf:DIR``: of pictures, of clips, and of images and texts."""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from yt8m.features.backbones.base import LinearHead
from yt8m.features.backbones.pictures import digest_of_files
from yt8m.features.backbones.preprocessor_config import read_picture_config
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.backbones.torch_network import (
    PictureConfig,
    TorchBackbone,
    first_line,
    folder_files,
    head_of,
    inputs_of,
    needed,
    offline,
)
from yt8m.types import SEGMENT_SECONDS, DataWarning, InputError

PROMPTS = ("a photo of {}.", "a photo of a {}.", "a video of {}.", "a video of a {}.", "a person doing {}.", "{}")
"""Sentences that a class's name is put into; the class is the mean of their embeddings."""

_CLIP_RATES = {"timesformer": 30 / 32, "videomae": 7.5, "vivit": 12.5}
"""Type of a network of clips to the frames a second that it was trained on; its folder does not say."""

_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")
_SUFFIXES = (".json", ".model", ".safetensors", ".txt")


@BACKBONES.register("hf")
def load_hugging_face(argument: str) -> TorchBackbone:
    """The network of transformers in a folder, as ``save_pretrained`` writes it, with its preprocessor_config.json.

    Of classifiers, features are what the classifier gets, and the head is the classifier; of others, they are the
    pooled output, or the mean over the last hidden states where there is none. Of networks of images and texts (CLIP,
    SigLIP) they are the projected embeddings of images. Raises InputError where the folder has something else, has its
    weights in a pickle, or wants code of its own to be run.
    """
    folder = argument
    transformers = needed("transformers", "hf")
    needed("torch", "hf")
    files = folder_files(folder, "hf", _SUFFIXES)
    picture = read_picture_config(folder)
    with offline(), _quiet(transformers.logging):
        network, missing = _load(transformers, folder)
        texts = hasattr(network, "get_text_features")
        tokenizer = _tokenizer(transformers, folder) if texts else None
    frames = int(getattr(network.config, "num_frames", 1))
    rate = _CLIP_RATES.get(network.config.model_type, frames / SEGMENT_SECONDS) if frames > 1 else 1.0
    config = dataclasses.replace(picture, given=dataclasses.replace(picture.given, frames=frames, rate=rate))
    backbone: TorchBackbone
    if texts:
        backbone = ImageTextBackbone(network, tokenizer, config, source=folder)
    elif (classifier := getattr(network, "classifier", None)) is not None and hasattr(classifier, "in_features"):
        backbone = TorchBackbone(network, lambda values: inputs_of(network, classifier, values), config, source=folder)
        names = network.config.id2label
        backbone.head = head_of(classifier, [names[number] for number in sorted(names)])
    else:
        pooled = not any("pool" in name for name in missing)
        backbone = TorchBackbone(network, lambda values: _pooled(network(values), pooled), config, source=folder)
    backbone.digest = digest_of_files(files)
    return backbone


@contextlib.contextmanager
def _quiet(logging):
    """Context manager: transformers shows no bars and tables; what matters in them is said by us."""
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _load(transformers, folder):
    """(the network that a folder's config names, names of weights of its pooling that the folder does not have)."""
    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        config = transformers.AutoConfig.from_pretrained(folder, **local)
        named = next(iter(config.architectures or ()), "")
        if named.endswith(("ForImageClassification", "ForVideoClassification")):
            build = getattr(transformers, named)
            del local["trust_remote_code"]
        else:
            build = transformers.AutoModel
        network, report = build.from_pretrained(
            folder, config=config, use_safetensors=True, output_loading_info=True, dtype="float32", **local
        )
    # Configs reach any class of transformers, and each has errors of its own.
    except Exception as error:
        raise InputError(f"{folder} is no folder of transformers that can be read: {first_line(error)}") from error
    if unused := sorted(report["unexpected_keys"]):
        warnings.warn(
            f"{folder}: {len(unused):,} weights, as {unused[0]}, are left out: no place in {type(network).__name__}",
            DataWarning,
            stacklevel=2,
        )
    missing = sorted(report["missing_keys"])
    # Left at their random start by transformers, with a warning alone.
    unknown = [name for name in missing if "pool" not in name]
    if unknown or report["mismatched_keys"]:
        name = unknown[0] if unknown else sorted(report["mismatched_keys"])[0][0]
        raise InputError(f"{folder} does not hold the weight {name} of {type(network).__name__}")
    return network, missing


def _tokenizer(transformers, folder):
    """The tokenizer of a folder; None where it has none, of which transformers would make one without words."""
    if not any(os.path.exists(os.path.join(folder, name)) for name in _VOCABULARIES):
        return None
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # Of any kind, as above.
    except Exception as error:
        raise InputError(f"{folder} has no tokenizer that can be read: {first_line(error)}") from error


def _pooled(outputs, pooled):
    """The pooled output of a network, or the mean over its last hidden states."""
    if pooled and getattr(outputs, "pooler_output", None) is not None:
        return outputs.pooler_output.flatten(1)
    return outputs.last_hidden_state.mean(1)


class ImageTextBackbone(TorchBackbone):
    """A network that embeds images and texts in one space: CLIP, SigLIP and their kin.

    prompts: what a class's name is put into, each with one ``{}``; the class is the mean of their embeddings.
    """

    prompts: Sequence[str] = PROMPTS

    def __init__(self, network: Any, tokenizer: Any, config: PictureConfig, *, source: str):
        super().__init__(
            network, lambda values: _projected(network.get_image_features(pixel_values=values)), config, source=source
        )
        self._tokenizer = tokenizer

    def embed_text(self, text: str) -> np.ndarray:
        """(D,) float32 of unit length; texts that are longer than the network takes are cut."""
        return self._embed_texts([text])[0]

    def head_for_names(self, names: list[str]) -> LinearHead:
        """LinearHead of classes by their names: cosine to the prompts' mean embedding, at the network's temperature.

        Scores are a softmax over the names, or a sigmoid of each where the network was trained so (SigLIP).
        """
        means = [self._embed_texts([prompt.format(name) for prompt in self.prompts]).mean(axis=0) for name in names]
        units = np.stack(means) / np.linalg.norm(means, axis=1, keepdims=True)
        bias = getattr(self.network, "logit_bias", None)
        return LinearHead(
            weights=(units.T * float(self.network.logit_scale.exp())).astype(np.float32),
            bias=np.full(len(names), 0 if bias is None else float(bias), np.float32),
            class_names=tuple(names),
            activation="softmax" if bias is None else "sigmoid",
            normalize=True,
        )

    def _embed_texts(self, texts):
        """(N, D) float32, each of unit length."""
        import torch

        if self._tokenizer is None:
            raise InputError(f"{self.spec} has no tokenizer, which texts need: {', '.join(_VOCABULARIES)}")
        # SigLIP was trained on texts filled up to one length, and reads the filling too.
        length = self.network.config.text_config.max_position_embeddings
        padding = "max_length" if hasattr(self.network, "logit_bias") else True
        tokens = self._tokenizer(texts, padding=padding, truncation=True, max_length=length, return_tensors="pt")
        with torch.inference_mode():
            found = _projected(self.network.get_text_features(**tokens.to(self._device))).float().cpu().numpy()
        return found / np.linalg.norm(found, axis=1, keepdims=True)


def _projected(outputs):
    """Embeddings, which newer versions of transformers give as a field among others."""
    return getattr(outputs, "pooler_output", outputs)
