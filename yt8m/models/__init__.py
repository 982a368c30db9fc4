"""Architectures, their presets, and the losses that they minimise.

Importing this module is cheap: a model's own module, and with it Keras, is imported when the model is looked up.
"""

from yt8m.registry import Registry

MODELS = Registry(
    "model",
    modules={
        name: f"yt8m.models.{name}"
        for name in (
            "clip_cnn",
            "dbof",
            "frame_bert",
            "gated_netvlad",
            "logistic",
            "mix_nextvlad",
            "moe",
            "multimodal_bert",
            "nextvlad",
            "slowfast",
            "tanet",
            "video_context",
        )
    },
)
"""Architectures by name; each module here is named as the model that it registers."""
