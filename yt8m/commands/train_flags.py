"""The flags of training, for all scripts that train, and what they ask for. Part of the scripts' layer."""

from absl import flags

from yt8m.commands import run_flags
from yt8m.config import (
    ANNEALINGS,
    AVERAGINGS,
    LOSSES,
    MASKED_FRAMES,
    OPTIMIZERS,
    AugmentConfig,
    ConsistencyConfig,
    MaskedFramesConfig,
    RunConfig,
    TrainConfig,
)
from yt8m.models.presets import PRESETS
from yt8m.types import InputError

FLAGS = flags.FLAGS
_TRAIN_FLAGS = (
    "segment_labels",
    "batch_size",
    "optimizer",
    "lookahead",
    "averaging",
    "ema_momentum",
    "swa_start_step",
    "swa_period",
    "loss",
    "label_smoothing",
    "label_weight",
    "pseudo_ratio",
    "balance_threshold",
    "multigrid",
    "average_checkpoints",
    "base_learning_rate",
    "learning_rate_decay",
    "learning_rate_decay_examples",
    "weight_decay",
    "clip_gradient_norm",
    "num_epochs",
    "max_steps",
    "evaluate_steps",
    "checkpoint_minutes",
    "patience",
    "mixed_precision",
    "seed",
)

flags.DEFINE_string("train_data_pattern", None, f"Files to train on. {run_flags.PATTERN_HELP}", required=True)
flags.DEFINE_string("train_dir", None, "Folder of the run: checkpoints, configuration, TensorBoard.", required=True)
flags.DEFINE_string("eval_data_pattern", "", f"Files to evaluate on, instead of held-out ones. {run_flags.PATTERN_HELP}")
run_flags.define_split_flags()
flags.DEFINE_bool("check_split", True, "Check that no video id is both trained on and held out; reads every id once.")
run_flags.define_backend_flag()
run_flags.define_placement_flags()
run_flags.define_model_flags()
run_flags.define_feature_flags()
run_flags.define_sampling_flags()
run_flags.define_video_frame_flags()
run_flags.define_unrated_flag()
flags.DEFINE_string("init_from", "", "Folder of a run whose weights to start from, such as the pre-trained one.")
flags.DEFINE_bool("segment_labels", False, "Train on rated 5-frame segments instead of whole videos.")
flags.DEFINE_string(
    "cache_dir",
    "",
    "Folder where rated segments are packed once, before the first epoch, for every further one to be read from there, "
    "many times faster than from the records; with --segment_labels. Changes nothing else. Default: no cache.",
)
flags.DEFINE_integer("batch_size", None, "Examples a step. Default: 128.")
flags.DEFINE_enum("optimizer", "adam", OPTIMIZERS, "What takes the steps; sgd has a momentum of 0.9.")
flags.DEFINE_bool("lookahead", False, "Every 6 steps of the optimizer go half way back (Zhang et al. 2019).")
flags.DEFINE_enum("averaging", "none", AVERAGINGS, "Weights to score and keep: of the moment, moving average, or mean.")
flags.DEFINE_float("ema_momentum", 0.999, "Share of the moving average that stays at each step.")
flags.DEFINE_integer("swa_start_step", 0, "Step from which --averaging=swa takes its mean.", lower_bound=0)
flags.DEFINE_integer("swa_period", 100, "Steps between the weights that --averaging=swa takes.", lower_bound=1)
flags.DEFINE_enum("loss", "cross_entropy", LOSSES, "Loss of a (video or segment, class) pair.")
flags.DEFINE_float("label_smoothing", 0.0, "Part of each label, in [0, 1), that is spread evenly over yes and no.")
flags.DEFINE_float("label_weight", 1.0, "Weight of the loss of labels; 0 pre-trains on --masked_frames alone.", 0.0)
flags.DEFINE_enum(
    "masked_frames",
    "none",
    ("none", *MASKED_FRAMES),
    "Has a frame_bert guess hidden frames besides: telling each from other frames (nce), or its values (mse).",
)
flags.DEFINE_float("masked_frames_weight", 1.0, "Weight of the loss of --masked_frames.", 0.0)
flags.DEFINE_float("mask_fraction", 0.15, "Part of a video's frames that --masked_frames hides, at least one frame.")
flags.DEFINE_string(
    "unlabelled_data_pattern",
    "",
    "Files whose segments, labels unseen, the model shall judge as it judges their augmented views (UDA); the views are "
    "those of --augment_*, or where none is given of shifts by 1, dilute and a fifth of the frames dropped. "
    f"{run_flags.PATTERN_HELP}",
)
flags.DEFINE_float("uda_weight", 1.0, "Weight of the loss on --unlabelled_data_pattern.", 0.0)
flags.DEFINE_integer("uda_ratio", 1, "Unlabelled segments a step for each labelled one.", lower_bound=1)
flags.DEFINE_float("uda_temperature", 0.4, "Sharpens what is said of a segment, the more the further below 1.")
flags.DEFINE_float("uda_confidence", 0.8, "Pairs (segment, class) count if yes or no is at least this probable.")
flags.DEFINE_enum(
    "tsa",
    "none",
    ANNEALINGS,
    "Training signal annealing: labelled pairs that are already right with more than a rising probability do not count.",
)
flags.DEFINE_integer("tsa_steps", None, "Steps over which --tsa releases all pairs. Default: --max_steps.", lower_bound=1)
flags.DEFINE_string(
    "pseudo_data_pattern",
    "",
    f"Files of pseudo-labelled segments to train on too, as selftrain.py writes them. {run_flags.PATTERN_HELP}",
)
flags.DEFINE_float("pseudo_ratio", 2.0, "Pseudo-labelled segments a step for each rated one; both share --batch_size.")
flags.DEFINE_float(
    "balance_threshold",
    0.0,
    "Share of the rated segments below which a class counts as rare: its segments are repeated, by the square root of "
    "how rare it is. 0 repeats none.",
    lower_bound=0,
)
flags.DEFINE_bool(
    "multigrid",
    False,
    "Larger batches of fewer frames in the first two thirds of --num_epochs (4 times, then twice), for whole videos.",
)
flags.DEFINE_integer(
    "average_checkpoints",
    0,
    "Number of the last evaluated models whose mean is scored at the end, and kept if it is the best. 0: none.",
    lower_bound=0,
)
flags.DEFINE_string(
    "adapt_bn",
    "",
    "Files, labels unseen, on which the best model's batch norm statistics are estimated anew at the end. "
    f"{run_flags.PATTERN_HELP}",
)
flags.DEFINE_integer(
    "augment_shift", 0, "Frames by which each segment is shifted at most, either way, at random.", lower_bound=0
)
flags.DEFINE_bool("augment_dilute", False, "See segments also as every second one of the 9 frames around them.")
flags.DEFINE_bool("augment_enlarge", False, "See segments also with 2 more frames on either side.")
flags.DEFINE_float("frame_masking", 0.0, "Probability of each frame of an example to be blanked.", 0.0, 1.0)
flags.DEFINE_float("frame_dropping", 0.0, "Probability of each frame of an example to be taken out.", 0.0, 1.0)
flags.DEFINE_float("modality_dropout", 0.0, "Probability of an example to have one of its features blanked.", 0.0, 1.0)
flags.DEFINE_float(
    "mixup", 0.0, "Mix pairs of examples and their labels; alpha of the Beta distribution of shares, as in 0.2; 0 is off.", 0.0
)
flags.DEFINE_float("base_learning_rate", None, "Learning rate at the start. Default: 0.0001.")
flags.DEFINE_float("learning_rate_decay", None, "Factor on it after every --learning_rate_decay_examples. Default: 0.9.")
flags.DEFINE_integer("learning_rate_decay_examples", None, "Examples between decays. Default: 2000000.")
flags.DEFINE_float("weight_decay", None, "Decoupled weight decay (AdamW), a step, relative to the rate. Default: 0.")
flags.DEFINE_float("clip_gradient_norm", None, "Largest L2 norm of one variable's gradient. Default: 1.")
flags.DEFINE_integer("num_epochs", None, "Passes over the data. Default: 5, or no limit if --max_steps is given.")
flags.DEFINE_integer("max_steps", None, "Steps after which training ends. Default: no limit.")
flags.DEFINE_integer("evaluate_steps", None, "Steps between evaluations of the holdout. Default: once an epoch.")
flags.DEFINE_integer("patience", None, "Evaluations without a better score after which training ends. Default: never.")
flags.DEFINE_float("checkpoint_minutes", None, "Minutes between checkpoints. Default: 10.")
flags.DEFINE_bool(
    "histograms", False, "Write histograms of each layer's weights to TensorBoard, at each evaluation, or else each epoch."
)
flags.DEFINE_bool("mixed_precision", False, "Compute in bfloat16, keep weights in float32: faster on most devices.")


def prepare():
    """What the flags ask for, as the arguments of yt8m.training.train.train but for the folder."""
    if FLAGS.cache_dir and not FLAGS.segment_labels:
        raise InputError("--cache_dir holds rated segments: it goes with --segment_labels")
    from yt8m.data.augment import check_augment
    from yt8m.data.splits import check_disjoint, split_sources
    from yt8m.models.checkpoints import read_run_config
    from yt8m.runtime.devices import place

    # Before anything is computed.
    placement = place(**run_flags.given(*run_flags.PLACEMENT_FLAGS))
    preset = PRESETS[FLAGS.preset] if FLAGS.preset else None
    base = read_run_config(FLAGS.init_from) if FLAGS.init_from else None
    train_settings = run_flags.given(*_TRAIN_FLAGS)
    if "max_steps" in train_settings:
        train_settings.setdefault("num_epochs", None)
    train_config = TrainConfig(
        **train_settings, augment=_augment(), masked_frames=_masked_frames(), consistency=_consistency()
    )
    split = run_flags.given("train_data_pattern", "eval_data_pattern", "holdout_files", "holdout_fraction")
    source, holdout = split_sources(**split, seed=train_config.seed)
    model = run_flags.model_config_from_flags(preset, base and base.model)
    run = RunConfig(
        data=run_flags.data_config_from_flags(source.files, preset, base and base.data, model=model),
        model=model,
        train=train_config,
        **split,
        preset=FLAGS.preset or (base.preset if base else ""),
        init_from=FLAGS.init_from,
        **run_flags.given("pseudo_data_pattern", "unlabelled_data_pattern", "adapt_bn"),
        tta=preset.tta if preset else base.tta if base else (0, 0),
    )
    check_augment(train_config.augment, run.data, windows="rated" if train_config.segment_labels else "video")
    if train_config.average_checkpoints and holdout is None:
        raise InputError("--average_checkpoints averages what was evaluated: hold something out")
    if holdout and not FLAGS.holdout_fraction and FLAGS.check_split:
        check_disjoint(source.files, holdout.files, skip_corrupt=run.data.skip_corrupt)
    options = {"cache_dir": FLAGS.cache_dir, "histograms": FLAGS.histograms, "placement": placement}
    return {"run": run, "source": source, "holdout": holdout, **options}


def _masked_frames():
    if FLAGS.masked_frames == "none":
        return MaskedFramesConfig()
    return MaskedFramesConfig(
        weight=FLAGS.masked_frames_weight, method=FLAGS.masked_frames, fraction=FLAGS.mask_fraction
    )


def _consistency():
    if not FLAGS.unlabelled_data_pattern:
        if FLAGS.tsa != "none":
            raise InputError("--tsa goes with --unlabelled_data_pattern")
        return ConsistencyConfig()
    if not FLAGS.segment_labels:
        raise InputError("--unlabelled_data_pattern goes with --segment_labels: it is segments that have views")
    steps = FLAGS.tsa_steps or FLAGS.max_steps
    if FLAGS.tsa != "none" and not steps:
        raise InputError("--tsa needs --tsa_steps or --max_steps, over which it releases the labelled pairs")
    return ConsistencyConfig(
        weight=FLAGS.uda_weight,
        ratio=FLAGS.uda_ratio,
        temperature=FLAGS.uda_temperature,
        confidence=FLAGS.uda_confidence,
        annealing=FLAGS.tsa,
        annealing_steps=steps or 1,
    )
def _augment():
    views = {name: FLAGS[f"augment_{name}"].value for name in ("shift", "dilute", "enlarge")}
    return AugmentConfig(**views, **run_flags.given("frame_masking", "frame_dropping", "modality_dropout", "mixup"))
