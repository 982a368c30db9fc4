"""Frames hidden from an encoder, and how well it knows what they were: masked frame modelling."""

import math
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.types import InputError, Tensor

METHODS = ("nce", "mse")
_SHOWN_AS_MASK, _SHOWN_AS_OTHER = 0.8, 0.1
_MOST_CANDIDATES = 64
"""Frames of one video to tell the right one from."""


@keras.saving.register_keras_serializable("yt8m")
class MaskedFrames(Layer):
    """Hides frames of a batch and scores an encoder's guesses of them (BERT's task, Devlin et al. 2019, section 3.1).

    Of a video's real frames ``fraction`` are to be guessed, at least one. 80% of these the encoder sees as a learned
    vector, 10% as a frame drawn from the batch, 10% as they are.

    method: "nce" tells the right frame from other frames of the batch by the cosine with the guess: cross-entropy over
        softmax(cosine / temperature), as is done for continuous tokens (Sun et al. 2019, CBT); the candidates are up to
        64 frames of each video of the batch, the hidden ones among them. "mse" is the mean squared error of the guess.
    feature_sizes: dict of modality to dimension. temperature: of "nce"; 0.07 as in He et al. 2020.

    ``hide`` goes before the encoder and ``call`` behind it.
    """

    def __init__(
        self,
        method: str,
        *,
        feature_sizes: Mapping[str, int],
        fraction: float = 0.15,
        temperature: float = 0.07,
        name: str = "masked_frames",
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        if method not in METHODS:
            raise InputError(f"masked_frames is {method!r}; valid: {', '.join(METHODS)}")
        self.method = method
        self.feature_sizes = dict(feature_sizes)
        self.fraction = fraction
        self.temperature = temperature
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, encoded_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        self.mask_vectors = {
            name: self.add_weight(name=f"mask_{name}", shape=(size,), initializer="zeros")
            for name, size in self.feature_sizes.items()
        }
        size = encoded_shape[-1]
        self.transform = keras.layers.Dense(size, activation="gelu", dtype=self.dtype_policy, name="transform")
        self.norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm")
        self.guess = keras.layers.Dense(sum(self.feature_sizes.values()), dtype=self.dtype_policy, name="guess")
        for layer in (self.transform, self.norm, self.guess):
            layer.build((None, None, size))

    def hide(self, features: dict[str, Tensor], *, frame_mask: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Hides frames: (features as the encoder shall see them, dict of (B, T, size); order (B, T) int32).

        features: dict of (B, T, size), dequantised; frame_mask: (B, T) bool. order: the frames of each video in random
        order, the hidden ones first, padding last.
        """
        keys = ops.where(frame_mask, self._uniform(ops.shape(frame_mask)), 2.0)
        order = ops.argsort(keys, axis=1)
        hidden = ops.argsort(order, axis=1) < self._counts(frame_mask)[:, None]
        how = self._uniform(ops.shape(frame_mask))
        as_mask = ops.logical_and(hidden, how < _SHOWN_AS_MASK)
        as_other = ops.logical_and(hidden, ops.logical_and(~as_mask, how < _SHOWN_AS_MASK + _SHOWN_AS_OTHER))
        others = self._drawn_frames(frame_mask)
        shown = {}
        for name, frames in features.items():
            flat = ops.reshape(frames, (-1, self.feature_sizes[name]))
            other = ops.reshape(ops.take(flat, others, axis=0), ops.shape(frames))
            mask_vector = ops.cast(self.mask_vectors[name], frames.dtype)
            shown[name] = ops.where(as_mask[..., None], mask_vector, ops.where(as_other[..., None], other, frames))
        return shown, ops.cast(order, "int32")

    def call(
        self, encoded: Tensor, *, features: dict[str, Tensor], order: Tensor, frame_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss and quality of the guesses, two float32 scalars.

        encoded: (B, T, E), the encoder's outputs for what ``hide`` gave, with its ``order``; features: the true ones.
        quality: for "nce" the share of frames whose best candidate is the right one; for "mse" 1 - error / variance.
        """
        slots = max(1, math.ceil(self.fraction * order.shape[1]))
        truth = ops.concatenate(list(features.values()), axis=-1)
        places = order[:, :slots]
        guesses = ops.cast(self.guess(self.norm(self.transform(_frames_at(encoded, places)))), "float32")
        counted = ops.cast(ops.arange(slots)[None, :] < self._counts(frame_mask)[:, None], "float32")
        if self.method == "mse":
            return self._squared_error(guesses, truth, places, counted, frame_mask)
        return self._contrast(guesses, truth, order, counted, frame_mask)

    def _squared_error(self, guesses, truth, places, counted, frame_mask):
        truth = ops.cast(truth, "float32")
        weights = ops.cast(frame_mask, "float32")[..., None]
        mean = ops.sum(truth * weights, axis=(0, 1)) / ops.sum(weights)
        wanted = _frames_at(truth, places)
        error = _mean(ops.mean(ops.square(guesses - wanted), axis=-1), counted)
        spread = _mean(ops.mean(ops.square(mean - wanted), axis=-1), counted)
        return error, 1 - error / (spread + 1e-6)

    def _contrast(self, guesses, truth, order, counted, frame_mask):
        batch, slots, length = ops.shape(counted)[0], counted.shape[1], order.shape[1]
        # Not more than memory has room for, and the hidden frames in any case.
        per_video = min(length, max(slots, _MOST_CANDIDATES))
        candidates = ops.cast(_frames_at(truth, order[:, :per_video]), "float32")
        real = ops.arange(per_video)[None, :] < ops.sum(ops.cast(frame_mask, "int32"), axis=1)[:, None]
        size = candidates.shape[-1]
        guesses = ops.normalize(ops.reshape(guesses, (-1, size)), axis=-1)
        candidates = ops.normalize(ops.reshape(candidates, (-1, size)), axis=-1)
        logits = ops.matmul(guesses, ops.transpose(candidates)) / self.temperature
        logits = ops.where(ops.reshape(real, (1, -1)), logits, -1e9)
        right = ops.reshape(ops.arange(batch)[:, None] * per_video + ops.arange(slots)[None, :], (-1,))
        counted = ops.reshape(counted, (-1,))
        loss = keras.losses.sparse_categorical_crossentropy(right, logits, from_logits=True)
        found = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), right.dtype), right), "float32")
        return _mean(loss, counted), _mean(found, counted)

    def _counts(self, frame_mask):
        """(B,) int32, how many frames of each video are hidden."""
        frames = ops.sum(ops.cast(frame_mask, "float32"), axis=1)
        return ops.cast(ops.minimum(ops.maximum(ops.round(self.fraction * frames), 1.0), frames), "int32")

    def _drawn_frames(self, frame_mask):
        """(B * T,) int32: for each place a real frame of the batch, by its number there."""
        batch, length = ops.shape(frame_mask)[0], ops.shape(frame_mask)[1]
        shape = (batch * length,)
        videos = ops.cast(self._uniform(shape) * ops.cast(batch, "float32"), "int32")
        videos = ops.minimum(videos, batch - 1)
        counts = ops.take(ops.sum(ops.cast(frame_mask, "int32"), axis=1), videos)
        frames = ops.cast(self._uniform(shape) * ops.cast(counts, "float32"), "int32")
        return videos * length + ops.minimum(frames, ops.maximum(counts - 1, 0))

    def _uniform(self, shape):
        return keras.random.uniform(shape, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        names = ("method", "feature_sizes", "fraction", "temperature")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _frames_at(frames, places):
    """(B, T, D), (B, K) int -> (B, K, D)."""
    return ops.take_along_axis(frames, places[..., None], axis=1)


def _mean(values, counted):
    return ops.sum(values * counted) / ops.maximum(ops.sum(counted), 1.0)
