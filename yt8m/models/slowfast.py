"""SlowFast: a slow pathway of few frames and many channels, and a fast one of many frames and few channels."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from yt8m.layers.convolution import ConvNorm, max_pool
from yt8m.layers.residual_stage import ResidualStage, blocks_of
from yt8m.models import MODELS
from yt8m.models.clip_model import ClipModel
from yt8m.models.published import Renames, names_of_conv_norm, names_of_head
from yt8m.types import InputError, Tensor

_KERNELS = {"slow": (1, 1, 3, 3), "fast": (3, 3, 3, 3)}
"""Frames that the first convolutions of the blocks of each stage span."""

_STEM_FRAMES = {"slow": 1, "fast": 5}
_STRIDES = (1, 2, 2, 2)
_LATERAL_RATIO = 2
"""Channels of a lateral connection over those of the fast pathway."""


@MODELS.register("slowfast")
@keras.saving.register_keras_serializable("yt8m")
class SlowFast(ClipModel):
    """SlowFast (Feichtenhofer et al. 2019): two residual networks of one clip, joined after each stage but the last.

    depth: layers of both, 50 or 101, also 14, 26 or 152. width: channels within the first stage's blocks of the slow
        pathway, 64 in the paper.
    alpha: the slow pathway has frames 0, alpha, 2 alpha ... of the T that the fast one has, ceil(T / alpha) of them,
        also where alpha does not divide T.
    beta: channels of the fast pathway over those of the slow one.
    lateral_kernel: frames, odd, that the lateral convolutions span at their stride of alpha.
    temporal_blocks: blocks of a stage, from its first, whose kernels may span time; None for all.
    mean, std, dropout, head, num_mixtures: see ClipModel; by default those of the published Kinetics weights.

    A padded clip has the output of the same clip without its padding.
    """

    def __init__(
        self,
        *,
        feature_sizes: Mapping[str, int],
        num_classes: int,
        level: str = "clip",
        l2_normalize: bool = False,
        depth: int = 50,
        width: int = 64,
        alpha: int = 8,
        beta: float = 0.125,
        lateral_kernel: int = 5,
        temporal_blocks: int | None = None,
        mean: Sequence[float] = (0.45,),
        std: Sequence[float] = (0.225,),
        dropout: float = 0.5,
        head: str = "logistic",
        num_mixtures: int = 5,
        name: str | None = None,
        dtype: Any = None,
    ):
        super().__init__(
            feature_sizes=feature_sizes,
            num_classes=num_classes,
            level=level,
            l2_normalize=l2_normalize,
            mean=mean,
            std=std,
            dropout=dropout,
            head=head,
            num_mixtures=num_mixtures,
            name=name,
            dtype=dtype,
        )
        fast_width = round(width * beta)
        if not 0 < fast_width <= width or abs(fast_width - width * beta) > 1e-6:
            raise InputError(
                f"beta is {beta}, and width {width}: the fast pathway has their product of channels, a whole number "
                "up to width"
            )
        if lateral_kernel % 2 == 0:
            raise InputError(f"lateral_kernel is {lateral_kernel}; it must be odd")
        self.network: dict[str, Any] = {"depth": depth, "width": width, "alpha": alpha, "beta": beta}
        self.network |= {"lateral_kernel": lateral_kernel, "temporal_blocks": temporal_blocks}
        widths = {"slow": width, "fast": fast_width}
        self.stems = {
            path: ConvNorm(
                widths[path],
                (_STEM_FRAMES[path], 7, 7),
                strides=(1, 2, 2),
                dtype=self.dtype_policy,
                name=f"{path}_stem",
            )
            for path in widths
        }
        self.slow_stages, self.fast_stages = (self._stages(path, widths[path]) for path in widths)
        # Of the stem and of all stages but the last: what the fast pathway has there.
        channels = [fast_width * factor for factor in (1, 4, 8, 16)]
        self.laterals = [
            ConvNorm(
                _LATERAL_RATIO * count,
                (lateral_kernel, 1, 1),
                strides=(alpha, 1, 1),
                dtype=self.dtype_policy,
                name=f"lateral{number}",
            )
            for number, count in enumerate(channels)
        ]

    def _stages(self, path, width):
        return [
            ResidualStage(
                blocks,
                width=width * 2**number,
                kernel_frames=_KERNELS[path][number],
                temporal_blocks=self.network["temporal_blocks"],
                stride=_STRIDES[number],
                dtype=self.dtype_policy,
                name=f"{path}{number}",
            )
            for number, blocks in enumerate(blocks_of(self.network["depth"]))
        ]

    def build_network(self, clip_shape: tuple) -> int:
        """Makes the weights of what comes before the head, see ClipModel."""

        def of(channels):
            return (*clip_shape[:-1], channels)

        for stem in self.stems.values():
            stem.build(clip_shape)
        slow, fast = (stem.filters for stem in self.stems.values())
        for slow_stage, fast_stage, lateral in zip(self.slow_stages, self.fast_stages, self.laterals):
            lateral.build(of(fast))
            slow_stage.build(of(slow + lateral.filters))
            fast_stage.build(of(fast))
            slow, fast = slow_stage.filters, fast_stage.filters
        return slow + fast

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """Both pathways' means over frames and pixels, (B, 32 width (1 + beta))."""
        clip, frame_mask = self.clip(inputs)
        alpha = self.network["alpha"]
        fast = {"frame_mask": frame_mask, "training": training}
        slow = {"frame_mask": frame_mask[:, ::alpha], "training": training}
        slow_clip = max_pool(self.stems["slow"](clip[:, ::alpha], **slow))
        fast_clip = max_pool(self.stems["fast"](clip, **fast))
        for slow_stage, fast_stage, lateral in zip(self.slow_stages, self.fast_stages, self.laterals):
            slow_clip = slow_stage(ops.concatenate([slow_clip, lateral(fast_clip, **fast)], axis=-1), **slow)
            fast_clip = fast_stage(fast_clip, **fast)
        pooled = [self.pooled(slow_clip, slow["frame_mask"]), self.pooled(fast_clip, frame_mask)]
        return self.drop(ops.concatenate(pooled, axis=-1), training=training)

    @property
    def depth_groups(self) -> list[list[keras.layers.Layer]]:
        """Stems, the stages with the lateral connections into them, head."""
        stages = zip(self.laterals, self.slow_stages, self.fast_stages)
        return [list(self.stems.values()), *map(list, stages), [self.head]]

    def published_names(self) -> dict[str, Any]:
        """Weights by their names in PySlowFast's checkpoints, see yt8m.models.published."""
        names: dict[str, Any] = {}
        for number, path in enumerate(("slow", "fast")):
            stem = f"s1.pathway{number}_stem"
            names |= names_of_conv_norm(self.stems[path], f"{stem}.conv", f"{stem}.bn")
            for place, stage in enumerate((self.slow_stages, self.fast_stages)[number], 2):
                for index, block in enumerate(stage.blocks):
                    prefix = f"s{place}.pathway{number}_res{index}"
                    parts = {"branch2.a": block.first, "branch2.b": block.second, "branch2.c": block.third}
                    parts |= {"branch1": block.shortcut} if block.shortcut else {}
                    for part, layer in parts.items():
                        names |= names_of_conv_norm(layer, f"{prefix}.{part}", f"{prefix}.{part}_bn")
        for place, lateral in enumerate(self.laterals, 1):
            names |= names_of_conv_norm(lateral, f"s{place}_fuse.conv_f2s", f"s{place}_fuse.bn")
        return names | names_of_head(self.head, self.published_head)

    published_head = "head.projection"
    published_renames: Renames = (
        # Those of pytorchvideo, whose blocks are numbered from 0.
        (r"^blocks\.6\.proj\.", "head.projection."),
        (r"^blocks\.0\.multipathway_blocks\.(\d)\.norm\.", r"s1.pathway\1_stem.bn."),
        (r"^blocks\.0\.multipathway_blocks\.(\d)\.", r"s1.pathway\1_stem."),
        (
            r"^blocks\.(\d)\.multipathway_fusion\.conv_fast_to_slow\.",
            lambda found: f"s{int(found[1]) + 1}_fuse.conv_f2s.",
        ),
        (r"^blocks\.(\d)\.multipathway_fusion\.norm\.", lambda found: f"s{int(found[1]) + 1}_fuse.bn."),
        (
            r"^blocks\.(\d)\.multipathway_blocks\.(\d)\.res_blocks\.(\d+)\.",
            lambda found: f"s{int(found[1]) + 1}.pathway{found[2]}_res{found[3]}.",
        ),
        (r"\.branch1_conv\.", ".branch1."),
        (r"\.branch1_norm\.", ".branch1_bn."),
        (r"\.branch2\.conv_([abc])\.", r".branch2.\1."),
        (r"\.branch2\.norm_([abc])\.", r".branch2.\1_bn."),
    )

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return super().get_config() | self.network
