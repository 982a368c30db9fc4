"""Frame BERT as one writes it down with Keras's own layers: what benchmarks.model_speed holds the package against."""

import keras
from keras import layers, ops

from yt8m.models.losses import rated_binary_crossentropy


class PlainBert(keras.Model):
    """Post-layer-norm transformer over float frames, and a mixture of five experts."""

    def __init__(self, *, num_layers, num_heads, pooling, num_classes, num_mixtures=5, size=1152, dtype=None):
        super().__init__(dtype=dtype)
        self.pooling, self.num_classes, self.num_mixtures = pooling, num_classes, num_mixtures
        self.blocks = [
            {
                "attention": layers.MultiHeadAttention(num_heads, size // num_heads, dropout=0.1, dtype=dtype),
                "attention_norm": layers.LayerNormalization(dtype=dtype),
                "wide": layers.Dense(3072, activation="gelu", dtype=dtype),
                "narrow": layers.Dense(size, dtype=dtype),
                "norm": layers.LayerNormalization(dtype=dtype),
                "dropout": layers.Dropout(0.1, dtype=dtype),
            }
            for _ in range(num_layers)
        ]
        self.gates = layers.Dense(num_classes * (num_mixtures + 1), use_bias=False, dtype=dtype)
        self.experts = layers.Dense(num_classes * num_mixtures, dtype=dtype)

    def call(self, inputs, training=None):
        frames = ops.cast(ops.concatenate([inputs["rgb"], inputs["audio"]], axis=-1), self.compute_dtype)
        mask = ops.arange(ops.shape(frames)[1])[None] < inputs["num_frames"][:, None]
        for block in self.blocks:
            attended = block["attention"](frames, frames, attention_mask=mask[:, None], training=training)
            frames = block["attention_norm"](frames + block["dropout"](attended, training=training))
            narrow = block["narrow"](block["wide"](frames))
            frames = block["norm"](frames + block["dropout"](narrow, training=training))
        vector = self._pool(frames, mask)
        gates = ops.reshape(self.gates(vector), (-1, self.num_classes, self.num_mixtures + 1))
        experts = ops.reshape(self.experts(vector), (-1, self.num_classes, self.num_mixtures))
        gates, experts = ops.cast(ops.softmax(gates), "float32"), ops.cast(ops.sigmoid(experts), "float32")
        return ops.sum(gates[..., :-1] * experts, axis=-1)

    def _pool(self, frames, mask):
        if self.pooling == "first":
            return frames[:, 0]
        if self.pooling == "concat":
            return ops.reshape(frames, (-1, frames.shape[1] * frames.shape[2]))
        weights = ops.cast(mask, frames.dtype)[..., None]
        return ops.sum(frames * weights, axis=1) / ops.sum(weights, axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return rated_binary_crossentropy(y["labels"], y_pred, y["rated"])
