"""Base of the models: inputs, head, building, loss and saving."""

import contextlib
import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from yt8m.config import FORMAT, DataConfig, ModelConfig
from yt8m.layers.logistic import Logistic
from yt8m.layers.masking import masked_mean
from yt8m.layers.mixture_of_experts import MixtureOfExperts
from yt8m.layers.netvlad import unit_norm
from yt8m.layers.softmax import Softmax
from yt8m.models import MODELS
from yt8m.models.class_columns import ClassColumns
from yt8m.models.hyperparameters import problem_of_value
from yt8m.models.losses import rated_binary_crossentropy
from yt8m.models.presets import PRESETS
from yt8m.models.targets import dense_targets
from yt8m.runtime.devices import replicas_in_sync
from yt8m.runtime.weightless import bytes_of_weights, nothing_drawn, without_memory
from yt8m.types import QUANTIZED_OFFSET, QUANTIZED_SCALE, SEGMENT_SECONDS, InputError, Tensor

HEADS = ("moe", "logistic", "softmax")


class VideoModel(keras.Model):
    """Base of the models: a dict of features in, one probability a class out.

    feature_sizes: dict of feature name to dimension, in the order in which they are concatenated.
    num_classes: C.
    level: "frame" takes frames (B, T, size) uint8, quantised as YouTube-8M has them, or float, and ``num_frames``
        (B,) int32, how many of the T are real; "video" takes means (B, size) float; "clip" see yt8m.models.clip_model.
    l2_normalize: whether each frame, or mean, is divided by its L2 norm over all features together, which the authors'
        program does and the paper does not name.
    Call: dict of features -> (B, C) float32.

    A subclass sets ``self.head`` and implements ``embed``.
    """

    levels: tuple[str, ...] = ("frame",)
    pair_loss = staticmethod(rated_binary_crossentropy)
    """Loss of pairs (example, class), a function of labels, probabilities and weights, see yt8m.models.losses."""

    takes_video_frames = False
    """Whether it reads frames of the whole video beside those of an example, see DataConfig.video_frames."""

    takes_texts = False
    """Whether it reads texts beside the features: its constructor has an argument ``text``, see TextConfig.of_model."""

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
        super().__init__(name=name, dtype=dtype)
        if level not in self.levels:
            raise InputError(
                f"model {type(self).__name__} takes {' or '.join(self.levels)}-level features, and these are "
                f"{level}-level"
            )
        self.feature_sizes = dict(feature_sizes)
        self.num_classes = num_classes
        self.level = level
        self.l2_normalize = l2_normalize
        self.projection: keras.layers.Dense | None = None

    @property
    def fixed_frames(self) -> int | None:
        """Frames that an example must have; None for any number."""
        return None

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector before the head, (B, E)."""
        raise NotImplementedError

    def embedding(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The vector that similarity goes by: that before the head, or its projection where there is one, (B, size)."""
        vector = self.embed(inputs, training=training)
        return vector if self.projection is None else self.projection(vector)

    def add_projection(self, size: int) -> None:
        """Gives a model that is not built yet a projection, linear and without bias, of its vector to ``size``."""
        self.projection = keras.layers.Dense(size, use_bias=False, dtype=self.dtype_policy, name="projection")

    def call(self, inputs: dict[str, Any], training: bool | None = None) -> Any:
        """Output of the layer or model, see the class."""
        return self.head(self.embed(inputs, training=training))

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """The hidden layers between pooling and head, which TrainConfig.hidden_l2 holds small; none for some models."""
        return []

    @property
    def heads(self) -> list[keras.layers.Layer]:
        """The classification heads: the layers whose weights belong to one class each."""
        return [self.head]

    @property
    def depth_groups(self) -> list[list[keras.layers.Layer]]:
        """Layers in groups from the input to the heads, for TrainConfig.layer_decay; what is in none is below them."""
        return [self.heads]

    def for_classes(self, class_ids: Sequence[int]) -> keras.Model:
        """A model of these weights that computes the classes ``class_ids`` alone: call gives (B, len(class_ids)).

        Exact, and without the cost of the other classes: of 3862 only 1000 are ranked in segments. The weights are
        copies, in mixed precision in the dtype that computes, to which they need not be cast at every step. Not for
        training.
        """
        if any(isinstance(head, Softmax) for head in self.heads):
            return ClassColumns(self.in_compute_dtype(), class_ids)
        narrow = self.copied(dtype=self.compute_dtype, num_classes=len(class_ids))
        for head, given in zip(narrow.heads, self.heads, strict=True):
            head.take_classes(given, class_ids)
        return narrow

    def in_compute_dtype(self) -> "VideoModel":
        """The model itself, or in mixed precision a copy with weights in the dtype that computes; not for training."""
        return self if self.compute_dtype == self.variable_dtype else self.copied(dtype=self.compute_dtype)

    def copied(self, *, dtype: str, num_classes: int | None = None) -> "VideoModel":
        """A copy that holds its weights, and computes, in ``dtype``.

        num_classes: of the copy where it has others; the weights of its heads are not set then.
        """
        settings = self.get_config() | {"dtype": dtype, "num_classes": num_classes or self.num_classes}
        with nothing_drawn():
            copy = type(self).from_config(settings)
            copy.build()
        unset = {id(variable) for head in copy.heads for variable in head.variables} if num_classes else set()
        for variable, given in zip(copy.variables, self.variables, strict=True):
            if id(variable) not in unset:
                variable.assign(given)
        return copy

    def build(self, input_shape: Any = None) -> None:
        """Builds on the features' sizes, which the model knows; any given shape is ignored."""
        self.built = True
        self.compute_output_spec(self.symbolic_inputs())
        if self.projection is not None:
            embedded = keras.layers.Lambda(self.embed).compute_output_spec(self.symbolic_inputs())
            self.projection.build(embedded.shape)

    def get_build_config(self) -> dict[str, Any]:
        """Saved with the model, so that loading builds it."""
        return {"input_shape": None}

    def symbolic_inputs(self) -> dict[str, keras.KerasTensor]:
        """Symbolic inputs by name, for a batch of segments or of videos' means."""
        if self.level == "video":
            return {name: keras.KerasTensor((None, size)) for name, size in self.feature_sizes.items()}
        frames = {
            name: keras.KerasTensor((None, SEGMENT_SECONDS, size), dtype="uint8")
            for name, size in self.feature_sizes.items()
        }
        return frames | {"num_frames": keras.KerasTensor((None,), dtype="int32")}

    def modalities(self, inputs: dict[str, Any]) -> tuple[dict[str, Tensor], Tensor]:
        """Dequantised features by name, each (B, T, size) or (B, size), padding as zeros; and the frame mask or None.

        uint8 q becomes q * 4 / 255 + 4 / 512 - 2, YouTube-8M's own dequantisation. With l2_normalize each frame has
        unit length after it.
        """
        if self.level == "video":
            means = {name: ops.cast(inputs[name], self.compute_dtype) for name in self.feature_sizes}
            return self._normalized(means), None
        length = ops.shape(inputs[next(iter(self.feature_sizes))])[1]
        frame_mask = ops.arange(length)[None, :] < ops.cast(inputs["num_frames"], "int32")[:, None]
        frames = {name: self._dequantized(inputs[name], frame_mask) for name in self.feature_sizes}
        return self._normalized(frames), frame_mask

    def concatenated(self, inputs: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """All modalities side by side, (B, T, sum of sizes) or (B, sum of sizes), and the frame mask or None."""
        features, frame_mask = self.modalities(inputs)
        return ops.concatenate(list(features.values()), axis=-1), frame_mask

    def video_vector(self, inputs: dict[str, Any]) -> Tensor:
        """Mean over the frames of all modalities side by side, (B, sum of sizes), whatever the level."""
        features, frame_mask = self.concatenated(inputs)
        return features if frame_mask is None else masked_mean(features, frame_mask)

    def make_head(self, head: str, *, num_mixtures: int | None) -> keras.layers.Layer:
        """Classification head by name, one of HEADS."""
        if head == "moe":
            return MixtureOfExperts(
                self.num_classes, num_mixtures=num_mixtures or 1, dtype=self.dtype_policy, name="head"
            )
        if head == "logistic":
            return Logistic(self.num_classes, dtype=self.dtype_policy, name="head")
        if head == "softmax":
            return Softmax(self.num_classes, dtype=self.dtype_policy, name="head")
        raise InputError(f"head is {head!r}; valid: {', '.join(HEADS)}")

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Tensor:
        """Rated cross-entropy where ``y`` is a dict of targets, see yt8m.models.targets; otherwise what compile() was
        given.
        """
        if not isinstance(y, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        loss = self.rated_loss(dense_targets(y, num_classes=self.num_classes), y_pred)
        for extra in self.losses:
            loss = loss + ops.cast(extra, loss.dtype)
        # Gradients of devices are added up.
        return loss / replicas_in_sync()

    def rated_loss(self, targets: dict[str, Tensor], outputs: Any) -> Tensor:
        """Loss of the outputs of ``call``, a float32 scalar; targets: dense, see yt8m.models.targets."""
        return self.pair_loss(targets["labels"], outputs, targets["rated"])

    def _dequantized(self, frames, frame_mask):
        if keras.backend.standardize_dtype(frames.dtype) == "uint8":
            frames = ops.cast(frames, self.compute_dtype) * QUANTIZED_SCALE + QUANTIZED_OFFSET
        frames = ops.cast(frames, self.compute_dtype)
        return ops.where(frame_mask[..., None], frames, ops.zeros_like(frames))

    def _normalized(self, features):
        if not self.l2_normalize:
            return features
        joined = unit_norm(ops.concatenate(list(features.values()), axis=-1), axis=-1)
        ends = np.cumsum(list(self.feature_sizes.values())).tolist()
        return {name: joined[..., first:end] for name, first, end in zip(features, [0, *ends], ends)}

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, and the format of their meaning, for saving."""
        return {
            "format": FORMAT,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.dtype_policy),
            "feature_sizes": dict(self.feature_sizes),
            "num_classes": self.num_classes,
            "level": self.level,
            "l2_normalize": self.l2_normalize,
            **({} if self.projection is None else {"projection_size": self.projection.units}),
        }

    @classmethod
    def upgraded(cls, hyperparameters: dict[str, Any]) -> dict[str, Any]:
        """Hyperparameters that a release before 0.3.0 wrote, all or some, as what they mean today."""
        return hyperparameters

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "VideoModel":
        """The object that ``get_config`` describes."""
        config = dict(config)
        if config.pop("format", 1) < FORMAT:
            config = cls.upgraded(config)
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.saving.deserialize_keras_object(config["dtype"])
        projection_size = config.pop("projection_size", None)
        model = cls(**config)
        if projection_size is not None:
            model.add_projection(projection_size)
        return model


def hyperparameters_of(name: str) -> dict[str, Any]:
    """Dict of the hyperparameters of the model registered as ``name`` to their defaults."""
    shared = {*inspect.signature(VideoModel.__init__).parameters, "text"}
    return {
        parameter.name: parameter.default
        for parameter in inspect.signature(MODELS[name].__init__).parameters.values()
        if parameter.name not in shared
    }


def build_model(
    model_config: ModelConfig,
    data_config: DataConfig,
    *,
    dtype: str | None = None,
    projection_size: int | None = None,
) -> VideoModel:
    """The model that ``model_config`` names, built for the features and classes of ``data_config``.

    dtype: a Keras dtype policy, such as "mixed_bfloat16"; None is the global one. projection_size: of a projection of
    its vectors, see VideoModel.add_projection; None for none.
    Raises InputError for an unknown name, an unknown hyperparameter, or one that does not fit the features.
    """
    make = _maker(model_config, data_config, dtype, projection_size)
    with _explained(model_config):
        needed, there = bytes_of_weights(make), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        if needed > there:
            raise InputError(
                f"model {model_config.name} with {model_config.hyperparameters} and {data_config.num_classes:,} "
                f"classes has {needed / 1e9:,.1f} GB of weights, and this machine {there / 1e9:,.1f} GB of memory"
            )
        return make()


def described_model(model_config: ModelConfig, data_config: DataConfig) -> VideoModel:
    """The model that build_model would build: its variables have shapes, and no values and no memory.

    Not with the torch backend, whose variables cannot be put off. Raises InputError as build_model does.
    """
    make = _maker(model_config, data_config, None, None)
    with _explained(model_config):
        return without_memory(make)


def _maker(model_config, data_config, dtype, projection_size):
    """Function that makes a model and builds it. Raises InputError for what is named, or asked of records, in vain."""
    model_class = MODELS[model_config.name]
    if model_class.takes_video_frames and not data_config.video_frames:
        raise InputError(
            f"model {model_config.name} reads frames of the whole video: set video_frames to their number, as in 30"
        )
    if data_config.video_frames and not model_class.takes_video_frames:
        raise InputError(
            f"video_frames is {data_config.video_frames}, and model {model_config.name} reads none: set it to 0"
        )
    if model_class.takes_texts != bool(data_config.text.fields):
        verb, what = ("reads texts", "set") if model_class.takes_texts else ("reads no texts", "leave out")
        raise InputError(f"model {model_config.name} {verb}: {what} text_fields and tokenizer")
    text = {"text": data_config.text.of_model()} if model_class.takes_texts else {}
    check_hyperparameters(model_config.name, model_config.hyperparameters)

    def make():
        model = model_class(
            feature_sizes=data_config.features,
            num_classes=data_config.num_classes,
            level=data_config.level,
            l2_normalize=data_config.l2_normalize,
            dtype=dtype,
            name=model_config.name,
            **text,
            **model_config.hyperparameters,
        )
        if projection_size is not None:
            model.add_projection(projection_size)
        model.build()
        return model

    return make


@contextlib.contextmanager
def _explained(model_config):
    """Context in which errors are InputErrors: whatever fails there fails because of a hyperparameter."""
    try:
        yield
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            text = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise InputError(f"model {model_config.name} with {model_config.hyperparameters}: {text}") from error
        raise reason from None


def check_hyperparameters(name: str, values: Mapping[str, Any], *, where: str = "") -> None:
    """Raises InputError for a hyperparameter that the model ``name`` does not have, or of a type or size of no sense.

    Whole numbers are from 1 to 2^24, dropout rates from 0 to below 1, other numbers above 0. where: begins the message.
    """
    known = hyperparameters_of(name)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise InputError(
            f"{where}model {name} has no hyperparameter {', '.join(unknown)}; "
            f"known: {', '.join(f'{field} ({default})' for field, default in known.items())}"
        )
    parameters = inspect.signature(MODELS[name].__init__).parameters
    for field, value in values.items():
        if problem := problem_of_value(parameters[field].annotation, field, value):
            raise InputError(f"{where}model {name}: {field} is {value!r}; it must be {problem}")


def _reason(error: BaseException | None) -> InputError | None:
    """The InputError that an error of Keras's was made of, or is; None where there is none."""
    found = None
    while error is not None:
        found = error if isinstance(error, InputError) else found
        error = error.__cause__ or error.__context__
    return found


def build_preset(name: str, data: DataConfig | None = None, *, dtype: str | None = None) -> VideoModel:
    """The model of one of the paper's nine presets, built; ``data``: features and classes, by default YouTube-8M's.

    dtype: as of build_model. Raises InputError for an unknown name.
    """
    preset = PRESETS[name]
    model_config = ModelConfig(name=preset.model, hyperparameters=preset.hyperparameters)
    return build_model(model_config, data or DataConfig(), dtype=dtype)
