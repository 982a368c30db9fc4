"""Settings of packing, and of generated clips."""

import dataclasses

from yt8m.options import check_options, option
from yt8m.types import SEGMENT_SECONDS

STANDARDIZE = "standardize"
RESAMPLINGS = ("mean", "nearest")
TOKENIZERS = ("unigram", "wordpiece")
ACTION_VERSIONS = ("bright", "low_resolution", "dark")
ACTION_SIZES = ("tiny", "small", "large")
"""Of the generated clips of yt8m.data.making.actions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackSettings:
    """Everything but the videos and their labels that determines the bytes of the records.

    rates: dict of feature to its frames a second, 1 where absent. fit: dict of feature to the dimensions that PCA
    leaves, or STANDARDIZE. use: dict of feature to the path of a projection. views: dict of feature to the feature it
    is a view of, whose projection it takes. Raises InputError where a value is out of range.
    """

    prefix: str = option("part", "Prefix of the records' file names, as train in train0000.tfrecord.")
    num_shards: int | None = option(
        None, "Number of files to write.", unit="files", low=1, high=100_000, defaults_to="by --shard_megabytes"
    )
    shard_megabytes: int = option(100, "Approximate size of a file.", unit="MB", low=1, high=100_000)
    rates: dict = dataclasses.field(default_factory=dict)
    method: str = option(
        "mean",
        "Resampling to 1 frame a second: the mean of a second's frames, or the nearest one to its middle.",
        choices=RESAMPLINGS,
        flag="resample",
    )
    fit: dict = dataclasses.field(default_factory=dict)
    use: dict = dataclasses.field(default_factory=dict)
    views: dict = dataclasses.field(default_factory=dict)
    min_overlap: float = option(
        SEGMENT_SECONDS / 2,
        "Part of a 5-second segment that an interval must cover to rate it.",
        unit="seconds",
        above=0,
        high=SEGMENT_SECONDS,
    )
    rest: bool = option(
        False,
        "Complete intervals: a segment that no positive interval of a class touches is rated 0 for that class.",
        flag="rate_the_rest",
    )

    sanitize_ids: bool = option(
        False, "Replacement of what no submission can hold in ids, blanks, commas, quotes and control characters, by _."
    )

    def __post_init__(self):
        check_options(self)
