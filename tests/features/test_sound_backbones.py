"""logmel against a slow twin, and YAMNet's head against the scores of its own file."""

import io
import math
import zipfile

import numpy as np
import pytest

from tests.helpers import shared_path
from tests.helpers.backbones import sound_classifier, stand_in
from yt8m.features.backbones import load_backbone
from yt8m.features.backbones.sound import log_mel
from yt8m.features.decoding import read_sound
from yt8m.types import InputError


def slow_log_mel(sound):
    """(frames, 64) by a discrete Fourier transform written out, in double precision."""
    times = np.arange(400)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * times / 400)
    waves = np.exp(-2j * np.pi * np.outer(np.arange(257), times) / 512)
    mel = lambda hertz: 1127 * math.log(1 + hertz / 700)
    edges = [mel(125) + (mel(7500) - mel(125)) * number / 65 for number in range(66)]
    rows = []
    for first in range(0, len(sound) - 399, 160):
        magnitudes = np.abs(waves @ (window * sound[first : first + 400]))
        row = []
        for low, middle, high in zip(edges, edges[1:], edges[2:]):
            band = 0
            for number, magnitude in enumerate(magnitudes):
                place = mel(number * 8000 / 256)
                if low < place < high:
                    band += magnitude * min((place - low) / (middle - low), (high - place) / (high - middle))
            row.append(math.log(band + 0.01))
        rows.append(row)
    return np.array(rows)


def test_log_mel_is_that_of_a_slow_twin():
    sound = np.random.default_rng(0).uniform(-1, 1, (2, 2000)).astype(np.float32)
    sound[1] = 0.3 * np.sin(np.arange(2000) / 5)
    for row, found in zip(sound, log_mel(sound)):
        np.testing.assert_allclose(found, slow_log_mel(row), atol=2e-4)


def test_logmel_is_mean_and_deviation_of_a_hundred_frames():
    sound = np.random.default_rng(1).uniform(-1, 1, (3, 16_240)).astype(np.float32)
    found = load_backbone("logmel").features(sound)
    bands = log_mel(sound).astype(np.float64)
    assert bands.shape == (3, 100, 64)
    np.testing.assert_allclose(found, np.hstack([bands.mean(1), bands.std(1)]), atol=1e-5)


def test_a_tone_is_loudest_in_its_band():
    centres = np.linspace(1127 * np.log1p(125 / 700), 1127 * np.log1p(7500 / 700), 66)[1:-1]
    for hertz in (440, 1000, 5000):
        sound = np.sin(2 * np.pi * hertz * np.arange(16_240) / 16_000).astype(np.float32)[None]
        means = load_backbone("logmel").features(sound)[0, :64]
        assert means.argmax() == np.abs(centres - 1127 * np.log1p(hertz / 700)).argmin()


def test_silence_is_finite_and_logmel_has_no_file():
    features = load_backbone("logmel").features(np.zeros((1, 16_240), np.float32))
    np.testing.assert_allclose(features, [[math.log(0.01)] * 64 + [0] * 64], atol=1e-5)
    with pytest.raises(InputError, match="logmel:a.pb: logmel has no file"):
        load_backbone("logmel:a.pb")


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
def test_the_head_of_a_classifier_gives_its_own_scores(tmp_path, activation):
    backbone = stand_in("yamnet", tmp_path)
    (tmp_path / "yamnet.tflite").write_bytes(sound_classifier(3, activation=activation))
    backbone = load_backbone(f"yamnet:{tmp_path / 'yamnet.tflite'}")
    assert backbone.size == 1024 and backbone.input.samples == 15_600 and backbone.head.activation == activation
    assert backbone.head.class_names[520] == "class 520, so to say"
    sound = np.random.default_rng(1).uniform(-1, 1, (5, 15_600)).astype(np.float32)
    scores = np.stack([backbone.scores(window) for window in sound])
    np.testing.assert_allclose(backbone.head(backbone.features(sound)), scores, atol=1e-5)


def test_names_may_be_within_the_file_or_beside_it(tmp_path):
    path = tmp_path / "own.tflite"
    path.write_bytes(sound_classifier())
    with pytest.raises(InputError, match=f"{path} has no names of its classes: put yamnet_class_map.csv beside it"):
        load_backbone(f"yamnet:{path}")
    (tmp_path / "own.tflite.csv").write_text("display_name\n" + "\n".join(f"beside {number}" for number in range(521)))
    assert load_backbone(f"yamnet:{path}").head.class_names[7] == "beside 7"
    archive = io.BytesIO(sound_classifier())
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("labels.txt", "".join(f"within {number}\n" for number in range(521)))
    path.write_bytes(archive.getvalue())
    assert load_backbone(f"yamnet:{path}").head.class_names[520] == "within 520"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("display_name\nSpeech\nMusic\n", "has 521 classes, and there are names of 2"),
        ("name\nSpeech\n", "holds no names of classes: it has no column display_name"),
    ],
)
def test_names_that_are_not_those_of_the_file(tmp_path, table, message):
    path = tmp_path / "own.tflite"
    path.write_bytes(sound_classifier())
    (tmp_path / "own.tflite.csv").write_text(table)
    with pytest.raises(InputError, match=message):
        load_backbone(f"yamnet:{path}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("mma_test.avi", {"Speech"}), ("flipping_a_pancake.mkv", {"Speech"}), ("nasa_13013.mp4", {"Speech"})],
)
def test_the_real_yamnet_hears_who_speaks(name, expected):
    pytest.importorskip("av")
    backbone = load_backbone(f"yamnet:{shared_path('data/videos/yamnet.tflite')}")
    assert len(backbone.head.class_names) == 521 and backbone.head.class_names[132] == "Music"
    sound = np.stack(list(read_sound(shared_path(f"data/videos/{name}"), samples=backbone.input.samples)))
    features = backbone.features(sound)
    scores = backbone.head(features)
    assert features.shape == (len(sound), 1024)
    assert backbone.head.class_names[scores.mean(axis=0).argmax()] in expected
    own = np.stack([backbone.scores(window) for window in sound])
    # The last layer of this file rounds its inputs to 8 bits; its head does not.
    assert np.abs(scores - own).max() < 0.01 and np.abs(scores - own).mean() < 1e-4
