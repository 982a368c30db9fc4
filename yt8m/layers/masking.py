"""Operations over real frames only."""

from keras import ops

from yt8m.types import Tensor


def masked_mean(frames: Tensor, frame_mask: Tensor) -> Tensor:
    """Mean over the real frames: (B, T, D) and (B, T) -> (B, D). A row without real frames gives zeros."""
    weights = ops.cast(frame_mask, frames.dtype)[..., None]
    return ops.sum(frames * weights, axis=1) / ops.maximum(ops.sum(weights, axis=1), 1)


def masked_softmax(logits: Tensor, frame_mask: Tensor) -> Tensor:
    """Softmax over axis 1 that gives masked frames weight 0: (B, T, N) and (B, T) -> (B, T, N)."""
    mask = frame_mask[..., None]
    # A finite floor: minus infinity would give NaN in a row without real frames.
    weights = ops.softmax(ops.where(mask, logits, ops.cast(-1e9, logits.dtype)), axis=1)
    return weights * ops.cast(mask, weights.dtype)
