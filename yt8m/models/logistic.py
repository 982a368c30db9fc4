"""Logistic regression on the mean of the frames: the baseline to beat."""

from collections.abc import Mapping
from typing import Any

import keras

from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import Tensor


@MODELS.register("logistic")
@keras.saving.register_keras_serializable("yt8m")
class LogisticModel(VideoModel):
    """One logistic unit a class on the mean frame, or on video-level features."""

    levels = ("frame", "video")

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
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
        self.head = self.make_head("logistic", num_mixtures=None)

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        return self.video_vector(inputs)
