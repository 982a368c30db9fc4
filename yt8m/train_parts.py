"""Parts of a TrainConfig: learning rate, augmentation, masked frames and consistency; see yt8m.config."""

import dataclasses
from typing import Any

from yt8m.options import Config, option
from yt8m.types import MAX_FRAMES

MASKED_FRAMES = ("nce", "mse")
ANNEALINGS = ("none", "linear", "log", "exp")
SCHEDULES = ("exponential", "cosine")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RateConfig(Config):
    """Course of the learning rate over a run and over the depth of the model, and batches of an update."""

    schedule: str = option(
        "exponential",
        "Schedule of the learning rate: exponential, by --learning_rate_decay; cosine, to 0 at --max_steps (Loshchilov "
        "& Hutter 2017).",
        choices=SCHEDULES,
        flag="learning_rate_schedule",
    )
    warmup_steps: int = option(
        0, "Steps over which the learning rate grows to what the schedule says.", unit="steps", low=0
    )
    layer_decay: float = option(
        1.0,
        "Factor on the learning rate from each group of layers, as the stages of a network of clips, to the one below "
        "it; the head has the rate itself. Weight decay is that of the rate itself everywhere.",
        above=0,
        high=1,
    )
    accumulate_batches: int = option(
        1,
        "Batches whose mean gradient makes one update, as one so many times as large would but for batch norm. Steps "
        "are of one batch.",
        unit="batches",
        low=1,
        high=1 << 20,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig(Config):
    """Random changes of training examples, drawn anew in every epoch; none by default. See yt8m.data.augment."""

    shift: int = option(
        0,
        "Largest random shift of a segment, in either direction.",
        unit="frames",
        low=0,
        high=MAX_FRAMES,
        flag="augment_shift",
    )
    dilute: bool = option(
        False, "Random dilution: every second of the 9 frames around a segment.", flag="augment_dilute"
    )
    enlarge: bool = option(
        False, "Random enlargement: 2 more frames on either side of a segment.", flag="augment_enlarge"
    )
    frame_masking: float = option(0.0, "Probability that a frame is blanked.", low=0, high=1)
    frame_dropping: float = option(0.0, "Probability that a frame is removed; at least one stays.", low=0, high=1)
    modality_dropout: float = option(0.0, "Probability that one feature of an example is blanked.", low=0, high=1)
    mixup: float = option(
        0.0,
        "Mixup of pairs of examples and their labels: alpha of the Beta distribution of shares, as in 0.2; 0 for none.",
        low=0,
        high=100,
    )

    @property
    def of_segments(self) -> bool:
        """Whether segments are seen under other views."""
        return bool(self.shift or self.dilute or self.enlarge)

    @property
    def of_frames(self) -> bool:
        """Whether single frames are changed."""
        return bool(self.frame_masking or self.frame_dropping)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedFramesConfig(Config):
    """Masked frame modelling beside the labels, see yt8m.layers.masked_frames; a weight of 0 turns it off."""

    weight: float = option(
        0.0,
        "Weight of the masked-frame loss beside that of the labels.",
        low=0,
        high=1e6,
        flag="masked_frames_weight",
        defaults_to="1 with --masked_frames",
    )
    method: str = option(
        "nce",
        "Masked frame modelling by a frame_bert: contrastive, each hidden frame among others (nce), or regression of "
        "its values (mse).",
        choices=MASKED_FRAMES,
        flag="masked_frames",
        defaults_to="off",
    )
    fraction: float = option(
        0.15, "Share of a video's frames that are hidden, at least one frame.", above=0, below=1, flag="mask_fraction"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsistencyConfig(Config):
    """Consistency training on unlabelled segments (UDA, Xie et al. 2020), see yt8m.models.learner; weight 0 is off."""

    weight: float = option(
        0.0,
        "Weight of the consistency loss on --unlabelled_data_pattern.",
        low=0,
        high=1e6,
        flag="uda_weight",
        defaults_to="1 with --unlabelled_data_pattern",
    )
    ratio: int = option(
        1, "Unlabelled segments for each labelled one of a step.", unit="segments", low=1, high=64, flag="uda_ratio"
    )
    temperature: float = option(
        0.4,
        "Temperature of the target probabilities; below 1 sharpens them.",
        above=0,
        high=100,
        flag="uda_temperature",
    )
    confidence: float = option(
        0.8,
        "Least probability of the likelier of yes and no for a (segment, class) pair to count.",
        low=0.5,
        high=1,
        flag="uda_confidence",
    )
    annealing: str = option(
        "none",
        "Schedule of training signal annealing: labelled pairs that are right with more than a rising probability do "
        "not count.",
        choices=ANNEALINGS,
        flag="tsa",
    )
    annealing_steps: int = option(
        1,
        "Steps over which --tsa releases all pairs.",
        unit="steps",
        low=1,
        flag="tsa_steps",
        defaults_to="--max_steps",
    )


def with_switches(train: dict[str, Any]) -> dict[str, Any]:
    """Values of a TrainConfig with mixed_precision on or off, where an earlier release wrote true or false."""
    kept = train.get("mixed_precision")
    return train | {"mixed_precision": "on" if kept else "off"} if isinstance(kept, bool) else train
