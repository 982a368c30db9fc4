"""TANet: a residual network of pictures whose blocks filter each clip over time by kernels of its own."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from yt8m.layers.convolution import ConvNorm, max_pool
from yt8m.layers.residual_stage import ResidualStage, blocks_of
from yt8m.models import MODELS
from yt8m.models.clip_model import ClipModel
from yt8m.models.published import Renames, names_of_conv_norm, names_of_head, names_of_norm
from yt8m.types import InputError, Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_STRIDES = (1, 2, 2, 2)


@MODELS.register("tanet")
@keras.saving.register_keras_serializable("yt8m")
class TANet(ClipModel):
    """TANet (Liu et al. 2020): a residual network with a temporal adaptive module in each of its blocks.

    depth: layers, 50 or 101, also 14, 26 or 152. width: channels within the first stage's blocks, 64 in the paper.
    num_frames: T of its temporal kernels, 8 or 16 in the paper. Shorter clips are padded to it, with frames that count
        for nothing and are zeros in each module; longer ones are an InputError.
    mean, std, dropout, head, num_mixtures: see ClipModel; by default those of the published weights.
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
        num_frames: int = 8,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
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
        self.network = {"depth": depth, "width": width, "num_frames": num_frames}
        self.stem = ConvNorm(width, (1, 7, 7), strides=(1, 2, 2), dtype=self.dtype_policy, name="stem")
        self.stages = [
            ResidualStage(
                blocks,
                width=width * 2**number,
                stride=_STRIDES[number],
                adaptive_frames=num_frames,
                dtype=self.dtype_policy,
                name=f"stage{number}",
            )
            for number, blocks in enumerate(blocks_of(depth))
        ]

    def build_network(self, clip_shape: tuple) -> int:
        """Makes the weights of what comes before the head, see ClipModel."""
        self.stem.build(clip_shape)
        channels = self.stem.filters
        for stage in self.stages:
            stage.build((*clip_shape[:-1], channels))
            channels = stage.filters
        return channels

    def symbolic_inputs(self) -> dict[str, keras.KerasTensor]:
        """Symbolic inputs by name, for a batch of clips of any size."""
        pictures = keras.KerasTensor((None, self.network["num_frames"], None, None, 3), dtype="uint8")
        return super().symbolic_inputs() | {"pictures": pictures}

    def embed(self, inputs: dict[str, Any], *, training: bool | None = None) -> Tensor:
        """The mean over frames and pixels, (B, 32 width)."""
        clip, frame_mask = self.clip(inputs | {"pictures": self._of_full_length(inputs["pictures"])})
        known = {"frame_mask": frame_mask, "training": training}
        clip = max_pool(self.stem(clip, **known))
        for stage in self.stages:
            clip = stage(clip, **known)
        return self.drop(self.pooled(clip, frame_mask), training=training)

    def _of_full_length(self, pictures):
        """Pictures (B, num_frames, H, W, 3), padded at the end."""
        length, needed = pictures.shape[1], self.network["num_frames"]
        if length == needed:
            return pictures
        self.check_clips(num_frames=length, size=pictures.shape[2:4])
        return ops.pad(pictures, [(0, 0), (0, needed), (0, 0), (0, 0), (0, 0)])[:, :needed]

    def check_clips(self, *, num_frames: int | None, size: tuple[int, int]) -> None:
        """Raises InputError for clips longer than the kernels are for."""
        needed = self.network["num_frames"]
        if num_frames is not None and num_frames > needed:
            raise InputError(
                f"this tanet has kernels of {needed} frames, and the clips have {num_frames}: give it num_frames "
                f"{num_frames} in model_config, or the data num_frames {needed}"
            )

    @property
    def depth_groups(self) -> list[list[keras.layers.Layer]]:
        """Stem, stages, head."""
        return [[self.stem], *([stage] for stage in self.stages), [self.head]]

    published_head = "new_fc"
    published_renames: Renames = ((r"^base_model\.", ""),)

    def published_names(self) -> dict[str, Any]:
        """Weights by their names in the authors' checkpoints, see yt8m.models.published."""
        names = names_of_conv_norm(self.stem, "conv1", "bn1")
        for place, stage in enumerate(self.stages, 1):
            for index, block in enumerate(stage.blocks):
                prefix = f"layer{place}.{index}"
                for number, layer in enumerate((block.first, block.second, block.third), 1):
                    names |= names_of_conv_norm(layer, f"{prefix}.net.conv{number}", f"{prefix}.net.bn{number}")
                if block.shortcut:
                    names |= names_of_conv_norm(
                        block.shortcut, f"{prefix}.net.downsample.0", f"{prefix}.net.downsample.1"
                    )
                names |= _names_of_module(block.adaptive, f"{prefix}.tam")
        return names | names_of_head(self.head, self.published_head)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return super().get_config() | self.network


def _names_of_module(module, prefix):
    kernels = {"G.0": module.widen, "G.3": module.kernels, "L.0": module.squeeze, "L.3": module.excite}
    names = {f"{prefix}.{name}.weight": layer.kernel for name, layer in kernels.items()}
    return (
        names | names_of_norm(module.global_norm, f"{prefix}.G.1") | names_of_norm(module.local_norm, f"{prefix}.L.1")
    )
