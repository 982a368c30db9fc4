"""Features of videos as others store them: .npy, .npz, parquet files or MediaPipe's .pb, a file a video."""

import glob
import hashlib
import os
import warnings
from collections.abc import Iterable, Set

import numpy as np

from yt8m.data.making.mediapipe import mediapipe_names, read_mediapipe
from yt8m.runtime.arrays import npz_names, read_npy, read_npz
from yt8m.runtime.parquet import import_pyarrow, open_parquet, parquet_errors, read_groups
from yt8m.types import CropsWarning, InputError

SUFFIXES = (".npy", ".npz", ".parquet", ".pb")


class RawVideos:
    """Videos and where each of their features is stored.

    Attributes: names, tuple of str; ids, tuple of str in the order of a hash of them, which is the same for the same
    videos and mixes what names or folders sort. A video's id is the name of its file without suffix.
    """

    def __init__(self, paths: dict[str, dict[str, str]]):
        """paths: dict of feature name to dict of video id to path."""
        self._paths = paths
        self.names = tuple(paths)
        self._sizes = {}
        known = mixed(set().union(*paths.values()))
        self.incomplete = {
            video_id: missing
            for video_id in known
            if (missing := [name for name in paths if video_id not in paths[name]])
        }
        self.ids = tuple(video_id for video_id in known if video_id not in self.incomplete)

    @classmethod
    def of_features(cls, patterns: dict[str, str]) -> "RawVideos":
        """One file a video and feature. patterns: dict of feature name to glob."""
        return cls({name: _paths_by_id(pattern) for name, pattern in patterns.items()})

    @classmethod
    def of_videos(cls, pattern: str, names: list[str] | None = None) -> "RawVideos":
        """One file a video, .npz, parquet or .pb. names: of the arrays to take; None takes those of the first file."""
        paths = _paths_by_id(pattern)
        first = next(iter(paths.values()))
        if first.endswith(".npy"):
            raise InputError(
                f"{first} holds one array without a name: say whose frames they are, as in --features=rgb:{pattern}"
            )
        return cls({name: paths for name in names or _array_names(first)})

    def only(self, ids: Set[str]) -> "RawVideos":
        """The RawVideos of those ``ids`` that are there."""
        return RawVideos(
            {name: {key: path for key, path in found.items() if key in ids} for name, found in self._paths.items()}
        )

    def files(self) -> list[tuple[str, str, str]]:
        """Sorted list of (id, feature, path) of the complete videos."""
        return sorted((video_id, name, self._paths[name][video_id]) for name in self.names for video_id in self.ids)

    def path(self, video_id: str, name: str) -> str:
        """The file of a video's feature."""
        return self._paths[name][video_id]

    def read(self, video_id: str) -> dict[str, np.ndarray]:
        """Dict of feature to (frames, size) array, uint8 or float32, of a video.

        An array of (frames, crops, size) becomes its mean over crops, which is told in a CropsWarning.

        Raises InputError naming file and array where it is no such array, holds a value that is not finite, or has
        another size than in the first video that was read.
        """
        return {name: self._read_feature(self._paths[name][video_id], name) for name in self.names}

    def _read_feature(self, path, name):
        frames = _checked(_load(path, name), f"{path}, array {name}")
        size, first = self._sizes.setdefault(name, (frames.shape[1], path))
        if frames.shape[1] != size:
            raise InputError(f"{path}, array {name} has {frames.shape[1]} dimensions, but {size} in {first}")
        return frames


def resample(frames: np.ndarray, frames_per_second: float, *, method: str = "mean") -> np.ndarray:
    """(frames, size) at any rate -> (seconds, size) at 1 a second, of the same dtype.

    Frame i lasts from i / rate to (i + 1) / rate. Second s holds the mean of the frames that are shown in [s, s + 1),
    each by how long; for method "nearest" the frame that is shown at s + 0.5. The length is rounded to whole seconds,
    at least 1: of the last second half may be without frames, and less than half a second is left over.
    """
    if frames_per_second == 1:
        return frames
    count = len(frames)
    seconds = np.arange(max(1, round(count / frames_per_second)))
    if method == "nearest":
        return frames[np.minimum(((seconds + 0.5) * frames_per_second).astype(int), count - 1)]
    bounds = np.minimum(np.append(seconds, len(seconds)) * frames_per_second, count)
    # The integral of what is shown, by linear interpolation of its sums.
    sums = np.concatenate([np.zeros((1, frames.shape[1])), np.cumsum(frames, axis=0, dtype=np.float64)])
    whole = np.minimum(bounds.astype(int), count - 1)
    until = sums[whole] + (bounds - whole)[:, None] * frames[whole]
    means = np.diff(until, axis=0) / np.diff(bounds)[:, None]
    return (np.rint(means) if frames.dtype == np.uint8 else means).astype(frames.dtype)


def _paths_by_id(pattern):
    paths = {}
    for path in sorted(glob.glob(pattern, recursive=True)):
        stem, suffix = os.path.splitext(os.path.basename(path))
        if suffix not in SUFFIXES:
            raise InputError(f"{path} is none of {', '.join(SUFFIXES)}")
        if stem in paths:
            raise InputError(f"{paths[stem]} and {path} are of the same video, {stem}")
        paths[stem] = path
    if not paths:
        raise InputError(f"no file matches {pattern}")
    return paths


def _array_names(path):
    if path.endswith(".parquet"):
        with open_parquet(path) as file:
            return tuple(file.schema_arrow.names)
    return mediapipe_names(path) if path.endswith(".pb") else npz_names(path)


def _load(path, name):
    if path.endswith(".parquet"):
        return _load_parquet(path, name)
    if path.endswith(".pb"):
        return read_mediapipe(path, name)
    return read_npy(path) if path.endswith(".npy") else read_npz(path, name)


def _load_parquet(path, name):
    with parquet_errors(path), open_parquet(path, {name: "lists of numbers"}) as file:
        column = read_groups(file, path, range(file.num_row_groups), [name])[name].combine_chunks()
        compute = import_pyarrow()[0].compute
        values = column.flatten()
        if values.null_count:
            raise InputError(f"{path}, column {name} has {values.null_count:,} nulls in its lists, and none may be")
        if len(compute.unique(compute.list_value_length(column))) > 1:
            raise InputError(f"{path}, column {name} must hold a list of as many numbers in each row")
        return values.to_numpy(zero_copy_only=False).reshape(len(column), len(values) // max(len(column), 1))


def _checked(frames, where):
    if frames.ndim not in (2, 3) or 0 in frames.shape:
        raise InputError(f"{where} has the shape {frames.shape}; it must be (frames, size) or (frames, crops, size)")
    if frames.dtype != np.uint8:
        if not np.issubdtype(frames.dtype, np.floating):
            raise InputError(f"{where} is of {frames.dtype}; it must be of floats, or of uint8 if quantised already")
        finite = np.isfinite(frames).all(axis=tuple(range(1, frames.ndim)))
        if not finite.all():
            raise InputError(f"{where}, frame {int(np.argmin(finite))} has a value that is not finite")
    if frames.ndim == 3:
        frames = _mean_of_crops(frames, where)
    return frames if frames.dtype == np.uint8 else frames.astype(np.float32)


def _mean_of_crops(frames, where):
    """(frames, crops, size) -> (frames, size), as networks for action detection are given features."""
    if frames.shape[1] > 1:
        text = f"{where} has the shape {frames.shape}, and videos like it: features are the mean over crops, the second"
        warnings.warn(text, CropsWarning, stacklevel=2)
    means = frames.mean(axis=1, dtype=np.float64)
    return np.rint(means).astype(np.uint8) if frames.dtype == np.uint8 else means


def mixed(ids: Iterable[str]) -> list[str]:
    """Ids in the order of a hash of them, which mixes what names or folders sort, and is the same for the same ids."""
    return sorted(ids, key=lambda video_id: (_hash(video_id), video_id))


def _hash(video_id):
    return hashlib.blake2b(video_id.encode(errors="surrogateescape"), digest_size=8).digest()
