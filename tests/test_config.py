"""Configs: checked when made, the same after a trip through JSON."""

import dataclasses

import pytest

from yt8m.config import (
    AugmentConfig,
    Config,
    ConsistencyConfig,
    DataConfig,
    MaskedFramesConfig,
    ModelConfig,
    RunConfig,
    TrainConfig,
)
from yt8m.types import InputError

EXAMPLES = [
    DataConfig(),
    DataConfig(feature_names=("audio",), feature_sizes=(128,), sampling="random", skip_corrupt=True),
    ModelConfig(name="frame_bert", hyperparameters={"num_layers": 2, "pooling": "mean"}),
    TrainConfig(num_epochs=None, max_steps=10, base_learning_rate=0.001, augment=AugmentConfig(shift=1, mixup=0.2)),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class OuterConfig(Config):
    """A config of configs, one of them optional."""

    data: DataConfig
    model: ModelConfig | None = None


NESTED = [
    OuterConfig(data=EXAMPLES[1]),
    OuterConfig(data=EXAMPLES[0], model=EXAMPLES[2]),
    RunConfig(data=EXAMPLES[1], model=EXAMPLES[2], train=EXAMPLES[3], holdout_fraction=0.5, tta=(-2, 1)),
]


@pytest.mark.parametrize("config", EXAMPLES + NESTED)
def test_round_trip(config):
    assert type(config).from_json(config.to_json()) == config
    assert type(config).from_dict(config.to_dict()) == config


def test_unknown_fields_are_errors():
    with pytest.raises(InputError, match="DataConfig has no field colour; known: .*feature_names"):
        DataConfig.from_dict({"colour": "red"})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"feature_names": ("rgb",)}, "must have the same, positive, number"),
        ({"feature_names": (), "feature_sizes": ()}, "must have the same, positive, number"),
        ({"feature_names": ("rgb", "rgb")}, "repeats a name: rgb,rgb"),
        ({"feature_sizes": (1024, 0)}, "feature_sizes is (1024, 0); it must be at least 1"),
        ({"num_classes": 0}, "num_classes is 0; it must be at least 1"),
        ({"sampling": "some"}, "sampling is 'some'; valid: sequence, random, random_ordered, uniform"),
        ({"unrated": "x"}, "unrated is 'x'; valid: masked, negative, video_negative"),
        ({"border": "x"}, "border is 'x'; valid: clamp, roll, reflect, mask"),
        ({"level": "x"}, "level is 'x'; valid: frame, video"),
    ],
)
def test_data_config_is_checked(changes, message):
    with pytest.raises(InputError) as error:
        DataConfig().replace(**changes)
    assert message in str(error.value)


def test_train_config_is_checked():
    with pytest.raises(InputError, match="batch_size is 0"):
        TrainConfig(batch_size=0)
    with pytest.raises(InputError, match="set num_epochs or max_steps"):
        TrainConfig(num_epochs=None)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"shift": -1}, "shift is -1; it must be at least 0"),
        ({"mixup": -0.1}, "mixup is -0.1; it must be at least 0"),
        ({"frame_masking": 1.5}, "frame_masking is 1.5; it must be at least 0 and at most 1"),
        ({"modality_dropout": -1}, "modality_dropout is -1; it must be at least 0"),
    ],
)
def test_augment_config_is_checked(changes, message):
    with pytest.raises(InputError, match=message):
        AugmentConfig(**changes)


def test_features_are_in_reading_order():
    assert list(DataConfig().features.items()) == [("rgb", 1024), ("audio", 128)]


def test_configs_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DataConfig().num_classes = 5


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"label_weight": 0.0}, "label_weight is 0, and there is nothing else to learn"),
        (
            {"label_weight": 0.0, "masked_frames": MaskedFramesConfig(weight=1.0), "average_checkpoints": 2},
            "average_checkpoints goes by the score of labels",
        ),
        ({"balance_threshold": 0.1}, "balance_threshold repeats rated segments: set segment_labels"),
        ({"multigrid": True, "num_epochs": None, "max_steps": 3}, "multigrid needs num_epochs"),
        ({"pseudo_ratio": 0.0}, "pseudo_ratio is 0.0; it must be above 0 and at most 1,000"),
    ],
)
def test_ways_of_learning_that_do_not_go_together(changes, message):
    with pytest.raises(InputError, match=message):
        TrainConfig(**changes)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MaskedFramesConfig(fraction=1.0), "fraction is 1.0; it must be above 0 and below 1"),
        (lambda: MaskedFramesConfig(method="bce"), "method is 'bce'; valid: nce, mse"),
        (lambda: ConsistencyConfig(weight=-1.0), "weight is -1.0; it must be at least 0"),
        (lambda: ConsistencyConfig(confidence=0.4), "confidence is 0.4; it must be at least 0.5 and at most 1"),
        (lambda: ConsistencyConfig(annealing="cos"), "annealing is 'cos'; valid: none, linear, log, exp"),
    ],
)
def test_what_is_learned_beside_labels_is_checked(make, message):
    with pytest.raises(InputError, match=message):
        make()
