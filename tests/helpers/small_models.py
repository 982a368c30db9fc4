"""Each model, small."""

import keras

from yt8m.config import DataConfig, ModelConfig
from yt8m.models import MODELS
from yt8m.models.base import build_model, hyperparameters_of

NUM_CLASSES = 7

SMALL = {
    "num_heads": 4,
    "feed_forward_size": 40,
    "num_clusters": 4,
    "hidden_size": 16,
    "cluster_size": 20,
    "gating_reduction": 4,
    "num_mixtures": 2,
}

VIDEO_FRAMES = 8


def data_config(name="logistic", **changes):
    if MODELS[name].takes_video_frames:
        changes["video_frames"] = VIDEO_FRAMES
    return DataConfig(feature_names=("rgb", "audio"), feature_sizes=(24, 8), num_classes=NUM_CLASSES, **changes)


def small_model(name, overrides=(), **data_changes):
    keras.utils.set_random_seed(1)
    small = small_settings(name) | dict(overrides)
    if name == "video_context":
        for part in ("segment", "context"):
            small[f"{part}_config"] = small_settings(small.get(f"{part}_model", "frame_bert"))
    return build_model(ModelConfig(name=name, hyperparameters=small), data_config(name, **data_changes))


def small_settings(name):
    small = {key: value for key, value in SMALL.items() if key in hyperparameters_of(name)}
    if name == "frame_bert":
        small.pop("hidden_size")
    return small
