"""Training examples changed at random, a batch at a time, by draws that depend on a seed alone.

Segments come with a margin of frames on either side, from which views of them are taken; of clips the pictures are
changed as they are decoded, see yt8m.data.pictures. Bytes are changed as they are:
a byte of 127 dequantises to about 0, and a mixture of bytes to the mixture of what they stand for.
"""

from typing import Any

import tensorflow as tf

from yt8m.config import AugmentConfig, DataConfig
from yt8m.data.views import NAMED_VIEWS, View, as_view, view_frames, view_length
from yt8m.types import SEGMENT_SECONDS, InputError, Tensor

_BLANK = 127
"""The byte that stands for about 0: 127 * 4 / 255 + 4 / 512 - 2 = -0.00003."""

_COUNTS = ("num_frames", "num_video_frames")
_PLACE = ("segment_start", "segment_length")


def margin_of(config: AugmentConfig) -> int:
    """Frames that an AugmentConfig needs on either side of a segment."""
    return max(config.shift, 2 if config.dilute or config.enlarge else 0)


def allowed_views(config: AugmentConfig) -> list[int | str]:
    """The views that an AugmentConfig draws from: list of int and str, see yt8m.data.views."""
    return [*range(-config.shift, config.shift + 1), *(name for name in NAMED_VIEWS if getattr(config, name))]


def check_augment(config: AugmentConfig, data_config: DataConfig, *, windows: str) -> None:
    """Raises InputError where the AugmentConfig does not go with what a DataConfig and ``windows`` read."""
    clips = data_config.level == "clip"
    if config.of_pictures and not clips:
        raise InputError(
            "random_crop, random_flip and colour_jitter change pictures, and these records are "
            f"{data_config.level}-level: leave them out"
        )
    if config.of_segments and clips:
        raise InputError(
            "augment_shift, augment_dilute and augment_enlarge are views of features of frames, and these records are "
            "clips: leave them out"
        )
    if config.of_segments and windows == "video":
        raise InputError("augment_shift, augment_dilute and augment_enlarge are views of segments: set segment_labels")
    if config.of_frames and data_config.level == "video":
        raise InputError(
            "frame_masking and frame_dropping change frames, and video-level records have none: set them to 0"
        )
    if config.mixup and data_config.text.fields:
        raise InputError("mixup mixes numbers, and texts have none: set it to 0, or leave out text_fields")
    if config.modality_dropout and len(data_config.features) == 1 and not data_config.text.fields:
        raise InputError(
            f"modality_dropout needs more features than {data_config.feature_names[0]}, which would be all: set it to 0"
        )


def with_place(features: dict[str, Tensor], starts: Tensor, *, margin: int, border: str) -> dict[str, Tensor]:
    """Features of segments with a margin, as examples.parse_rated gives them, with where in them the segments are.

    starts: (B,) int32, in their videos. Adds "segment_start" and "segment_length" (B,) int32: what take_view and
    augment_batch need.
    """
    counts = features["num_frames"]
    # What another policy than mask puts beyond the video's ends is there.
    first = tf.minimum(starts, margin) if border == "mask" else tf.fill(tf.shape(counts), margin)
    lengths = tf.minimum(SEGMENT_SECONDS, counts - first) if border == "mask" else counts - 2 * margin
    return features | {"segment_start": first, "segment_length": lengths}


def take_view(features: dict[str, Tensor], view: View = View(), *, length: int = SEGMENT_SECONDS) -> dict[str, Tensor]:
    """Segments under one view, of features as with_place gives them: (B, length, size) uint8 and "num_frames".

    view: View of ints, or of int tensors (B, 1). Frames behind num_frames are zeros.
    """
    features = dict(features)
    starts, lengths = (features.pop(name) for name in _PLACE)
    indices, counts = view_frames(
        starts, lengths, features.pop("num_frames"), **view._asdict(), length=length, border="mask"
    )
    indices, counts = indices[:, 0], counts[:, 0]
    for name in _frame_features(features):
        features[name] = tf.gather(features[name], indices, batch_dims=1)
    return _without_rest(features | {"num_frames": counts})


def augment_batch(features: dict[str, Tensor], config: AugmentConfig, *, seed: Tensor) -> dict[str, Tensor]:
    """A batch changed as an AugmentConfig says, but for mixup: features like those that the reader gives.

    features: those of segments as with_place gives them, with a margin of at least margin_of(config), labelled or not;
    or those of whole videos. seed: (2,) ints or int tensor, on which alone the result depends.
    """
    seeds = tf.random.experimental.stateless_split(seed, 5)
    features = dict(features)
    if _PLACE[0] in features:
        views = allowed_views(config)
        drawn = _integers(tf.shape(features["num_frames"]), seeds[0], below=len(views))
        view = tf.gather(tf.constant([as_view(view) for view in views]), drawn)
        features = take_view(features, View(*tf.split(view, 3, axis=1)), length=view_length(views))
    if config.frame_masking:
        features = _mask_frames(features, config.frame_masking, seed=seeds[1])
    if config.frame_dropping:
        features = _drop_frames(features, config.frame_dropping, seed=seeds[2])
    if config.modality_dropout:
        features = _drop_modality(features, config.modality_dropout, seeds=seeds[3:])
    return _without_rest(features)


def original_and_augmented(features: dict[str, Tensor], config: AugmentConfig, *, seed: Tensor) -> dict[str, Tensor]:
    """Two versions of segments side by side, as they are and as augment_batch makes them; arguments as there.

    Every feature gets a second axis of 2: (B, 2, T, size) and "num_frames" (B, 2).
    """
    length = view_length(allowed_views(config))
    original, augmented = take_view(features, length=length), augment_batch(features, config, seed=seed)
    return {name: tf.stack([original[name], augmented[name]], axis=1) for name in original}


def mix_batch(
    features: dict[str, Tensor], targets: dict[str, Any], *, alpha: float, seed: Tensor
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Each example mixed with the one before it in the batch (Zhang et al. 2018, mixup): (features, targets).

    An example's share is drawn from Beta(alpha, alpha); the mixture has as many frames as the shorter one. targets:
    sparse; get "share" (B, 1) float32 and "partner", see yt8m.models.targets. seed: (2,) ints or int tensor.
    """
    count = tf.shape(targets["unrated"])[0]
    draws = tf.random.stateless_gamma([2, count, 1], seed, alpha, dtype=tf.float64)
    share = tf.cast(tf.math.divide_no_nan(draws[0], draws[0] + draws[1]), tf.float32)
    mixed = {}
    for name, values in features.items():
        partner = tf.roll(values, 1, axis=0)
        if name in _COUNTS:
            mixed[name] = tf.minimum(values, partner)
            continue
        part = tf.reshape(share, [-1] + [1] * (len(values.shape) - 1))
        mixture = part * tf.cast(values, tf.float32) + (1 - part) * tf.cast(partner, tf.float32)
        mixed[name] = tf.cast(tf.round(mixture), tf.uint8) if values.dtype == tf.uint8 else mixture
    partner = tf.nest.map_structure(lambda values: tf.roll(values, 1, axis=0), targets)
    return _without_rest(mixed), targets | {"share": share, "partner": partner}


def _mask_frames(features, probability, *, seed):
    names = _frame_features(features)
    draw = tf.random.stateless_uniform(tf.shape(features[names[0]])[:2], seed)
    return features | {name: _blanked(features[name], draw < probability) for name in names}


def _drop_frames(features, probability, *, seed):
    """At least one frame stays; those that do keep their order."""
    names = _frame_features(features)
    length = tf.shape(features[names[0]])[1]
    there = tf.sequence_mask(features["num_frames"], length)
    draw = tf.where(there, tf.random.stateless_uniform(tf.shape(there), seed), -1.0)
    kept = there & ((draw >= probability) | (draw == tf.reduce_max(draw, axis=1, keepdims=True)))
    slots = tf.range(length)
    order = tf.argsort(tf.where(kept, slots, slots + length))
    features = features | {name: tf.gather(features[name], order, batch_dims=1) for name in names}
    return features | {"num_frames": tf.reduce_sum(tf.cast(kept, tf.int32), axis=1)}


def _drop_modality(features, probability, *, seeds):
    names = _modalities(features)
    count = tf.shape(features[names[0]])[:1]
    hit = tf.random.stateless_uniform(count, seeds[0]) < probability
    drawn = _integers(count, seeds[1], below=len(names))
    features = dict(features)
    for number, name in enumerate(names):
        for part in (name, f"video_{name}"):
            if part in features:
                features[part] = _blanked(features[part], hit & (drawn == number))
    return features


def _blanked(values, where):
    if values.dtype == tf.string:
        return tf.where(_as_wide(where, values), "", values)
    return tf.where(_as_wide(where, values), tf.cast(_BLANK if values.dtype == tf.uint8 else 0, values.dtype), values)


def _as_wide(mask, values):
    """A mask of examples or frames with the further axes of ``values``."""
    for _ in range(len(values.shape) - len(mask.shape)):
        mask = mask[..., None]
    return mask


def _without_rest(features):
    """Features with zeros behind the frames that count."""
    features = dict(features)
    for name, values in features.items():
        if values.dtype != tf.uint8:
            continue
        counts = features["num_frames" if name in _modalities(features) else "num_video_frames"]
        there = _as_wide(tf.sequence_mask(counts, tf.shape(values)[1]), values)
        features[name] = tf.where(there, values, tf.zeros_like(values))
    return features


def _modalities(features):
    """Names of the features that are not those of whole videos beside them."""
    names = [name for name in features if name not in _COUNTS + _PLACE]
    return [
        name for name in names if name.removeprefix("video_") == name or name.removeprefix("video_") not in features
    ]


def _frame_features(features):
    return [name for name in _modalities(features) if features[name].dtype == tf.uint8]


def _integers(shape, seed, *, below):
    return tf.random.stateless_uniform(shape, seed, minval=0, maxval=below, dtype=tf.int32)
