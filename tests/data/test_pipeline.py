"""make_dataset against slow NumPy twins, on records whose frame t is filled with t + 1."""

import dataclasses
import functools

import numpy as np
import pytest

from tests.helpers import fast
from tests.helpers.reading import read
from tests.helpers.records import CONFIG, make_video
from tests.helpers.twins import window_twin
from yt8m.config import BORDERS
from yt8m.data.labels import read_rated_labels, read_video_labels
from yt8m.data.pipeline import count_records, estimate_examples, make_dataset
from yt8m.data.splits import IdSplit, Source
from yt8m.data.tfrecord import VideoRecord, write_records
from yt8m.types import DataWarning, InputError, UnevenLengthsWarning

RATED = (
    make_video("a", frames=12, labels=(1, 3), segments=((0, 1, 1.0), (10, 2, 0.0), (0, 4, 0.25), (5, 9, 7.0))),
    make_video("b", frames=9, labels=(), segments=()),
    make_video("c:0", frames=6, labels=(0,), segments=((5, 1, 0.0), (5, 1, 1.0))),
)

pytestmark = pytest.mark.filterwarnings("ignore::yt8m.types.LongVideosWarning")


def check_frames(features, row, frames):
    """Checks that an example holds ``frames`` and zeros behind them."""
    assert features["num_frames"][row] == len(frames)
    for name, size, first in (("rgb", 6, 1), ("audio", 4, 100)):
        expected = np.zeros(features[name].shape[1:], np.uint8)
        expected[: len(frames)] = np.repeat(np.array(frames)[:, None] + first, size, axis=1)
        np.testing.assert_array_equal(features[name][row], expected)


def dense(*pairs):
    """(10,) with a value at each class of (class, value) pairs."""
    values = np.zeros(10)
    for label, value in pairs:
        values[label] = value
    return values


def test_rated_windows(write):
    files = [write("a.tfrecord", *RATED)]
    features, targets, info = read(files, windows="rated", batch_size=2, with_info=True)
    assert list(zip(info["id"], info["start_time"])) == [(b"a", 0), (b"a", 10), (b"a", 5), (b"c:0", 5)]
    assert info["start_time"].dtype == np.int32 and features["rgb"].dtype == np.uint8
    for row, frames in enumerate(([0, 1, 2, 3, 4], [10, 11], [5, 6, 7, 8, 9], [5])):
        check_frames(features, row, frames)
    labels = [dense((1, 1), (4, 0.25)), dense(), dense((9, 1)), dense((1, 1))]
    np.testing.assert_array_equal(targets["labels"], labels)
    rated = [dense((1, 1), (4, 1)), dense((2, 1)), dense((9, 1)), dense((1, 1))]
    np.testing.assert_array_equal(targets["rated"], rated)


def test_unrated_policies(write):
    files = [write("a.tfrecord", *RATED)]
    _, targets = read(files, CONFIG.replace(unrated="negative"), windows="rated", batch_size=4)
    assert targets["rated"].min() == 1 and targets["labels"].sum() == 3.25
    _, targets = read(files, CONFIG.replace(unrated="video_negative"), windows="rated", batch_size=4)
    expected = np.full((4, 10), 0.5)
    expected[:3, [1, 3]] = 0
    expected[3, 0] = 0
    for row, label in ((0, 1), (0, 4), (1, 2), (2, 9), (3, 1)):
        expected[row, label] = 1
    np.testing.assert_array_equal(targets["rated"], expected)


def test_targets_are_sparse_and_of_few_widths(write):
    """Each class once a row, ascending and with its highest score, in 32 columns, or 64 where 32 are too few."""
    many = make_video("b", frames=9, labels=range(39, -1, -1), segments=[(5, label, 0.5) for label in range(33)])
    double = make_video("c", labels=(7, 7, 2), segments=((0, 4, 0.5), (0, 1, 0.0), (0, 4, 1.0), (0, 4, 0.25)))
    files = [write("a.tfrecord", *RATED[:1], many, double)]
    config = CONFIG.replace(num_classes=100, unrated="video_negative")
    found = [targets for _, targets in make_dataset(files, config, windows="rated", batch_size=3)]
    assert [targets["classes"].shape[1] for targets in found] == [32, 64]
    assert [targets["video_classes"].shape[1] for targets in found] == [32, 64]
    row = {name: values[-1].numpy() for name, values in found[-1].items()}
    assert row["classes"].tolist() == [2, 5] + 62 * [0] and row["video_classes"].tolist() == [3, 8] + 62 * [0]
    assert row["scores"].tolist() == [0, 1] + 62 * [0] and row["unrated"].tolist() == [0.5]
    (_, targets), *_ = make_dataset(files, config, windows="video", batch_size=3)
    assert targets["classes"].dtype == np.int32 and targets["classes"].shape == (3, 64)
    assert targets["classes"][1].numpy().tolist() == [*range(1, 41)] + 24 * [0]
    assert targets["classes"][2].numpy().tolist() == [3, 8] + 62 * [0]
    np.testing.assert_array_equal(targets["scores"], targets["classes"] > 0)
    assert targets["unrated"].numpy().tolist() == [[1], [1], [1]]


def test_rated_segments_behind_max_frames_are_left_out(write):
    files = [write("a.tfrecord", *RATED)]
    features, _, info = read(files, CONFIG.replace(max_frames=7), windows="rated", batch_size=4, with_info=True)
    assert info["start_time"].tolist() == [0, 5, 5]
    check_frames(features, 1, [5, 6])


@pytest.mark.parametrize("border", BORDERS)
def test_all_windows_match_the_twin(write, border):
    videos = [make_video(f"v{frames}", frames=frames, labels=None, segments=None) for frames in (1, 4, 5, 13, 20)]
    files = [write("a.tfrecord", *videos[:2]), write("b.tfrecord.gz", *videos[2:])]
    views = (-2, 0, "dilute", 1, "enlarge")
    features, info = read(files, CONFIG.replace(border=border), windows="all", batch_size=3, views=views)
    expected = [(f"v{frames}".encode(), start) for frames in (1, 4, 5, 13, 20) for start in range(0, frames, 5)]
    assert list(zip(info["id"], info["start_time"])) == expected
    assert features["rgb"].shape == (10, 5, 9, 6)
    assert info["end_time"].tolist() == [min(start + 5, int(name[1:])) for name, start in expected]
    for row, (name, start) in enumerate(expected):
        window = {name: values[row] for name, values in features.items()}
        for column, view in enumerate(views):
            check_frames(window, column, window_twin(start, int(name[1:]), view, border))


def test_whole_videos(write):
    videos = (make_video("a", frames=5, labels=(1, 3)), make_video("b", frames=20, labels=None))
    files = [write("a.tfrecord", *videos)]
    config = CONFIG.replace(sampling="uniform")
    features, targets, info = read(files, config, windows="video", batch_size=2, with_info=True)
    check_frames(features, 0, [0, 1, 2, 3, 4])
    check_frames(features, 1, [1, 3, 6, 8, 11, 13, 16, 18])
    np.testing.assert_array_equal(targets["labels"], [dense((1, 1), (3, 1)), dense()])
    assert (targets["rated"] == 1).all()
    assert info["id"].tolist() == [b"a", b"b"] and info["start_time"].tolist() == [0, 0]
    features, _ = read(files, CONFIG.replace(max_frames=10), windows="video", batch_size=2)
    check_frames(features, 1, [1, 2, 3, 4, 5, 6, 7, 8])
    features, _ = read(files, CONFIG.replace(num_frames=30, max_frames=3), windows="video", batch_size=2)
    check_frames(features, 1, [0, 1, 2])


def test_a_subset_of_features(write):
    config = CONFIG.replace(feature_names=("audio",), feature_sizes=(4,))
    features, _ = read([write("a.tfrecord", *RATED)], config, windows="rated", batch_size=9)
    assert sorted(features) == ["audio", "num_frames"] and features["audio"][1, 1].tolist() == [111] * 4


def test_video_level(tmp_path):
    path = str(tmp_path / "a.tfrecord")
    means = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    videos = [VideoRecord(video_id=str(row), features={"mean_rgb": means[row]}, labels=(row, 9)) for row in range(3)]
    write_records(path, videos, id_key="video_id")
    config = CONFIG.replace(feature_names=("mean_rgb",), feature_sizes=(6,), level="video")
    features, targets, info = read([path], config, windows="video", batch_size=2, with_info=True)
    np.testing.assert_array_equal(features["mean_rgb"], means)
    np.testing.assert_array_equal(targets["labels"], [dense((row, 1), (9, 1)) for row in range(3)])
    assert info["id"].tolist() == [b"0", b"1", b"2"] and list(features) == ["mean_rgb"]
    with pytest.raises(InputError, match="frame-level"):
        make_dataset([path], config, windows="all", batch_size=2)


@pytest.mark.parametrize("level", ["frame", "video"])
def test_labels_of_videos_may_have_scores(write, level):
    soft = {"labels": (7, 2, 7, 4), "label_scores": (0.25, 0.5, 0.75, 1.5)}
    if level == "frame":
        make, config = make_video, CONFIG
    else:
        means = {"rgb": np.zeros(6), "audio": np.zeros(4)}
        make = functools.partial(VideoRecord, features=means)
        config = CONFIG.replace(level="video")
    records = [make(video_id="a", labels=(3,)), dataclasses.replace(make(video_id="b"), **soft)]
    records.append(make(video_id="c", labels=()))
    dataset = make_dataset([write("a.tfrecord", *records)], config, windows="video", batch_size=3)
    ((_, targets),) = dataset.as_numpy_iterator()
    # Each class once with its highest score, which no number above 1 is; without scores a label is 1.
    assert targets["classes"][:, :4].tolist() == [[4, 0, 0, 0], [3, 5, 8, 0], [0, 0, 0, 0]]
    assert targets["scores"][:, :4].tolist() == [[1, 0, 0, 0], [0.5, 1, 0.75, 0], [0, 0, 0, 0]]
    assert targets["unrated"].tolist() == [[1], [1], [1]]


def test_the_shorter_feature_counts_and_is_warned_of(write):
    files = [write("a.tfrecord", make_video("a", frames=7, audio_frames=6), make_video("b", frames=7, audio_frames=9))]
    with pytest.warns(UnevenLengthsWarning) as told:
        features, _ = read(files, windows="video", batch_size=2)
    check_frames(features, 0, range(6))
    check_frames(features, 1, range(7))
    texts = [str(warning.message) for warning in told if issubclass(warning.category, DataWarning)]
    assert texts == ["video a has 7 frames of rgb and 6 frames of audio: the shorter counts, here as in others"]


@pytest.fixture
def many(write):
    return [
        write(f"{file}.tfrecord", *(make_video(f"{file}-{video}", frames=30) for video in range(20)))
        for file in range(3)
    ]


@pytest.mark.parametrize("windows", [pytest.param("video", marks=pytest.mark.slow), "rated"])
def test_training_is_shuffled_by_seed_and_epoch(many, windows):
    def run(**options):
        features, _, info = read(many, windows=windows, batch_size=7, with_info=True, **options)
        return list(zip(info["id"].tolist(), info["start_time"].tolist(), features["rgb"][:, 0, 0].tolist()))

    first = run(training=True, seed=1, epoch=0)
    assert first == run(training=True, seed=1, epoch=0)
    in_order = run(seed=5, epoch=2)
    assert [name for name, *_ in in_order][0] == b"0-0" and [name for name, *_ in in_order][-1] == b"2-19"
    for other in (run(training=True, seed=2, epoch=0), run(training=True, seed=1, epoch=1), in_order):
        assert first != other
        assert sorted(row[:2] for row in first) == sorted(row[:2] for row in other)


@pytest.mark.parametrize("sampling", ["random", "random_ordered"])
def test_training_draws_frames_anew_each_epoch(many, sampling):
    config = CONFIG.replace(sampling=sampling)
    options = {"windows": "video", "batch_size": 60, "training": True}
    draws = [read(many, config, epoch=epoch, **options)[0]["rgb"] for epoch in range(2)]
    for drawn in draws:
        rising = (np.diff(drawn[..., 0].astype(int), axis=1) > 0).all()
        assert rising == (sampling == "random_ordered")
        assert len({tuple(row) for row in drawn[..., 0]}) > 50
    assert set(draws[0].sum(axis=(1, 2))) != set(draws[1].sum(axis=(1, 2)))


def test_all_frames_are_no_random_frames(many):
    """As many draws as frames repeat some, where the plain reader would take every frame once."""
    config = CONFIG.replace(sampling="random", num_frames=20)
    features = read(many, config, windows="video", batch_size=60, training=True)[0]
    assert (features["num_frames"] == 20).all()
    assert np.mean([len(set(row)) for row in features["rgb"][..., 0].tolist()]) < 15


def test_skip_resumes(many):
    dataset = make_dataset(many, CONFIG, windows="rated", batch_size=7, training=True, seed=1, with_info=True)
    ids = [info["id"].numpy().tolist() for _, _, info in dataset]
    again = make_dataset(many, CONFIG, windows="rated", batch_size=7, training=True, seed=1, with_info=True).skip(5)
    assert [info["id"].numpy().tolist() for _, _, info in again] == ids[5:]


@pytest.mark.parametrize("windows, examples", [("video", 60), ("rated", 120), ("all", 360)])
def test_the_last_batch_may_be_small_unless_dropped(many, windows, examples):
    for drop, expected in ((False, -(-examples // 50)), (True, examples // 50)):
        dataset = make_dataset(many, CONFIG, windows=windows, batch_size=50, drop_remainder=drop)
        sizes = [len(features["num_frames"]) for features, _ in dataset]
        assert len(sizes) == expected and sum(sizes) == (50 * expected if drop else examples)


@pytest.mark.parametrize("windows", ["video", "all"])
def test_keep_parts_the_videos(many, windows):
    split = IdSplit(fraction=0.3, seed=1)
    kept = {}
    for keep in (None, split.in_train, split.in_holdout):
        info = read(many, windows=windows, batch_size=50, keep=keep, with_info=True)[-1]
        kept[keep] = {name.decode() for name in info["id"]}
    assert len(kept[None]) == 60
    assert kept[split.in_holdout] == {name for name in kept[None] if split.in_holdout(name)}
    assert kept[split.in_train] == kept[None] - kept[split.in_holdout]


def test_arguments_are_checked(many):
    for options in (
        {"windows": "some"},
        {"windows": "rated", "views": (-1, 0)},
        {"windows": "all", "training": True},
    ):
        with pytest.raises(ValueError):
            make_dataset(many, CONFIG, batch_size=2, **options)


def test_labels_read_whole(write):
    files = [write("a.tfrecord", *RATED[:2]), write("b.tfrecord", RATED[2])]
    segments, classes, scores = read_rated_labels(files, CONFIG)
    assert segments == ["a:0", "a:10", "a:0", "a:5", "c:0:5", "c:0:5"]
    assert classes.tolist() == [1, 2, 4, 9, 1, 1] and scores.tolist() == [1, 0, 0.25, 7, 0, 1]
    segments, classes, _ = read_rated_labels(files, CONFIG, keep=lambda video_id: video_id != "a")
    assert segments == ["c:0:5", "c:0:5"] and classes.tolist() == [1, 1]
    videos, labels = read_video_labels(files, CONFIG)
    assert videos == ["a", "b", "c:0"] and [row.tolist() for row in labels] == [[1, 3], [], [0]]
    assert count_records(files, CONFIG) == 3
    with pytest.raises(InputError, match="a.tfrecord, record 0: segment_labels holds class 9"):
        read_rated_labels(files, CONFIG.replace(num_classes=9))
    unrated = write("c.tfrecord", make_video("a", segments=None))
    with pytest.raises(InputError, match="c.tfrecord holds no rated segments"):
        read_rated_labels([unrated], CONFIG)


def test_examples_are_estimated(many):
    for windows, examples in (("video", 60), ("rated", 120), ("all", 360)):
        assert estimate_examples(Source(tuple(many)), CONFIG, windows=windows) == pytest.approx(examples, rel=0.05)
    assert estimate_examples(Source(tuple(many[:1])), CONFIG, windows="video") is None


def middles(first, end, length):
    """The middles of ``length`` equal parts of frames first..end-1, all of them where they are fewer."""
    count = min(end - first, length)
    return [first + int((slot + 0.5) * (end - first) / count) for slot in range(count)]


@pytest.mark.parametrize("radius", [pytest.param(None, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("windows", fast(["rated", "all"], ["video", "rated", "all", "unlabelled"]))
def test_frames_of_the_whole_video_beside_every_example(write, windows, radius):
    files = [write("a.tfrecord", *(make_video(f"v{frames}", frames=frames) for frames in (12, 14, 30)))]
    config = CONFIG.replace(video_frames=6, video_radius=radius, max_frames=20)
    options = {"training": True} if windows == "unlabelled" else {"with_info": True}
    features, *_, info = read(files, config, windows=windows, batch_size=4, **options)
    plain, *_ = read(files, config.replace(video_frames=0, video_radius=None), windows=windows, batch_size=4, **options)
    for name, values in plain.items():
        np.testing.assert_array_equal(features[name], values)
    for row, (name, start) in enumerate(zip(info["id"], info["start_time"])):
        frames = min(int(name[1:]), 20)
        near = (0, frames) if radius is None or windows == "video" else (max(start - 3, 0), min(start + 8, frames))
        beside = {part: features[f"video_{part}"][row] for part in ("rgb", "audio")}
        beside["num_frames"] = features["num_video_frames"][row]
        if windows == "unlabelled":
            for values in beside.values():
                np.testing.assert_array_equal(values[0], values[1])
            beside = {name: values[0] for name, values in beside.items()}
        check_frames({name: values[None] for name, values in beside.items()}, 0, middles(*near, 6))


def test_video_frames_are_checked():
    for changes, message in (
        ({"video_frames": -1}, "video_frames is -1; it must be at least 0"),
        ({"video_radius": 5}, "set video_frames too"),
        ({"video_frames": 3, "level": "video"}, "video-level records have none"),
        ({"video_frames": 3, "feature_names": ("rgb", "video_rgb")}, "no feature may be named"),
    ):
        with pytest.raises(InputError, match=message):
            CONFIG.replace(**changes)
