"""Small videos enlarged before a backbone sees them: which, how far, and what is remembered of it."""

import json
import os

import numpy as np
import pytest

from tests.helpers import commands
from tests.helpers.resolvers import save_network
from tests.helpers.videos import write_video
from yt8m.data.feature_origins import read_origins
from yt8m.features.backbones import PictureInput
from yt8m.features.clips import read_clip
from yt8m.features.decoding import Fitting, Grid, read_pictures
from yt8m.features.extraction import Extractor
from yt8m.features.resolving import Resolving
from yt8m.features.settings import ClipSettings, ExtractionSettings
from yt8m.types import InputError


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return save_network(tmp_path_factory.mktemp("run") / "run", shift=0.1)


def video_of(path, height, width, count=20):
    rows = np.linspace(40, 180, height)[:, None, None] + np.linspace(0, 30, width)[None, :, None]
    pictures = [np.broadcast_to(rows + number, (height, width, 3)).astype(np.uint8) for number in range(count)]
    return write_video(path, [k / 2 for k in range(count)], pictures=pictures, codec="ffv1", pixels="bgr0")


@pytest.mark.parametrize("size", [(48, 64), (95, 96), (64, 48)])
def test_a_small_video_is_enlarged_to_128(network, tmp_path, size):
    path = video_of(tmp_path / "small.mkv", *size)
    wanted = PictureInput(size=(32, 32), shorter_side=32)
    grids = [Grid(rate=1.0, input=wanted), Grid(rate=2.0, input=PictureInput(size=None, shorter_side=None))]
    found = list(Resolving(network).read_pictures(path, grids))
    plain = list(read_pictures(path, [Grid(rate=2.0, input=PictureInput(size=None, shorter_side=64))]))
    whole = [(k, picture) for number, k, picture in found if number == 1]
    assert [k for k, _ in whole] == list(range(20)) and [k for number, k, _ in found if number == 0] == list(range(10))
    for (_, picture), (_, _, small) in zip(whole, plain, strict=True):
        assert min(picture.shape[:2]) == 128 and picture.shape[:2] == tuple(2 * side for side in small.shape[:2])
        # A tenth of white was added; inside, bilinear interpolation keeps the mean.
        assert picture[8:-8, 8:-8].mean() == pytest.approx(small[4:-4, 4:-4].mean() + 25.5, abs=0.6)
    fit = Fitting(wanted)
    by_second = {k: picture for number, k, picture in found if number == 0}
    for k, picture in by_second.items():
        np.testing.assert_array_equal(picture, fit(whole[2 * k][1]))


def test_a_larger_video_is_left_alone(network, tmp_path):
    path = video_of(tmp_path / "large.mkv", 96, 130)
    grids = [Grid(rate=1.0, input=PictureInput(size=(32, 32), shorter_side=32))]
    ours, plain = list(Resolving(network).read_pictures(path, grids)), list(read_pictures(path, grids))
    for (*one, picture), (*other, expected) in zip(ours, plain, strict=True):
        assert one == other
        np.testing.assert_array_equal(picture, expected)


def test_scale_4_begins_at_32(tmp_path):
    run = save_network(tmp_path / "run", scale=4)
    path = video_of(tmp_path / "small.mkv", 40, 40, count=3)
    (_, _, picture), *_ = Resolving(run).read_pictures(path, [Grid(rate=1.0, input=PictureInput(size=None))])
    assert picture.shape == (128, 128, 3)


def test_features_remember_the_network(network, tmp_path):
    enlarged = Extractor(["efficientnet-lite0", "logmel"], ExtractionSettings(super_resolve=network)).described()
    plain = Extractor(["efficientnet-lite0", "logmel"]).described()
    assert enlarged["rgb"]["resolver"] == network and len(enlarged["rgb"]["resolver_digest"]) == 64
    assert enlarged["audio"] == plain["audio"] and enlarged["rgb"]["settings"] == plain["rgb"]["settings"]
    assert "super_resolve" not in json.dumps(plain)


def test_the_command_extracts_with_it_and_a_folder_of_others_is_refused(network, tmp_path):
    path = video_of(tmp_path / "small.mkv", 48, 64)
    arguments = (path, "--backbone=efficientnet-lite0", f"--output_dir={tmp_path}/out")
    commands.passed("video", *arguments, f"--super_resolve={network}")
    origins = read_origins(tmp_path / "out" / "records")
    assert origins["rgb"]["resolver"] == network
    assert "holds features of other" in commands.refused("video", *arguments)


def test_a_folder_without_a_network_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not the folder of yt8m-super-resolve: it has no best.keras"):
        Extractor(["efficientnet-lite0"], ExtractionSettings(super_resolve=str(tmp_path))).described()


def test_clip_records_are_made_of_enlarged_pictures(network, tmp_path):
    settings = ClipSettings(rate=2.0, super_resolve=network)
    assert read_clip(video_of(tmp_path / "small.mkv", 48, 64), settings).size == (128, 170)
    assert read_clip(video_of(tmp_path / "large.mkv", 100, 130), settings).size == (100, 130)


def test_clips_of_another_network_are_not_taken_for_those_of_this_one(tmp_path):
    run = save_network(tmp_path / "run", shift=0.1)
    arguments = (
        f"--videos={video_of(tmp_path / 'small.mkv', 48, 64)}", f"--output_dir={tmp_path}/clips",
        f"--super_resolve={run}",
    )  # fmt: skip
    commands.passed("pack", *arguments)
    first = (tmp_path / "clips" / "part0000.tfrecord").read_bytes()
    commands.passed("pack", *arguments)
    assert (tmp_path / "clips" / "part0000.tfrecord").read_bytes() == first
    os.rename(run, tmp_path / "before")
    save_network(tmp_path / "run", shift=0.3)
    commands.refused("pack", *arguments)
    os.rename(tmp_path / "before", tmp_path / "moved")
    commands.passed("pack", *arguments[:2], f"--super_resolve={tmp_path}/moved")


def test_a_folder_without_a_network_is_told_before_any_video_is_read(tmp_path):
    flags = (f"--videos={video_of(tmp_path / 'small.mkv', 48, 64)}", f"--output_dir={tmp_path}/clips")
    said = commands.refused("pack", *flags, f"--super_resolve={tmp_path}", "--skip_unreadable")
    assert "is not the folder of yt8m-super-resolve" in said
