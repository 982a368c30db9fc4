"""Settings of what is taken from a video: what backbones are shown, and what clip records hold."""

import dataclasses

from yt8m.options import Config, option
from yt8m.train_parts import check_gamma
from yt8m.types import SEGMENT_SECONDS, InputError

SAMPLINGS = ("dense", "uniform")
ENHANCEMENTS = ("off", "equalize", "clahe")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureSettings(Config):
    """What pictures of a video are looked at, and how dark ones are enhanced."""

    max_seconds: int | None = option(
        None, "Seconds of each video that are looked at.", unit="seconds", low=1, high=10**6, defaults_to="all"
    )
    gamma: str = option(
        "off",
        "Gamma correction: off; auto, by which the median of a darker picture becomes a quarter of white; or a number "
        "from 0.1 to 1, lower for brighter.",
    )
    enhance: str = option(
        "off",
        "Contrast of pictures: off; equalize, each picture's histogram made flat; or clahe, the same by regions and "
        "with a limit.",
        choices=ENHANCEMENTS,
    )

    super_resolve: str = option(
        "",
        "Folder of yt8m-super-resolve, whose network enlarges videos with a shorter side of less than 96 pixels to 128 "
        "before anything else; others are left as they are.",
    )

    def _check(self):
        check_gamma(self.gamma)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractionSettings(PictureSettings):
    """Everything but video and backbones that determines the features of a video."""

    sampling: str = option(
        "dense",
        "Frames of a clip, for backbones of clips: dense, at the backbone's own rate around each second; or uniform, "
        f"spread over the {SEGMENT_SECONDS} seconds around it.",
        choices=SAMPLINGS,
    )
    views: int = option(
        1,
        "Pictures or clips within each second, evenly spaced, whose features are averaged.",
        unit="views",
        low=1,
        high=30,
    )
    crops: int = option(
        1,
        "Crops of each picture whose features are averaged: 1, its middle, or 3, along its longer side.",
        low=1,
        high=3,
    )
    keep_views: bool = option(
        False,
        "Views and crops kept apart, as features rgb, rgb_view1 ..., in place of their mean: training reads the first, "
        "and inference averages the scores of all.",
    )

    def _check(self):
        super()._check()
        if self.crops == 2:
            raise InputError("crops is 2; it must be 1 or 3")
        if self.keep_views and self.num_inputs == 1:
            raise InputError("keep_views keeps views or crops apart, and there is one: give --views or --crops=3 too")

    @property
    def num_inputs(self) -> int:
        """Pictures or clips that are looked at for each second."""
        return self.views * self.crops


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipSettings(PictureSettings):
    """Everything but the video that determines the pictures of a clip record, see yt8m.data.clip_records."""

    rate: float = option(
        8.0,
        "Pictures a second of clip records.",
        unit="pictures a second",
        above=0,
        high=240,
        flag="clip_rate",
    )
    side: int = option(
        128,
        "Shorter side of the pictures of clip records; smaller videos keep theirs.",
        unit="pixels",
        low=8,
        high=4096,
        flag="clip_side",
    )
    quality: int = option(
        90,
        "Quality of the JPEGs of clip records, as libjpeg counts it.",
        low=1,
        high=100,
        flag="jpeg_quality",
    )
