import collections

import numpy as np
import pytest

from tests.helpers.records import CONFIG, make_video
from yt8m.data.cache import open_cache
from yt8m.data.labels import repeat_factors
from yt8m.data.pipeline import make_dataset
from yt8m.data.splits import Source


@pytest.fixture
def files(write):
    """40 segments with class 1, two with class 2, two with both rated and only class 3 positive."""
    common = [make_video(f"a{i}", segments=((0, 1, 1.0), (5, 1, 0.8))) for i in range(20)]
    rare = [make_video(f"b{i}", segments=((0, 2, 1.0), (5, 2, 0.0), (5, 3, 1.0))) for i in range(2)]
    return [write("one.tfrecord", *common), write("two.tfrecord", *rare)]


def test_factors_by_hand(files):
    factors = repeat_factors(Source(tuple(files)), CONFIG, threshold=0.5)
    # Of 44 segments 40 have class 1, two class 2 and two class 3.
    np.testing.assert_allclose(factors[[1, 2, 3, 4]], [1, np.sqrt(0.5 * 22), np.sqrt(0.5 * 22), 1], rtol=1e-6)
    kept = repeat_factors(Source(tuple(files), lambda video_id: video_id != "b1"), CONFIG, threshold=0.5)
    np.testing.assert_allclose(kept[2], np.sqrt(0.5 * 42), rtol=1e-6)


def read(files, factors, seed=3, **options):
    dataset = make_dataset(
        files,
        CONFIG,
        windows="rated",
        batch_size=8,
        training=True,
        seed=seed,
        factors=factors,
        with_info=True,
        **options,
    )
    return [
        (video_id.decode(), int(start))
        for _, _, info in dataset.as_numpy_iterator()
        for video_id, start in zip(info["id"], info["start_time"])
    ]


def test_rare_segments_come_as_often_as_their_factor_says(files):
    factors = np.ones(10, np.float32)
    factors[2], factors[3] = 3.0, 2.5
    seen = [collections.Counter(read(files, factors, seed=seed)) for seed in range(3)]
    assert all(counts["a0", 0] == counts["a19", 5] == 1 for counts in seen)
    assert {counts["b0", 0] for counts in seen} == {3}
    drawn = [counts[f"b{i}", 5] for counts in seen for i in range(2)]
    assert set(drawn) == {2, 3}


def test_a_cache_repeats_the_same(files, tmp_path):
    factors = np.linspace(1, 3.7, 10, dtype=np.float32)
    cache = open_cache(str(tmp_path / "cache"), files, CONFIG)
    assert read(files, factors) == read(files, factors, cache=cache)
