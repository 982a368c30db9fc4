"""The models as one writes them down with Keras's own layers: what benchmarks.model_speed holds the package against.

Float features from the host, MultiHeadAttention, class-major mixtures, an encoder of its own for each branch.
"""

from typing import Any

import keras
from keras import layers, ops

from yt8m.models.losses import distillation, rated_binary_crossentropy
from yt8m.models.presets import PRESETS

_SIZES = {"rgb": 1024, "audio": 128}
_EPSILON = 1e-3


def plain_model(name: str, *, num_classes: int, dtype: str) -> keras.Model:
    """The plain model of a preset. dtype: a policy."""
    preset = PRESETS[name]
    plain = {"frame_bert": PlainBert, "gated_netvlad": PlainNetVLAD, "mix_nextvlad": PlainMixNeXtVLAD}[preset.model]
    settings = {key: value for key, value in preset.hyperparameters.items() if plain is PlainBert}
    return plain(num_classes=num_classes, dtype=dtype, **settings)


class _PlainModel(keras.Model):
    def frames_and_mask(self, inputs):
        """Dict of frames by name, and (B, T) bool."""
        frames = {name: ops.cast(inputs[name], self.compute_dtype) for name in _SIZES}
        return frames, ops.arange(ops.shape(frames["rgb"])[1])[None] < inputs["num_frames"][:, None]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return rated_binary_crossentropy(y["labels"], y_pred, y["rated"])


class Mixture(layers.Layer):
    """Mixture of five experts a class."""

    def __init__(self, num_classes, *, num_mixtures=5, dtype=None):
        super().__init__(dtype=dtype)
        self.num_classes, self.num_mixtures = num_classes, num_mixtures
        self.gates = layers.Dense(num_classes * (num_mixtures + 1), use_bias=False, dtype=dtype)
        self.experts = layers.Dense(num_classes * num_mixtures, dtype=dtype)

    def call(self, vector):
        gates = ops.reshape(self.gates(vector), (-1, self.num_classes, self.num_mixtures + 1))
        experts = ops.reshape(self.experts(vector), (-1, self.num_classes, self.num_mixtures))
        gates, experts = ops.cast(ops.softmax(gates), "float32"), ops.cast(ops.sigmoid(experts), "float32")
        return ops.sum(gates[..., :-1] * experts, axis=-1)


class Block(layers.Layer):
    """A post-layer-norm transformer block."""

    def __init__(self, size, num_heads, dtype):
        super().__init__(dtype=dtype)
        self.attention = layers.MultiHeadAttention(num_heads, size // num_heads, dropout=0.1, dtype=dtype)
        self.attention_norm = layers.LayerNormalization(dtype=dtype)
        self.wide = layers.Dense(3072, activation="gelu", dtype=dtype)
        self.narrow = layers.Dense(size, dtype=dtype)
        self.norm = layers.LayerNormalization(dtype=dtype)
        self.dropout = layers.Dropout(0.1, dtype=dtype)

    def call(self, frames, mask, training=None):
        attended = self.attention(frames, frames, attention_mask=mask[:, None], training=training)
        frames = self.attention_norm(frames + self.dropout(attended, training=training))
        narrow = self.narrow(self.wide(frames))
        return self.norm(frames + self.dropout(narrow, training=training))


class PlainBert(_PlainModel):
    """Transformer blocks over frames, over each modality first if cross-modal, and a mixture of experts."""

    def __init__(self, *, num_layers, num_heads, pooling, num_classes, cross_modal=False, dtype=None):
        super().__init__(dtype=dtype)
        self.pooling = pooling
        self.modal = {
            name: [Block(size, num_heads, dtype) for _ in range(num_layers - 1)] if cross_modal else []
            for name, size in _SIZES.items()
        }
        self.joint = [Block(sum(_SIZES.values()), num_heads, dtype) for _ in range(1 if cross_modal else num_layers)]
        self.score = layers.Dense(1, use_bias=False, dtype=dtype) if pooling == "attention" else None
        self.head = Mixture(num_classes, dtype=dtype)

    def call(self, inputs, training=None):
        modal, mask = self.frames_and_mask(inputs)
        for name, blocks in self.modal.items():
            for block in blocks:
                modal[name] = block(modal[name], mask, training=training)
        frames = ops.concatenate(list(modal.values()), axis=-1)
        for block in self.joint:
            frames = block(frames, mask, training=training)
        return self.head(self._pool(frames, mask))

    def _pool(self, frames, mask):
        if self.pooling == "first":
            return frames[:, 0]
        if self.pooling == "concat":
            return ops.reshape(frames, (-1, frames.shape[1] * frames.shape[2]))
        weights = ops.cast(mask, frames.dtype)[..., None]
        if self.pooling == "attention":
            weights = weights * ops.exp(self.score(frames))
        return ops.sum(frames * weights, axis=1) / ops.sum(weights, axis=1)


def _unit(values, axis):
    return values / ops.cast(ops.norm(ops.cast(values, "float32"), axis=axis, keepdims=True) + 1e-6, values.dtype)


class NetVLADLayer(layers.Layer):
    def __init__(self, num_clusters, dtype):
        super().__init__(dtype=dtype)
        self.num_clusters = num_clusters
        self.assignment = layers.Dense(num_clusters, use_bias=False, dtype=dtype)
        self.norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)

    def build(self, shape):
        self.centres = self.add_weight(name="centres", shape=(shape[-1], self.num_clusters))

    def call(self, frames, mask, training=None):
        assigned = ops.softmax(self.norm(self.assignment(frames), training=training))
        assigned = assigned * ops.cast(mask, assigned.dtype)[..., None]
        vlad = ops.einsum("btd,btk->bdk", frames, assigned) - ops.sum(assigned, axis=1)[:, None] * self.centres
        return _unit(ops.reshape(_unit(vlad, 1), (-1, frames.shape[-1] * self.num_clusters)), 1)


class Gating(layers.Layer):
    def __init__(self, size, dtype):
        super().__init__(dtype=dtype)
        self.dense = layers.Dense(size, use_bias=False, dtype=dtype)
        self.norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)

    def call(self, values, training=None):
        return values * ops.sigmoid(self.norm(self.dense(values), training=training))


class PlainNetVLAD(_PlainModel):
    """GatedNetVLAD."""

    def __init__(self, *, num_classes, dtype=None):
        super().__init__(dtype=dtype)
        self.pools = {"rgb": NetVLADLayer(16, dtype), "audio": NetVLADLayer(8, dtype)}
        self.reduce = layers.Dense(1024, use_bias=False, dtype=dtype)
        self.norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)
        self.gating = Gating(1024, dtype)
        self.head = Mixture(num_classes, dtype=dtype)
        self.probability_gating = Gating(num_classes, dtype)

    def call(self, inputs, training=None):
        frames, mask = self.frames_and_mask(inputs)
        vlad = ops.concatenate([self.pools[name](frames[name], mask, training=training) for name in frames], axis=-1)
        vector = self.gating(ops.relu6(self.norm(self.reduce(vlad), training=training)), training=training)
        return ops.cast(self.probability_gating(self.head(vector), training=training), "float32")


class NeXtVLADLayer(layers.Layer):
    def __init__(self, num_clusters, groups, dtype):
        super().__init__(dtype=dtype)
        self.num_clusters, self.groups = num_clusters, groups
        self.attention = layers.Dense(groups, activation="sigmoid", dtype=dtype)
        self.assignment = layers.Dense(groups * num_clusters, use_bias=False, dtype=dtype)
        self.norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)
        self.output_norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)

    def build(self, shape):
        wide = 2 * shape[-1]
        self.widen = layers.Dense(wide, dtype=self.dtype_policy)
        self.size = wide // self.groups
        self.centres = self.add_weight(name="centres", shape=(self.size, self.num_clusters))

    def call(self, frames, mask, training=None):
        points = frames.shape[1] * self.groups
        wide = self.widen(frames)
        attention = self.attention(wide) * ops.cast(mask, wide.dtype)[..., None]
        assigned = ops.reshape(self.norm(self.assignment(wide), training=training), (-1, points, self.num_clusters))
        assigned = ops.softmax(assigned) * ops.reshape(attention, (-1, points, 1))
        grouped = ops.reshape(wide, (-1, points, self.size))
        vlad = ops.einsum("bnd,bnk->bdk", grouped, assigned) - ops.sum(assigned, axis=1)[:, None] * self.centres
        flat = ops.reshape(_unit(vlad, 1), (-1, self.size * self.num_clusters))
        return self.output_norm(flat, training=training)


class Branch(layers.Layer):
    def __init__(self, num_classes, dtype):
        super().__init__(dtype=dtype)
        self.pools = {"rgb": NeXtVLADLayer(112, 8, dtype), "audio": NeXtVLADLayer(56, 4, dtype)}
        self.drop = layers.Dropout(0.5, dtype=dtype)
        self.hidden = layers.Dense(2048, use_bias=False, dtype=dtype)
        self.norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)
        self.squeeze = layers.Dense(128, use_bias=False, dtype=dtype)
        self.squeeze_norm = layers.BatchNormalization(epsilon=_EPSILON, dtype=dtype)
        self.excite = layers.Dense(2048, use_bias=False, dtype=dtype)
        self.logits = layers.Dense(num_classes, dtype=dtype)

    def call(self, frames, mask, training=None):
        vlad = ops.concatenate([self.pools[name](frames[name], mask, training=training) for name in frames], axis=-1)
        vector = self.norm(self.hidden(self.drop(vlad, training=training)), training=training)
        gates = ops.relu(self.squeeze_norm(self.squeeze(vector), training=training))
        return ops.cast(self.logits(vector * ops.sigmoid(self.excite(gates))), "float32")


class PlainMixNeXtVLAD(_PlainModel):
    """Three NeXtVLADs mixed by a gate, each taught by the mixture."""

    def __init__(self, *, num_classes, num_branches=3, dtype=None):
        super().__init__(dtype=dtype)
        self.branches = [Branch(num_classes, dtype) for _ in range(num_branches)]
        self.gate = layers.Dense(num_branches, activation="softmax", dtype=dtype)

    def call(self, inputs, training=None) -> Any:
        frames, mask = self.frames_and_mask(inputs)
        weights = ops.cast(mask, self.compute_dtype)[..., None]
        joined = ops.concatenate(list(frames.values()), axis=-1)
        gates = ops.cast(self.gate(ops.sum(joined * weights, axis=1) / ops.sum(weights, axis=1)), "float32")
        logits = ops.stack([branch(frames, mask, training=training) for branch in self.branches], axis=1)
        mixed = ops.sum(gates[..., None] * logits, axis=1)
        return {"mixed": mixed, "branches": logits} if training else ops.sigmoid(mixed)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred)
        loss = rated_binary_crossentropy(y["labels"], ops.sigmoid(y_pred["mixed"]), y["rated"])
        for branch in range(len(self.branches)):
            logits = y_pred["branches"][:, branch]
            loss = loss + rated_binary_crossentropy(y["labels"], ops.sigmoid(logits), y["rated"])
            loss = loss + distillation(y_pred["mixed"], logits, temperature=3.0)
        return loss
