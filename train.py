"""Trains a model: on the labels of whole videos, or, with --segment_labels, on rated segments.

Pre-train, then fine-tune from that checkpoint:

  train.py --preset=BERTMean_L2h12 --train_data_pattern='train/*.tfrecord' --train_dir=runs/pretrained
  train.py --init_from=runs/pretrained --segment_labels --train_data_pattern='validate/*.tfrecord' \
      --holdout_files=300 --train_dir=runs/finetuned

The same command again goes on where the run stopped.
"""

from absl import flags

from yt8m import command_line, run_flags
from yt8m.config import AVERAGINGS, LOSSES, OPTIMIZERS, RunConfig, TrainConfig
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


def main():
    from yt8m.training import train

    state = train(**prepare(), train_dir=FLAGS.train_dir)
    best = f", best holdout score {state.best:.4f}" if state.best is not None else ""
    print(f"trained {state.step} steps in {FLAGS.train_dir}{best}")


def prepare():
    """What the flags ask for, as the arguments of yt8m.training.train but for the folder."""
    if FLAGS.cache_dir and not FLAGS.segment_labels:
        raise InputError("--cache_dir holds rated segments: it goes with --segment_labels")
    from yt8m.checkpoints import read_run_config
    from yt8m.data.splits import check_disjoint, split_sources
    from yt8m.devices import place

    # Before anything is computed.
    placement = place(**run_flags.given(*run_flags.PLACEMENT_FLAGS))
    preset = PRESETS[FLAGS.preset] if FLAGS.preset else None
    base = read_run_config(FLAGS.init_from) if FLAGS.init_from else None
    train_settings = run_flags.given(*_TRAIN_FLAGS)
    if "max_steps" in train_settings:
        train_settings.setdefault("num_epochs", None)
    train_config = TrainConfig(**train_settings)
    split = run_flags.given("train_data_pattern", "eval_data_pattern", "holdout_files", "holdout_fraction")
    source, holdout = split_sources(**split, seed=train_config.seed)
    run = RunConfig(
        data=run_flags.data_config_from_flags(source.files, preset, base and base.data),
        model=run_flags.model_config_from_flags(preset, base and base.model),
        train=train_config,
        **split,
        preset=FLAGS.preset or (base.preset if base else ""),
        init_from=FLAGS.init_from,
        tta=preset.tta if preset else base.tta if base else (0, 0),
    )
    if holdout and not FLAGS.holdout_fraction and FLAGS.check_split:
        check_disjoint(source.files, holdout.files, skip_corrupt=run.data.skip_corrupt)
    options = {"cache_dir": FLAGS.cache_dir, "histograms": FLAGS.histograms, "placement": placement}
    return {"run": run, "source": source, "holdout": holdout, **options}


def run():
    """Entry point of the console script."""
    flags.adopt_module_key_flags(run_flags)
    command_line.run(main, resume_hint="The same command goes on from the checkpoint.")


if __name__ == "__main__":
    run()
