"""Pictures moved along an optical flow."""

from keras import ops

from yt8m.types import Tensor


def warp(pictures: Tensor, flow: Tensor, *, outside: str = "zeros") -> Tensor:
    """Each pixel read, between pixels bilinearly, where its flow points to.

    pictures: (N, H, W, C). flow: (N, H, W, 2), pixels to the right and down. outside: what lies beyond the picture,
    "zeros" or the "border" repeated.
    """
    _, height, width, channels = ops.shape(pictures)
    flow = ops.cast(flow, "float32")
    x = ops.arange(width, dtype="float32")[None, None, :] + flow[..., 0]
    y = ops.arange(height, dtype="float32")[None, :, None] + flow[..., 1]
    if outside == "border":
        x, y = ops.clip(x, 0, ops.cast(width - 1, "float32")), ops.clip(y, 0, ops.cast(height - 1, "float32"))
    left, top = ops.floor(x), ops.floor(y)
    pixels = ops.reshape(pictures, (-1, channels))
    first = (ops.arange(ops.shape(pictures)[0]) * (height * width))[:, None, None]
    total = 0
    for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
        for row, along in ((top, 1 - (y - top)), (top + 1, y - top)):
            is_inside = (column >= 0) & (column <= width - 1) & (row >= 0) & (row <= height - 1)
            weight = ops.cast(across * along * ops.cast(is_inside, "float32"), pictures.dtype)
            place = ops.clip(row, 0, height - 1) * width + ops.clip(column, 0, width - 1)
            total = total + ops.take(pixels, first + ops.cast(place, "int32"), axis=0) * weight[..., None]
    return total


def double_flow(flow: Tensor) -> Tensor:
    """A flow (N, H, W, 2) at twice the height and width, and so of twice the length; corners lie on corners."""
    _, height, width, _ = ops.shape(flow)
    rows = ops.einsum("ih,nhwc->niwc", _doubling(height), flow)
    return 2 * ops.einsum("jw,niwc->nijc", _doubling(width), rows)


def _doubling(size):
    """(2 size, size) matrix of linear interpolation."""
    places = ops.arange(2 * size, dtype="float32") * ((size - 1) / (2 * size - 1))
    return ops.relu(1 - ops.abs(places[:, None] - ops.arange(size, dtype="float32")[None, :]))
