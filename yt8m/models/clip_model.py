"""Base of the models of pixels in time: clips in, normalised by the network's own mean and deviation."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from yt8m.layers.masking import masked_mean
from yt8m.models.base import VideoModel
from yt8m.train_parts import CHANNELS
from yt8m.types import PICTURES, InputError, Tensor


class ClipModel(VideoModel):
    """Base of the models of clips: pictures in, one probability a class out.

    level: "clip": ``pictures`` (B, T, H, W, 3) uint8, RGB, of any height and width, and ``num_frames`` (B,) int32, how
        many of the T are real. feature_sizes: {"pictures": 3}.
    mean, std: of the channels of pictures in [0, 1], one value or three, that the network is given (x - mean) / std by.
    dropout: of the vector before the head, in training.
    head: one of HEADS, "softmax" where a clip has one class; num_mixtures: experts a class of "moe".
    Raises InputError for other levels and features.

    A subclass implements ``embed``, with ``clip`` and ``pooled``, and ``build_network``.
    """

    levels = ("clip",)

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "clip",
        l2_normalize: bool = False,
        mean: Sequence[float],
        std: Sequence[float],
        dropout: float = 0.5,
        head: str = "logistic",
        num_mixtures: int = 5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            feature_sizes=feature_sizes,
            num_classes=num_classes,
            level=level,
            l2_normalize=l2_normalize,
            name=name,
            dtype=dtype,
        )
        if dict(feature_sizes) != {PICTURES: CHANNELS}:
            raise InputError(
                f"a model of clips takes the feature {PICTURES} of {CHANNELS} channels, not {dict(feature_sizes)}"
            )
        if l2_normalize:
            raise InputError("l2_normalize is for features of frames, and clips have pixels: leave it out")
        for field, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, 3):
                raise InputError(f"{field} is {list(values)}; it must have one value, or one for each of 3 channels")
        self.settings = {"mean": list(mean), "std": list(std), "dropout": dropout}
        self.settings |= {"head": head, "num_mixtures": num_mixtures}
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="drop")
        self.head = self.make_head(head, num_mixtures=num_mixtures)

    def build(self, input_shape: Any = None) -> None:
        """Makes the weights; any given shape is ignored. Of large networks a trace of ``call`` would take minutes."""
        vector_shape = (None, self.build_network((None, None, None, None, 3)))
        self.head.build(vector_shape)
        if self.projection is not None:
            self.projection.build(vector_shape)
        self.built = True

    def build_network(self, clip_shape: tuple) -> int:
        """Makes the weights of what comes before the head, for clips of a shape; returns the size of its vector."""
        raise NotImplementedError

    def symbolic_inputs(self) -> dict[str, keras.KerasTensor]:
        """Symbolic inputs by name, for a batch of clips of any length and size."""
        return {
            "pictures": keras.KerasTensor((None, None, None, None, 3), dtype="uint8"),
            "num_frames": keras.KerasTensor((None,), dtype="int32"),
        }

    def check_clips(self, *, num_frames: int | None, size: tuple[int, int]) -> None:
        """Raises InputError for clips of a length, or of a (height, width), that the network cannot take."""

    def clip(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Normalised pictures (B, T, H, W, 3), padding as it comes, and the frame mask (B, T)."""
        mean, std = (ops.convert_to_tensor(self.settings[name], "float32") for name in ("mean", "std"))
        pictures = ops.cast(inputs["pictures"], "float32")
        clip = ops.cast(pictures * (1 / (255 * std)) - mean / std, self.compute_dtype)
        length = ops.shape(clip)[1]
        return clip, ops.arange(length)[None, :] < ops.cast(inputs["num_frames"], "int32")[:, None]

    def pooled(self, clip: Tensor, frame_mask: Tensor) -> Tensor:
        """Mean over real frames and all pixels: (B, T, H, W, C), (B, T) -> (B, C)."""
        return masked_mean(ops.mean(clip, axis=(2, 3)), frame_mask)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return super().get_config() | self.settings
