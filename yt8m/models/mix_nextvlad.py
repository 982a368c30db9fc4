"""MixNeXtVLAD: several NeXtVLADs that teach each other while they train."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.layers.logistic import Logistic
from yt8m.layers.masking import masked_mean
from yt8m.models import MODELS
from yt8m.models.base import VideoModel
from yt8m.models.losses import distillation
from yt8m.models.nextvlad import NeXtVLADEncoder
from yt8m.types import Tensor


@MODELS.register("mix_nextvlad")
@keras.saving.register_keras_serializable("yt8m")
class MixNeXtVLADModel(VideoModel):
    """A gated mixture of NeXtVLAD branches with on-the-fly distillation (the paper's eq. 15-19; Lin et al. 2018).

    With branch logits z_m and gates g = softmax(W mean_t(x_t)) (eq. 16), the mixture is z = sum_m g_m z_m and the
    prediction sigmoid(z). The loss (eq. 19) is the cross-entropy of the mixture, plus that of every branch, plus
    T^2 KL(softmax(z / T) || softmax(z_m / T)) of every branch.

    num_branches: number of NeXtVLADs; temperature: T.
    num_clusters, groups, expansion, hidden_size, gating_reduction, dropout: of each, see NeXtVLADEncoder.
    Call: as every model; in training a dict of ``predictions`` (B, C), ``mixture_logits`` (B, C) and
    ``branch_logits`` (B, M, C), which the loss needs.
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "frame",
        l2_normalize: bool = False,
        num_branches: int = 3,
        temperature: float = 3.0,
        num_clusters: int = 112,
        groups: int = 8,
        expansion: int = 2,
        hidden_size: int = 2048,
        gating_reduction: int = 16,
        dropout: float = 0.5,
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
        self.num_branches = num_branches
        self.temperature = temperature
        self.branches = [
            NeXtVLADEncoder(
                list(self.feature_sizes),
                num_clusters=num_clusters,
                groups=groups,
                expansion=expansion,
                hidden_size=hidden_size,
                gating_reduction=gating_reduction,
                dropout=dropout,
                dtype=self.dtype_policy,
                name=f"branch_{m}",
            )
            for m in range(num_branches)
        ]
        self.branch_heads = [
            Logistic(num_classes, dtype=self.dtype_policy, name=f"head_{m}") for m in range(num_branches)
        ]
        self.gate = keras.layers.Dense(num_branches, dtype=self.dtype_policy, name="gate")

    @property
    def heads(self) -> list[keras.layers.Layer]:
        """The classification heads, see VideoModel."""
        return self.branch_heads

    def gates_and_vectors(self, inputs: dict[str, Any], *, training: bool | None = None) -> tuple[Tensor, list[Tensor]]:
        """Mixture gates (B, M) float32 and the branches' vectors, each (B, hidden_size)."""
        features, frame_mask = self.modalities(inputs)
        mean = masked_mean(ops.concatenate(list(features.values()), axis=-1), frame_mask)
        gates = ops.softmax(ops.cast(self.gate(mean), "float32"), axis=-1)
        return gates, [branch(features, frame_mask=frame_mask, training=training) for branch in self.branches]

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        gates, vectors = self.gates_and_vectors(inputs, training=training)
        return ops.concatenate([gates[:, m : m + 1] * vector for m, vector in enumerate(vectors)], axis=-1)

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Output of the layer or model, see the class."""
        gates, vectors = self.gates_and_vectors(inputs, training=training)
        branch_logits = ops.stack([head.logits(vector) for head, vector in zip(self.branch_heads, vectors)], axis=1)
        mixture_logits = ops.sum(gates[..., None] * branch_logits, axis=1)
        predictions = ops.sigmoid(mixture_logits)
        if not training:
            return predictions
        return {"predictions": predictions, "mixture_logits": mixture_logits, "branch_logits": branch_logits}

    def rated_loss(self, targets: dict[str, Tensor], outputs: Any) -> Tensor:
        """Loss of the outputs of ``call``, see VideoModel."""
        if not isinstance(outputs, dict):
            return super().rated_loss(targets, outputs)
        loss = super().rated_loss(targets, outputs["predictions"])
        for m in range(self.num_branches):
            logits = outputs["branch_logits"][:, m]
            loss = loss + self.pair_loss(targets["labels"], ops.sigmoid(logits), targets["rated"])
            loss = loss + distillation(outputs["mixture_logits"], logits, temperature=self.temperature)
        return loss

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """The branches' hidden layers, see VideoModel."""
        return [branch.hidden for branch in self.branches]

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        settings = {name: value for name, value in self.branches[0].settings.items() if name != "feature_names"}
        return {
            **super().get_config(),
            **settings,
            "num_branches": self.num_branches,
            "temperature": self.temperature,
        }
