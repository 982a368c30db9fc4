"""Architectures by name. Importing this module is cheap; the first lookup imports Keras."""

from yt8m.registry import Registry

MODELS = Registry(
    "model",
    modules=tuple(
        f"yt8m.models.{module}"
        for module in ("logistic", "moe", "dbof", "gated_netvlad", "nextvlad", "mix_nextvlad", "frame_bert", "video_context")
    ),
)
