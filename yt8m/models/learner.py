"""Multi-task training model: labels plus the losses of auxiliary tasks, of hidden frames, hidden words, consistency."""

from typing import Any

import keras
from keras import ops

from yt8m.config import ConsistencyConfig, MaskedFramesConfig, MaskedTokensConfig
from yt8m.layers.masked_frames import MaskedFrames
from yt8m.layers.masked_tokens import MaskedTokens
from yt8m.models.base import VideoModel
from yt8m.models.losses import LOG_EPSILON
from yt8m.models.targets import dense_targets
from yt8m.runtime.devices import replicas_in_sync
from yt8m.types import TOKEN_WORDS, TOKENS, InputError, Tensor


@keras.saving.register_keras_serializable("yt8m")
class Learner(keras.Model):
    """A VideoModel with its further losses; what training fits and checkpoints hold.

    model: the VideoModel. label_weight: of the loss of its labels; at 0 they are not looked at, and where nothing else
        teaches what comes after the encoder, that stays as it is and costs nothing.
    masked_frames: MaskedFramesConfig; its weight, unless 0, has the model's encoder guess hidden frames, which takes a
        model that can encode given features (frame_bert, multimodal_bert).
    masked_tokens: MaskedTokensConfig; its weight, unless 0, has it guess hidden words, which takes a model of texts.
    consistency: ConsistencyConfig; its weight, unless 0, has the model say of an augmented segment what it says of the
        segment (UDA, Xie et al. 2020), on the features named "unlabelled" beside each batch's own: dict of
        (B, R, 2, T, size) and (B, R, 2), the segment and its augmented view.
    """

    def __init__(
        self,
        model: VideoModel,
        *,
        masked_frames: MaskedFramesConfig | None = None,
        masked_tokens: MaskedTokensConfig | None = None,
        consistency: ConsistencyConfig | None = None,
        label_weight: float = 1.0,
        name: str = "learner",
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.model = model
        self.label_weight = label_weight
        self.masked_frames_config = masked_frames or MaskedFramesConfig()
        self.consistency = consistency or ConsistencyConfig()
        self.masked_tokens_config = masked_tokens or MaskedTokensConfig()
        self.masked_frames = self._make_masked_frames() if self.masked_frames_config.weight else None
        self.masked_tokens = self._make_masked_tokens() if self.masked_tokens_config.weight else None
        if self._is_masked and not label_weight and not self.consistency.weight:
            model.pooling.trainable = model.head.trainable = False
        self.steps = self.add_weight(name="steps", shape=(), initializer="zeros", dtype="int32", trainable=False)
        self.parts = {name: keras.metrics.Mean(name=f"{name}_loss") for name in self._part_names()}
        self.build()

    @property
    def _is_masked(self):
        """Whether anything is hidden."""
        return self.masked_frames is not None or self.masked_tokens is not None

    def _make_masked_frames(self):
        if not hasattr(self.model, "encode_features"):
            raise InputError(f"masked frames are for frame_bert and multimodal_bert, and this is {self.model.name}")
        if self.model.level == "video":
            raise InputError(
                "masked frames are hidden among others, and video-level records have one mean: leave them out"
            )
        return MaskedFrames(
            self.masked_frames_config.method,
            feature_sizes=self.model.feature_sizes,
            fraction=self.masked_frames_config.fraction,
            dtype=self.model.dtype_policy,
        )

    def _make_masked_tokens(self):
        if not self.model.takes_texts:
            raise InputError(f"masked tokens are for a model of texts, and {self.model.name} reads none")
        return MaskedTokens(
            self.model.text["vocabulary_size"],
            fraction=self.masked_tokens_config.fraction,
            dtype=self.model.dtype_policy,
        )

    def _part_names(self):
        weights = self._weights()
        return [name for name in weights if weights[name]]

    def _weights(self):
        return {
            "label": self.label_weight,
            "masked_frames": self.masked_frames_config.weight,
            "masked_tokens": self.masked_tokens_config.weight,
            "consistency": self.consistency.weight,
        }

    def build(self, input_shape: Any = None) -> None:
        """Builds what is not built yet; any given shape is ignored."""
        for task in (self.masked_frames, self.masked_tokens):
            if task is not None and not task.built:
                task.build((None, None, self.model.encoded_size))
        self.built = True

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """The model's probabilities; in training a dict of its outputs, as "label", and of the other losses in use."""
        labelled = {name: values for name, values in inputs.items() if name != "unlabelled"}
        if not training:
            return self.model(labelled, training=training)
        self.steps.assign_add(1)
        results = {}
        if self.label_weight:
            results["label"] = self.model(labelled, training=True)
        if self._is_masked:
            scores = self.masked_scores(labelled, training=True)
            results |= {name: loss for name, (loss, _) in scores.items()}
        if self.consistency.weight:
            results["consistency"] = self._consistency_loss(inputs["unlabelled"])
        return results

    def masked_scores(
        self, inputs: dict[str, Any], *, training: bool | None = None
    ) -> dict[str, tuple[Tensor, Tensor]]:
        """Loss and quality of the guesses of hidden frames and of hidden tokens, see MaskedFrames and MaskedTokens.

        Both are hidden in one pass, so that frames and words are guessed from what is left of either.
        """
        features, frame_mask = self.model.modalities(inputs)
        shown, shown_inputs = features, inputs
        if self.masked_frames is not None:
            shown, order = self.masked_frames.hide(features, frame_mask=frame_mask)
        if self.masked_tokens is not None:
            tokens, places, counts = self.masked_tokens.hide(inputs[TOKENS], words=inputs[TOKEN_WORDS])
            shown_inputs = inputs | {TOKENS: tokens}
        encoded = self.model.encode_features(shown_inputs, shown, frame_mask=frame_mask, training=training)
        scores = {}
        if self.masked_frames is not None:
            scores["masked_frames"] = self.masked_frames(
                encoded["frames"], features=features, order=order, frame_mask=frame_mask
            )
        if self.masked_tokens is not None:
            vocabulary = self.model.text_embedding.vocabulary()
            scores["masked_tokens"] = self.masked_tokens(
                encoded["tokens"], tokens=inputs[TOKENS], places=places, counts=counts, vocabulary=vocabulary
            )
        return scores

    def _consistency_loss(self, unlabelled):
        def view(index):
            views = {name: values[:, :, index] for name, values in unlabelled.items()}
            return {name: ops.reshape(values, (-1, *values.shape[2:])) for name, values in views.items()}

        said = ops.stop_gradient(self.model(view(0), training=False))
        again = self.model(view(1), training=True)
        config = self.consistency
        return consistency_loss(said, _predictions(again), temperature=config.temperature, confidence=config.confidence)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Weighted sum of what is learned; y: targets, see yt8m.models.targets."""
        if not training:
            return self.model.compute_loss(x, y, y_pred, sample_weight, training)
        losses = {name: ops.cast(value, "float32") for name, value in y_pred.items() if name != "label"}
        if "label" in y_pred:
            losses["label"] = self._label_loss(y, y_pred["label"])
        for name, metric in self.parts.items():
            metric.update_state(losses[name])
        weights = self._weights()
        loss = sum(weights[name] * losses[name] for name in self.parts)
        for extra in self.losses:
            loss = loss + ops.cast(extra, loss.dtype)
        return loss / replicas_in_sync()

    def _label_loss(self, y, outputs):
        targets = dense_targets(y, num_classes=self.model.num_classes)
        if self.consistency.annealing != "none":
            targets = self._annealed(targets, _predictions(outputs))
        return self.model.rated_loss(targets, outputs)

    def _annealed(self, targets, predictions):
        config = self.consistency
        done = ops.cast(self.steps, "float32") / config.annealing_steps
        threshold = annealing_threshold(config.annealing, ops.minimum(done, 1.0))
        labels, p = targets["labels"], ops.stop_gradient(ops.cast(predictions, "float32"))
        right = labels * p + (1 - labels) * (1 - p)
        return targets | {"rated": targets["rated"] * ops.cast(right <= threshold, "float32")}

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "model": keras.saving.serialize_keras_object(self.model),
            "masked_frames": self.masked_frames_config.to_dict(),
            "masked_tokens": self.masked_tokens_config.to_dict(),
            "consistency": self.consistency.to_dict(),
            "label_weight": self.label_weight,
        }

    def get_build_config(self) -> dict[str, Any]:
        """Saved with the learner, so that loading builds it."""
        return {"input_shape": None}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "Learner":
        """The object that ``get_config`` describes."""
        config = dict(config)
        return cls(
            keras.saving.deserialize_keras_object(config["model"], custom_objects=custom_objects),
            masked_frames=MaskedFramesConfig.from_dict(config["masked_frames"]),
            masked_tokens=MaskedTokensConfig.from_dict(config.get("masked_tokens", {})),
            consistency=ConsistencyConfig.from_dict(config["consistency"]),
            label_weight=config["label_weight"],
            name=config["name"],
            dtype=keras.saving.deserialize_keras_object(config["dtype"]),
        )


def consistency_loss(said: Tensor, again: Tensor, *, temperature: float, confidence: float) -> Tensor:
    """KL of what is said of the augmented segments from what was said of the segments (Xie et al. 2020, eq. 1).

    said, again: (N, C) probabilities, each class a yes or no of its own. The first are sharpened to
    q^(1/t) / (q^(1/t) + (1 - q)^(1/t)), t = ``temperature``; pairs (segment, class) whose max(q, 1 - q), unsharpened,
    is below ``confidence`` count for nothing. Summed over classes, mean over segments; a float32 scalar.
    """
    said, again = ops.cast(said, "float32"), ops.cast(again, "float32")
    sure = ops.cast(ops.maximum(said, 1 - said) >= confidence, "float32")
    yes, no = said ** (1 / temperature), (1 - said) ** (1 / temperature)
    sharp = yes / (yes + no)
    divergence = sharp * (ops.log(sharp + LOG_EPSILON) - ops.log(again + LOG_EPSILON))
    divergence = divergence + (1 - sharp) * (ops.log(1 - sharp + LOG_EPSILON) - ops.log(1 - again + LOG_EPSILON))
    return ops.sum(divergence * sure) / ops.cast(ops.shape(said)[0], "float32")


def annealing_threshold(schedule: str, done: Tensor) -> Tensor:
    """Probability of the right answer above which a labelled pair no longer counts (Xie et al. 2020, section 2.3).

    schedule: "linear", "log" or "exp"; done: how far training is, in [0, 1]. From 1/2, the chance of a yes or no, to 1.
    """
    released = {
        "linear": lambda: done,
        "log": lambda: 1 - ops.exp(-5 * done),
        "exp": lambda: ops.exp(5 * (done - 1)),
    }[schedule]()
    return 0.5 + 0.5 * released


def _predictions(outputs):
    return outputs["predictions"] if isinstance(outputs, dict) else outputs
