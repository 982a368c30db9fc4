"""What backbones that run in PyTorch share: packages found or asked for, weights read safely, and nothing fetched."""

import contextlib
import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from yt8m.features.backbones.base import LinearHead, PictureInput
from yt8m.features.backbones.pictures import PictureBackbone
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """Pictures as a network wants them: size, and values of 0 to 255 as (value * scale - mean) / std, red first."""

    given: PictureInput
    scale: float = 1 / 255
    mean: tuple[float, ...]
    std: tuple[float, ...]


def needed(name: str, spec: str) -> Any:
    """A module of the extra torch-backbones. InputError with the command that installs it where it is not there."""
    if "tensorflow" in sys.modules and "triton" not in sys.modules:
        # Both carry an LLVM, and triton's ends the process where TensorFlow's is loaded; PyTorch does without triton.
        sys.modules["triton"] = None  # type: ignore[assignment]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        message = f"{spec} needs {name.partition('.')[0]}: pip install 'yt8m[torch-backbones]'"
        raise InputError(message) from error


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Context manager: nothing is fetched from the hub of Hugging Face in the block, whatever a folder asks for."""
    former = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    constants: Any = importlib.import_module("huggingface_hub.constants")
    flag = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = flag
        if former is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = former


def folder_files(folder: str, spec: str, suffixes: Sequence[str]) -> list[str]:
    """Paths of the files right in a folder whose names end in one of ``suffixes``, sorted by name.

    Raises InputError where there is no such folder, or no .safetensors in it.
    """
    if not folder:
        raise InputError(f"{spec} names no folder: write {spec}:DIR")
    try:
        names = sorted(os.listdir(folder))
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror or error}") from error
    if not any(name.endswith(".safetensors") for name in names):
        pickled = next((name for name in names if name.endswith((".bin", ".pt", ".pth", ".ckpt"))), None)
        reason = f"; {pickled} may run code when it is read: save the weights with safetensors" if pickled else ""
        raise InputError(f"{folder} has no file of weights in the form .safetensors{reason}")
    return [os.path.join(folder, name) for name in names if name.endswith(tuple(suffixes))]


def read_weights(path: str, spec: str) -> dict[str, Any]:
    """Tensors by name of a file of weights, .safetensors or of torch.save, without running what a pickle asks for.

    InputError where it is neither.
    """
    torch = needed("torch", spec)
    try:
        if path.endswith(".safetensors"):
            return needed("safetensors.torch", spec).load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    # Damaged files raise errors of nearly every kind.
    except Exception as error:
        raise InputError(f"{path} cannot be read as weights: {first_line(error)}") from error
    if not isinstance(weights, Mapping) or not all(torch.is_tensor(value) for value in weights.values()):
        raise InputError(f"{path} holds no dict of tensors: save model.state_dict()")
    return dict(weights)


def load_strictly(network: Any, weights: Mapping[str, Any], path: str, what: str) -> None:
    """Puts weights into a network. InputError where names or shapes differ."""
    try:
        network.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{path} is not weights of {what}: {lines[min(1, len(lines) - 1)][:300]}") from error


def head_of(linear: Any, class_names: Sequence[str]) -> LinearHead | None:
    """Head that is a linear layer or a convolution of one point; None where the names are not as many, or repeat."""
    weight = linear.weight.detach().float().cpu().numpy()
    if len(class_names) != len(weight) or len(set(class_names)) != len(class_names):
        return None
    bias = np.zeros(len(weight), np.float32) if linear.bias is None else linear.bias.detach().float().cpu().numpy()
    return LinearHead(weights=weight.reshape(len(weight), -1).T.copy(), bias=bias, class_names=tuple(class_names))


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its class."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


class TorchBackbone(PictureBackbone):
    """A network in PyTorch, on the GPU where there is one.

    network: a module, put into evaluation mode. embed: function of normalised pixel values, float32 (N, C, H, W) for
    pictures and in ``layout``, "NTCHW" or "NCTHW", for clips, to (N, D). source: name of the file or folder, for the
    InputError where the network does not run on what ``config`` says.
    """

    def __init__(
        self,
        network: Any,
        embed: Callable[[Any], Any],
        config: PictureConfig,
        *,
        source: str,
        layout: str = "NTCHW",
    ):
        import torch

        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.accelerated = self._device.type != "cpu"
        self.network = network.eval().float().to(self._device)
        self._embed, self._config, self._layout = embed, config, layout
        self.input = given = config.given
        clip = (given.frames,) if given.frames > 1 else ()
        try:
            tried = self.vectors(np.zeros((1, *clip, *(given.size or ()), 3), np.uint8))
        # What a network says of an input of another size is an error of any kind.
        except Exception as error:
            raise InputError(f"{source} does not run on pictures of {given.size}: {first_line(error)}") from error
        if tried.ndim != 2:
            raise InputError(f"{source} gives an array of shape {tried.shape}, not a vector for each input")
        self.size = tried.shape[1]

    def vectors(self, batch: np.ndarray) -> np.ndarray:
        """(N, H, W, 3) or (N, T, H, W, 3) uint8 -> (N, D) float32."""
        import torch

        with torch.inference_mode():
            values = torch.from_numpy(batch).to(self._device).float() * self._config.scale
            mean, std = (torch.tensor(part, device=self._device) for part in (self._config.mean, self._config.std))
            values = ((values - mean) / std).movedim(-1, -4 if self._layout == "NCTHW" and batch.ndim == 5 else -3)
            return self._embed(values.contiguous()).float().cpu().numpy()


def inputs_of(network: Any, layer: Any, values: Any) -> Any:
    """What reaches ``layer`` when ``network`` is called with ``values``: the vectors that it scores."""
    caught = []
    with layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0])):
        network(values)
    return caught[0]
