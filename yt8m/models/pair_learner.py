"""Training model of similarity: the cosine of two videos' vectors against what was annotated."""

from typing import Any

import keras
from keras import ops

from yt8m.config import SimilarityConfig
from yt8m.models.base import VideoModel
from yt8m.runtime.devices import replicas_in_sync
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class PairLearner(keras.Model):
    """A VideoModel whose vectors learn similarity; what training fits and checkpoints hold.

    model: the VideoModel, its vectors projected where it has a projection. similarity: SimilarityConfig.
    Call: features as the model has them, but for a second axis of 2, the videos of a pair -> cosines (B,) float32.
    Targets: dict of similarity (B,) float. What classifies is not trained.
    """

    def __init__(
        self,
        model: VideoModel,
        *,
        similarity: SimilarityConfig | None = None,
        name: str = "pair_learner",
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.model = model
        self.similarity = similarity or SimilarityConfig()
        for head in model.heads:
            head.trainable = False
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Tensor:
        """Cosines (B,), see the class."""
        flat = {name: ops.reshape(values, (-1, *values.shape[2:])) for name, values in inputs.items()}
        vectors = self.model.embedding(flat, training=training)
        vectors = ops.normalize(ops.cast(vectors, "float32"), axis=-1)
        vectors = ops.reshape(vectors, (-1, 2, vectors.shape[-1]))
        return ops.sum(vectors[:, 0] * vectors[:, 1], axis=-1)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Loss of the cosines, as SimilarityConfig.loss says; y: targets, see the class."""
        wanted = ops.cast(y["similarity"], "float32")
        if self.similarity.loss == "mse":
            loss = ops.mean(ops.square(y_pred - wanted))
        else:
            loss = cosent_loss(y_pred, wanted, scale=self.similarity.scale)
        for extra in self.losses:
            loss = loss + ops.cast(extra, loss.dtype)
        return loss / replicas_in_sync()

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "model": keras.saving.serialize_keras_object(self.model),
            "similarity": self.similarity.to_dict(),
        }

    def get_build_config(self) -> dict[str, Any]:
        """Saved with the learner, so that loading builds it."""
        return {"input_shape": None}

    def build(self, input_shape: Any = None) -> None:
        """Nothing is left to build; any given shape is ignored."""
        self.built = True

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "PairLearner":
        """The object that ``get_config`` describes."""
        return cls(
            keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects),
            similarity=SimilarityConfig.from_dict(config["similarity"]),
            name=config["name"],
            dtype=keras.saving.deserialize_keras_object(config["dtype"]),
        )


def cosent_loss(cosines: Tensor, wanted: Tensor, *, scale: float) -> Tensor:
    """Loss of the order of cosines: log(1 + sum over wanted_i > wanted_j of exp(scale (cosine_j - cosine_i))).

    cosines, wanted: (B,) float32. A scalar, 0 where all orders are right by far; only the order of ``wanted`` counts.
    Source: CoSENT (Su 2022; Huang et al. 2024, eq. 2).
    """
    wrong = scale * (cosines[None, :] - cosines[:, None])
    counted = wanted[:, None] > wanted[None, :]
    exponents = ops.reshape(ops.where(counted, wrong, -1e9), (-1,))
    return ops.logsumexp(ops.concatenate([ops.zeros((1,), exponents.dtype), exponents]))
