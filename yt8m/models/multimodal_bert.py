"""Multimodal BERT: one transformer over the tokens of texts and the frames beside them."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.layers.frame_pooling import FramePooling
from yt8m.layers.text_embedding import TextEmbedding
from yt8m.layers.transformer_encoder import INITIALIZER_STDDEV, TransformerEncoder
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import TOKEN_SOURCES, TOKENS, InputError, Tensor

_CLS, _SEP, _FRAME = range(3)


@MODELS.register("multimodal_bert")
@keras.saving.register_keras_serializable("yt8m")
class MultimodalBertModel(VideoModel):
    """BERT on [CLS] text [SEP] frames, pooled.

    text: what the texts are, see TextConfig.of_model: dict of "fields", "max_tokens" and "vocabulary_size".
    num_layers: L; num_heads: attention heads, a divisor of hidden_size; feed_forward_size, dropout: of each layer.
    hidden_size: E, to which the frames are projected. positions: of frames, "none" or "learned"; those of tokens are
        learned.
    pooling: "first", the output of [CLS], or "mean", "attention" or "additive_attention" of all, see FramePooling.
    head: one of HEADS; num_mixtures: experts a class of "moe".
    Call: as every model, and "tokens" and "token_sources" (B, L) int32, see TextEmbedding. Texts, frames or both may be
    absent: no token above 0, num_frames 0. At level "video" the mean is a single frame.

    Frames and layers are those of a frame_bert of the same hidden_size, whose weights fit: see ``frame_encoder``.
    """

    levels = ("frame", "video")
    takes_texts = True

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        text: Mapping[str, Any],
        level: str = "frame",
        l2_normalize: bool = False,
        num_layers: int = 12,
        num_heads: int = 12,
        feed_forward_size: int = 3072,
        dropout: float = 0.1,
        hidden_size: int = 768,
        positions: str = "none",
        pooling: str = "first",
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
        if pooling == "concat":
            raise InputError("pooling concat takes 5 frames alone; valid: first, mean, attention, additive_attention")
        self.text = {"fields": list(text["fields"])} | {key: text[key] for key in ("max_tokens", "vocabulary_size")}
        self.settings: dict[str, Any] = {
            "num_layers": num_layers,
            "num_heads": num_heads,
            "feed_forward_size": feed_forward_size,
            "dropout": dropout,
            "hidden_size": hidden_size,
            "positions": positions,
        }
        self.head_name = head
        self.num_mixtures = num_mixtures
        self.text_embedding = TextEmbedding(
            self.text["vocabulary_size"],
            size=hidden_size,
            max_tokens=self.text["max_tokens"],
            num_sources=len(self.text["fields"]),
            dropout=dropout,
            dtype=self.dtype_policy,
            name="text_embedding",
        )
        self.frame_encoder = TransformerEncoder(**self.settings, dtype=self.dtype_policy, name="encoder")
        self.pooling = FramePooling(pooling, dtype=self.dtype_policy, name="pooling")
        self.head = self.make_head(head, num_mixtures=num_mixtures)

    @property
    def encoded_size(self) -> int:
        """E, of the outputs."""
        return int(self.settings["hidden_size"])

    def build(self, input_shape: Any = None) -> None:
        """Builds on the features' sizes, which the model knows; any given shape is ignored."""
        self.special = self.add_weight(
            name="special",
            shape=(3, self.encoded_size),
            initializer=keras.initializers.TruncatedNormal(stddev=INITIALIZER_STDDEV),
        )
        self.frame_encoder.build((None, None, sum(self.feature_sizes.values())))
        super().build(input_shape)

    def symbolic_inputs(self) -> dict[str, keras.KerasTensor]:
        """Symbolic inputs by name, with the tokens of the texts."""
        shape = (None, self.text["max_tokens"])
        tokens = {name: keras.KerasTensor(shape, dtype="int32") for name in (TOKENS, TOKEN_SOURCES)}
        return super().symbolic_inputs() | tokens

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        features, frame_mask = self.modalities(inputs)
        encoded, mask = self._encode(inputs, features, frame_mask, training)
        return self.pooling(encoded, frame_mask=mask)

    def encode_features(
        self,
        inputs: dict[str, Any],
        features: dict[str, Tensor],
        *,
        frame_mask: Tensor | None,
        training: bool | None = None,
    ) -> dict[str, Tensor]:
        """Contextual "tokens" (B, L, E) of the tokens of ``inputs``, and "frames" (B, T, E) of dequantised features."""
        encoded, _ = self._encode(inputs, features, frame_mask, training)
        behind = 1 + self.text["max_tokens"]
        return {"tokens": encoded[:, 1:behind], "frames": encoded[:, behind + 1 :]}

    def _encode(self, inputs, features, frame_mask, training):
        """Outputs (B, 1 + L + 1 + T, E) and which of them are real."""
        joined = ops.concatenate(list(features.values()), axis=-1)
        if frame_mask is None:
            joined = joined[:, None]
            frame_mask = ops.ones(ops.shape(joined)[:2], "bool")
        tokens = ops.cast(inputs[TOKENS], "int32")
        texts = self.text_embedding(tokens, sources=ops.cast(inputs[TOKEN_SOURCES], "int32"), training=training)
        frames = self.frame_encoder.tokens_of(joined) + self._special(_FRAME, texts)
        cls, sep = (self._special(which, texts) + ops.zeros_like(texts[:, :1]) for which in (_CLS, _SEP))
        there = ops.ones((ops.shape(joined)[0], 1), "bool")
        mask = ops.concatenate([there, tokens > 0, there, frame_mask], axis=1)
        encoded = self.frame_encoder.encode(
            ops.concatenate([cls, texts, sep, frames], axis=1), mask=mask, training=training
        )
        return encoded, mask

    def _special(self, which, like):
        return ops.cast(self.special[which], like.dtype)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            **self.settings,
            "text": self.text,
            "pooling": self.pooling.method,
            "head": self.head_name,
            "num_mixtures": self.num_mixtures,
        }
