"""TANet in NumPy, slowly and by the letter of its paper, on weights by the names and in the layout of its authors."""

import numpy as np

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
STRIDES = (1, 2, 2, 2)
EPSILON = 1e-5


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(values):
    shifted = np.exp(values - values.max())
    return shifted / shifted.sum()


def relu(values):
    return np.maximum(values, 0)


def convolved(pictures, kernel, *, stride):
    """(N, C, H, W) by (O, C, h, w), with half a kernel of zeros around."""
    size = kernel.shape[-1]
    around = np.pad(pictures, [(0, 0), (0, 0), (size // 2, size // 2), (size // 2, size // 2)])
    height, width = (-(-side // stride) for side in pictures.shape[2:])
    found = np.zeros((len(pictures), len(kernel), height, width))
    for row in range(height):
        for column in range(width):
            patch = around[:, :, row * stride : row * stride + size, column * stride : column * stride + size]
            found[:, :, row, column] = np.tensordot(patch, kernel, axes=([1, 2, 3], [1, 2, 3]))
    return found


def max_pooled(pictures):
    """3 x 3 at a stride of 2, edges ignored."""
    around = np.pad(pictures, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    height, width = (-(-side // 2) for side in pictures.shape[2:])
    rows = [
        [around[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max((2, 3)) for column in range(width)]
        for row in range(height)
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=2)


class Twin:
    """The network. state: dict of the authors' names, without ``base_model.``, to arrays; training: how batch norm goes.

    frames: of each clip, real ones; the rest of num_frames is padding.
    """

    def __init__(self, state, *, num_frames, blocks, training=False):
        self.state = {name: np.asarray(array, np.float64) for name, array in state.items()}
        self.num_frames, self.blocks, self.training = num_frames, blocks, training

    def logits(self, pictures, frames):
        """Of pictures (B, T, H, W, 3) uint8, of which the first ``frames`` of each clip count."""
        batch, length = pictures.shape[:2]
        self.real = np.arange(length)[None] < np.asarray(frames)[:, None]
        values = (
            ((pictures / 255 - MEAN) / STD).transpose(0, 1, 4, 2, 3).reshape(batch * length, 3, *pictures.shape[2:4])
        )
        values = max_pooled(relu(self._norm(convolved(values, self.state["conv1.weight"], stride=2), "bn1")))
        for stage, count in enumerate(self.blocks, 1):
            for block in range(count):
                values = self._block(values, f"layer{stage}.{block}", 1 if block else STRIDES[stage - 1])
        by_frame = values.mean((2, 3)).reshape(batch, length, -1)
        vectors = np.stack([clip[real].mean(0) for clip, real in zip(by_frame, self.real)])
        return vectors @ self.state["new_fc.weight"].T + self.state["new_fc.bias"]

    def _block(self, values, name, stride):
        inner = relu(self._norm(convolved(values, self.state[f"{name}.net.conv1.weight"], stride=1), f"{name}.net.bn1"))
        inner = self._module(inner, f"{name}.tam")
        inner = convolved(inner, self.state[f"{name}.net.conv2.weight"], stride=stride)
        inner = relu(self._norm(inner, f"{name}.net.bn2"))
        inner = self._norm(convolved(inner, self.state[f"{name}.net.conv3.weight"], stride=1), f"{name}.net.bn3")
        if f"{name}.net.downsample.0.weight" in self.state:
            values = convolved(values, self.state[f"{name}.net.downsample.0.weight"], stride=stride)
            values = self._norm(values, f"{name}.net.downsample.1")
        return relu(inner + values)

    def _norm(self, values, name):
        """Of (B T, C, H, W), over the real frames of a batch."""
        flat = np.moveaxis(values, 1, -1)
        return np.moveaxis(self._normalised(flat, flat[self.real.ravel()], name), -1, 1)

    def _normalised(self, values, counted, name):
        """Values (..., C) by the mean and variance of ``counted`` (..., C), or by those that are kept."""
        part = lambda kind: self.state[f"{name}.{kind}"]
        mean, variance = part("running_mean"), part("running_var")
        if self.training:
            rows = counted.reshape(-1, counted.shape[-1])
            mean, variance = rows.mean(0), rows.var(0)
        return (values - mean) / np.sqrt(variance + EPSILON) * part("weight") + part("bias")

    def _module(self, values, name):
        """The temporal adaptive module: eq. 2 to 6 of the paper, clip by clip and channel by channel."""
        weight = lambda kind: self.state[f"{name}.{kind}.weight"]
        batch, (channels, height, width) = len(self.real), values.shape[1:]
        clips = values.reshape(batch, self.num_frames, channels, height, width) * self.real[..., None, None, None]
        pooled = clips.mean((3, 4))
        wide = np.stack([[weight("G.0") @ pooled[b, :, c] for c in range(channels)] for b in range(batch)])
        wide = relu(self._normalised(wide, wide, f"{name}.G.1"))
        squeeze, excite = weight("L.0"), weight("L.3")[:, :, 0]
        around = np.pad(pooled, [(0, 0), (1, 1), (0, 0)])
        narrow = np.stack([
            [np.einsum("ock,kc->o", squeeze, around[b, t : t + 3]) for t in range(self.num_frames)] for b in range(batch)
        ])  # fmt: skip
        narrow = relu(self._normalised(narrow, narrow[self.real], f"{name}.L.1"))
        found = np.zeros_like(clips)
        for b in range(batch):
            gated = clips[b] * sigmoid(narrow[b] @ excite.T)[:, :, None, None]
            for c in range(channels):
                kernel = softmax(weight("G.3") @ wide[b, c])
                for t in range(self.num_frames):
                    for place in range(3):
                        if 0 <= t + place - 1 < self.num_frames:
                            found[b, t, c] += kernel[place] * gated[t + place - 1, c]
        return found.reshape(values.shape)
