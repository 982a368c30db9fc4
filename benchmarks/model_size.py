"""Parameters and multiply-adds of the models and presets, for rgb and audio and 3862 classes.

    .venv/bin/python -m benchmarks.model_size

Prints a Markdown table, whose numbers the pages of docs/models have. Multiply-adds are those of the matrix products and
convolutions, for one example: a segment of 5 frames with all classes, with the 1000 that are ranked, and a video of 300
frames; or a clip of so many frames of 224 x 224 pixels.
"""

import numpy as np
from absl import app, flags

from benchmarks.model_speed import NUM_CLASSES, SEGMENT_CLASSES
from benchmarks.roofline import products_of_step
from yt8m.config import DataConfig, ModelConfig, TextConfig
from yt8m.models import MODELS
from yt8m.models.base import build_model
from yt8m.models.presets import PRESETS
from yt8m.types import TOKEN_INPUTS

_ROWS, _CLIPS = 8, 2
_SIDE = 224
CLIP_FRAMES = {"clip_cnn": 8, "slowfast": 32, "tanet": 8}
"""Frames of a clip, as in the papers."""

_VIDEO_FRAMES = 30
"""Of the whole video, for models that see these beside a segment."""

_TEXT = TextConfig(fields=("title", "asr"), tokenizer="tokenizer.json", vocabulary_size=16_000)
"""Of models that read texts."""

FLAGS = flags.FLAGS
flags.DEFINE_list("models", None, "Models and presets to count. Default: all.")


def main(_):
    print("| model | parameters | segment, all classes | segment, 1000 classes | video of 300 frames |")
    print("| --- | --- | --- | --- | --- |")
    cases = {name: (name, {}) for name in MODELS} | {
        name: (PRESETS[name].model, PRESETS[name].hyperparameters) for name in PRESETS
    }
    for title in FLAGS.models or cases:
        name, hyperparameters = cases[title]
        if name in CLIP_FRAMES:
            print(_of_clips(name))
            continue
        data = DataConfig(
            num_classes=NUM_CLASSES,
            video_frames=_VIDEO_FRAMES if MODELS[name].takes_video_frames else 0,
            text=_TEXT if MODELS[name].takes_texts else TextConfig(),
        )
        model = build_model(ModelConfig(name=name, hyperparameters=hyperparameters), data)
        inputs = model.symbolic_inputs()
        counts = [_multiply_adds(m, inputs, 5) for m in (model, model.for_classes(range(SEGMENT_CLASSES)))]
        # Joined outputs are of a fixed number of frames.
        counts += [] if hyperparameters.get("pooling") == "concat" else [_multiply_adds(model, inputs, 300)]
        shown = [f"{count / 1e6:,.0f} M" for count in counts] + ["-"] * (3 - len(counts))
        print(f"| {title} | {model.count_params():,} | {' | '.join(shown)} |", flush=True)


def _of_clips(name):
    clips = DataConfig(level="clip", feature_names=("pictures",), feature_sizes=(3,), num_classes=NUM_CLASSES)
    model, frames = build_model(ModelConfig(name=name), clips), CLIP_FRAMES[name]
    features = {
        "pictures": np.zeros((_CLIPS, frames, _SIDE, _SIDE, 3), np.uint8),
        "num_frames": np.full(_CLIPS, frames, np.int32),
    }
    count = sum(product.operations for product in products_of_step(model, features, None)) / 2 / _CLIPS
    return f"| {name} | {model.count_params():,} | {count / 1e6:,.0f} M in a clip of {frames} frames | - | - |"


def _multiply_adds(model, inputs, frames):
    features = {}
    for name, values in inputs.items():
        length = _VIDEO_FRAMES if "video_" in name else frames
        if name in TOKEN_INPUTS:
            features[name] = np.ones((_ROWS, values.shape[1]), np.int32)
        elif len(values.shape) == 1:
            features[name] = np.full(_ROWS, length, np.int32)
        else:
            features[name] = np.zeros((_ROWS, length, values.shape[-1]), np.uint8)
    return sum(product.operations for product in products_of_step(model, features, None)) / 2 / _ROWS


if __name__ == "__main__":
    app.run(main)
