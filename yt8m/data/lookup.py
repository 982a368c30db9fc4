"""One video among many files."""

import itertools

from yt8m.data.splits import Source, video_ids
from yt8m.runtime.progress import Progress
from yt8m.types import InputError

_MANY_FILES = 20


def find_video(source, video_id=None, *, skip_corrupt=False):
    """(video id, Source of the one file that holds it); reads ids up to the first that is ``video_id``.

    source: a Source. video_id: None where it holds a single video, which is meant then. skip_corrupt: as in DataConfig.
    Raises InputError where there is no such video, or not a single one.
    """
    keep = source.keep or (lambda _: True)
    if video_id is None:
        everything = ((file, found) for file in source.files for found in video_ids(file, skip_corrupt) if keep(found))
        first = list(itertools.islice(everything, 2))
        if len(first) != 1:
            count = "more than one video" if first else "no video"
            raise InputError(f"{source.files[0]} and {len(source.files) - 1} more hold {count}: name one by --video_id")
        ((file, video_id),) = first
        return video_id, Source((file,), source.keep)
    shown = len(source.files) > _MANY_FILES
    with Progress(f"looking for {video_id}", total=len(source.files), unit="files", shown=shown) as progress:
        for file in source.files:
            progress.update()
            if keep(video_id) and any(found == video_id for found in video_ids(file, skip_corrupt)):
                progress.complete()
                return video_id, Source((file,), source.keep)
    raise InputError(f"--video_id={video_id} is in none of the {len(source.files)} files of {source.files[0]}, ...")
