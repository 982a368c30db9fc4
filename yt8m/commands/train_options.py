"""The options of training, for all commands that train, and the run that they ask for."""

import dataclasses
from typing import TYPE_CHECKING

from yt8m.commands.groups import FeatureOptions, ModelOptions, PlacementOptions
from yt8m.config import (
    AugmentConfig,
    ClipConfig,
    ConsistencyConfig,
    DataConfig,
    MaskedFramesConfig,
    MaskedTokensConfig,
    RateConfig,
    RunConfig,
    SimilarityConfig,
    TextConfig,
    TrainConfig,
)
from yt8m.options import option
from yt8m.types import InputError

if TYPE_CHECKING:
    from yt8m.data.splits import Source
    from yt8m.training.train import Resources


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions(FeatureOptions, ModelOptions, PlacementOptions):
    """Everything about a training run."""

    configs = {
        RunConfig: (
            "train_data_pattern",
            "eval_data_pattern",
            "holdout_files",
            "holdout_fraction",
            "exclude_videos",
            "exclude_holdout_files",
            "exclude_holdout_fraction",
            "init_from",
            "init_weights",
            "init_optimizer",
            "pseudo_data_pattern",
            "unlabelled_data_pattern",
            "adapt_bn",
            "pairs",
            "eval_pairs",
        ),
        DataConfig: ("num_frames", "max_frames", "sampling", "video_frames", "video_radius", "unrated"),
        ClipConfig: ("size", "stride", "gamma"),
        TextConfig: (),
        TrainConfig: (),
        RateConfig: (),
        AugmentConfig: (),
        MaskedFramesConfig: (),
        MaskedTokensConfig: (),
        ConsistencyConfig: (),
        SimilarityConfig: (),
    }

    train_dir: str = option("", "Folder of the run: checkpoints, configuration, TensorBoard.", required=True)
    cache_dir: str = option(
        "",
        "Folder where rated segments, with --segment_labels, or else whole videos are packed once, before the first "
        "epoch, and read from in every epoch, many times faster than from records. Whole videos take as much disk as "
        "the uncompressed records. The result is the same without.",
        defaults_to="no cache",
    )
    accept_changed_inputs: bool = option(
        False,
        "Resumption of what was begun in --train_dir although its input files have changed since, which makes the "
        "result another; without it that is refused.",
    )
    check_split: bool = option(True, "Check that no video id is both trained on and held out; reads every id once.")
    histograms: bool = option(
        False, "Histograms of each layer's weights in TensorBoard, at each evaluation, or else each epoch."
    )

    def train_config(self) -> TrainConfig:
        """The TrainConfig that the flags ask for."""
        given = dict(self.of(TrainConfig))
        if "max_steps" in given:
            given.setdefault("num_epochs", None)
        return TrainConfig(
            **given,
            rate=RateConfig(**self.of(RateConfig)),
            augment=AugmentConfig(**self.of(AugmentConfig)),
            masked_frames=self._masked_frames(),
            masked_tokens=MaskedTokensConfig(**self.of(MaskedTokensConfig)),
            consistency=self._consistency(),
            similarity=SimilarityConfig(**self.of(SimilarityConfig)),
        )

    def _masked_frames(self):
        given = self.of(MaskedFramesConfig)
        return MaskedFramesConfig(**({"weight": 1.0} | given)) if "method" in given else MaskedFramesConfig()

    def _consistency(self):
        given = self.of(ConsistencyConfig)
        annealed = given.get("annealing", "none") != "none"
        if not self.of(RunConfig).get("unlabelled_data_pattern"):
            if annealed:
                raise InputError("--tsa goes with --unlabelled_data_pattern")
            return ConsistencyConfig()
        training = self.of(TrainConfig)
        if not training.get("segment_labels"):
            raise InputError("--unlabelled_data_pattern goes with --segment_labels: it is segments that have views")
        steps = given.get("annealing_steps") or training.get("max_steps")
        if annealed and not steps:
            raise InputError("--tsa needs --tsa_steps or --max_steps, over which it releases the labelled pairs")
        return ConsistencyConfig(**({"weight": 1.0} | given | {"annealing_steps": steps or 1}))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run that is ready to be trained: the arguments of yt8m.training.train.train but for the folder."""

    run: RunConfig
    source: "Source"
    holdout: "Source | None"
    resources: "Resources"


def prepare(options: TrainOptions, *, beside: Prepared | None = None) -> Prepared:
    """The run that ``options`` ask for. Raises InputError for what does not go together.

    beside: another run on the same videos, whose devices it shares and whose split is checked already.
    """
    given = options.of(RunConfig)
    if "train_data_pattern" not in given:
        raise InputError("--train_data_pattern must be given. See --help")
    train = options.train_config()
    from yt8m.data.augment import check_augment
    from yt8m.data.splits import check_disjoint, split_sources
    from yt8m.models.checkpoints import read_run_config
    from yt8m.training.train import Resources

    # Before anything is computed.
    placement = beside.resources.placement if beside else options.place()
    preset = options.preset()
    base = read_run_config(given["init_from"]) if given.get("init_from") else None
    split = {
        name: given[name]
        for name in ("train_data_pattern", "eval_data_pattern", "holdout_files", "holdout_fraction")
        if name in given
    }
    if given.get("pairs"):
        split = {"train_data_pattern": split["train_data_pattern"]}
    source, holdout = split_sources(**split, seed=train.seed)
    model = options.architecture(base.model if base else None)
    run = RunConfig(
        data=options.data_config(list(source.files), preset=preset, base=base.data if base else None, model=model),
        model=model,
        train=train,
        **({"preset": base.preset if base else ""} | given),
        tta=preset.tta if preset else base.tta if base else (0, 0),
    )
    check_augment(train.augment, run.data, windows="rated" if train.segment_labels else "video")
    if train.average_checkpoints and holdout is None and not (run.eval_pairs or run.pairs and run.holdout_fraction):
        raise InputError("--average_checkpoints averages what was evaluated: hold something out")
    if holdout and not run.holdout_fraction and options.check_split and beside is None:
        check_disjoint(source.files, holdout.files, skip_corrupt=run.data.skip_corrupt)
    resources = Resources(
        cache_dir=options.cache_dir,
        histograms=options.histograms,
        placement=placement,
        accept_changed_inputs=options.accept_changed_inputs,
    )
    return Prepared(run=run, source=source, holdout=holdout, resources=resources)
