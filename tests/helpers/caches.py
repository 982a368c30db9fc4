"""Batches to compare with those from a cache, and ratings to pack."""

import numpy as np

from tests.helpers.records import CONFIG
from yt8m.data.pipeline import make_dataset


def ratings(video, frames):
    """Some ratings, of which a few are of one segment, of one class, or of none."""
    random = np.random.default_rng(video)
    count = int(random.integers(0, 6))
    starts = 5 * random.integers(0, (frames + 4) // 5, count)
    return tuple((int(start), int(random.integers(10)), float(random.integers(3)) / 2) for start in starts)


def batches(files, config=CONFIG, **options):
    """List of flat dicts of arrays."""
    found = []
    options = {"windows": "rated", "batch_size": 16, "with_info": True} | options
    for element in make_dataset(files, config, **options):
        found.append({name: value.numpy() for part in element for name, value in part.items()})
    return found


def assert_same(one, other):
    """That two lists of batches are the same, byte for byte, and not a few."""
    assert len(one) == len(other) > 3
    for left, right in zip(one, other):
        assert left.keys() == right.keys()
        for name in left:
            assert left[name].dtype == right[name].dtype, name
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)
