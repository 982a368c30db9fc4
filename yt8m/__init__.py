"""What happens in a video, and when: video segment classification from video files or frame features.

The public Python API; everything is imported when it is first used. A run from nothing, on a synthetic data set:

>>> import yt8m
>>> world = yt8m.write_demo("world", size="tiny")
>>> data = yt8m.DataConfig(num_classes=world["num_classes"], num_frames=5)

Training from a config, on rated segments of which a part is held out:

>>> run = yt8m.RunConfig(
...     data=data,
...     model=yt8m.ModelConfig(name="logistic"),
...     train=yt8m.TrainConfig(segment_labels=True, batch_size=16, num_epochs=2, base_learning_rate=0.01),
...     train_data_pattern="world/validate/*.tfrecord",
...     holdout_files=2,
... )
>>> yt8m.train(run, train_dir="run").finished
True

A timeline of one video, given as arrays of a row a second, or as a record:

>>> import numpy as np
>>> trained = yt8m.load("run")
>>> timeline = trained.predict({"rgb": np.zeros((12, 1024)), "audio": np.zeros((12, 128))})
>>> timeline.starts.tolist(), timeline.end, timeline.scores.shape
([0, 5, 10], 12, (30, 3))
>>> trained.predict_record("world/test/*.tfrecord", video_id="test00000").video_id
'test00000'

A ranking of all segments, fused with another one, and scored:

>>> top = trained.rank("world/test/*.tfrecord", output_file="a.csv")
>>> trained.views = (-1, 0, 1)
>>> top = trained.rank("world/test/*.tfrecord", output_file="b.csv")
>>> report = yt8m.fuse(["a.csv", "b.csv"], "fused.csv", fusion=yt8m.Fusion((1, 2)))
>>> report.num_classes
30
>>> labels = yt8m.RatedLabels.from_csv("world/test_labels.csv")
>>> 0 < yt8m.evaluate_submission("fused.csv", labels).map_at_k <= 1
True

A model and a data set by themselves:

>>> model = yt8m.build_preset("BERTMean_L2h12", data)
>>> batches = yt8m.make_dataset(yt8m.list_files("world/validate/*.tfrecord"), data, windows="rated", batch_size=4)
>>> features, targets = next(iter(batches))
>>> model(features).shape
TensorShape([4, 30])
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.9.2"

_HOMES = {
    "AugmentConfig": "yt8m.config",
    "BACKBONES": "yt8m.features.backbones",
    "Backbone": "yt8m.features.backbones",
    "ClipConfig": "yt8m.config",
    "ConsistencyConfig": "yt8m.config",
    "DataConfig": "yt8m.config",
    "DataWarning": "yt8m.types",
    "Evaluation": "yt8m.ranking.evaluation",
    "ExtractionSettings": "yt8m.features.settings",
    "Extractor": "yt8m.features.extraction",
    "Fusion": "yt8m.ensemble.fusion",
    "InputError": "yt8m.types",
    "MODELS": "yt8m.models",
    "MaskedFramesConfig": "yt8m.config",
    "MaskedTokensConfig": "yt8m.config",
    "ModelConfig": "yt8m.config",
    "PRESETS": "yt8m.models.presets",
    "RatedLabels": "yt8m.ranking.rated_labels",
    "RunConfig": "yt8m.config",
    "Segment": "yt8m.types",
    "Source": "yt8m.data.splits",
    "Submission": "yt8m.ranking.submission",
    "TextConfig": "yt8m.config",
    "TimedText": "yt8m.types",
    "Timeline": "yt8m.ranking.timelines",
    "TrainConfig": "yt8m.config",
    "TrainedRun": "yt8m.inference.trained",
    "VideoModel": "yt8m.models.base",
    "build_model": "yt8m.models.base",
    "build_preset": "yt8m.models.base",
    "evaluate_submission": "yt8m.ranking.evaluation",
    "fuse": "yt8m.ensemble.fusion",
    "list_files": "yt8m.data.tfrecord",
    "load": "yt8m.inference.trained",
    "load_backbone": "yt8m.features.backbones",
    "make_dataset": "yt8m.data.pipeline",
    "train": "yt8m.training.train",
    "write_actions": "yt8m.data.making.actions",
    "write_demo": "yt8m.data.making.synthetic",
    "write_submission": "yt8m.ranking.submission",
}
"""Public names and the modules that they come from."""

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'yt8m' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


if TYPE_CHECKING:
    from yt8m.config import (
        AugmentConfig,
        ClipConfig,
        ConsistencyConfig,
        DataConfig,
        MaskedFramesConfig,
        MaskedTokensConfig,
        ModelConfig,
        RunConfig,
        TextConfig,
        TrainConfig,
    )
    from yt8m.data.making.actions import write_actions
    from yt8m.data.making.synthetic import write_demo
    from yt8m.data.pipeline import make_dataset
    from yt8m.data.splits import Source
    from yt8m.data.tfrecord import list_files
    from yt8m.ensemble.fusion import Fusion, fuse
    from yt8m.features.backbones import BACKBONES, Backbone, load_backbone
    from yt8m.features.extraction import Extractor
    from yt8m.features.settings import ExtractionSettings
    from yt8m.inference.trained import TrainedRun, load
    from yt8m.models import MODELS
    from yt8m.models.base import VideoModel, build_model, build_preset
    from yt8m.models.presets import PRESETS
    from yt8m.ranking.evaluation import Evaluation, evaluate_submission
    from yt8m.ranking.rated_labels import RatedLabels
    from yt8m.ranking.submission import Submission, write_submission
    from yt8m.ranking.timelines import Timeline
    from yt8m.training.train import train
    from yt8m.types import DataWarning, InputError, Segment, TimedText
