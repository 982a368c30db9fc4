"""A video is found in the one file that holds it, or the sentence says what to give."""

import numpy as np
import pytest

from yt8m.data.splits import Source, find_video
from yt8m.data.tfrecord import FrameRecord, write_records
from yt8m.types import InputError


@pytest.fixture
def files(tmp_path):
    """Two files: a and b, c alone."""
    frames = {"rgb": np.zeros((5, 2), np.uint8)}
    paths = [str(tmp_path / "0.tfrecord"), str(tmp_path / "1.tfrecord")]
    for path, ids in zip(paths, ("ab", "c")):
        write_records(path, [FrameRecord(video_id=video_id, features=frames) for video_id in ids])
    return paths


def test_the_file_of_a_video(files):
    assert find_video(Source(tuple(files)), "c") == ("c", Source((files[1],)))
    assert find_video(Source(tuple(files)), "b") == ("b", Source((files[0],)))


def test_a_single_video_needs_no_name(files):
    assert find_video(Source((files[1],))) == ("c", Source((files[1],)))
    keep = "b".__eq__
    assert find_video(Source(tuple(files), keep)) == ("b", Source((files[0],), keep))


def test_what_is_not_there_is_said(files):
    with pytest.raises(InputError, match="--video_id=d is in none of the 2 files"):
        find_video(Source(tuple(files)), "d")
    with pytest.raises(InputError, match="more than one video: name one by --video_id"):
        find_video(Source(tuple(files)))
    with pytest.raises(InputError, match="in none of the 2"):
        find_video(Source(tuple(files), "a".__eq__), "b")
