"""Records to pack, and caches of them."""

import functools
import shutil

import pytest

from tests.helpers.caches import batches, ratings
from tests.helpers.records import CONFIG, make_video
from yt8m.data.cache import open_cache
from yt8m.data.tfrecord import write_records


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """Files of which blocks end in different places: of 70, 3, 33 and 64 records, with uneven lengths and labels."""
    folder, paths = tmp_path_factory.mktemp("records"), []
    for number, count in enumerate((70, 3, 33, 64)):
        videos = []
        for video in range(100 * number, 100 * number + count):
            frames = 5 + video % 19
            labels = tuple({video % 10, video % 7})
            videos.append(make_video(f"v{video}", frames=frames, labels=labels, segments=ratings(video, frames)))
        paths.append(str(folder / f"{number}.tfrecord"))
        write_records(paths[-1], videos)
    return paths


@pytest.fixture
def files(unchanged, tmp_path):
    """A copy of those for a test to change."""
    return [shutil.copy(path, tmp_path) for path in unchanged]


@pytest.fixture(scope="module")
def cached(unchanged, tmp_path_factory):
    """Function that gives (folder, cache) of those with changes of CONFIG, none of which may change either."""

    @functools.cache
    def make(*changes, windows="rated"):
        folder = tmp_path_factory.mktemp("cache")
        return folder, open_cache(folder, unchanged, CONFIG.replace(**dict(changes)), windows=windows)

    return make


@pytest.fixture(scope="module")
def expected(unchanged):
    """The batches of an epoch of training, read from the records."""
    return batches(unchanged, training=True)
