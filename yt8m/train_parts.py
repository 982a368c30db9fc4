"""Parts of the configs of a run: clips, texts, learning rate, augmentation, what is masked; see yt8m.config."""

import dataclasses
from typing import Any

from yt8m.options import Config, fields_of, option
from yt8m.types import MAX_FRAMES, PICTURES, InputError, field_problem

MASKED_FRAMES = ("nce", "mse")
ANNEALINGS = ("none", "linear", "log", "exp")
CLIP_SAMPLINGS = ("uniform", "sequence")
SCHEDULES = ("exponential", "cosine")
CHANNELS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipConfig(Config):
    """What of clip records a model is shown, beside the number of frames and their sampling; see yt8m.data.clips."""

    size: int = option(
        112,
        "Side of the squares of a clip's pictures that a model is given.",
        unit="pixels",
        low=8,
        high=2048,
        flag="clip_size",
    )
    stride: int = option(
        1,
        "Distance of the frames of a clip, with --sampling=sequence.",
        unit="pictures",
        low=1,
        high=10_000,
        flag="clip_stride",
    )
    views: int = option(
        1,
        "Clips within each segment, or video, evenly spaced, whose scores are averaged; of clip records.",
        unit="views",
        low=1,
        high=30,
    )
    crops: int = option(
        1,
        "Crops of each picture whose scores are averaged: 1, its middle, or 3, along its longer side; of clip records.",
        low=1,
        high=3,
    )

    gamma: str = option(
        "off",
        "Gamma correction of clips as they are read: off; auto, by which the median of a darker one becomes a quarter "
        "of white; or a number from 0.1 to 1, lower for brighter.",
        flag="clip_gamma",
    )

    def _check(self):
        if self.crops == 2:
            raise InputError("crops is 2; it must be 1 or 3")
        check_gamma(self.gamma)

    @property
    def num_inputs(self) -> int:
        """Views of an example outside training."""
        return self.views * self.crops


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextConfig(Config):
    """What of the texts of records a model is given; nothing by default. See yt8m.data.texts and yt8m.data.tokens."""

    fields: tuple[str, ...] = option(
        (),
        "Texts to read beside the features, for --model=multimodal_bert, in this order, as in title,asr.",
        flag="text_fields",
        defaults_to="all that the first records have, for a model that reads texts",
    )
    tokenizer: str = option(
        "",
        "Tokenizer of the texts: a tokenizer.json as yt8m-tokenizer trains it, or any of Hugging Face's. The run "
        "keeps a copy.",
        defaults_to="that of --init_from",
        resumable=True,
    )
    max_tokens: int = option(
        128,
        "Tokens of an example, of all its texts; where there are more, each field gets an equal share, and what one "
        "does not need the others have.",
        unit="tokens",
        low=1,
        high=8192,
    )
    vocabulary_size: int = option(0, "Size of the tokenizer's vocabulary.", unit="tokens", low=0, flag=None)
    digest: str = option("", "SHA-256 of the tokenizer, in hex.", flag=None, resumable=True)

    def _check(self):
        for name in self.fields:
            if problem := field_problem(name):
                raise InputError(f"text_fields: {name[:40]!r} {problem}")
        if len(set(self.fields)) != len(self.fields):
            raise InputError(f"text_fields repeats a name: {','.join(self.fields)}")
        if self.fields and not (self.tokenizer and self.vocabulary_size):
            raise InputError("texts are read by a tokenizer: set tokenizer")

    def of_model(self) -> dict[str, Any]:
        """What decides about the weights of a model of texts, as JSON values."""
        return {
            "fields": list(self.fields),
            "max_tokens": self.max_tokens,
            "vocabulary_size": self.vocabulary_size,
        }


def check_gamma(text: str) -> None:
    """Raises InputError where a text is no gamma correction: off, auto or a number from 0.1 to 1."""
    if text in ("off", "auto"):
        return
    try:
        fine = 0.1 <= float(text) <= 1
    except ValueError:
        fine = False
    if not fine:
        raise InputError(f"gamma is {text!r}; it must be off, auto or a number from 0.1 to 1")


def check_data(config: Any) -> None:
    """Raises InputError where the fields of a DataConfig contradict each other."""
    if not config.feature_names or len(config.feature_names) != len(config.feature_sizes):
        raise InputError(
            f"feature_names ({','.join(config.feature_names)}) and feature_sizes "
            f"({','.join(map(str, config.feature_sizes))}) must have the same, positive, number of entries"
        )
    if config.record_views and len(config.record_views) != len(config.feature_names):
        raise InputError("record_views must have an entry for each feature, or none")
    if len(set(config.feature_names)) != len(config.feature_names):
        raise InputError(f"feature_names repeats a name: {','.join(config.feature_names)}")
    if config.video_radius is not None and not config.video_frames:
        raise InputError("video_radius says where video_frames are taken from: set video_frames too")
    if config.video_frames and config.level == "video":
        raise InputError("video_frames are frames, and video-level records have none: set it to 0")
    if config.video_frames and any(f"video_{name}" in config.feature_names for name in config.feature_names):
        raise InputError("with video_frames no feature may be named as another one with video_ before it")
    if config.text.fields and config.level == "clip":
        raise InputError("text_fields go with features, and these records are clips: leave them out")
    _check_clips(config)


def _check_clips(config):
    if config.level != "clip":
        for field in fields_of(ClipConfig).values():
            if getattr(config.clip, field.name) != field.default:
                raise InputError(f"{field.flag} is of clips, and these records are {config.level}-level: leave it out")
        return
    if config.features != {PICTURES: CHANNELS}:
        raise InputError(
            f"clips have one feature, {PICTURES}, of {CHANNELS} channels, and not {config.features}: leave out "
            "feature_names and feature_sizes"
        )
    if config.sampling not in CLIP_SAMPLINGS:
        raise InputError(f"sampling is {config.sampling!r}; valid for clips: {', '.join(CLIP_SAMPLINGS)}")
    for name in ("max_frames", "l2_normalize", "video_frames"):
        if getattr(config, name):
            raise InputError(f"{name} is of features of frames, and these records are clips: leave it out")


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
    crop_area: float = option(
        1.0,
        "Least share of its pictures' area that a random crop of a clip shows, of an aspect of 3:4 to 4:3, as in 0.35; "
        "1 for the middle.",
        above=0,
        high=1,
        flag="random_crop",
    )
    flip: bool = option(
        False,
        "Mirror image of half of all clips; not where left and right, or what is written, tell classes apart.",
        flag="random_flip",
    )
    colour_jitter: float = option(
        0.0,
        "Largest random change x of a clip's brightness, contrast and saturation, factors from 1 - x to 1 + x each.",
        low=0,
        below=1,
    )

    @property
    def of_segments(self) -> bool:
        """Whether segments are seen under other views."""
        return bool(self.shift or self.dilute or self.enlarge)

    @property
    def of_frames(self) -> bool:
        """Whether single frames are changed."""
        return bool(self.frame_masking or self.frame_dropping)

    @property
    def of_batches(self) -> bool:
        """Whether batches are changed, as all is but the pictures of clips."""
        return self.of_segments or self.of_frames or bool(self.modality_dropout or self.mixup)

    @property
    def of_pictures(self) -> bool:
        """Whether the pictures of clips are changed."""
        return self.crop_area < 1 or self.flip or bool(self.colour_jitter)


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
class MaskedTokensConfig(Config):
    """Masked language modelling beside the labels, see yt8m.layers.masked_tokens; a weight of 0 turns it off."""

    weight: float = option(
        0.0,
        "Weight of the masked-token loss, of whole words, beside that of the labels; for --model=multimodal_bert.",
        low=0,
        high=1e6,
        flag="masked_tokens_weight",
    )
    fraction: float = option(
        0.15,
        "Share of the tokens of an example that are hidden, at least one token.",
        above=0,
        below=1,
        flag="mask_token_fraction",
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


def check_train(config: Any) -> None:
    """Raises InputError where the fields of a TrainConfig contradict each other."""
    if not (config.label_weight or config.masked_frames.weight or config.masked_tokens.weight):
        raise InputError("label_weight is 0, and there is nothing else to learn: give masked_frames a weight")
    if not config.label_weight and config.average_checkpoints:
        raise InputError("average_checkpoints goes by the score of labels, and label_weight is 0")
    if config.balance_threshold and not config.segment_labels:
        raise InputError("balance_threshold repeats rated segments: set segment_labels")
    if config.multigrid and config.num_epochs is None:
        raise InputError("multigrid needs num_epochs, by which its stages go")
    if config.multigrid and config.rate.replace(layer_decay=1.0) != RateConfig():
        raise InputError("multigrid has a learning rate of its own: leave out schedule, warm-up, accumulation")
    if config.rate.schedule == "cosine" and config.max_steps is None:
        raise InputError("learning_rate_schedule cosine ends at max_steps: set it")
    if config.num_epochs is None and config.max_steps is None:
        raise InputError("training needs an end: set num_epochs or max_steps")


def with_switches(train: dict[str, Any]) -> dict[str, Any]:
    """Values of a TrainConfig with mixed_precision on or off, where an earlier release wrote true or false."""
    kept = train.get("mixed_precision")
    return train | {"mixed_precision": "on" if kept else "off"} if isinstance(kept, bool) else train
