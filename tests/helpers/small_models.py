"""Each model, small, and inputs for it."""

import keras
import numpy as np

from yt8m.config import DataConfig, ModelConfig, TextConfig
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
    "depth": 14,
    "width": 8,
    "alpha": 2,
    "network": "MobileNet",
}

VIDEO_FRAMES = 8

TEXT = TextConfig(fields=("title", "asr"), tokenizer="tokenizer.json", max_tokens=6, vocabulary_size=30)


def is_of_clips(name):
    return MODELS[name].levels == ("clip",)


def data_config(name="logistic", **changes):
    if is_of_clips(name):
        clips = {"level": "clip", "feature_names": ("pictures",), "feature_sizes": (3,)}
        return DataConfig(num_classes=NUM_CLASSES, **clips | changes)
    if MODELS[name].takes_video_frames:
        changes["video_frames"] = VIDEO_FRAMES
    if MODELS[name].takes_texts:
        changes = {"text": TEXT} | changes
    return DataConfig(feature_names=("rgb", "audio"), feature_sizes=(24, 8), num_classes=NUM_CLASSES, **changes)


def small_model(name, overrides=(), **data_changes):
    keras.utils.set_random_seed(1)
    small = small_settings(name) | dict(overrides)
    if name == "video_context":
        for part in ("segment", "context"):
            small[f"{part}_config"] = small_settings(small.get(f"{part}_model", "frame_bert"))
    model = build_model(ModelConfig(name=name, hyperparameters=small), data_config(name, **data_changes))
    if is_of_clips(name):
        # Residual branches start as nothing.
        for variable in model.trainable_variables:
            if variable.path.endswith("third/norm/gamma"):
                variable.assign(keras.ops.ones(variable.shape))
    if name == "clip_cnn":
        # Keras's own start lets next to nothing through without batch normalisation.
        for variable in model.network.trainable_variables:
            if len(variable.shape) == 4:
                inputs = np.prod(variable.shape[: 2 if variable.shape[3] == 1 else 3])
                variable.assign(keras.random.normal(variable.shape, stddev=(2 / inputs) ** 0.5))
    return model


def inputs_of(model, batch=6, seed=0):
    """A batch of segments, of frames or of clips as the model takes them, 1 to 5 frames of each real."""
    random = np.random.default_rng(seed)
    if model.levels == ("clip",):
        pictures = random.integers(0, 256, (batch, 5, 32, 40, 3), dtype=np.uint8)
        return {"pictures": pictures, "num_frames": random.integers(1, 6, batch).astype(np.int32)}
    inputs = {
        "rgb": random.integers(0, 256, (batch, 5, 24), dtype=np.uint8),
        "audio": random.integers(0, 256, (batch, 5, 8), dtype=np.uint8),
        "num_frames": random.integers(1, 6, batch).astype(np.int32),
        "video_rgb": random.integers(0, 256, (batch, VIDEO_FRAMES, 24), dtype=np.uint8),
        "video_audio": random.integers(0, 256, (batch, VIDEO_FRAMES, 8), dtype=np.uint8),
        "num_video_frames": random.integers(1, VIDEO_FRAMES, batch).astype(np.int32),
    }
    return inputs | (tokens_of(batch) if model.takes_texts else {})


def tokens_of(batch, seed=5):
    """Tokens of a batch of texts, none in the second example, two of each word."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, TEXT.max_tokens + 1, batch)
    lengths[1:2] = 0
    real = np.arange(TEXT.max_tokens) < lengths[:, None]
    places = np.broadcast_to(np.arange(TEXT.max_tokens), real.shape)
    made = {
        "tokens": random.integers(1, TEXT.vocabulary_size + 1, real.shape),
        "token_sources": 1 + places // 3,
        "token_words": 1 + places // 2,
    }
    return {name: np.where(real, values, 0).astype(np.int32) for name, values in made.items()}


def small_settings(name):
    small = {key: value for key, value in SMALL.items() if key in hyperparameters_of(name)}
    if name == "frame_bert":
        small.pop("hidden_size")
    if MODELS[name].takes_texts:
        small["num_layers"] = 2
    return small
