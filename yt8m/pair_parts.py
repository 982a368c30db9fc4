"""Parts of the configs of a run that learns the similarity of pairs of videos; see yt8m.config."""

import dataclasses
from typing import Any

from yt8m.options import Config, option
from yt8m.types import InputError

SIMILARITY_LOSSES = ("mse", "cosent")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimilarityConfig(Config):
    """Training on pairs of videos whose similarity was annotated, see yt8m.models.pair_learner."""

    loss: str = option(
        "mse",
        "Loss of --pairs: mse, the squared error of the cosine against the score, which is from -1 to 1 then; cosent, "
        "the order of cosines in a batch against that of scores.",
        choices=SIMILARITY_LOSSES,
        flag="similarity_loss",
    )
    size: int = option(
        256,
        "Dimensions that the vectors of videos are projected to with --pairs.",
        low=1,
        high=1 << 16,
        flag="embedding_size",
    )
    scale: float = option(
        20.0, "Factor on differences of cosines in --similarity_loss=cosent.", above=0, high=1000, flag="cosent_scale"
    )


def check_pairs(run: Any) -> None:
    """Raises InputError where what a RunConfig says of pairs contradicts itself or the rest of it."""
    if not run.pairs:
        raise InputError("eval_pairs evaluates what is trained on pairs: set pairs too")
    if run.eval_pairs and run.holdout_fraction:
        raise InputError("eval_pairs and holdout_fraction each hold out pairs in their own way: give one of them")
    if run.data.level == "clip":
        raise InputError("pairs are of records of features, and these are clips: leave pairs out")
    train = run.train
    others = {
        "segment_labels": train.segment_labels,
        "eval_data_pattern": run.eval_data_pattern,
        "holdout_files": run.holdout_files,
        "exclude_videos": run.exclude_videos,
        "pseudo_data_pattern": run.pseudo_data_pattern,
        "unlabelled_data_pattern": run.unlabelled_data_pattern,
        "masked_frames_weight": train.masked_frames.weight,
        "masked_tokens_weight": train.masked_tokens.weight,
        "multigrid": train.multigrid,
        "mixup": train.augment.mixup,
        "augmentation of segments": train.augment.of_segments,
    }
    for name, value in others.items():
        if value:
            raise InputError(f"{name} is of training on labels, and pairs replaces these: leave one of them out")
