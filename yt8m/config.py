"""What a run is made of: frozen, checked on construction, and the same after a trip through JSON."""

import dataclasses
import json
import types
import typing

from yt8m.types import MAX_FRAMES, InputError

LEVELS = ("frame", "video")
SAMPLINGS = ("sequence", "random", "uniform")
UNRATED_POLICIES = ("masked", "negative", "video_negative")
OPTIMIZERS = ("adam", "rectified_adam", "lamb", "sgd")
AVERAGINGS = ("none", "ema", "swa")
LOSSES = ("cross_entropy", "focal", "asymmetric")
MASKED_FRAMES = ("nce", "mse")
ANNEALINGS = ("none", "linear", "log", "exp")
BORDERS = ("clamp", "roll", "reflect", "mask")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """Base: ``to_dict`` / ``from_dict`` / ``to_json`` / ``from_json``, unknown fields are errors."""

    def to_dict(self):
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InputError(f"{cls.__name__} has no field {', '.join(unknown)}; known: {', '.join(known)}")
        return cls(**{name: _from_json_value(known[name].type, value) for name, value in values.items()})

    def to_json(self):
        return json.dumps(self.to_dict(), indent=2, sort_keys=True)

    @classmethod
    def from_json(cls, text):
        return cls.from_dict(json.loads(text))

    def replace(self, **changes):
        return dataclasses.replace(self, **changes)

    def _check_choice(self, field, choices):
        if getattr(self, field) not in choices:
            raise InputError(f"{field} is {getattr(self, field)!r}; valid: {', '.join(choices)}")

    def _check_positive(self, *fields):
        for field in fields:
            if getattr(self, field) is not None and getattr(self, field) <= 0:
                raise InputError(f"{field} is {getattr(self, field)}; it must be positive")

    def _check_at_least_zero(self, *fields):
        for field in fields:
            if getattr(self, field) < 0:
                raise InputError(f"{field} is {getattr(self, field)}; it must be at least 0")

    def _check_within(self, field, low, high, *, inclusive=False):
        value = getattr(self, field)
        if not low < value < high and not (inclusive and low <= value <= high):
            ends = f"from {low} to {high}" if inclusive else f"between {low} and {high}"
            raise InputError(f"{field} is {value}; it must lie {ends}")


def _from_json_value(kind, value):
    """JSON has lists where the configs have tuples, and dicts where they have configs."""
    if isinstance(kind, types.UnionType):
        kind = next(k for k in typing.get_args(kind) if k is not type(None))
    if value is None:
        return None
    if isinstance(kind, type) and issubclass(kind, Config):
        return kind.from_dict(value)
    if typing.get_origin(kind) is tuple:
        return tuple(value)
    return value


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """How records become batches.

    feature_names, feature_sizes: the modalities read, in this order, and their dimensions.
    level: "frame" (SequenceExample, uint8 frames) or "video" (Example, float means).
    num_classes: size of the vocabulary; labels are ids in [0, num_classes).
    num_frames: frames of a video that one training example holds.
    max_frames: frames of a video that are read at all.
    sampling: how num_frames are drawn in training: one contiguous "sequence" at a random start, "random"
        frames in time order, or evenly spaced "uniform" ones. Outside training "random" is uniform and "sequence"
        is the middle of the video, so that evaluation is deterministic.
    unrated: weight of (segment, class) pairs without a rating: "masked" 0; "negative" 1 with label 0, as the
        authors' program has it; "video_negative" 0.5 with label 0 where the class is in neither the video's nor
        the segment's labels, else 0.
    border: what a view of a segment, such as a shifted one, holds beyond the ends of its video, see yt8m.data.views.
    video_frames: frames of the whole video, evenly spaced, that go beside every example, for models that take such; 0
        is none. video_radius: takes them from within that many frames of a segment; None from the whole video.
    skip_corrupt: count corrupt records and go on, instead of stopping at the first.
    """

    feature_names: tuple[str, ...] = ("rgb", "audio")
    feature_sizes: tuple[int, ...] = (1024, 128)
    level: str = "frame"
    num_classes: int = 3862
    num_frames: int = MAX_FRAMES
    max_frames: int = MAX_FRAMES
    sampling: str = "sequence"
    unrated: str = "masked"
    border: str = "clamp"
    video_frames: int = 0
    video_radius: int | None = None
    skip_corrupt: bool = False

    def __post_init__(self):
        if not self.feature_names or len(self.feature_names) != len(self.feature_sizes):
            raise InputError(
                f"feature_names ({','.join(self.feature_names)}) and feature_sizes "
                f"({','.join(map(str, self.feature_sizes))}) must have the same, positive, number of entries"
            )
        if len(set(self.feature_names)) != len(self.feature_names):
            raise InputError(f"feature_names repeats a name: {','.join(self.feature_names)}")
        if min(self.feature_sizes) <= 0:
            raise InputError(f"feature_sizes is {','.join(map(str, self.feature_sizes))}; sizes must be positive")
        self._check_positive("num_classes", "num_frames", "max_frames")
        self._check_choice("level", LEVELS)
        self._check_choice("sampling", SAMPLINGS)
        self._check_choice("unrated", UNRATED_POLICIES)
        self._check_choice("border", BORDERS)
        self._check_video_frames()

    def _check_video_frames(self):
        self._check_positive("video_radius")
        if self.video_frames < 0:
            raise InputError(f"video_frames is {self.video_frames}; it must be positive, or 0 for none")
        if self.video_radius is not None and not self.video_frames:
            raise InputError("video_radius says where video_frames are taken from: set video_frames too")
        if self.video_frames and self.level == "video":
            raise InputError("video_frames are frames, and video-level records have none: set it to 0")
        if self.video_frames and any(f"video_{name}" in self.feature_names for name in self.feature_names):
            raise InputError("with video_frames no feature may be named as another one with video_ before it")

    @property
    def features(self):
        """Dict of feature name to size, in reading order."""
        return dict(zip(self.feature_names, self.feature_sizes))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """A model by its registered name, and the hyperparameters its constructor takes."""

    name: str
    hyperparameters: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig(Config):
    """How training examples are changed at random, anew in every epoch; nothing by default. See yt8m.data.augment.

    shift, dilute, enlarge: each segment is seen under one of the views that these allow, the shifts of up to ``shift``
        frames either way among them, all alike likely; see yt8m.data.views.
    frame_masking, frame_dropping: probability of each frame to be blanked, and to be taken out.
    modality_dropout: probability of an example to have one of its features blanked.
    mixup: alpha of the Beta distribution that shares of a mixture of two examples are drawn from; 0 mixes none.
    """

    shift: int = 0
    dilute: bool = False
    enlarge: bool = False
    frame_masking: float = 0.0
    frame_dropping: float = 0.0
    modality_dropout: float = 0.0
    mixup: float = 0.0

    def __post_init__(self):
        self._check_at_least_zero("shift", "mixup")
        for field in ("frame_masking", "frame_dropping", "modality_dropout"):
            self._check_within(field, 0, 1, inclusive=True)

    @property
    def of_segments(self):
        """Whether segments are seen under other views."""
        return bool(self.shift or self.dilute or self.enlarge)

    @property
    def of_frames(self):
        """Whether single frames are changed."""
        return bool(self.frame_masking or self.frame_dropping)


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskedFramesConfig(Config):
    """Masked frame modelling beside the labels, see yt8m.layers.masked_frames.

    weight: of its loss, 0 is off. method: "nce" or "mse". fraction: of a video's frames that are hidden.
    """

    weight: float = 0.0
    method: str = "nce"
    fraction: float = 0.15

    def __post_init__(self):
        self._check_at_least_zero("weight")
        self._check_choice("method", MASKED_FRAMES)
        self._check_within("fraction", 0, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConsistencyConfig(Config):
    """Consistency of predictions on unlabelled segments and their augmented views (UDA), see yt8m.models.learner.

    weight: of its loss, 0 is off. ratio: unlabelled segments for each labelled one. temperature: below 1 sharpens what
    is said of a segment before the view has to say it too. confidence: pairs (segment, class) count whose yes or no
    is at least as sure. annealing: how labelled pairs that are right already are released over annealing_steps
    ("none" uses all from the start).
    """

    weight: float = 0.0
    ratio: int = 1
    temperature: float = 0.4
    confidence: float = 0.8
    annealing: str = "none"
    annealing_steps: int = 1

    def __post_init__(self):
        self._check_at_least_zero("weight")
        self._check_positive("ratio", "temperature", "annealing_steps")
        self._check_within("confidence", 0.5, 1, inclusive=True)
        self._check_choice("annealing", ANNEALINGS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """How a model is trained. Defaults are the paper's section 4: Adam 1e-4, x0.9 every 2M examples, batch 128.

    segment_labels: train on rated segments (fine-tuning) instead of whole videos (pre-training).
    optimizer: "adam" (with weight_decay, AdamW), "rectified_adam", "lamb" or "sgd" (momentum 0.9); lookahead: around it.
    averaging: which weights are scored, kept as the best and used: "none", those of the moment; "ema", a moving average
        of ema_momentum a step; "swa", the mean over every swa_period-th step from swa_start_step on.
    loss: "cross_entropy", "focal" or "asymmetric", see yt8m.models.losses; label_smoothing: e makes labels (1 - e) y + e / 2.
    augment: how examples are changed at random.
    label_weight: of the loss of labels, 0 for pre-training on masked_frames alone.
    masked_frames, consistency: what else is learned. pseudo_ratio: pseudo-labelled segments for each rated one.
    balance_threshold: classes that are in less than this share of the rated segments are repeated, see
        yt8m.data.balance; 0 repeats none.
    multigrid: more and shorter examples a step in the first two thirds of training, see yt8m.training.schedules.
    num_epochs, max_steps: whichever comes first ends training; None is no limit.
    evaluate_steps: steps between evaluations on the holdout; None is once an epoch.
    average_checkpoints: the mean of so many last evaluated models is scored at the end, and kept if it is the best.
    patience: evaluations without a better holdout score after which training stops; None never.
    """

    segment_labels: bool = False
    batch_size: int = 128
    optimizer: str = "adam"
    lookahead: bool = False
    averaging: str = "none"
    ema_momentum: float = 0.999
    swa_start_step: int = 0
    swa_period: int = 100
    base_learning_rate: float = 1e-4
    learning_rate_decay: float = 0.9
    learning_rate_decay_examples: int = 2_000_000
    weight_decay: float = 0.0
    clip_gradient_norm: float = 1.0
    loss: str = "cross_entropy"
    label_smoothing: float = 0.0
    augment: AugmentConfig = AugmentConfig()
    label_weight: float = 1.0
    masked_frames: MaskedFramesConfig = MaskedFramesConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    pseudo_ratio: float = 2.0
    balance_threshold: float = 0.0
    multigrid: bool = False
    average_checkpoints: int = 0
    num_epochs: int | None = 5
    max_steps: int | None = None
    evaluate_steps: int | None = None
    checkpoint_minutes: float = 10.0
    patience: int | None = None
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self):
        self._check_positive(
            "batch_size",
            "base_learning_rate",
            "learning_rate_decay",
            "learning_rate_decay_examples",
            "clip_gradient_norm",
            "num_epochs",
            "max_steps",
            "evaluate_steps",
            "patience",
            "swa_period",
        )
        self._check_choice("optimizer", OPTIMIZERS)
        self._check_choice("averaging", AVERAGINGS)
        self._check_choice("loss", LOSSES)
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label_smoothing is {self.label_smoothing}; it must be at least 0 and below 1")
        self._check_within("ema_momentum", 0, 1)
        self._check_positive("pseudo_ratio")
        self._check_at_least_zero("label_weight", "balance_threshold", "average_checkpoints")
        if not self.label_weight and not self.masked_frames.weight:
            raise InputError("label_weight is 0, and there is nothing else to learn: give masked_frames a weight")
        if not self.label_weight and self.average_checkpoints:
            raise InputError("average_checkpoints goes by the score of labels, and label_weight is 0")
        if self.balance_threshold and not self.segment_labels:
            raise InputError("balance_threshold repeats rated segments: set segment_labels")
        if self.multigrid and self.segment_labels:
            raise InputError("multigrid is for whole videos: a segment has five frames")
        if self.multigrid and self.num_epochs is None:
            raise InputError("multigrid needs num_epochs, whose thirds are its stages")
        if self.num_epochs is None and self.max_steps is None:
            raise InputError("training needs an end: set num_epochs or max_steps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """All that made a training run, kept beside its checkpoints.

    train_data_pattern, holdout_files, holdout_fraction, eval_data_pattern: which videos were trained on and which were
        held out, see yt8m.data.splits.
    preset: name of the preset that the run started from, "" for none.
    init_from: folder of the run whose weights it started from, "" for none.
    pseudo_data_pattern: files of pseudo-labelled segments to train on too, see yt8m.training.pseudo_labels.
    unlabelled_data_pattern: files whose segments train.consistency is learned on.
    adapt_bn: files on which the best model's batch norm statistics are estimated anew at the end.
    tta: first and last temporal shift that inference uses where none is given.
    """

    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    train_data_pattern: str = ""
    eval_data_pattern: str = ""
    holdout_files: int = 0
    holdout_fraction: float = 0.0
    preset: str = ""
    init_from: str = ""
    pseudo_data_pattern: str = ""
    unlabelled_data_pattern: str = ""
    adapt_bn: str = ""
    tta: tuple[int, int] = (0, 0)
