"""Sources of videos: splits into training and holdout, and one video among many files."""

import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from yt8m.config import RunConfig
from yt8m.data.record_checks import explain_errors, good_dataset
from yt8m.data.record_dataset import record_dataset
from yt8m.data.tfrecord import list_files, parse_context
from yt8m.runtime.progress import Progress
from yt8m.types import InputError

_MANY_FILES = 20
"""From so many on, a search for a video shows its progress."""


def split_files(files: Sequence[str], *, holdout_files: int, seed: int = 0) -> tuple[list[str], list[str]]:
    """Splits by file: (train files, holdout files), each sorted; the same for the same files in any order.

    Raises InputError unless 0 <= holdout_files < len(files).
    """
    files = sorted(files)
    if not 0 <= holdout_files < len(files):
        raise InputError(
            f"holdout_files is {holdout_files}, but the pattern matches {len(files)} file(s): hold out fewer files, "
            "or a fraction of the videos with holdout_fraction"
        )
    order = np.random.default_rng(seed).permutation(len(files))
    held_out = set(order[:holdout_files].tolist())
    return (
        [file for index, file in enumerate(files) if index not in held_out],
        [file for index, file in enumerate(files) if index in held_out],
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class IdSplit:
    """Splits by video id, for those who have a single file; ``in_train`` or ``in_holdout`` is make_dataset's keep.

    fraction: of the videos to hold out, in (0, 1). A video's side depends on its id and the seed alone.
    """

    fraction: float
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.fraction < 1:
            raise InputError(f"holdout_fraction is {self.fraction}; it must lie between 0 and 1")

    def in_holdout(self, video_id: str) -> bool:
        """Whether a video is held out."""
        digest = hashlib.blake2b(video_id.encode(), digest_size=8, salt=self.seed.to_bytes(8, "little", signed=True))
        return int.from_bytes(digest.digest(), "little") < self.fraction * 2**64

    def in_train(self, video_id: str) -> bool:
        """Whether a video is trained on."""
        return not self.in_holdout(video_id)


def check_disjoint(train_files: Sequence[str], holdout_files: Sequence[str], *, skip_corrupt: bool = False) -> None:
    """Raises InputError naming the first video id that stands on both sides, and a file on each.

    Corrupt records raise InputError too, unless ``skip_corrupt``.
    """
    files = [*train_files, *holdout_files]
    held_out = {}
    with Progress("checking that no video is in both train and holdout", total=len(files), unit="files") as progress:
        for file in holdout_files:
            held_out.update(dict.fromkeys(video_ids(file, skip_corrupt), file))
            progress.update()
        for file in train_files:
            for video_id in video_ids(file, skip_corrupt):
                if video_id in held_out:
                    raise InputError(f"video {video_id} is in {file} to train on and in {held_out[video_id]} held out")
            progress.update()


def video_ids(file: str, skip_corrupt: bool) -> Iterator[str]:
    """Generator of the ids of the records of one ``file``; a corrupt one is an InputError unless ``skip_corrupt``."""
    records = good_dataset([file], None) if skip_corrupt else record_dataset(file)
    with explain_errors([file], None):
        for ids in records.batch(64).map(lambda batch: parse_context(batch)[0]).as_numpy_iterator():
            yield from (video_id.decode(errors="replace") for video_id in ids.tolist())


@dataclasses.dataclass(frozen=True)
class Source:
    """Videos to read: files, and which of their videos to keep (None is all), for make_dataset."""

    files: tuple[str, ...]
    keep: Callable[[str], bool] | None = None

    def part(self, index: int, count: int) -> "Source":
        """The videos of one of ``count`` runs of files on end, as many in each, or none where there are fewer files."""
        first, last = (len(self.files) * number // count for number in (index, index + 1))
        return Source(self.files[first:last], self.keep)


class Without:
    """Predicate on video ids for make_dataset: those that ``keep`` keeps (None is all), but for the ``excluded``.

    met: those of the excluded that were asked for so far.
    """

    def __init__(self, excluded: frozenset[str], keep: Callable[[str], bool] | None):
        self.excluded = excluded
        self.keep = keep
        self.met: set[str] = set()

    def __call__(self, video_id: str) -> bool:
        """Whether a video is read."""
        if video_id in self.excluded:
            self.met.add(video_id)
            return False
        return self.keep is None or self.keep(video_id)


def exclude_videos(source: Source, run: RunConfig) -> Source:
    """``source`` without the videos of run.exclude_videos, or without those of them that would be held out.

    Reads the ids of these files. Raises InputError where nothing is left to exclude.
    """
    if not run.exclude_videos:
        return source
    everything, holdout = split_sources(
        train_data_pattern=run.exclude_videos,
        holdout_files=run.exclude_holdout_files,
        holdout_fraction=run.exclude_holdout_fraction,
        seed=run.train.seed,
    )
    ids = collect_ids(holdout or everything, skip_corrupt=run.data.skip_corrupt, title="reading the ids to exclude")
    if not ids:
        raise InputError(f"exclude_videos is {run.exclude_videos}, which holds no video to exclude")
    return Source(source.files, Without(frozenset(ids), source.keep))


def collect_ids(source: Source, *, skip_corrupt: bool, title: str) -> set[str]:
    """The ids of all videos of ``source``; title: of the progress line."""
    found: set[str] = set()
    with Progress(title, total=len(source.files), unit="files") as progress:
        for file in source.files:
            found.update(name for name in video_ids(file, skip_corrupt) if source.keep is None or source.keep(name))
            progress.update()
    return found


def open_source(pattern: str) -> Source | None:
    """The Source of all videos of the files that ``pattern`` names, None where it is empty."""
    return Source(tuple(list_files(pattern))) if pattern else None


def sources_of(run: RunConfig) -> tuple[Source, Source | None]:
    """(train Source, holdout Source or None) that ``run`` is trained and evaluated on; of pairs there is one Source."""
    if run.pairs:
        return split_sources(train_data_pattern=run.train_data_pattern)
    return split_sources(
        train_data_pattern=run.train_data_pattern,
        eval_data_pattern=run.eval_data_pattern,
        holdout_files=run.holdout_files,
        holdout_fraction=run.holdout_fraction,
        seed=run.train.seed,
    )


def split_sources(
    *,
    train_data_pattern: str,
    eval_data_pattern: str = "",
    holdout_files: int = 0,
    holdout_fraction: float = 0.0,
    seed: int = 0,
) -> tuple[Source, Source | None]:
    """(train Source, holdout Source or None) by whichever of the ways to hold out is asked for.

    eval_data_pattern: files of their own; holdout_files: as many files of the pattern; holdout_fraction: as many of its
    videos, by id. More than one of them is an InputError.
    """
    files = list_files(train_data_pattern)
    ways = {
        "eval_data_pattern": eval_data_pattern,
        "holdout_files": holdout_files,
        "holdout_fraction": holdout_fraction,
    }
    asked = [way for way, value in ways.items() if value]
    if len(asked) > 1:
        raise InputError(f"{' and '.join(asked)} each hold out videos in their own way: give one of them")
    if holdout_fraction:
        split = IdSplit(fraction=holdout_fraction, seed=seed)
        return Source(tuple(files), split.in_train), Source(tuple(files), split.in_holdout)
    if eval_data_pattern:
        return Source(tuple(files)), Source(tuple(list_files(eval_data_pattern)))
    train, holdout = split_files(files, holdout_files=holdout_files, seed=seed)
    return Source(tuple(train)), Source(tuple(holdout)) if holdout else None


def find_video(source: Source, video_id: str | None = None, *, skip_corrupt: bool = False) -> tuple[str, Source]:
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
