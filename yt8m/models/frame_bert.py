"""Frame BERT: a transformer over frames, with or without cross-modal fusion."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.layers.frame_pooling import FramePooling
from yt8m.layers.transformer_encoder import TransformerEncoder
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import SEGMENT_SECONDS, InputError, Tensor


@MODELS.register("frame_bert")
@keras.saving.register_keras_serializable("yt8m")
class FrameBertModel(VideoModel):
    """BERT on frame features, pooled over time (the paper's section 3).

    num_layers: L; num_heads: attention heads, a divisor of the features' size (1152 for rgb and audio) or of
        hidden_size.
    feed_forward_size, dropout: of each layer.
    pooling: "first", "mean", "attention" (eq. 5-6), "additive_attention" or "concat" of the outputs, see FramePooling.
    cross_modal: False joins the modalities first; True gives each an encoder of L - 1 layers of its own, joins their
        outputs and runs one joint layer on them (eq. 4).
    hidden_size: None takes features as they are (the paper); a number projects each encoder's input to it.
    positions: "none" (the paper) or "learned".
    head: one of HEADS; num_mixtures: experts a class of "moe".
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        num_layers: int = 2,
        num_heads: int = 12,
        feed_forward_size: int = 3072,
        dropout: float = 0.1,
        pooling: str = "mean",
        cross_modal: bool = False,
        hidden_size: int | None = None,
        positions: str = "none",
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
        if num_layers < 1 + cross_modal:
            raise InputError(
                f"num_layers is {num_layers}; with cross_modal={cross_modal} it is at least {1 + cross_modal}"
            )
        self.cross_modal = cross_modal
        self.head_name = head
        self.num_mixtures = num_mixtures
        self.settings = {
            "num_heads": num_heads,
            "feed_forward_size": feed_forward_size,
            "dropout": dropout,
        }
        self.input_settings = {"hidden_size": hidden_size, "positions": positions}
        self.num_layers = num_layers
        self.modality_encoders = {}
        if cross_modal:
            self.modality_encoders = {
                feature: self._encoder(num_layers - 1, f"encoder_{feature}", **self.input_settings)
                for feature in self.feature_sizes
            }
            self.joint_encoder = self._encoder(1, "joint_encoder")
        else:
            self.joint_encoder = self._encoder(num_layers, "encoder", **self.input_settings)
        self.pooling = FramePooling(pooling, dtype=self.dtype_policy, name="pooling")
        self.head = self.make_head(head, num_mixtures=num_mixtures)

    @property
    def encoded_size(self) -> int:
        """E, of the contextual frames."""
        hidden_size = self.input_settings["hidden_size"]
        if hidden_size is None:
            return sum(self.feature_sizes.values())
        return int(hidden_size) * (len(self.feature_sizes) if self.cross_modal else 1)

    @property
    def frame_encoder(self) -> TransformerEncoder | None:
        """The layers over joined frames, which multimodal_bert has too; None with cross_modal."""
        return None if self.cross_modal else self.joint_encoder

    @property
    def fixed_frames(self) -> int | None:
        """The head of joined outputs has weights for each of them."""
        return SEGMENT_SECONDS if self.pooling.method == "concat" else None

    def encode(self, inputs: dict[str, Any], *, training: bool | None = None) -> tuple[Tensor, Tensor]:
        """Contextual frames (B, T, E) and the frame mask (B, T)."""
        features, frame_mask = self.modalities(inputs)
        return self.encode_features(inputs, features, frame_mask=frame_mask, training=training)["frames"], frame_mask

    def encode_features(
        self,
        inputs: dict[str, Any],
        features: dict[str, Tensor],
        *,
        frame_mask: Tensor,
        training: bool | None = None,
    ) -> dict[str, Tensor]:
        """Contextual "frames" (B, T, E) of dequantised features, dict of (B, T, size); ``inputs`` are not looked at."""
        features = dict(features)
        for name, encoder in self.modality_encoders.items():
            features[name] = encoder(features[name], frame_mask=frame_mask, training=training)
        joined = ops.concatenate(list(features.values()), axis=-1)
        return {"frames": self.joint_encoder(joined, frame_mask=frame_mask, training=training)}

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        frames, frame_mask = self.encode(inputs, training=training)
        return self.pooling(frames, frame_mask=frame_mask)

    def _encoder(self, num_layers, name, **settings):
        return TransformerEncoder(num_layers, **self.settings, **settings, dtype=self.dtype_policy, name=name)

    @classmethod
    def upgraded(cls, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """Attention was additive attention before 0.3.0."""
        if hyperparameters.get("pooling") == "attention":
            return hyperparameters | {"pooling": "additive_attention"}
        return hyperparameters

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            **self.settings,
            **self.input_settings,
            "num_layers": self.num_layers,
            "pooling": self.pooling.method,
            "cross_modal": self.cross_modal,
            "head": self.head_name,
            "num_mixtures": self.num_mixtures,
        }
