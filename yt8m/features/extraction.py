"""Features of videos by one or more backbones, a row a second, in one decode of the pictures and one of the sound."""

import concurrent.futures
import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from yt8m.features.backbones.base import Backbone, PictureInput, SoundInput
from yt8m.features.backbones.registry import load_backbone
from yt8m.features.decoding import read_pictures, read_sound
from yt8m.features.enhancement import make_enhancement
from yt8m.features.settings import ExtractionSettings
from yt8m.features.windows import PictureWindows
from yt8m.types import DataWarning, InputError, StrPath, names_of_views, view_name

_BATCH = 32
"""Pictures that a backbone is given together; of clips, as many as have so many frames."""

_SOUND_BATCH = 64
_BATCH_BYTES = 64 << 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class VideoFeatures:
    """What was extracted of a video.

    features: dict of feature name to (seconds, D) array, float32, or uint8 of backbones that store bytes. notes: what
    was said of it on the way, sentences.
    """

    features: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()


def feature_names(backbones: Sequence[Backbone]) -> list[str]:
    """Names of the features of backbones: rgb for the first that sees, audio for the first that hears, then rgb2 ..."""
    names, counts = [], {"rgb": 0, "audio": 0}
    for backbone in backbones:
        kind = "rgb" if isinstance(backbone.input, PictureInput) else "audio"
        counts[kind] += 1
        names.append(kind if counts[kind] == 1 else f"{kind}{counts[kind]}")
    return names


def load_backbones(specs: Sequence[str]) -> list[Backbone]:
    """The Backbone of each spec. Raises InputError for one that is given twice."""
    for spec in specs:
        if list(specs).count(spec) > 1:
            raise InputError(f"the backbone {spec} is named twice")
    return [load_backbone(spec) for spec in specs]


class Extractor:
    """Backbones with settings, applied to videos; picklable, and loaded where it is first used.

    specs: of the backbones. ``backbones``: list of Backbone; ``named``: dict of feature name to each; both load them.
    """

    def __init__(self, specs: Sequence[str], settings: ExtractionSettings = ExtractionSettings()):
        self.specs, self.settings = tuple(specs), settings

    @functools.cached_property
    def backbones(self) -> list[Backbone]:
        """List of Backbone, in the order of specs."""
        return load_backbones(self.specs)

    @property
    def named(self) -> dict[str, Backbone]:
        """Dict of feature name to its Backbone, in the order of specs."""
        return dict(zip(feature_names(self.backbones), self.backbones))

    def __reduce__(self) -> tuple[Any, ...]:
        return Extractor, (self.specs, self.settings)

    def described(self) -> dict[str, dict[str, Any]]:
        """What decides each feature, as JSON values: dict of name to spec, digest, size and settings."""
        described: dict[str, dict[str, Any]] = {
            name: {
                "spec": backbone.spec,
                "digest": backbone.digest,
                "size": backbone.size,
                "settings": _settings_of_first_view(backbone, self.settings),
            }
            for name, backbone in self.named.items()
        }
        for name, count in self.views_of_features.items():
            if count > 1:
                described[name]["record_views"] = count
        return described

    @property
    def views_of_features(self) -> dict[str, int]:
        """Dict of feature name to the number of its views that are kept apart."""
        kept = self.settings.num_inputs if self.settings.keep_views else 1
        return {name: kept if isinstance(item.input, PictureInput) else 1 for name, item in self.named.items()}

    def __call__(self, source: StrPath, *, on_second: Callable[[], None] = lambda: None) -> VideoFeatures:
        """The VideoFeatures of a video or sound file, in memory that grows by its features alone.

        source: see yt8m.features.decoding. on_second: called for each second that is done. Where there is no sound,
        features of sound are those of silence, and it is said. Raises InputError where the file cannot be read, or has
        no pictures, and pictures are wanted.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", DataWarning)
            features = self._extract(source, on_second)
        notes = [str(item.message) for item in caught if issubclass(item.category, DataWarning)]
        for item in caught:
            if not issubclass(item.category, DataWarning):
                warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        return VideoFeatures(features=features, notes=tuple(dict.fromkeys(notes)))

    def _extract(self, source, on_second):
        seeing = {name: item for name, item in self.named.items() if isinstance(item.input, PictureInput)}
        features = self._pictures(source, seeing, on_second) if seeing else {}
        seconds = min(map(len, features.values()), default=self.settings.max_seconds)
        for name, backbone in self.named.items():
            if name not in seeing:
                features[name] = _sound(source, backbone, seconds, is_all=not seeing)
        return {name: features[name] for name in names_of_views(self.views_of_features)}

    def _pictures(self, source, backbones, on_second):
        enhance = make_enhancement(self.settings)
        windows = [PictureWindows(backbone.input, self.settings, enhance) for backbone in backbones.values()]
        grids = [window.grid for window in windows]
        # The backbones compute in a thread beside the decoder.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            batches = [_Batches(item, pool, apart=self.settings.keep_views) for item in backbones.values()]
            for number, _, picture in read_pictures(source, grids, max_seconds=self.settings.max_seconds):
                for inputs in windows[number].add(picture):
                    batches[number].add(inputs)
                    if number == 0:
                        on_second()
            for window, batch in zip(windows, batches):
                for inputs in window.finish():
                    batch.add(inputs)
            if not batches[0].count:
                raise InputError(
                    f"{source} has sound and no pictures: name backbones of sound alone, as --backbone=logmel"
                )
            return {
                view_name(name, view): rows
                for name, batch in zip(backbones, batches)
                for view, rows in enumerate(batch.rows())
            }


def _settings_of_first_view(backbone, settings):
    """The settings by which a feature is known, of which further views may be kept, as JSON values.

    The first view is the middle crop of what a single view shows, where there is such a view; then features with and
    without others are the same.
    """
    wanted = backbone.input
    is_alone = settings.keep_views
    if is_alone and isinstance(wanted, PictureInput):
        is_stretched = wanted.size is not None and wanted.shorter_side is None
        is_alone = not (settings.crops > 1 and is_stretched or wanted.frames > 1 and settings.views % 2 == 0)
    known = settings.replace(views=1, crops=1, keep_views=False) if is_alone else settings
    # Features that were extracted before there was the option are what they were.
    return {name: value for name, value in known.to_dict().items() if name != "keep_views" or value}


class _Batches:
    """Inputs of seconds gathered to batches, and the features of each second, their mean or each apart.

    A batch is computed in ``pool`` while the next is gathered; no third one waits.
    """

    def __init__(self, backbone: Backbone, pool: concurrent.futures.Executor, *, apart: bool):
        self._backbone, self._pool, self._apart = backbone, pool, apart
        self._waiting: list[np.ndarray] = []
        self._rows: list[np.ndarray] = []
        self._computed: concurrent.futures.Future[np.ndarray] | None = None
        self.count = 0

    def add(self, inputs):
        """inputs: (views x crops, ...) of the next second."""
        self._waiting.append(inputs)
        self.count += 1
        size = sum(map(len, self._waiting))
        frames = self._backbone.input.frames
        if size * frames >= _BATCH or sum(item.nbytes for item in self._waiting) >= _BATCH_BYTES:
            self._run()

    def rows(self):
        """List of (seconds, D) features of all that was added, an entry for each view that is kept apart."""
        if self._waiting:
            self._run()
        self._take()
        return list(np.ascontiguousarray(np.concatenate(self._rows).swapaxes(0, 1)))

    def _run(self):
        self._take()
        self._computed = self._pool.submit(self._features, self._waiting)
        self._waiting = []

    def _take(self):
        if self._computed is not None:
            self._rows.append(self._computed.result())
            self._computed = None

    def _features(self, waiting):
        each = len(waiting[0])
        features = self._backbone.features(np.concatenate(waiting))
        features = features.reshape(-1, each, features.shape[1])
        if each > 1 and not self._apart:
            means = features.mean(axis=1, keepdims=True, dtype=np.float64)
            features = (np.rint(means) if features.dtype == np.uint8 else means).astype(features.dtype)
        return features


def _sound(source, backbone, seconds, *, is_all):
    """(seconds, D) features of the sound. is_all: whether nothing else is wanted of the file."""
    assert isinstance(backbone.input, SoundInput)
    samples = backbone.input.samples
    rows = [
        backbone.features(np.stack(batch))
        for batch in _batched(read_sound(source, samples=samples, seconds=seconds), _SOUND_BATCH)
    ]
    if rows:
        return np.concatenate(rows)
    if is_all:
        raise InputError(f"{source} has no sound: name backbones of pictures, as --backbone=efficientnet-lite0")
    warnings.warn(f"{source} has no sound: the features of silence stand for it", DataWarning, stacklevel=2)
    silence = backbone.features(np.zeros((1, samples), np.float32))
    return np.repeat(silence, seconds, axis=0)


def _batched(items: Iterator[np.ndarray], size: int) -> Iterator[list[np.ndarray]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
