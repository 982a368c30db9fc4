"""The generated actions: what a frame tells and what it does not, and the records."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clips import CLIPS, decoded
from yt8m.data.labels import load_rated_labels, load_video_labels
from yt8m.data.making import actions
from yt8m.data.making.annotations import ClassIds, read_labels
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_dataset import record_dataset
from yt8m.data.splits import Source
from yt8m.types import InputError
from yt8m.vocabulary import read_class_names

MOTIONS = len(actions.MOTIONS)


@pytest.fixture(scope="module")
def clips():
    """(400, 40, 24, 24) float of 20 clips of every class, in grey, and their classes."""
    rng = np.random.default_rng(0)
    classes = np.tile(np.arange(20), 20)
    pictures = np.stack([actions.draw_action(int(label), rng, side=24) for label in classes])
    return pictures.astype(np.float32).mean(axis=-1) / 255, classes


def shares_right(train, train_labels, test, test_labels):
    """Accuracies of the nearest mean and of a linear classifier."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.neighbors import NearestCentroid
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(train)
    return [
        model.fit(scale.transform(train), train_labels).score(scale.transform(test), test_labels)
        for model in (NearestCentroid(), RidgeClassifier(alpha=100))
    ]


def test_no_frame_tells_the_motion(clips):
    pictures, classes = clips
    frames = pictures[:, [0, 13, 27, 39]].reshape(len(classes), 4, -1)
    half = len(classes) // 2
    for place in range(4):
        found = shares_right(
            frames[:half, place], classes[:half] % MOTIONS, frames[half:, place], classes[half:] % MOTIONS
        )
        # Of 200 frames at a chance of 0.1 a share above 0.17 is beyond three standard deviations.
        assert max(found) < 0.17


def motion_statistics(pictures):
    """(N, 5): how pictures change along x, y, around and away from what moves, and in all."""
    change = np.diff(pictures, axis=1)
    middle = (pictures[:, 1:] + pictures[:, :-1]) / 2
    down, across = np.gradient(middle, axis=(2, 3))
    side = pictures.shape[-1]
    # Angles around, as what moves may be anywhere on a surface without borders.
    weights = np.abs(middle - np.median(middle, axis=(2, 3), keepdims=True)) ** 2
    waves = np.exp(2j * np.pi * np.arange(side) / side)
    x0 = (np.angle((weights.sum(axis=2) * waves).sum(axis=-1)) * side / (2 * np.pi))[..., None, None]
    y0 = (np.angle((weights.sum(axis=3) * waves).sum(axis=-1)) * side / (2 * np.pi))[..., None, None]
    grid = np.arange(side)
    x = (grid[None, None, None, :] - x0 + side / 2) % side - side / 2
    y = (grid[None, None, :, None] - y0 + side / 2) % side - side / 2
    flows = [across, down, x * down - y * across, x * across + y * down]
    values = [
        -np.median((change * flow).sum(axis=(2, 3)) / ((flow**2).sum(axis=(2, 3)) + 1e-6), axis=1) for flow in flows
    ]
    brightness = pictures.mean(axis=(2, 3))
    steps = np.abs(np.diff(brightness, axis=1)).max(axis=1) / brightness.std(axis=1).mean()
    ways = np.abs(np.diff(np.sign((change * across).sum(axis=(2, 3))), axis=1)).mean(axis=1)
    return np.stack([*values, steps, ways], axis=1)


def test_a_statistic_of_motion_does(clips):
    pictures, classes = clips
    values = motion_statistics(pictures)
    half = len(classes) // 2
    from sklearn.ensemble import RandomForestClassifier

    model = RandomForestClassifier(100, random_state=0).fit(values[:half], classes[:half] % MOTIONS)
    assert model.score(values[half:], classes[half:] % MOTIONS) > 0.8


def test_a_frame_tells_the_appearance(clips):
    """Of what moves, the edges of digits and textures lie differently."""
    pictures, classes = clips
    from sklearn.ensemble import RandomForestClassifier

    spectra = np.abs(np.fft.rfft2(pictures[:, 0] - pictures[:, 0].mean(axis=(1, 2), keepdims=True)))
    radius = np.hypot(np.fft.fftfreq(24)[:, None] * 24, np.fft.rfftfreq(24)[None] * 24).astype(int)
    rings = np.stack([spectra[:, radius == r].mean(axis=1) for r in range(1, 13)], axis=1)
    rings = np.log(rings / rings.sum(axis=1, keepdims=True))
    half = len(classes) // 2
    model = RandomForestClassifier(100, random_state=0).fit(rings[:half], classes[:half] // MOTIONS)
    assert model.score(rings[half:], classes[half:] // MOTIONS) > 0.65


@pytest.mark.parametrize(
    "forward, backward", [("moves right", "moves left"), ("moves down", "moves up"), ("grows", "shrinks"),
    ("turns clockwise", "turns counterclockwise")],
)  # fmt: skip
def test_motions_with_a_direction_are_others_backwards(forward, backward):
    """The states that are drawn for the one are those of the other from its end."""
    one, other = (actions._states(name, np.random.default_rng(3)) for name in (forward, backward))
    differing = [name for name in one if not np.allclose(one[name], other[name])]
    (name,) = differing
    ahead, back = (np.diff(state[name]) % 1 for state in (one, other))
    np.testing.assert_allclose(ahead, -back % 1, atol=1e-9)
    assert 0 < ahead.max() < 0.5


@pytest.mark.parametrize("motion", actions.MOTIONS)
def test_what_changes_stays_as_it_was_drawn_at_every_moment(motion):
    """Uniform in [0, 1), and of either contrast as often, whatever the motion: a frame has nothing else to tell by."""
    states = [actions._states(motion, np.random.default_rng(seed)) for seed in range(400)]
    for place in (0, 17, 39):
        for name in ("x", "y", "turn", "growth"):
            values = np.sort([state[name][place] for state in states])
            assert np.abs(values - (np.arange(400) + 0.5) / 400).max() < 0.085, name
        assert abs(np.mean([state["contrast"][place] < 0.7 for state in states]) - 0.5) < 0.1


@pytest.mark.slow
def test_several_processes_write_the_same_files(tmp_path, monkeypatch):
    actions.write_actions(tmp_path / "one", seed=4, size="tiny", version="dark")
    monkeypatch.setattr(actions, "_CLIPS_A_WORKER", 20)
    actions.write_actions(tmp_path / "two", seed=4, size="tiny", version="dark", workers=2)
    written = {
        path.relative_to(tmp_path / "one"): path.read_bytes() for path in sorted((tmp_path / "one").rglob("*.*"))
    }
    assert len(written) == 8 + 5
    for name, content in written.items():
        assert (tmp_path / "two" / name).read_bytes() == content, name


@pytest.mark.slow
def test_records(tmp_path):
    manifest = actions.write_actions(tmp_path / "one", seed=4, size="tiny", actions=2)
    for split, files in zip(actions.SPLITS, actions.FILES):
        names = sorted(path.name for path in (tmp_path / "one" / split).iterdir())
        assert names == [f"{split}{number:04d}.tfrecord" for number in range(files)]
    assert json.loads((tmp_path / "one" / "manifest.json").read_text()) == manifest
    assert manifest["train"] == {"clips": 40, "files": 4} and manifest["num_classes"] == 20
    names = read_class_names(tmp_path / "one" / "vocabulary.csv")
    assert names[0] == "digit moves right" and names[19] == "texture blinks" and len(names) == 20
    files = sorted(map(str, (tmp_path / "one" / "train").iterdir()))
    # The same seed gives the same, clip by clip, whatever was drawn before.
    (second,) = record_dataset(files[1]).take(1).as_numpy_iterator()
    assert (
        actions._make_record("bright-train00001", _classes_of(second), [4, 0, 1], "train", "bright").serialize()
        == second
    )
    labels = load_video_labels(Source(tuple(files)))
    rated = load_rated_labels(Source(tuple(files)))
    assert len(labels) == 40 and len(rated) == 40 * 2 * 20 and rated.positive.sum() == 80
    assert set(labels) == {f"bright-train{number:05d}" for number in range(40)}
    assert read_labels(tmp_path / "one" / "train_labels.csv", ClassIds()) == labels
    # As many of each class.
    assert np.bincount(rated.class_ids[rated.positive], minlength=20).tolist() == [4] * 20
    positive = {}
    for text, class_id, right in zip(rated.texts, rated.class_ids.tolist(), rated.positive.tolist()):
        if right:
            positive.setdefault(text.rpartition(b":")[0].decode(), set()).add(class_id)
    assert {name: set(found) for name, found in labels.items()} == positive
    ((features, _), *_) = make_dataset(files, CLIPS.replace(num_classes=20), windows="rated", batch_size=3)
    assert features["pictures"].numpy().std() > 10


def _classes_of(serialized):
    """The class of each segment of a clip, in order."""
    context = tf.train.SequenceExample.FromString(serialized).context.feature
    scores = context["segment_scores"].float_list.value
    return [c for c, score in zip(context["segment_labels"].int64_list.value, scores) if score]


def test_versions():
    found = {
        version: [actions._make_record("a", [label], [1, 2, label], "test", version) for label in range(20)]
        for version in ("bright", "low_resolution", "dark")
    }
    pictures = {name: [np.stack(list(map(decoded, clip.pictures))) for clip in clips] for name, clips in found.items()}
    sides = [array.shape[1] for array in pictures["low_resolution"]]
    assert 10 <= min(sides) < 20 and 40 < max(sides) <= 64 and len(set(sides)) > 8
    assert {array.shape for array in pictures["bright"]} == {(40, 64, 64, 3)}
    assert np.mean([array.mean() for array in pictures["dark"]]) < 0.2 * np.mean(
        [array.mean() for array in pictures["bright"]]
    )
    for bright, low, dark in zip(pictures["bright"], pictures["low_resolution"], pictures["dark"]):
        # The same is drawn of every version: means of areas are the same, and brightness ranks alike.
        assert abs(bright.mean() - low.mean()) < 1.5
        assert np.corrcoef(bright.mean(axis=(0, 3)).ravel(), dark.mean(axis=(0, 3)).ravel())[0, 1] > 0.5
    # Noise: what is still in a bright clip is not in a dark one.
    still = lambda arrays: np.mean(
        [np.abs(np.diff(array[..., 1].astype(float), axis=0)).mean() / array.mean() for array in arrays]
    )
    assert still(pictures["dark"]) > 2 * still(pictures["bright"])


def test_splits_have_digits_of_their_own(monkeypatch):
    asked = []

    class Digits:
        def __len__(self):
            return 1797

        def __getitem__(self, place):
            asked.append(int(place))
            return np.zeros((8, 8))

    monkeypatch.setattr(actions, "_digits", Digits)
    bounds = {}
    for split in actions.SPLITS:
        asked.clear()
        rng = np.random.default_rng(0)
        for _ in range(300):
            actions._digit(rng, split)
        bounds[split] = min(asked), max(asked)
    assert bounds["train"][1] < bounds["holdout"][0] <= bounds["holdout"][1] < bounds["test"][0]


@pytest.mark.parametrize(
    "options, sentence",
    [({"size": "huge"}, "there is no size 'huge' of actions"), ({"version": "blue"}, "no version 'blue' of actions")],
)
def test_what_there_is_not(options, sentence, tmp_path):
    with pytest.raises(InputError, match=sentence):
        actions.write_actions(tmp_path, **options)
