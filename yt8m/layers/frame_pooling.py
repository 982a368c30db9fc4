"""Pooling of encoded frames into one vector a video."""

from typing import Any

import keras
from keras import ops

from yt8m.layers.base import Layer
from yt8m.layers.masking import masked_mean, masked_softmax
from yt8m.types import InputError, Tensor

METHODS = ("first", "mean", "attention", "additive_attention", "concat")


@keras.saving.register_keras_serializable("yt8m")
class FramePooling(Layer):
    """Aggregates BERT's outputs in one of the paper's ways.

    method:
        "first": the first frame's output. (The authors' program reads the last.)
        "mean": the mean over the real frames.
        "attention": sum_t alpha_t h_t with alpha = softmax_t(w . h_t) over the real frames (the paper's eq. 5-6). (The
            authors' program divides w . h_t by sqrt(D), a scale that w can take.)
        "additive_attention": the same with alpha = softmax_t(u . tanh(V h_t + b)) (Yang et al. 2016), D * D weights
            more.
        "concat": all outputs one after the other, masked ones as zeros; the number of frames must be static.
    Call: frames (B, T, D), frame_mask (B, T) bool -> (B, D), for "concat" (B, T * D).
    """

    def __init__(self, method: str, *, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        if method not in METHODS:
            raise InputError(f"pooling is {method!r}; valid: {', '.join(METHODS)}")
        self.method = method

    def build(self, frames_shape: tuple) -> None:
        """Makes the weights; called by Keras."""
        if self.method == "concat" and frames_shape[1] is None:
            raise InputError('pooling "concat" needs a fixed number of frames')
        if self.method == "additive_attention":
            size = frames_shape[-1]
            self.project = keras.layers.Dense(size, activation="tanh", dtype=self.dtype_policy, name="project")
            self.project.build(frames_shape)
        if self.method in ("attention", "additive_attention"):
            self.score = keras.layers.Dense(1, use_bias=False, dtype=self.dtype_policy, name="score")
            self.score.build(frames_shape)

    def call(self, frames: Tensor, *, frame_mask: Tensor) -> Tensor:
        """Output of the layer or model, see the class."""
        if self.method == "first":
            return frames[:, 0]
        if self.method == "mean":
            return masked_mean(frames, frame_mask)
        if self.method in ("attention", "additive_attention"):
            scored = frames if self.method == "attention" else self.project(frames)
            weights = masked_softmax(self.score(scored), frame_mask)
            return ops.sum(weights * frames, axis=1)
        kept = ops.where(frame_mask[..., None], frames, ops.zeros_like(frames))
        return ops.reshape(kept, (-1, frames.shape[1] * frames.shape[2]))

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "method": self.method}
