"""From video files to clip records: which pictures, which ratings, and what is left out."""

import io
import json
import pathlib
import warnings

import numpy as np
import pytest
from PIL import Image

from tests.helpers.clips import decoded
from tests.helpers.videos import number_of, numbered, told, write_video
from yt8m.data.clip_records import ClipRecord
from yt8m.data.making.annotations import Interval, Labelling
from yt8m.data.making.clip_packer import ClipPacker
from yt8m.data.making.settings import PackSettings
from yt8m.data.record_dataset import record_dataset
from yt8m.features.clips import read_clip
from yt8m.features.inputs import find_videos
from yt8m.features.settings import ClipSettings
from yt8m.types import DataWarning, InputError

SETTINGS = ClipSettings(rate=4.0, side=32, quality=95)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Videos of 6 s at 10 frames a second and of 2 s at 25, and one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    write_video(folder / "long.mp4", [k / 10 for k in range(60)])
    write_video(folder / "short.mp4", [k / 25 for k in range(50)])
    (folder / "none.mp4").write_bytes(b"no video at all")
    return folder


def packer(sources, output, *, labels=None, intervals=None, clips=SETTINGS, rest=False, num_shards=None, **options):
    labelling = Labelling(labels, intervals, min_overlap=2.5, rest=rest)
    return ClipPacker(
        sources, output, PackSettings(num_shards=num_shards, rest=rest), clips=clips, labelling=labelling, **options
    )


def records(output):
    files = sorted(pathlib.Path(output).glob("*.tfrecord"))
    found = [serialized for file in files for serialized in record_dataset(str(file)).as_numpy_iterator()]
    return {ClipRecord.parse(serialized).video_id: ClipRecord.parse(serialized) for serialized in found}


def test_pictures_at_their_times(folder):
    clip = read_clip(folder / "long.mp4", SETTINGS)
    assert clip.size == (32, 96) and clip.notes == ()
    assert clip.times == tuple(250_000 * k for k in range(24))
    # Frame k / 10 is shown first from second k / 10 on.
    numbers = [int(number_of(decoded(encoded))) for encoded in clip.pictures]
    assert numbers == [int(np.ceil(2.5 * k)) for k in range(24)]
    cut = read_clip(folder / "long.mp4", SETTINGS.replace(max_seconds=2))
    assert cut.pictures == clip.pictures[:8]


def test_the_shorter_side_is_scaled_down_and_never_up(folder):
    assert read_clip(folder / "long.mp4", SETTINGS.replace(side=16)).size == (16, 48)
    assert read_clip(folder / "long.mp4", SETTINGS.replace(side=128)).size == (32, 96)


def test_quality_and_gamma(folder):
    fine, coarse, bright = (
        read_clip(folder / "short.mp4", SETTINGS.replace(max_seconds=1, **changes))
        for changes in ({}, {"quality": 10}, {"gamma": "0.5"})
    )
    # As libjpeg scales its tables: the least step of 16 by 5 at quality 10, by 0.1 at 95.
    steps = [Image.open(io.BytesIO(clip.pictures[0])).quantization[0][0] for clip in (fine, coarse)]
    assert steps == [2, 80]
    plain, lifted = (decoded(clip.pictures[0]).astype(float) for clip in (fine, bright))
    np.testing.assert_allclose(lifted.mean(), (255 * (plain / 255) ** 0.5).mean(), atol=4)


def test_records_have_labels_and_ratings_by_the_second(folder, tmp_path):
    sources = {name: str(folder / f"{name}.mp4") for name in ("long", "short")}
    intervals = {"long": [Interval(0, 4, 1, 1.0, line=2), Interval(5, 13, 2, 1.0, line=3)], "short": []}
    job = packer(sources, tmp_path / "out", intervals=intervals, rest=True, num_classes=3)
    job.run()
    found = records(tmp_path / "out")
    assert set(found) == {"long", "short"} and found["long"].rate == 4 and len(found["short"].pictures) == 8
    log = json.loads((tmp_path / "out" / "pack.json").read_text())
    assert log == job.log and log["num_classes"] == 3
    (shard,) = log["shards"].values()
    assert (shard["records"], shard["pictures"], shard["ratings"]) == (2, 32, 6)
    (left,) = job.left_out().sentences(csv="x.csv", num_intervals=job.num_intervals, min_overlap=2.5)
    assert "5-13 s of long, which has 6 s" in left


def test_a_stopped_packing_goes_on(folder, tmp_path, monkeypatch):
    sources = {name: str(folder / f"{name}.mp4") for name in ("long", "short")}
    packer(sources, tmp_path / "whole", num_shards=2).run()
    files = sorted(path.name for path in (tmp_path / "whole").glob("*.tfrecord"))
    assert len(files) == 2
    job = packer(sources, tmp_path / "out", num_shards=2)
    first = next(iter(job.sources))
    read = ClipPacker._record

    def stopping(self, video_id, *arguments):
        if video_id != first:
            raise KeyboardInterrupt
        return read(self, video_id, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ClipPacker, "_record", stopping)
        with pytest.raises(KeyboardInterrupt):
            job.run()
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tfrecord")) == files[:1]
    asked = []
    monkeypatch.setattr(
        ClipPacker, "_record", lambda self, video_id, *rest: (asked.append(video_id), read(self, video_id, *rest))[1]
    )
    packer(sources, tmp_path / "out", num_shards=2).run()
    assert asked == [name for name in job.sources if name != first]
    for name in files:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    with pytest.raises(InputError, match="packed from other files or with other flags"):
        packer(sources, tmp_path / "out", num_shards=2, clips=SETTINGS.replace(rate=8.0)).run()
    packer(sources, tmp_path / "out", num_shards=2, clips=SETTINGS.replace(rate=8.0), replace=True).run()
    assert len(records(tmp_path / "out")["short"].pictures) == 16


def test_what_cannot_be_read(folder, tmp_path):
    sources = {name: str(folder / f"{name}.mp4") for name in ("none", "short")}
    with pytest.raises(
        InputError, match=r"none.mp4 cannot be read as a video.*: leave it out, or give --skip_unreadable"
    ):
        packer(sources, tmp_path / "out").run()
    job = packer(sources, tmp_path / "out", skip_unreadable=True, num_shards=2)
    _, said = told(job.run)
    assert len(said) == 1 and "none.mp4 cannot be read" in said[0] and said[0].endswith("it is left out")
    assert set(records(tmp_path / "out")) == {"short"} and len(list((tmp_path / "out").glob("*.tfrecord"))) == 1
    with pytest.raises(InputError, match="none of the 1 videos can be read"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        packer({"none": sources["none"]}, tmp_path / "other", skip_unreadable=True).run()


def test_sound_has_no_pictures(tmp_path):
    write_video(tmp_path / "sound.wav", [], sound=np.zeros(16_000, np.float32))
    with pytest.raises(InputError, match="has sound and no pictures"):
        read_clip(tmp_path / "sound.wav")


def test_a_list_of_videos(folder, tmp_path):
    path = tmp_path / "videos.csv"
    path.write_text(f"path,video_id,note\n{folder}/long.mp4,first,x\nnear.mp4,second,y\n")
    (tmp_path / "near.mp4").write_bytes((folder / "short.mp4").read_bytes())
    assert find_videos([str(path)]) == {"first": f"{folder}/long.mp4", "second": f"{tmp_path}/near.mp4"}
    path.write_text("video_id,path\na b,near.mp4\n")
    with pytest.raises(InputError, match="line 2: the id 'a b' has a blank"):
        find_videos([str(path)])
    path.write_text("video_id,path\na,far.mp4\n")
    with pytest.raises(InputError, match="line 2: .*far.mp4 is not there"):
        find_videos([str(path)])


def test_numbers_of_pictures():
    assert number_of(numbered(37)) == 37
