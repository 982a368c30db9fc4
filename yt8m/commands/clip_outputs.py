"""Clip records of the videos that a command line names, for yt8m-pack and yt8m-video."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

from yt8m.data.making.settings import PackSettings
from yt8m.features.settings import ClipSettings, ExtractionSettings
from yt8m.text import counted
from yt8m.types import DataWarning


def store_clips(
    options: Any, sources: Mapping[str, str], output_dir: str, *, texts: Any = None, replace: bool = False
) -> None:
    """Packs ``sources``, dict of video id to path or address, as ``options`` ask for, and says what was left out.

    options: AnnotationOptions with PackSettings, ClipSettings, workers, ray and skip_unreadable.
    texts: dict of video id to TimedTexts, or None.
    """
    from yt8m.data.making.annotations import Labelling
    from yt8m.data.making.clip_packer import ClipPacker

    settings = PackSettings(**options.of(PackSettings))
    found = options.read_annotations(list(sources), options.output_dir, complete=settings.rest)
    # Where yt8m-video has them, what pictures are looked at is an option of extraction.
    known = {field.name for field in dataclasses.fields(ClipSettings)}
    shared = {name: value for name, value in options.of(ExtractionSettings).items() if name in known}
    packer = ClipPacker(
        {video_id: source for video_id, source in sources.items() if video_id in found.ids},
        output_dir,
        settings,
        clips=ClipSettings(**shared, **options.of(ClipSettings)),
        labelling=Labelling(found.labels, found.intervals, min_overlap=settings.min_overlap, rest=settings.rest),
        texts=texts,
        num_classes=found.num_classes,
        workers=options.workers,
        ray=options.ray,
        skip_unreadable=options.skip_unreadable,
        replace=replace,
    )
    packer.run()
    shards = packer.log["shards"].values()
    total = {name: sum(shard[name] for shard in shards) for name in ("records", "ratings", "pictures", "picture_bytes")}
    rated = f" with {counted(total['ratings'], 'rating')}" if total["ratings"] else ""
    kilobytes = total["picture_bytes"] / total["pictures"] / 1000
    print(
        f"stored {counted(total['records'], 'clip')}{rated} in {counted(len(shards), 'file')} in {packer.output_dir}: "
        f"{counted(total['pictures'], 'picture')} of {kilobytes:.1f} kB"
    )
    facts = {"csv": options.intervals_csv, "num_intervals": packer.num_intervals, "min_overlap": settings.min_overlap}
    for text in packer.left_out().sentences(**facts):
        warnings.warn(text, DataWarning, stacklevel=2)
