"""Tokens hidden from an encoder, and how well it knows what they were: masked language modelling."""

import math
from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.types import Tensor

_SHOWN_AS_MASK, _SHOWN_AS_OTHER = 0.8, 0.1


@keras.saving.register_keras_serializable("yt8m")
class MaskedTokens(Layer):
    """Hides words of texts and scores an encoder's guesses of their tokens (Devlin et al. 2019, section 3.1).

    Words are drawn until ``fraction`` of an example's tokens is to be guessed; one that would be more is left whole,
    but for the first, of which as many tokens as there is room for are hidden. Of the tokens 80% the encoder sees as
    [MASK], 10% as a random one, 10% as they are. Whole words: BERT's "whole word masking" of May 2019.

    vocabulary_size: V; tokens are from 1 to V, [MASK] is V + 1. The loss is the cross-entropy of softmax(g . e_v +
    b_v), e the table of the encoder's own embedding and g = LN(gelu(W h + c)) of its output h, in a mean over all that
    is hidden.

    ``hide`` goes before the encoder and ``call`` behind it.
    """

    def __init__(self, vocabulary_size: int, *, fraction: float = 0.15, name: str = "masked_tokens", dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        self.vocabulary_size = vocabulary_size
        self.fraction = fraction
        self.seed_generator = keras.random.SeedGenerator()

    def build(self, encoded_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        size = encoded_shape[-1]
        self.transform = keras.layers.Dense(size, activation="gelu", dtype=self.dtype_policy, name="transform")
        self.norm = keras.layers.LayerNormalization(dtype=self.dtype_policy, name="norm")
        for layer in (self.transform, self.norm):
            layer.build((None, None, size))
        self.bias = self.add_weight(name="bias", shape=(self.vocabulary_size,), initializer="zeros")

    def hide(self, tokens: Tensor, *, words: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Hides tokens: (tokens (B, L) as the encoder shall see them; places (B, K) int32; counts (B,) int32).

        tokens: (B, L) int32, 0 for padding. words: (B, L) int32 from 1 to L, the same for the tokens of a word. The
        first counts of places are those that are hidden; K is fraction of L.
        """
        length = tokens.shape[1]
        slots = self._slots(length)
        real = tokens > 0
        found = ops.sum(ops.cast(real, "int32"), axis=1)
        wanted = ops.cast(ops.round(self.fraction * ops.cast(found, "float32")), "int32")
        wanted = ops.minimum(ops.maximum(wanted, 1), found)
        words = ops.where(real, words, 0)
        keys = ops.take_along_axis(self._uniform((ops.shape(tokens)[0], length + 1)), words, axis=1)
        order = ops.argsort(ops.where(real, keys, 2.0), axis=1)
        drawn = ops.take_along_axis(words, order, axis=1)
        # The word behind the last token that is wanted: where that is the same word, it would be cut.
        behind = ops.take_along_axis(ops.pad(drawn, [[0, 0], [0, 1]]), wanted[:, None], axis=1)
        ranks, first = ops.arange(length)[None, :], drawn[:, :1]
        whole = ops.logical_and(ranks < wanted[:, None], ops.not_equal(drawn, behind))
        of_first = ops.logical_and(ops.equal(drawn, first), ops.logical_and(ranks < slots, first > 0))
        counts = ops.sum(ops.cast(ops.logical_or(whole, of_first), "int32"), axis=1)
        hidden = ops.argsort(order, axis=1) < counts[:, None]
        return self._shown(tokens, hidden), ops.cast(order[:, :slots], "int32"), counts

    def _shown(self, tokens, hidden):
        how = self._uniform(ops.shape(tokens))
        others = ops.cast(self._uniform(ops.shape(tokens)) * self.vocabulary_size, tokens.dtype)
        others = ops.minimum(others, self.vocabulary_size - 1) + 1
        as_mask = ops.logical_and(hidden, how < _SHOWN_AS_MASK)
        as_other = ops.logical_and(hidden, how < _SHOWN_AS_MASK + _SHOWN_AS_OTHER)
        mask = ops.full_like(tokens, self.vocabulary_size + 1)
        return ops.where(as_mask, mask, ops.where(as_other, others, tokens))

    def call(
        self, encoded: Tensor, *, tokens: Tensor, places: Tensor, counts: Tensor, vocabulary: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss, and quality, the share of hidden tokens whose likeliest guess is right: two float32 scalars.

        encoded: (B, L, E), the encoder's outputs for what ``hide`` gave, with its ``places`` and ``counts``; tokens:
        the true ones; vocabulary: (V, E), their vectors. Both are 0 where nothing is hidden.
        """
        taken = ops.take_along_axis(encoded, places[..., None], axis=1)
        guesses = self.norm(self.transform(taken))
        logits = ops.cast(ops.matmul(guesses, ops.transpose(vocabulary)), "float32") + ops.cast(self.bias, "float32")
        right = ops.maximum(ops.take_along_axis(tokens, places, axis=1) - 1, 0)
        counted = ops.cast(ops.arange(places.shape[1])[None, :] < counts[:, None], "float32")
        loss = keras.losses.sparse_categorical_crossentropy(right, logits, from_logits=True)
        found = ops.cast(ops.equal(ops.cast(ops.argmax(logits, axis=-1), right.dtype), right), "float32")
        total = ops.maximum(ops.sum(counted), 1.0)
        return ops.sum(loss * counted) / total, ops.sum(found * counted) / total

    def _slots(self, length):
        """K, places of the tokens that may be hidden of ``length``."""
        return max(1, math.ceil(self.fraction * length))

    def _uniform(self, shape):
        return keras.random.uniform(shape, seed=self.seed_generator)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size, "fraction": self.fraction}
