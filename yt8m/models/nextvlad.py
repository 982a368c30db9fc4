"""NeXtVLAD."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.context_gating import ContextGating
from yt8m.layers.netvlad import BATCH_NORM_EPSILON
from yt8m.layers.nextvlad import NeXtVLAD
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class NeXtVLADEncoder(Layer):
    """NeXtVLAD for each modality, joined late, a hidden layer and a squeeze-and-excitation gate (Lin et al. 2018).

    feature_names: the modalities; num_clusters, groups: of the first, every further one has half of both.
    Call: dict of frames (B, T, size) by name, frame_mask (B, T) bool -> (B, hidden_size).
    """

    def __init__(
        self,
        feature_names: Sequence[str],
        *,
        num_clusters: int = 112,
        groups: int = 8,
        expansion: int = 2,
        hidden_size: int = 2048,
        gating_reduction: int = 16,
        dropout: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.settings = {
            "feature_names": list(feature_names),
            "num_clusters": num_clusters,
            "groups": groups,
            "expansion": expansion,
            "hidden_size": hidden_size,
            "gating_reduction": gating_reduction,
            "dropout": dropout,
        }
        self.pooling = {
            feature: NeXtVLAD(
                num_clusters if i == 0 else max(1, num_clusters // 2),
                groups=groups if i == 0 else max(1, groups // 2),
                expansion=expansion,
                dtype=self.dtype_policy,
                name=f"nextvlad_{feature}",
            )
            for i, feature in enumerate(feature_names)
        }
        self.drop = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.hidden = keras.layers.Dense(hidden_size, use_bias=False, dtype=self.dtype_policy, name="hidden")
        self.hidden_norm = keras.layers.BatchNormalization(
            epsilon=BATCH_NORM_EPSILON, dtype=self.dtype_policy, name="hidden_norm"
        )
        self.gating = ContextGating(reduction=gating_reduction, dtype=self.dtype_policy, name="gating")

    def build(self, features_shape: Any) -> None:
        """Makes the weights; called by Keras."""
        joined = 0
        for feature, layer in self.pooling.items():
            layer.build(features_shape[feature])
            joined += layer.group_size * layer.num_clusters
        self.hidden.build((None, joined))
        self.hidden_norm.build((None, self.settings["hidden_size"]))
        self.gating.build((None, self.settings["hidden_size"]))

    def call(self, features: dict[str, Tensor], *, frame_mask: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        descriptors = [
            self.pooling[name](frames, frame_mask=frame_mask, training=training) for name, frames in features.items()
        ]
        vector = self.hidden(self.drop(ops.concatenate(descriptors, axis=-1), training=training))
        return self.gating(self.hidden_norm(vector, training=training), training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), **self.settings}


@MODELS.register("nextvlad")
@keras.saving.register_keras_serializable("yt8m")
class NeXtVLADModel(VideoModel):
    """One NeXtVLAD encoder and a head (the paper's section 4).

    num_clusters, groups, expansion, hidden_size, gating_reduction, dropout: see NeXtVLADEncoder.
    head: one of HEADS; num_mixtures: experts a class of "moe".
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        num_clusters: int = 112,
        groups: int = 8,
        expansion: int = 2,
        hidden_size: int = 2048,
        gating_reduction: int = 16,
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
        self.head_name = head
        self.num_mixtures = num_mixtures
        self.encoder = NeXtVLADEncoder(
            list(self.feature_sizes),
            num_clusters=num_clusters,
            groups=groups,
            expansion=expansion,
            hidden_size=hidden_size,
            gating_reduction=gating_reduction,
            dropout=dropout,
            dtype=self.dtype_policy,
            name="encoder",
        )
        self.head = self.make_head(head, num_mixtures=num_mixtures)

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        features, frame_mask = self.modalities(inputs)
        return self.encoder(features, frame_mask=frame_mask, training=training)

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """The encoder's hidden layer, see VideoModel."""
        return [self.encoder.hidden]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        settings = {name: value for name, value in self.encoder.settings.items() if name != "feature_names"}
        return {**super().get_config(), **settings, "head": self.head_name, "num_mixtures": self.num_mixtures}
