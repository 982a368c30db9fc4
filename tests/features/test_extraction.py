"""Extraction: rows of features by second, of stand-in backbones whose features tell what they were shown."""

import json
import os

import numpy as np
import pytest

import yt8m
from tests.helpers.videos import number_of, numbered, told, write_video
from yt8m.features.backbones.base import Backbone, PictureInput, SoundInput
from yt8m.features.backbones.registry import BACKBONES
from yt8m.features.extraction import Extractor, feature_names
from yt8m.features.feature_folder import FeatureFolder
from yt8m.features.inputs import find_videos
from yt8m.features.jobs import extract_videos
from yt8m.features.settings import ExtractionSettings
from yt8m.runtime.progress import progress_style
from yt8m.types import InputError


class Numbers(Backbone):
    """Feature 0: the number that a picture shows; feature 1: how many came at once."""

    spec, size, digest = "numbers", 2, "n"

    def __init__(self, text):
        self.input = PictureInput(size=(16, 96))
        self.given = []

    def features(self, inputs):
        self.given.append(len(inputs))
        return np.array([[number_of(picture), len(inputs)] for picture in inputs], np.float32)


class Loudness(Backbone):
    """The mean square of a window of a second."""

    spec, size, digest = "loudness", 1, "l"
    input = SoundInput(samples=16_000)

    def features(self, inputs):
        return np.mean(inputs**2, axis=1, keepdims=True)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    """The two stand-ins, in the registry for a test."""
    monkeypatch.setitem(BACKBONES._objects, "numbers", Numbers)
    monkeypatch.setitem(BACKBONES._objects, "loudness", lambda text: Loudness())


@pytest.fixture
def video(tmp_path):
    """10 frames a second for 50 s; sound from second 20 on."""
    sound = np.full(16_000 * 10, 0.5, np.float32)
    return write_video(tmp_path / "a.mkv", [k / 10 for k in range(500)], sound=sound, sound_from=20)


def test_rows_are_seconds(video):
    found = Extractor(["numbers", "loudness"])(video)
    assert list(found.features) == ["rgb", "audio"] and found.notes == ()
    np.testing.assert_array_equal(found.features["rgb"][:, 0], np.arange(0, 500, 10))
    loud = found.features["audio"][:, 0]
    assert loud.shape == (50,)
    np.testing.assert_allclose(loud[21:29], 0.25, atol=1e-3)
    assert np.abs(loud[:20]).max() == np.abs(loud[31:]).max() == 0


def test_batches_hold_a_bounded_number_of_pictures(tmp_path):
    path = write_video(tmp_path / "long.mp4", [k / 2 for k in range(280)])
    extractor = Extractor(["numbers"])
    extractor(path)
    assert extractor.backbones[0].given == [32, 32, 32, 32, 12]


def test_the_public_names_are_these(video):
    found = yt8m.Extractor(["numbers"], yt8m.ExtractionSettings(max_seconds=3))(video)
    assert found.features["rgb"].shape == (3, yt8m.load_backbone("numbers").size)
    assert "numbers" in yt8m.BACKBONES and issubclass(Numbers, yt8m.Backbone)


def test_views_are_averaged(video):
    found = Extractor(["numbers"], ExtractionSettings(views=2, max_seconds=4))(video)
    np.testing.assert_array_equal(found.features["rgb"][:, 0], np.arange(4) * 10 + 2.5)


def test_views_kept_apart(video):
    """The first is what a single view gives; a stretched picture is whole, and three crops of it are others."""
    extractor = Extractor(["numbers", "loudness"], ExtractionSettings(views=2, keep_views=True, max_seconds=4))
    features = extractor(video).features
    assert list(features) == ["rgb", "rgb_view1", "audio"]
    np.testing.assert_array_equal(features["rgb"][:, 0], np.arange(4) * 10)
    np.testing.assert_array_equal(features["rgb_view1"][:, 0], np.arange(4) * 10 + 5)
    single = Extractor(["numbers", "loudness"], ExtractionSettings(max_seconds=4)).described()
    described = extractor.described()
    assert described["rgb"].pop("record_views") == 2 and described == single
    crops = Extractor(["numbers"], ExtractionSettings(crops=3, keep_views=True)).described()["rgb"]
    assert crops["record_views"] == 3 and crops["settings"] != single["rgb"]["settings"]


def test_one_view_cannot_be_kept_apart():
    with pytest.raises(InputError, match="give --views or --crops=3 too"):
        ExtractionSettings(keep_views=True)


def test_silence_stands_for_missing_sound(tmp_path):
    path = write_video(tmp_path / "silent.mp4", [k / 5 for k in range(20)])
    found = Extractor(["numbers", "loudness"])(path)
    assert found.features["audio"].tolist() == [[0.0]] * 4
    assert found.notes == (f"{path} has no sound: the features of silence stand for it",)


def test_sound_alone(tmp_path):
    path = write_video(tmp_path / "sound.wav", [], sound=np.full(40_000, 0.5, np.float32))
    assert len(Extractor(["loudness"])(path).features["audio"]) == 3
    with pytest.raises(InputError, match="sound.wav has sound and no pictures"):
        Extractor(["numbers", "loudness"])(path)


def test_names_of_features():
    seeing, hearing = Numbers(""), Loudness()
    assert feature_names([hearing, seeing, seeing, hearing]) == ["audio", "rgb", "rgb2", "audio2"]
    with pytest.raises(InputError, match="numbers is named twice"):
        _ = Extractor(["numbers", "numbers"]).backbones


def videos(folder, count=3):
    return {
        f"v{number}": write_video(folder / f"v{number}.mp4", [k / 5 for k in range(20 + 5 * number)])
        for number in range(count)
    }


def test_a_rerun_extracts_what_is_missing_or_changed(tmp_path):
    sources = videos(tmp_path)
    extractor = Extractor(["numbers"])
    folder = FeatureFolder(tmp_path / "out", extractor.described())
    assert extract_videos(sources, extractor, folder) == {}
    kept = {video_id: os.stat(folder.file(video_id)).st_mtime_ns for video_id in sources}
    os.unlink(folder.file("v0"))
    write_video(tmp_path / "v1.mp4", [k / 5 for k in range(40)])
    with open(folder.file("v2"), "r+b") as file:
        file.truncate(100)
    with open(tmp_path / "bad.mp4", "wb") as file:
        file.write(b"no video")
    failed = extract_videos(sources | {"bad": str(tmp_path / "bad.mp4")}, extractor, folder)
    assert list(failed) == ["bad"] and "bad.mp4 cannot be read" in failed["bad"]
    assert [len(folder.load(video_id)["rgb"]) for video_id in sources] == [4, 8, 6]
    assert all(os.stat(folder.file(video_id)).st_mtime_ns != kept[video_id] for video_id in sources)
    before = os.stat(folder.file("v0")).st_mtime_ns
    extract_videos(sources, extractor, folder)
    assert os.stat(folder.file("v0")).st_mtime_ns == before


def test_what_was_said_of_a_video_is_kept(tmp_path):
    path = write_video(tmp_path / "silent.mp4", [k / 5 for k in range(20)])
    extractor = Extractor(["numbers", "loudness"])
    folder = FeatureFolder(tmp_path / "out", extractor.described())
    _, said = told(lambda: extract_videos({"silent": path}, extractor, folder))
    assert said == folder.about("silent")["notes"] == [f"{path} has no sound: the features of silence stand for it"]
    assert folder.about("silent")["source"] == path


def test_a_folder_of_other_backbones_is_refused(tmp_path):
    extractor = Extractor(["numbers"])
    FeatureFolder(tmp_path / "out", extractor.described())
    FeatureFolder(tmp_path / "out", extractor.described())
    other = Extractor(["numbers"], ExtractionSettings(views=2))
    with pytest.raises(InputError, match="out holds features of other backbones or settings"):
        FeatureFolder(tmp_path / "out", other.described())
    assert json.loads((tmp_path / "out" / "backbones.json").read_text())["rgb"]["spec"] == "numbers"


def test_inputs(tmp_path):
    for name in ("a b.mp4", "c.MKV", "notes.txt", "d.wav"):
        (tmp_path / name).write_bytes(b"x")
    wanted = {"a_b": f"{tmp_path}/a b.mp4", "c": f"{tmp_path}/c.MKV", "d": f"{tmp_path}/d.wav"}
    assert find_videos([str(tmp_path)]) == wanted
    assert find_videos([f"{tmp_path}/*.mp4", "https://example.org/x/My%20Clip.webm?a=b"]) == {
        "My_Clip": "https://example.org/x/My%20Clip.webm?a=b",
        "a_b": f"{tmp_path}/a b.mp4",
    }
    (tmp_path / "a_b.avi").write_bytes(b"x")
    for arguments, sentence in (
        ([], "name videos"),
        ([f"{tmp_path}/*.xyz"], "no file matches"),
        ([str(tmp_path)], "would both have the id a_b"),
    ):
        with pytest.raises(InputError, match=sentence):
            find_videos(arguments)


def test_numbered_pictures_are_told_apart():
    """Of the stand-in itself: sizes as the backbone asks for."""
    assert [number_of(numbered(number)) for number in (0, 1, 499, 4095)] == [0, 1, 499, 4095]


def test_features_of_an_address_are_those_of_that_address_alone(tmp_path):
    folder = FeatureFolder(tmp_path / "out", Extractor(["numbers"]).described())
    folder.save("clip", "https://a.example/clip.mp4", {"rgb": np.zeros((1, 2), np.float32)})
    assert folder.has("clip", "https://a.example/clip.mp4")
    for other in ("https://b.example/clip.mp4", "https://a.example/clip.mp4?v=2", "s3://a/clip.mp4"):
        assert not folder.has("clip", other)


def test_progress_counts_the_seconds_that_are_looked_at(tmp_path, capsys):
    sources = videos(tmp_path)
    for seconds, total in ((2, 6), (None, 15)):
        extractor = Extractor(["numbers"], ExtractionSettings(max_seconds=seconds))
        with progress_style("json"):
            extract_videos(sources, extractor, FeatureFolder(tmp_path / f"out{seconds}", extractor.described()))
        told_last = json.loads(capsys.readouterr().err.splitlines()[-1])
        assert (told_last["count"], told_last["total"]) == (total, total)
