"""Features of many videos into a folder: in this process, in several, or on a cluster; resumed where they stopped."""

import concurrent.futures
import dataclasses
import warnings
from collections.abc import Callable, Mapping

from yt8m.features.decoding import stated_seconds
from yt8m.features.extraction import Extractor, VideoFeatures
from yt8m.features.feature_folder import FeatureFolder
from yt8m.runtime import cluster, parallel
from yt8m.runtime.progress import Progress
from yt8m.types import DataWarning, InputError

_THREADS = 16


@dataclasses.dataclass(frozen=True)
class _Extraction:
    """Task for map_in_order: (id, source) -> (id, VideoFeatures, or the sentence that says why there are none)."""

    extractor: Extractor
    on_second: Callable[[], None] | None = None

    def __call__(self, item: tuple[str, str]) -> tuple[str, VideoFeatures | str]:
        video_id, source = item
        try:
            return video_id, self.extractor(source, on_second=self.on_second or _nothing)
        except InputError as error:
            return video_id, str(error)


def _nothing():
    pass


def extract_videos(
    sources: Mapping[str, str], extractor: Extractor, folder: FeatureFolder, *, workers: int = 1, ray: str = ""
) -> dict[str, str]:
    """Puts the features of ``sources``, dict of id to source, that are not there yet into ``folder``.

    Returns dict of id to a sentence, of the videos that cannot be read; nothing is written of those. What is damaged,
    cut or absent of the others is told in a DataWarning each. workers: processes on this machine; ray: address of a
    cluster, instead. The features are the same, whoever extracts them.
    """
    missing = {video_id: source for video_id, source in sources.items() if not folder.has(video_id, source)}
    known = {video_id: folder.about(video_id) for video_id in sources if video_id not in missing}
    lengths = {video_id: about["seconds"] for video_id, about in known.items()}
    lengths |= _stated_lengths(missing, extractor.settings.max_seconds)
    for note in [note for about in known.values() for note in about["notes"]]:
        warnings.warn(note, DataWarning, stacklevel=2)
    failed: dict[str, str] = {}
    with Progress("extracting features", total=round(sum(lengths.values())), unit="seconds of video") as progress:
        done = sum(about["seconds"] for about in known.values())
        progress.skip(round(done))
        alone = not ray and (workers <= 1 or len(missing) == 1)
        task = _Extraction(extractor, progress.update if alone else None)
        items = list(missing.items())
        if ray:
            results = cluster.map_in_order(task, items, address=ray)
        else:
            results = parallel.map_in_order(task, items, workers=workers)
        for video_id, result in results:
            # What a header states may be more or less than what was found.
            done += lengths[video_id]
            progress.update(max(0, round(done) - progress.count), note=video_id)
            if isinstance(result, str):
                failed[video_id] = result
                continue
            for note in result.notes:
                warnings.warn(note, DataWarning, stacklevel=2)
            folder.save(video_id, missing[video_id], result.features, notes=result.notes)
        progress.complete()
    return failed


def _stated_lengths(sources, most):
    """Dict of id to the seconds that a file states, 0 where it states none or cannot be opened; none over ``most``."""
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        lengths = pool.map(stated_seconds, sources.values())
        return {video_id: min(length, most or length) for video_id, length in zip(sources, lengths)}
