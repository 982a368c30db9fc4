"""A segment beside its whole video: one encoder each, joined before the head."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.models import MODELS
from yt8m.models.base import VideoModel, check_hyperparameters
from yt8m.types import InputError, Tensor

_CONTEXT_BERT = {"num_layers": 1, "num_heads": 4, "hidden_size": 256, "feed_forward_size": 1024, "pooling": "attention"}
"""A frame_bert that costs a fraction of the paper's, because it sees several times its frames."""


@MODELS.register("video_context")
@keras.saving.register_keras_serializable("yt8m")
class VideoContextModel(VideoModel):
    """Late fusion: the head sees concat(e_segment, ReLU(W e_video + b)), the vectors before the heads of two models.

    segment_model: registered name of the model of the example's own frames; segment_config: its hyperparameters.
    context_model, context_config: of the one of the frames of the whole video, for frame_bert by default a small one
        with attention pooling. "moe" is their plain mean.
    context_size: width of what the video adds.
    head: one of HEADS; num_mixtures: experts a class of "moe".
    Call: as every model, features with frames of the whole video beside, see DataConfig.video_frames: "video_" and name
    (B, V, size), ``num_video_frames`` (B,) int32.
    Of the two models only what comes before their heads is there, so losses of their own, as mix_nextvlad has them, are
    not.
    """

    takes_video_frames = True

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        segment_model: str = "frame_bert",
        segment_config: dict[str, Any] | None = None,
        context_model: str = "frame_bert",
        context_config: dict[str, Any] | None = None,
        context_size: int = 256,
        head: str = "moe",
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
        if context_config is None and context_model == "frame_bert":
            context_config = _CONTEXT_BERT
        self.settings = {
            "segment_model": segment_model,
            "segment_config": dict(segment_config or {}),
            "context_model": context_model,
            "context_config": dict(context_config or {}),
            "context_size": context_size,
            "num_mixtures": num_mixtures,
        }
        self.head_name = head
        self.segment = self._part("segment")
        self.context = self._part("context")
        if self.context.fixed_frames is not None:
            raise InputError(
                "context_config: pooling concat takes 5 frames, and a video has more; valid: first, mean, attention"
            )
        self.project = keras.layers.Dense(context_size, activation="relu", dtype=self.dtype_policy, name="project")
        self.head = self.make_head(head, num_mixtures=num_mixtures)

    @property
    def fixed_frames(self) -> int | None:
        """The fixed frames of the segment's model."""
        return self.segment.fixed_frames

    def symbolic_inputs(self) -> dict[str, keras.KerasTensor]:
        """Symbolic inputs of every model, and a few frames of the whole video."""
        inputs = super().symbolic_inputs()
        beside = {f"video_{name}": values for name, values in inputs.items() if name in self.feature_sizes}
        return inputs | beside | {"num_video_frames": inputs["num_frames"]}

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        beside = {name: inputs[f"video_{name}"] for name in self.feature_sizes}
        video = self.context.embed(beside | {"num_frames": inputs["num_video_frames"]}, training=training)
        return ops.concatenate([self.segment.embed(inputs, training=training), self.project(video)], axis=-1)

    def _part(self, part):
        """The model of the "segment" or "context", whose head is never built."""
        name, config = self.settings[f"{part}_model"], self.settings[f"{part}_config"]
        if MODELS[name].takes_video_frames:
            raise InputError(f"{part}_model is {name}, which reads a whole video itself: choose another")
        if MODELS[name].takes_texts:
            raise InputError(f"{part}_model is {name}, which reads texts: choose another")
        check_hyperparameters(name, config, where=f"{part}_config: ")
        shared = {
            "feature_sizes": self.feature_sizes,
            "num_classes": self.num_classes,
            "level": self.level,
            "l2_normalize": self.l2_normalize,
        }
        return MODELS[name](**shared, **config, dtype=self.dtype_policy, name=part)

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """Those of the two models, and the layer on the video's vector, see VideoModel."""
        return [*self.segment.hidden_layers, *self.context.hidden_layers, self.project]

    @classmethod
    def upgraded(cls, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """Those of both models, upgraded, the default of a frame_bert for the context among them."""
        changed = dict(hyperparameters)
        for part in ("segment", "context"):
            name = changed.get(f"{part}_model", "frame_bert")
            config = changed.get(f"{part}_config")
            if config is None and part == "context" and name == "frame_bert":
                config = _CONTEXT_BERT
            changed[f"{part}_config"] = MODELS[name].upgraded(config or {})
        return changed

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), **self.settings, "head": self.head_name}
