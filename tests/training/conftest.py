"""What tests of training share."""

import json

import pytest

from yt8m.config import DataConfig, ModelConfig, RunConfig, TrainConfig
from yt8m.data.splits import split_sources
from yt8m.training.train import Resources, train

BERT = {"num_layers": 1, "num_heads": 2, "hidden_size": 8, "feed_forward_size": 16, "num_mixtures": 1, "dropout": 0.5}


@pytest.fixture
def make_run(demo_data):
    """Function that trains a small model; keyword arguments change the TrainConfig."""
    num_classes = json.loads((demo_data / "manifest.json").read_text())["num_classes"]
    pattern = str(demo_data / "validate" / "*.tfrecord")

    def run(
        folder,
        *,
        model=("frame_bert", BERT),
        init_from="",
        part_pattern=pattern,
        data=(),
        patterns=(),
        options=(),
        **settings,
    ):
        defaults = {"segment_labels": True, "batch_size": 16, "base_learning_rate": 0.01, "num_epochs": 2}
        source, holdout = split_sources(train_data_pattern=part_pattern, holdout_fraction=0.3)
        run = RunConfig(
            data=DataConfig(**({"num_classes": num_classes, "num_frames": 5} | dict(data))),
            model=ModelConfig(name=model[0], hyperparameters=model[1]),
            train=TrainConfig(**(defaults | settings)),
            train_data_pattern=part_pattern,
            init_from=str(init_from),
            **dict(patterns),
        )
        return train(run, source=source, holdout=holdout, train_dir=str(folder), resources=Resources(**dict(options)))

    return run
