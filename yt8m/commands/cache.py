"""Packing of rated segments or whole videos for train.py --cache_dir, which otherwise does so before its first epoch.

  yt8m-cache --input_data_pattern='validate/*.tfrecord' --cache_dir=cache
  yt8m-cache --input_data_pattern='train/*.tfrecord' --cache_dir=cache --whole_videos

Each file is packed by itself and at once used by any run that trains on it or holds it out, with the same features and
vocabulary. A file that has changed is packed anew, one that is packed is left alone. Rated segments take little; whole
videos, uncompressed, as much disk as the records.
"""

import dataclasses

from yt8m.commands import command_line
from yt8m.commands.groups import FeatureOptions
from yt8m.config import PATTERN_HELP, DataConfig
from yt8m.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class CacheOptions(FeatureOptions):
    """Options of packing rated segments or whole videos."""

    configs = {DataConfig: ("max_frames", "unrated")}

    input_data_pattern: str = option("", f"Files to pack. {PATTERN_HELP}", required=True)
    cache_dir: str = option("", "Folder of the packed files, as for train.py.", required=True)
    whole_videos: bool = option(
        False,
        "Pack whole videos, for pre-training, instead of rated segments; on disk as large as the uncompressed records.",
    )
    margin: int = option(
        0,
        "Frames kept on either side of each segment, for train.py's views: 2 for --augment_dilute and "
        "--augment_enlarge, at least those of --augment_shift.",
        unit="frames",
        low=0,
        high=300,
    )


def main(options: CacheOptions) -> None:
    """Packs what is not packed yet."""
    from yt8m.data.cache import open_cache
    from yt8m.data.packing import WHAT
    from yt8m.data.tfrecord import list_files

    files = list_files(options.input_data_pattern)
    windows = "video" if options.whole_videos else "rated"
    config = options.data_config(files)
    cache = open_cache(options.cache_dir, files, config, windows=windows, margin=options.margin)
    print(f"{len(cache):,} {WHAT[windows]} of {len(files)} file(s) are packed in {options.cache_dir}")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, CacheOptions, resume_hint="The same command resumes after the last whole file.")


if __name__ == "__main__":
    run()
