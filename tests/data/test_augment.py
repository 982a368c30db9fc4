"""Augmentation: what it may change, how often it does, and that it depends on its seed alone."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.reading import read
from tests.helpers.records import CONFIG, make_video
from tests.helpers.twins import window_twin
from yt8m.config import BORDERS, AugmentConfig
from yt8m.data.augment import allowed_views, augment_batch, margin_of, mix_batch, take_view, with_place
from yt8m.data.cache import open_cache
from yt8m.data.pipeline import make_dataset
from yt8m.data.tfrecord import VideoRecord, write_records
from yt8m.models.losses import rated_binary_crossentropy
from yt8m.models.targets import dense_targets
from yt8m.types import InputError

LENGTHS = (1, 3, 5, 6, 8, 12, 23)
ALL = AugmentConfig(
    shift=1, dilute=True, enlarge=True, frame_masking=0.2, frame_dropping=0.2, modality_dropout=0.3, mixup=0.4
)


def rated_video(frames):
    starts = range(0, frames, 5)
    return make_video(f"v{frames}", frames=frames, segments=[(start, frames % 10, 1.0) for start in starts])


@pytest.fixture
def files(write):
    return [write(f"{frames}.tfrecord", rated_video(frames)) for frames in LENGTHS]


def shown(features, row):
    """Frames, by their numbers, that an example of tests.helpers.records.make_video shows."""
    count = features["num_frames"][row]
    np.testing.assert_array_equal(features["rgb"][row, :count, 0] + 99, features["audio"][row, :count, 0])
    assert not features["rgb"][row, count:].any() and not features["audio"][row, count:].any()
    return (features["rgb"][row, :count, 0].astype(int) - 1).tolist()


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("windows", ["rated", "unlabelled"])
def test_each_view_is_drawn_and_is_that_of_inference(files, border, windows):
    """Against the frames that the same views have in windows="all"."""
    config, augment = CONFIG.replace(border=border), AugmentConfig(shift=2, dilute=True, enlarge=True)
    drawn = set()
    options = {"windows": windows, "batch_size": 64, "training": True, "with_info": True}
    features, *_, info = read(8 * files, config, augment=augment, **options)
    if windows == "unlabelled":
        assert features["rgb"].shape[1:] == (2, 9, 6)
        original, features = ({name: values[:, k] for name, values in features.items()} for k in (0, 1))
    assert features["rgb"].shape[1:] == (9, 6)
    for row, (name, start) in enumerate(zip(info["id"], info["start_time"])):
        frames, found = int(name[1:]), shown(features, row)
        views = {view: window_twin(start, frames, view, border) for view in allowed_views(augment)}
        assert found in views.values(), (name, start, found)
        drawn |= {view for view, expected in views.items() if expected == found and frames == 23 and 5 <= start <= 15}
        if windows == "unlabelled":
            assert shown(original, row) == window_twin(start, frames, 0, border)
    assert drawn == {-2, -1, 0, 1, 2, "dilute", "enlarge"}


def elements(files, config=CONFIG, *, augment=ALL, windows="rated", batch_size=5, skip=0, **options):
    dataset = make_dataset(
        files, config, windows=windows, batch_size=batch_size, training=True, augment=augment, **options
    )
    return [tf.nest.map_structure(lambda values: values.numpy(), element) for element in dataset.skip(skip)]


def same(one, other):
    parts = zip(tf.nest.flatten(one), tf.nest.flatten(other), strict=True)
    return all(left.dtype == right.dtype and np.array_equal(left, right) for left, right in parts)


@pytest.mark.parametrize(
    "windows", ["rated", *(pytest.param(name, marks=pytest.mark.slow) for name in ("video", "unlabelled"))]
)
def test_the_same_seed_and_epoch_give_the_same_batches_also_after_a_stop(files, windows):
    augment = ALL if windows != "video" else ALL.replace(shift=0, dilute=False, enlarge=False)
    whole = elements(files, windows=windows, augment=augment, seed=4, epoch=1, batch_size=3)
    assert same(whole[1:], elements(files, windows=windows, augment=augment, seed=4, epoch=1, batch_size=3, skip=1))
    for other in ({"seed": 5}, {"epoch": 2}):
        options = {"seed": 4, "epoch": 1, "batch_size": 3} | other
        assert not same(whole, elements(files, windows=windows, augment=augment, **options))


@pytest.mark.slow
@pytest.mark.parametrize("border", ["clamp", "mask"])
def test_the_cache_serves_it_and_what_needs_no_margin(files, tmp_path, border):
    config = CONFIG.replace(border=border)
    cache = open_cache(tmp_path / "cache", files, config, margin=margin_of(ALL))
    assert cache.margin == 2
    assert same(elements(files, config, cache=cache), elements(files, config))
    assert same(elements(files, config, augment=None, cache=cache), elements(files, config, augment=None))
    plain = open_cache(tmp_path / "cache", files, config)
    assert len(list((tmp_path / "cache").iterdir())) == 2 * len(files)
    with pytest.raises(ValueError, match="other files or settings"):
        elements(files, config, cache=plain)
    other = config.replace(border="roll")
    assert plain.fits(other) and not cache.fits(other)


@pytest.mark.slow
def test_without_augmentation_the_order_and_the_frames_are_as_ever(files):
    plain = elements(files, augment=None)
    assert same(plain, elements(files, augment=AugmentConfig()))
    shifted = elements(files, augment=AugmentConfig(shift=1))
    for one, other in zip(plain, shifted, strict=True):
        np.testing.assert_array_equal(one[1]["classes"], other[1]["classes"])


def segments(count=2000, margin=2, seed=0):
    random = np.random.default_rng(seed)
    features = {
        name: random.integers(1, 127, (count, 5 + 2 * margin, size)).astype(np.uint8)
        for name, size in (("a", 2), ("b", 3))
    }
    lengths = random.integers(1, 6, count).astype(np.int32)
    for row, length in enumerate(lengths):
        for values in (features["a"], features["b"]):
            values[row, length + 2 * margin :] = 0
    features["num_frames"] = lengths + 2 * margin
    return with_place(features, tf.zeros(count, tf.int32), margin=margin, border="clamp"), lengths


def test_frames_are_masked_as_often_as_asked():
    features, lengths = segments()
    changed = augment_batch(features, AugmentConfig(frame_masking=0.3), seed=(1, 2))
    plain = take_view(features)
    blank = (changed["a"].numpy() == 127).all(-1)
    np.testing.assert_array_equal(blank, (changed["b"].numpy() == 127).all(-1))
    np.testing.assert_array_equal(changed["num_frames"], lengths)
    assert blank.sum() / lengths.sum() == pytest.approx(0.3, abs=0.02)
    np.testing.assert_array_equal(changed["a"].numpy()[~blank], plain["a"].numpy()[~blank])


@pytest.mark.parametrize("probability", [0.3, 1.0])
def test_frames_are_dropped_but_never_all(probability):
    features, lengths = segments()
    changed = augment_batch(features, AugmentConfig(frame_dropping=probability), seed=(1, 2))
    plain, counts = take_view(features), changed["num_frames"].numpy()
    expected = np.mean([n * (1 - probability) + probability**n for n in lengths])
    assert counts.min() == 1 and counts.mean() == pytest.approx(expected, abs=0.05)
    for row in range(200):
        before = plain["a"][row, : lengths[row]].numpy().tolist()
        remaining = iter(before)
        assert all(frame in remaining for frame in changed["a"][row, : counts[row]].numpy().tolist())
        assert not changed["a"][row, counts[row] :].numpy().any()


def test_one_modality_is_dropped_and_never_all():
    features, lengths = segments()
    features |= {f"video_{name}": features[name] for name in "ab"} | {"num_video_frames": features["num_frames"]}
    changed = augment_batch(features, AugmentConfig(modality_dropout=0.4), seed=(1, 2))
    there = tf.sequence_mask(lengths, 5).numpy()
    dropped = {name: ((changed[name].numpy() == 127).all(-1) | ~there).all(1) for name in "ab"}
    assert not (dropped["a"] & dropped["b"]).any()
    assert dropped["a"].mean() == pytest.approx(0.2, abs=0.03) and dropped["b"].mean() == pytest.approx(0.2, abs=0.03)
    of_video = (changed["video_a"].numpy() == 127).all(-1).any(1)
    np.testing.assert_array_equal(of_video, dropped["a"])
    np.testing.assert_array_equal(changed["a"].numpy()[~dropped["a"]], take_view(features)["a"].numpy()[~dropped["a"]])


def test_mixup_by_hand():
    features = {
        "a": tf.constant([[[10], [20]], [[110], [0]], [[50], [60]]], tf.uint8),
        "num_frames": tf.constant([2, 1, 2]),
    }
    targets = {
        "classes": tf.constant([[1, 0], [2, 3], [0, 0]]),
        "scores": tf.constant([[1, 0], [1, 0.5], [0, 0]]),
        "unrated": tf.zeros([3, 1]),
    }
    mixed, both = mix_batch(features, targets, alpha=0.4, seed=(3, 4))
    share = both["share"].numpy()[:, 0]
    assert ((0 <= share) & (share <= 1)).all() and share.std() > 0
    pairs = ((10, 50), (110, 10), (50, 110))
    assert mixed["a"][:, 0, 0].numpy().tolist() == [
        round(part * a + (1 - part) * b) for part, (a, b) in zip(share, pairs)
    ]
    assert mixed["num_frames"].numpy().tolist() == [2, 1, 1] and mixed["a"][1:, 1].numpy().tolist() == [[0], [0]]
    np.testing.assert_array_equal(both["partner"]["classes"], [[0, 0], [1, 0], [2, 3]])
    draws = mix_batch({}, {"unrated": tf.zeros([20_000, 1])}, alpha=0.4, seed=(3, 4))[1]["share"].numpy()
    # Beta(a, a) has the variance 1 / (4 (2 a + 1)).
    assert draws.mean() == pytest.approx(0.5, abs=0.01) and draws.var() == pytest.approx(1 / 7.2, abs=0.005)


@pytest.mark.slow
def test_mixed_features_and_loss_are_those_of_both_examples(files):
    """The frames dequantise to the mixture, to half a byte, and the loss is the mixture of two losses."""
    config = CONFIG.replace(unrated="video_negative")
    options = {"windows": "rated", "training": True, "batch_size": 8, "seed": 2}
    (plain, targets), *_ = make_dataset(files, config, **options)
    (mixed, both), *_ = make_dataset(files, config, augment=AugmentConfig(mixup=0.5), **options)
    share = both["share"].numpy()
    rows = plain["rgb"].numpy().astype(float)
    expected = share[..., None] * rows + (1 - share[..., None]) * np.roll(rows, 1, axis=0)
    there = tf.sequence_mask(mixed["num_frames"], 5).numpy()
    assert np.abs(mixed["rgb"].numpy() - expected)[there].max() <= 0.5001
    dense = dense_targets(targets, num_classes=10)
    labels, rated = (np.asarray(dense[name], np.float64) for name in ("labels", "rated"))
    probabilities = np.random.default_rng(0).random(labels.shape)
    entropy = -(labels * np.log(probabilities + 1e-6) + (1 - labels) * np.log(1 - probabilities + 1e-6)) * rated
    other = np.roll(labels, 1, axis=0), np.roll(rated, 1, axis=0)
    of_partner = (
        -(other[0] * np.log(probabilities + 1e-6) + (1 - other[0]) * np.log(1 - probabilities + 1e-6)) * other[1]
    )
    found = dense_targets(both, num_classes=10)
    loss = rated_binary_crossentropy(found["labels"], probabilities.astype(np.float32), found["rated"])
    assert float(loss) == pytest.approx(np.sum(share * entropy + (1 - share) * of_partner) / len(labels), rel=1e-5)
    assert float(tf.reduce_max(found["labels"])) <= 1 and float(tf.reduce_max(found["rated"])) <= 1


def test_video_level_records_are_mixed_and_lose_a_modality(tmp_path):
    path, random = str(tmp_path / "a.tfrecord"), np.random.default_rng(0)
    means = {"mean_rgb": random.normal(size=(64, 6)), "mean_audio": random.normal(size=(64, 4))}
    records = ({name: values[row] for name, values in means.items()} for row in range(64))
    write_records(path, (VideoRecord(video_id=f"{n}", features=f, labels=(n % 10,)) for n, f in enumerate(records)))
    config = CONFIG.replace(feature_names=tuple(means), feature_sizes=(6, 4), level="video")
    options = {"windows": "video", "batch_size": 64}
    ((plain, _),) = elements([path], config, augment=None, **options)
    ((mixed, targets),) = elements([path], config, augment=AugmentConfig(mixup=1.0), **options)
    expected = targets["share"] * plain["mean_rgb"] + (1 - targets["share"]) * np.roll(plain["mean_rgb"], 1, axis=0)
    np.testing.assert_allclose(mixed["mean_rgb"], expected, atol=1e-6)
    ((dropped, _),) = elements([path], config, augment=AugmentConfig(modality_dropout=1.0), **options)
    gone = [~dropped[name].any(axis=1) for name in means]
    assert (gone[0] ^ gone[1]).all() and 10 < gone[0].sum() < 54


@pytest.mark.parametrize(
    "config, windows, augment, message",
    [
        (CONFIG, "video", {"shift": 1}, "are views of segments: set segment_labels"),
        (CONFIG, "video", {"enlarge": True}, "are views of segments: set segment_labels"),
        (CONFIG.replace(level="video"), "video", {"frame_dropping": 0.1}, "video-level records have none"),
        (CONFIG.replace(feature_names=("rgb",), feature_sizes=(6,)), "rated", {"modality_dropout": 0.1}, "needs more features than rgb"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_said(files, config, windows, augment, message):
    with pytest.raises(InputError, match=message):
        make_dataset(files, config, windows=windows, batch_size=2, training=True, augment=AugmentConfig(**augment))


def test_evaluation_is_never_augmented(files):
    for options in ({"windows": "rated", "augment": ALL}, {"windows": "unlabelled"}):
        with pytest.raises(ValueError, match="are for training"):
            make_dataset(files, CONFIG, batch_size=2, **options)
