"""Gated NetVLAD."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from yt8m.layers.context_gating import ContextGating
from yt8m.layers.netvlad import BATCH_NORM_EPSILON, NetVLAD
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import Tensor


@MODELS.register("gated_netvlad")
@keras.saving.register_keras_serializable("yt8m")
class GatedNetVLADModel(VideoModel):
    """NetVLAD for each modality, joined late, with context gating before and after the head (the paper's section 4).

    num_clusters: K of the first modality (rgb); every further one (audio) has half of it.
    hidden_size: width of the video vector.
    second_layer: a further linear layer before the gating, which neither paper nor program has; models of before 0.3.0
        have it.
    head: one of HEADS; num_mixtures: experts a class of "moe".
    gate_probabilities: context gating on the head's probabilities, a (C, C) matrix.
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        num_clusters: int = 16,
        hidden_size: int = 1024,
        second_layer: bool = False,
        head: str = "moe",
        num_mixtures: int = 5,
        gate_probabilities: bool = True,
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
        self.num_clusters = num_clusters
        self.hidden_size = hidden_size
        self.head_name = head
        self.num_mixtures = num_mixtures
        self.gate_probabilities = gate_probabilities
        self.pooling = {
            feature: NetVLAD(
                num_clusters if i == 0 else max(1, num_clusters // 2),
                dtype=self.dtype_policy,
                name=f"netvlad_{feature}",
            )
            for i, feature in enumerate(self.feature_sizes)
        }
        self.reduce = keras.layers.Dense(hidden_size, use_bias=False, dtype=self.dtype_policy, name="reduce")
        self.reduce_norm = keras.layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name="reduce_norm"
        )
        self.second_layer = second_layer
        if second_layer:
            self.hidden = keras.layers.Dense(hidden_size, dtype=self.dtype_policy, name="hidden")
        self.gating = ContextGating(dtype=self.dtype_policy, name="gating")
        self.head = self.make_head(head, num_mixtures=num_mixtures)
        if gate_probabilities:
            self.probability_gating = ContextGating(dtype=self.dtype_policy, name="probability_gating")

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        features, frame_mask = self.modalities(inputs)
        descriptors = [
            self.pooling[name](frames, frame_mask=frame_mask, training=training) for name, frames in features.items()
        ]
        vector = self.reduce_norm(self.reduce(ops.concatenate(descriptors, axis=-1)), training=training)
        vector = ops.relu6(vector)
        return self.gating(self.hidden(vector) if self.second_layer else vector, training=training)

    def for_classes(self, class_ids: Sequence[int]) -> keras.Model:
        """A model of some classes, see VideoModel."""
        if not self.gate_probabilities:
            return super().for_classes(class_ids)
        return _GatedClasses(self.in_compute_dtype(), class_ids)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Output of the layer or model, see the class."""
        probabilities = self.head(self.embed(inputs, training=training))
        if self.gate_probabilities:
            probabilities = self.probability_gating(probabilities, training=training)
        return ops.cast(probabilities, "float32")

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """The layer on the descriptors, see VideoModel."""
        return [self.reduce]

    @classmethod
    def upgraded(cls, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """There was always a second layer before 0.3.0."""
        return {"second_layer": True} | hyperparameters

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            "num_clusters": self.num_clusters,
            "hidden_size": self.hidden_size,
            "second_layer": self.second_layer,
            "head": self.head_name,
            "num_mixtures": self.num_mixtures,
            "gate_probabilities": self.gate_probabilities,
        }


class _GatedClasses(keras.Model):
    """Some classes of a model that gates probabilities: those of all, which the gates see, and the gates of these."""

    def __init__(self, model, class_ids):
        super().__init__(name=model.name)
        self.model = model
        self.gating = model.probability_gating.for_columns(class_ids)
        self.built = True

    def call(self, inputs, training=None):
        probabilities = self.model.head(self.model.embed(inputs, training=training))
        return ops.cast(self.gating(probabilities, training=training), "float32")
