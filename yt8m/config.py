"""Configs of data, model and training, and of the whole run.

Every option carries its help, unit, bounds and choices, see yt8m.options.
"""

import dataclasses
from typing import Any

from yt8m.options import Config, option
from yt8m.pair_parts import SimilarityConfig, check_pairs
from yt8m.train_parts import (
    AugmentConfig,
    ClipConfig,
    ConsistencyConfig,
    MaskedFramesConfig,
    MaskedTokensConfig,
    RateConfig,
    TextConfig,
    check_data,
    check_train,
    with_switches,
)
from yt8m.types import MAX_FRAMES, InputError

FORMAT = 2
"""Meaning of the settings that runs and saved models carry; those of before 0.3.0 carry no format, which is 1."""

LEVELS = ("frame", "video", "clip")
SAMPLINGS = ("sequence", "random", "random_ordered", "uniform")
UNRATED_POLICIES = ("masked", "negative", "video_negative")
OPTIMIZERS = ("adam", "rectified_adam", "lamb", "sgd")
AVERAGINGS = ("none", "ema", "swa")
LOSSES = ("cross_entropy", "focal", "asymmetric")
SWITCHES = ("auto", "on", "off")
BORDERS = ("clamp", "roll", "reflect", "mask")

VIDEO_FRAMES = 30
"""Frames of the whole video for a model that reads such, by default."""

PATTERNS = (
    "train_data_pattern",
    "eval_data_pattern",
    "exclude_videos",
    "pseudo_data_pattern",
    "unlabelled_data_pattern",
    "adapt_bn",
    "pairs",
    "eval_pairs",
)
"""Fields of a RunConfig that name input files."""

PATTERN_HELP = "Paths or globs, comma-separated; local or gs://, plain or .gz."


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataConfig(Config):
    """Reading of records: features, classes, frames, sampling."""

    feature_names: tuple[str, ...] = option(
        ("rgb", "audio"),
        "Features to read, in this order, as in rgb,audio.",
        defaults_to="all features of the first record",
    )
    feature_sizes: tuple[int, ...] = option(
        (1024, 128),
        "Dimension of each of --feature_names, as in 1024,128.",
        unit="values a frame",
        low=1,
        defaults_to="as in the first record",
    )
    level: str = option(
        "frame",
        "Kind of records: SequenceExamples of frames (frame) or pictures (clip), or Examples of means (video).",
        choices=LEVELS,
        flag=None,
        defaults_to="as in the first record",
    )
    num_classes: int = option(
        3862,
        "Size of the vocabulary; labels are class ids below it.",
        unit="classes",
        low=1,
        defaults_to="as pack.json or vocabulary.csv beside the records say, else 3862",
    )
    num_frames: int = option(
        MAX_FRAMES,
        "Frames of a video that one training example holds; of clips any example.",
        unit="frames",
        low=1,
        defaults_to="300, of clips 16, or the preset's",
    )
    max_frames: int = option(
        0,
        "Frames of a video that are read, from its start; 0 for all. YouTube-8M's own programs read 300.",
        unit="frames",
        low=0,
        defaults_to="0: all",
    )
    sampling: str = option(
        "sequence",
        "Sampling of those frames: a contiguous sequence at a random start; random ones, drawn with replacement (the "
        "paper); random_ordered ones, without replacement and in time order; or evenly spaced uniform ones. Outside "
        "training random is uniform and sequence is the middle of the video. Of clips: sequence, at --clip_stride, or "
        "uniform, in training a random one of each part.",
        choices=SAMPLINGS,
        defaults_to="sequence, of clips uniform, or the preset's",
    )
    unrated: str = option(
        "masked",
        "Weight of (segment, class) pairs without a rating: masked, none; negative, that of a negative; "
        "video_negative, half a negative where the class is in neither the video's nor the segment's labels.",
        choices=UNRATED_POLICIES,
    )
    border: str = option(
        "clamp",
        "Frames of a shifted segment beyond the ends of its video: the edge frame repeated (clamp), the other end "
        "(roll), the mirror image (reflect), or none (mask).",
        choices=BORDERS,
    )
    l2_normalize: bool = option(
        False, "Division of each frame by its L2 norm over all features together, as the authors' program has it."
    )
    video_frames: int = option(
        0,
        "Frames of the whole video, evenly spaced, beside each example, for --model=video_context; 0 for none.",
        unit="frames",
        low=0,
        defaults_to=f"{VIDEO_FRAMES} for video_context, else none",
    )
    video_radius: int | None = option(
        None,
        "Distance from the segment within which --video_frames are taken.",
        unit="frames",
        low=1,
        defaults_to="the whole video",
    )
    record_views: tuple[int, ...] = option(
        (),
        "Views that records hold of each of the features, whose scores inference averages; 1 each where empty.",
        unit="views",
        low=1,
        flag=None,
    )
    skip_corrupt: bool = option(
        False, "Skip and count corrupt records instead of stopping at the first.", resumable=True
    )
    clip: ClipConfig = ClipConfig()
    text: TextConfig = TextConfig()

    def _check(self):
        check_data(self)

    @property
    def features(self) -> dict[str, int]:
        """Feature name to size, in reading order."""
        return dict(zip(self.feature_names, self.feature_sizes))

    @property
    def views_of_features(self) -> dict[str, int]:
        """Feature name to the number of its views in records."""
        return dict(zip(self.feature_names, self.record_views or (1,) * len(self.feature_names)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """A model by its registered name, and the hyperparameters its constructor takes."""

    name: str
    hyperparameters: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig(Config):
    """Training: optimizer, loss, augmentation, length. Defaults are the paper's section 7: Adam 1e-4, x0.9 every 2M
    examples, batch 128.
    """

    segment_labels: bool = option(
        False, "Training on rated 5-frame segments (fine-tuning) instead of whole videos (pre-training)."
    )
    batch_size: int = option(128, "Examples in a step.", unit="examples", low=1, high=1 << 20)
    optimizer: str = option(
        "adam", "Optimizer; adam with --weight_decay is AdamW, sgd has a momentum of 0.9.", choices=OPTIMIZERS
    )
    lookahead: bool = option(False, "Lookahead around the optimizer (k=6, alpha=0.5; Zhang et al. 2019).")
    averaging: str = option(
        "none",
        "Averaging of the weights that are scored and kept: none, an exponential moving average (ema), or stochastic "
        "weight averaging (swa).",
        choices=AVERAGINGS,
    )
    ema_momentum: float = option(0.999, "Momentum of the moving average, a step.", above=0, below=1)
    swa_start_step: int = option(0, "First step of stochastic weight averaging.", unit="steps", low=0)
    swa_period: int = option(100, "Steps between the weights that are averaged.", unit="steps", low=1)
    base_learning_rate: float = option(1e-4, "Learning rate at the start.", above=0, high=100)
    learning_rate_decay: float = option(
        0.9, "Factor on the learning rate after every --learning_rate_decay_examples.", above=0, high=1
    )
    learning_rate_decay_examples: int = option(
        2_000_000, "Examples between decays of the rate.", unit="examples", low=1
    )
    rate: RateConfig = RateConfig()
    weight_decay: float = option(
        0.0, "Decoupled weight decay of a step, relative to the learning rate (AdamW).", low=0, high=10
    )
    head_l2: float = option(
        0.0,
        "L2 penalty of the head's weights, times half their sum of squares; 1e-6 in the authors' program.",
        low=0,
        high=10,
    )
    hidden_l2: float = option(
        0.0,
        "L2 penalty of the weights of hidden layers between pooling and head; 1e-5 in the authors' NeXtVLADs.",
        low=0,
        high=10,
    )
    clip_gradient_norm: float = option(1.0, "Largest L2 norm of one variable's gradient.", above=0)
    loss: str = option("cross_entropy", "Loss of an (example, class) pair.", choices=LOSSES)
    label_smoothing: float = option(0.0, "Label smoothing e: a label y becomes (1 - e) y + e / 2.", low=0, below=1)
    augment: AugmentConfig = AugmentConfig()
    label_weight: float = option(
        1.0, "Weight of the loss of the labels; 0 pre-trains on what is masked alone.", low=0, high=1e6
    )
    masked_frames: MaskedFramesConfig = MaskedFramesConfig()
    masked_tokens: MaskedTokensConfig = MaskedTokensConfig()
    consistency: ConsistencyConfig = ConsistencyConfig()
    similarity: SimilarityConfig = SimilarityConfig()
    pseudo_ratio: float = option(
        2.0,
        "Pseudo-labelled segments for each rated one of a step; both share --batch_size.",
        unit="segments",
        above=0,
        high=1000,
    )
    pseudo_weight: float | None = option(
        None,
        "Weight of the mean loss of a step's pseudo-labelled pairs (segment, class) against that of its rated pairs.",
        low=0,
        high=1e6,
        defaults_to="--pseudo_ratio: all segments of a step count alike",
    )
    balance_threshold: float = option(
        0.0,
        "Share of the rated segments below which a class is rare: its segments are repeated, by the square root of how "
        "rare it is (repeat factor sampling); 0 for none.",
        low=0,
        high=1,
    )
    multigrid: bool = option(
        False, "Multigrid training: 4, 2, then 1 times the examples of as many times fewer frames; clips smaller, too."
    )
    multigrid_short_cycle: bool = option(True, "Short cycle of --multigrid: up to 4, 2 and 1 times the batch in turn.")
    multigrid_rate_scaling: float = option(
        1.0, "Exponent of the learning rate's growth with --multigrid's batch; 1 is linear scaling.", low=0, high=1
    )
    multigrid_warmup: float = option(
        0.1, "Share of --multigrid's stages in which the rate goes over from that of the last.", low=0, high=1
    )
    average_checkpoints: int = option(
        0,
        "Number of the last evaluated models whose mean is scored at the end, and kept if it is the best; 0 for none.",
        unit="models",
        low=0,
        high=1000,
    )
    num_epochs: int | None = option(
        5, "Passes over the data.", unit="epochs", low=1, defaults_to="5, or no limit with --max_steps", resumable=True
    )
    max_steps: int | None = option(
        None, "Steps after which training ends.", unit="steps", low=1, defaults_to="no limit", resumable=True
    )
    evaluate_steps: int | None = option(
        None,
        "Steps between evaluations on the holdout.",
        unit="steps",
        low=1,
        defaults_to="once an epoch",
        resumable=True,
    )
    checkpoint_minutes: float = option(10.0, "Time between checkpoints.", unit="minutes", low=0, resumable=True)
    patience: int | None = option(
        None,
        "Evaluations without a better holdout score after which training ends.",
        unit="evaluations",
        low=1,
        defaults_to="never",
        resumable=True,
    )
    mixed_precision: str = option(
        "auto",
        "Computation in bfloat16 with weights in float32: on, off, or auto, on where the first start of the run finds "
        "it clearly faster. Resuming keeps what was found.",
        choices=SWITCHES,
    )
    seed: int = option(
        0, "Seed of everything random: split, initial weights, shuffling, search.", low=0, high=2**63 - 1
    )

    def _check(self):
        check_train(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrainConfig":
        """The config that ``to_dict`` was called on, also by a release whose mixed_precision was true or false."""
        return super().from_dict(with_switches(values))


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunConfig(Config):
    """Everything that makes a training run, kept beside its checkpoints."""

    data: DataConfig
    model: ModelConfig
    train: TrainConfig
    train_data_pattern: str = option(
        "", f"Files to train on. {PATTERN_HELP}", defaults_to="must be given", resumable=True
    )
    eval_data_pattern: str = option(
        "", f"Files to evaluate on, instead of held-out ones. {PATTERN_HELP}", resumable=True
    )
    holdout_files: int = option(0, "Number of the pattern's files to hold out; drawn by --seed.", unit="files", low=0)
    holdout_fraction: float = option(
        0.0, "Share of the videos to hold out, by a hash of id and --seed: for a single file.", low=0, below=1
    )
    exclude_videos: str = option(
        "",
        "Files whose videos are not trained on, by id, such as those of a later holdout in pre-training. "
        f"{PATTERN_HELP}",
        resumable=True,
    )
    exclude_holdout_files: int = option(
        0,
        "Number of the files of --exclude_videos that count: those that --holdout_files and the same --seed hold out.",
        unit="files",
        low=0,
        defaults_to="all",
    )
    exclude_holdout_fraction: float = option(
        0.0,
        "Share of the videos of --exclude_videos that count: those that --holdout_fraction and the same --seed hold "
        "out.",
        low=0,
        below=1,
        defaults_to="all",
    )
    pairs: str = option(
        "",
        "CSV of id_a,id_b,score, the similarity of pairs of videos, to train on these. --holdout_fraction is of pairs.",
        resumable=True,
    )
    eval_pairs: str = option(
        "", "CSV of pairs to evaluate on, instead of held-out ones, by Spearman's rank correlation.", resumable=True
    )
    preset: str = option("", "Preset: a model of the paper, or a multimodal_bert, with its sampling and shifts.")
    init_from: str = option("", "Folder of a run whose weights to start from, such as the pre-trained one.")
    init_weights: str = option(
        "", "File of published weights to start from: .pyth or .pth, for clip_cnn .h5; see the pages of models."
    )
    init_optimizer: bool = option(
        False,
        "Start from the last checkpoint of --init_from, with its optimizer's moments and step, so that the decay of "
        "the learning rate goes on too, as in the authors' program; without it from the best model, with a new "
        "optimizer.",
    )
    pseudo_data_pattern: str = option(
        "",
        f"Files of pseudo-labelled segments to train on too, as selftrain.py writes them. {PATTERN_HELP}",
        resumable=True,
    )
    unlabelled_data_pattern: str = option(
        "",
        "Files whose segments, labels unread, consistency is trained on (UDA): the model is to predict the same for a "
        "segment and its augmented view, by --augment_* or else by shifts of 1, dilute and a fifth of the frames "
        f"dropped. {PATTERN_HELP}",
        resumable=True,
    )
    adapt_bn: str = option(
        "",
        f"Files, labels unread, to estimate the best model's batch norm statistics anew on at the end. {PATTERN_HELP}",
        resumable=True,
    )
    tta: tuple[int, int] = option(
        (0, 0),
        "First and last temporal shift of test-time augmentation, see yt8m.data.views.",
        unit="frames",
        low=-MAX_FRAMES,
        high=MAX_FRAMES,
        flag=None,
    )

    def _check(self):
        if self.init_optimizer and not self.init_from:
            raise InputError("init_optimizer goes on with the optimizer of another run: set init_from to its folder")
        if self.pairs or self.eval_pairs:
            check_pairs(self)
        if self.init_weights and self.init_from:
            raise InputError("init_weights and init_from each say what to start from: give one of them")
        if (self.exclude_holdout_files or self.exclude_holdout_fraction) and not self.exclude_videos:
            raise InputError("exclude_holdout_files and exclude_holdout_fraction are of exclude_videos: set it too")
