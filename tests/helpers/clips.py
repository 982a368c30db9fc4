"""Small clips whose pictures tell their own number, and a small model of clips."""

import io

import keras
import numpy as np
from keras import ops
from PIL import Image

from yt8m.config import ClipConfig, DataConfig
from yt8m.data.clip_records import ClipRecord
from yt8m.layers.masking import masked_mean
from yt8m.models.base import VideoModel

_STEP = 4

CLIPS = DataConfig(
    feature_names=("pictures",),
    feature_sizes=(3,),
    level="clip",
    num_classes=10,
    num_frames=4,
    sampling="uniform",
    clip=ClipConfig(size=16),
)


def jpeg(picture, quality=95, form="JPEG"):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, form, **({"quality": quality} if form == "JPEG" else {}))
    return file.getvalue()


def decoded(encoded):
    """(H, W, 3) uint8, by Pillow."""
    return np.array(Image.open(io.BytesIO(encoded)).convert("RGB"))


def flat(number, size=(24, 32)):
    """A picture of one grey, which tells its number, below 64."""
    return np.full((*size, 3), _STEP * (number % 64), np.uint8)


def numbers_of(pictures):
    """The numbers of pictures of ``flat``, (..., H, W, 3) -> (...)."""
    return np.rint(np.asarray(pictures, np.float64).mean(axis=(-3, -2, -1)) / _STEP).astype(int)


def make_clip(video_id="a", count=40, *, rate=8.0, size=(24, 32), times=None, labels=(1, 2), segments=None, first=0):
    """A ClipRecord of ``flat`` pictures numbered from ``first`` on. times: seconds of each, else by the rate."""
    times = [place / rate for place in range(count)] if times is None else times
    return ClipRecord(
        video_id=video_id,
        pictures=tuple(jpeg(flat(number, size)) for number in range(first, first + len(times))),
        times=tuple(round(1e6 * time) for time in times),
        size=size,
        rate=rate,
        labels=labels,
        segments=segments,
    )


@keras.saving.register_keras_serializable("tests")
class TinyClip(VideoModel):
    """Convolutions of each picture; their mean, and the mean of how much they change."""

    levels = ("clip",)

    def __init__(self, *, feature_sizes, num_classes, level="clip", l2_normalize=False, name=None, dtype=None):
        super().__init__(
            feature_sizes=feature_sizes,
            num_classes=num_classes,
            level=level,
            l2_normalize=l2_normalize,
            name=name,
            dtype=dtype,
        )
        self.convolutions = [keras.layers.Conv2D(width, 3, strides=2, activation="relu") for width in (8, 16)]
        self.head = self.make_head("logistic", num_mixtures=None)

    def symbolic_inputs(self):
        return {
            "pictures": keras.KerasTensor((None, None, None, None, 3), dtype="uint8"),
            "num_frames": keras.KerasTensor((None,), dtype="int32"),
        }

    def embed(self, inputs, *, training=None):
        pictures = ops.cast(inputs["pictures"], "float32") / 255
        shape = ops.shape(pictures)
        values = ops.reshape(pictures, (-1, *shape[2:4], 3))
        for layer in self.convolutions:
            values = layer(values)
        values = ops.reshape(ops.mean(values, axis=(1, 2)), (-1, shape[1], 16))
        mask = ops.arange(shape[1])[None, :] < inputs["num_frames"][:, None]
        changes = ops.abs(values[:, 1:] - values[:, :-1])
        return ops.concatenate([masked_mean(values, mask), masked_mean(changes, mask[:, 1:])], axis=-1)
