"""Tokens of texts as vectors."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.transformer_encoder import INITIALIZER_STDDEV, LAYER_NORM_EPSILON
from yt8m.types import Tensor


@keras.saving.register_keras_serializable("yt8m")
class TextEmbedding(Layer):
    """BERT's embedding of tokens (Devlin et al. 2019, section 3): dropout(LN(token + position + source)).

    vocabulary_size: V, of the tokenizer. size: E, of the vectors. max_tokens: positions that there are. num_sources:
    sources that tokens are from. dropout: rate.
    Call: tokens (B, L) int32, 0 for padding, from 1 to V those of the tokenizer, V + 1 a hidden one; sources (B, L)
    int32 from 1 to num_sources -> (B, L, E).
    """

    def __init__(
        self,
        vocabulary_size: int,
        *,
        size: int,
        max_tokens: int,
        num_sources: int,
        dropout: float = 0.1,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(name=name, dtype=dtype)
        self.vocabulary_size = vocabulary_size
        self.size = size
        self.max_tokens = max_tokens
        self.num_sources = num_sources
        self.dropout_rate = dropout
        self.norm = keras.layers.LayerNormalization(epsilon=LAYER_NORM_EPSILON, dtype=self.dtype_policy, name="norm")
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, tokens_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        # Padding, the vocabulary, what is hidden.
        self.table = self._weight("tokens", self.vocabulary_size + 2)
        self.positions = self._weight("positions", self.max_tokens)
        self.sources = self._weight("sources", self.num_sources + 1)
        self.norm.build((None, None, self.size))

    def _weight(self, name, rows):
        initializer = keras.initializers.TruncatedNormal(stddev=INITIALIZER_STDDEV)
        return self.add_weight(name=name, shape=(rows, self.size), initializer=initializer)

    def vocabulary(self) -> Tensor:
        """The vectors of the tokenizer's tokens, (V, E), with which outputs are compared."""
        return ops.cast(self.table, self.compute_dtype)[1 : self.vocabulary_size + 1]

    def call(self, tokens: Tensor, *, sources: Tensor, training: bool | None = None) -> Tensor:
        """Output of the layer or model, see the class."""
        # Times 1, so that gradients are dense: TensorFlow's of looked-up rows alone are nothing for every optimizer.
        table, own = (ops.cast(weight, self.compute_dtype) * 1 for weight in (self.table, self.sources))
        positions = ops.cast(self.positions, self.compute_dtype)[: ops.shape(tokens)[1]]
        # Sources of padding may be anything.
        sources = ops.where(tokens > 0, sources, 0)
        summed = ops.take(table, tokens, axis=0) + positions + ops.take(own, sources, axis=0)
        return self.dropout(self.norm(summed), training=training)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "size": self.size,
            "max_tokens": self.max_tokens,
            "num_sources": self.num_sources,
            "dropout": self.dropout_rate,
        }
