"""What of a packed file is read from disk."""

import mmap

import numpy as np
import pytest

from yt8m.data.cache_file import CacheFile


class _Announced:
    """A mapping that notes which of its bytes are asked for."""

    def __init__(self):
        self.ranges = []

    def madvise(self, advice, start, length):
        assert advice == mmap.MADV_WILLNEED
        self.ranges.append((start, start + length))


@pytest.mark.parametrize("seed", range(10))
def test_what_is_read_from_disk_is_asked_for_at_once_and_nothing_around_it(seed):
    random = np.random.default_rng(seed)
    width, page = int(random.integers(1, 3000)), mmap.PAGESIZE
    asked = _Announced()
    packed = CacheFile({}, np.zeros((500, width), np.uint8), {}, asked)
    single = random.integers(0, 500, (4, 3))
    run = np.minimum(random.integers(0, 400, (3, 1)) + np.arange(40), 499)
    rows = np.concatenate([single.ravel(), run.ravel()])
    packed.announce(rows)
    bytes_asked = np.zeros(500 * width + page, bool)
    for first, last in asked.ranges:
        assert first % page == 0 and not bytes_asked[first + page : last].any()
        bytes_asked[first:last] = True
    wanted = np.zeros(len(bytes_asked), bool)
    for row in rows:
        wanted[row * width : (row + 1) * width] = True
    pages = {place // page for place in np.flatnonzero(wanted)}
    assert bytes_asked[wanted].all() and {place // page for place in np.flatnonzero(bytes_asked)} == pages
    assert len(asked.ranges) <= 12 + 3
