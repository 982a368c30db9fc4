"""The ways of training that benchmarks.ablation compares."""

import contextlib
import dataclasses
from unittest import mock

_BERT = {"num_layers": 2, "num_heads": 4, "hidden_size": 128, "feed_forward_size": 512, "num_mixtures": 2}
_NETVLAD = {"num_clusters": 8, "hidden_size": 128, "num_mixtures": 2}
_MIXTURE = {"num_branches": 2, "num_clusters": 8, "hidden_size": 128, "groups": 4, "gating_reduction": 4}
_CONTEXT = {
    "segment_config": _BERT,
    "context_config": _BERT | {"num_layers": 1, "pooling": "attention"},
    "num_mixtures": 2,
}


@dataclasses.dataclass(frozen=True)
class Mode:
    """A way of training. pretrain, train: fields of TrainConfig that differ; model: (name, hyperparameters).

    run: fields of RunConfig, "unlabelled" standing for the unlabelled files. views: those averaged when scored;
    filters: SegmentFilter settings when scored. base: name of the mode that this one is compared with. rounds: of
    self-training. frames: of a video in pre-training. patches: (path of a name, its value) of what is no option.
    """

    pretrain: dict = dataclasses.field(default_factory=dict)
    train: dict = dataclasses.field(default_factory=dict)
    run: dict = dataclasses.field(default_factory=dict)
    model: tuple = ("frame_bert", _BERT)
    views: tuple = (0,)
    filters: dict = dataclasses.field(default_factory=dict)
    data: dict = dataclasses.field(default_factory=dict)
    base: str = "base"
    rounds: int = 0
    frames: int = 5
    patches: tuple = ()

    @contextlib.contextmanager
    def patched(self):
        """Context in which the patches are in place."""
        with contextlib.ExitStack() as stack:
            for path, value in self.patches:
                stack.enter_context(mock.patch(path, value))
            yield


def _distillation_without_gradient(teacher_logits, student_logits, *, temperature):
    from keras import ops

    from yt8m.models.losses import distillation

    return distillation(ops.stop_gradient(teacher_logits), student_logits, temperature=temperature)


_NO_TEACHER_GRADIENT = (("yt8m.models.mix_nextvlad.distillation", _distillation_without_gradient),)
_NO_PRIOR = tuple((f"yt8m.layers.{name}.PRIOR_LOGIT", 0.0) for name in ("logistic", "mixture_of_experts"))


def modes_to_compare() -> dict[str, Mode]:
    """Dict of name to Mode."""
    from yt8m.config import AugmentConfig, ConsistencyConfig, MaskedFramesConfig

    def augmented(**settings):
        return Mode(train={"augment": AugmentConfig(**settings)})

    def consistent(**settings):
        settings = {"consistency": ConsistencyConfig(weight=0.3, **settings)}
        return Mode(train=settings, run={"unlabelled_data_pattern": "unlabelled"})

    def both(**settings):
        return {"pretrain": settings, "train": settings}

    def bert(**settings):
        return Mode(model=("frame_bert", _BERT | settings))

    netvlad, mixture = ("gated_netvlad", _NETVLAD), ("mix_nextvlad", _MIXTURE)
    masked, guessed = MaskedFramesConfig(weight=1.0), MaskedFramesConfig(weight=1.0, method="mse")
    return {
        "base": Mode(),
        "masked frames with tags (NCE)": Mode(pretrain={"masked_frames": masked}, frames=15, base="base, 15 frames"),
        "masked frames with tags (MSE)": Mode(pretrain={"masked_frames": guessed}, frames=15, base="base, 15 frames"),
        "masked frames alone (NCE)": Mode(
            pretrain={"masked_frames": masked, "label_weight": 0.0}, frames=15, base="base, not pre-trained"
        ),
        "base, 15 frames": Mode(frames=15),
        "base, not pre-trained": Mode(pretrain=None),
        "shift": augmented(shift=1),
        "dilute": augmented(dilute=True),
        "enlarge": augmented(enlarge=True),
        "shift, dilute, enlarge": augmented(shift=1, dilute=True, enlarge=True),
        "frame masking 0.15": augmented(frame_masking=0.15),
        "frame dropping 0.2": augmented(frame_dropping=0.2),
        "modality dropout 0.1": augmented(modality_dropout=0.1),
        "mixup 0.2": augmented(mixup=0.2),
        "consistency (UDA)": consistent(),
        "consistency, annealed": consistent(annealing="linear", annealing_steps=80),
        "self-training, 2 rounds": Mode(rounds=2),
        "gated_netvlad": Mode(model=netvlad),
        "batch norm adapted": Mode(model=netvlad, run={"adapt_bn": "target"}, base="gated_netvlad"),
        "whole-video context": Mode(model=("video_context", _CONTEXT), data={"video_frames": 15}),
        "label smoothing 0.05": Mode(train={"label_smoothing": 0.05}),
        "focal loss": Mode(train={"loss": "focal"}),
        "asymmetric loss": Mode(train={"loss": "asymmetric"}),
        "balance 0.1": Mode(train={"balance_threshold": 0.1}),
        "AdamW 0.01": Mode(train={"weight_decay": 0.01}),
        "rectified Adam": Mode(train={"optimizer": "rectified_adam"}),
        "rectified Adam, 5 times the rate": Mode(train={"optimizer": "rectified_adam", "base_learning_rate": 5e-3}),
        "Lamb": Mode(train={"optimizer": "lamb"}),
        "Lamb, 10 times the rate": Mode(train={"optimizer": "lamb", "base_learning_rate": 1e-2}),
        "Lookahead": Mode(train={"lookahead": True}),
        "EMA 0.99": Mode(train={"averaging": "ema", "ema_momentum": 0.99}),
        "SWA": Mode(train={"averaging": "swa", "swa_start_step": 40, "swa_period": 10}),
        "average of 3 checkpoints": Mode(train={"average_checkpoints": 3}),
        "multigrid pre-training": Mode(pretrain={"multigrid": True}, frames=15, base="base, 15 frames"),
        "attention pooling": bert(pooling="attention"),
        "additive attention pooling": bert(pooling="additive_attention"),
        "15 random frames": Mode(data={"sampling": "random"}, frames=15, base="base, 15 frames"),
        "15 random frames, ordered": Mode(data={"sampling": "random_ordered"}, frames=15, base="base, 15 frames"),
        "optimizer goes on": Mode(run={"init_optimizer": True}),
        "optimizer goes on, 0.28 of the rate": Mode(run={"init_optimizer": True}, train={"base_learning_rate": 2.8e-4}),
        "0.28 of the rate": Mode(train={"base_learning_rate": 2.8e-4}),
        "frames of unit length": Mode(data={"l2_normalize": True}),
        "head L2 1e-6": Mode(**both(head_l2=1e-6)),
        "head bias 0": Mode(patches=_NO_PRIOR),
        "gated_netvlad, second layer": Mode(
            model=("gated_netvlad", _NETVLAD | {"second_layer": True}), base="gated_netvlad"
        ),
        "gated_netvlad, frames of unit length": Mode(model=netvlad, data={"l2_normalize": True}, base="gated_netvlad"),
        "gated_netvlad, head bias 0": Mode(model=netvlad, patches=_NO_PRIOR, base="gated_netvlad"),
        "mix_nextvlad": Mode(model=mixture),
        "mix_nextvlad, teacher without gradient": Mode(
            model=mixture, patches=_NO_TEACHER_GRADIENT, base="mix_nextvlad"
        ),
        "mix_nextvlad, hidden L2 1e-5": Mode(model=mixture, **both(hidden_l2=1e-5), base="mix_nextvlad"),
        "shifts at inference": Mode(views=(-1, 0, 1)),
        "shifts, dilute, enlarge at inference": Mode(views=(-1, 0, 1, "dilute", "enlarge")),
        "the video's 5 best classes alone": Mode(filters={"top_n": 5}),
    }
