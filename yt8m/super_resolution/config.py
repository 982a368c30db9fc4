"""Settings of a super-resolution network and its training."""

import dataclasses

from yt8m.options import Config, option
from yt8m.super_resolution import RESOLVERS
from yt8m.types import InputError

SCALES = (2, 4)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SuperResolutionConfig(Config):
    """Everything but the clips that determines a super-resolution network. Defaults: Chan et al. 2021, section 4.

    The learning rate falls from its base to 0 along half a cosine.
    """

    network: str = option(
        "basicvsr",
        "Network: basicvsr, over the clip in both directions of time, or espcn, small and each picture by itself.",
        choices=tuple(RESOLVERS),
    )
    scale: int = option(2, "Factor by which height and width grow: 2 or 4.", low=2, high=4)
    width: int = option(64, "Channels of the network's features.", unit="channels", low=2, high=1024)
    blocks: int = option(15, "Residual blocks of each direction of basicvsr.", unit="blocks", low=1, high=100)
    num_frames: int = option(
        15, "Pictures on end of a training example.", unit="pictures", low=1, high=1000, flag="num_frames"
    )
    patch: int = option(
        128,
        "Side of the squares that the network learns to give, cut out of the clips.",
        unit="pixels",
        low=8,
        high=1024,
    )
    batch_size: int = option(8, "Clips in a step.", unit="clips", low=1, high=1024)
    max_steps: int = option(300_000, "Steps of training.", unit="steps", low=1, high=10**8)
    base_learning_rate: float = option(2e-4, "Learning rate of Adam at the first step.", above=0, high=1)
    flow_rate: float = option(
        0.125, "Learning rate of basicvsr's optical flow, as a share of the others'.", low=0, high=1
    )
    flow_start: int = option(
        0,
        "Steps in which the optical flow stays as it is: 5000 in the paper, whose flow was trained before.",
        unit="steps",
        low=0,
    )
    seed: int = option(0, "Seed of weights and examples.", low=0, high=2**31 - 1)

    def _check(self):
        if self.scale not in SCALES:
            raise InputError(f"scale is {self.scale}; it must be 2 or 4")
        if self.patch % self.scale:
            raise InputError(f"patch is {self.patch}, which scale {self.scale} does not divide")
