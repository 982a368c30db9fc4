"""Clips from files to batches: segments and whole clips, views, draws, what is left out."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clips import CLIPS, decoded, flat, jpeg, make_clip, numbers_of
from tests.helpers.reading import read
from yt8m.config import AugmentConfig, ClipConfig, DataConfig
from yt8m.data.pipeline import estimate_examples, make_dataset
from yt8m.data.splits import IdSplit, Source
from yt8m.types import InputError

RATED = ((0, 1, 1.0), (0, 2, 0.0), (5, 3, 0.5))


@pytest.fixture
def files(write):
    """Two files: 60 pictures of 7.5 s with two rated segments; 3 pictures; 20 pictures of which one segment is rated."""
    return [
        write("a.tfrecord", make_clip("a", 60, segments=RATED), make_clip("b", 3, labels=(4,), segments=())),
        write("c.tfrecord", make_clip("c", 20, labels=(), segments=((0, 9, 1.0),))),
    ]


def test_whole_clips(files):
    features, targets, info = read(files, CLIPS, windows="video", batch_size=2, with_info=True)
    assert features["pictures"].shape == (3, 4, 16, 16, 3) and features["pictures"].dtype == np.uint8
    assert features["num_frames"].tolist() == [4, 3, 4] and features["num_frames"].dtype == np.int32
    assert numbers_of(features["pictures"]).tolist() == [[7, 22, 37, 52], [0, 1, 2, 0], [2, 7, 12, 17]]
    assert not features["pictures"][1, 3].any()
    assert [np.flatnonzero(row).tolist() for row in targets["labels"]] == [[1, 2], [4], []] and targets["rated"].all()
    assert info["id"].tolist() == [b"a", b"b", b"c"] and info["start_time"].tolist() == [0, 0, 0]


def test_rated_segments(files):
    features, targets, info = read(files, CLIPS, windows="rated", batch_size=2, with_info=True)
    assert list(zip(info["id"].tolist(), info["start_time"].tolist())) == [(b"a", 0), (b"a", 5), (b"c", 0)]
    # Pictures 0 to 39, 40 to 59 and 0 to 19.
    assert numbers_of(features["pictures"]).tolist() == [[5, 15, 25, 35], [42, 47, 52, 57], [2, 7, 12, 17]]
    assert [np.flatnonzero(row).tolist() for row in targets["rated"]] == [[1, 2], [3], [9]]
    assert targets["labels"][0, 1] == 1 and targets["labels"][0, 2] == 0 and targets["labels"][1, 3] == 0.5
    policy = CLIPS.replace(unrated="video_negative")
    _, targets = read(files, policy, windows="rated", batch_size=3)
    np.testing.assert_array_equal(targets["rated"][1], [0.5, 0, 0, 1, *[0.5] * 6])


def test_all_segments_under_views_and_crops(files):
    config = CLIPS.replace(sampling="sequence", num_frames=2, clip=ClipConfig(size=16, stride=5, views=2, crops=3))
    features, info = read(files, config, windows="all", batch_size=3)
    assert list(zip(info["id"].tolist(), info["start_time"].tolist(), info["end_time"].tolist())) == [
        (b"a", 0, 5), (b"a", 5, 8), (b"b", 0, 1), (b"c", 0, 3),
    ]  # fmt: skip
    assert features["pictures"].shape == (4, 6, 2, 16, 16, 3)
    np.testing.assert_array_equal(features["num_frames"], [[2] * 6, [2] * 6, [1] * 6, [2] * 6])
    # Of 40 pictures two that are 5 apart begin at one of 35: at a quarter and at three quarters of them.
    assert numbers_of(features["pictures"])[0].tolist() == [[8, 13]] * 3 + [[26, 31]] * 3
    assert numbers_of(features["pictures"])[1].tolist() == [[43, 48]] * 3 + [[51, 56]] * 3


def test_crops_lie_along_the_longer_side(write):
    row = np.repeat(np.arange(0, 240, 5, np.uint8), 1)
    wide = np.broadcast_to(row[None, :, None], (16, 48, 3)).copy()
    clip = dataclasses.replace(make_clip("a", 1), pictures=(jpeg(wide, form="PNG"),), size=(16, 48))
    config = CLIPS.replace(clip=ClipConfig(size=16, crops=3))
    features, _ = read([write("a.tfrecord", clip)], config, windows="all", batch_size=1)
    assert features["pictures"].shape == (1, 3, 4, 16, 16, 3)
    for crop, left in enumerate((16, 0, 32)):
        np.testing.assert_array_equal(features["pictures"][0, crop, 0], wide[:, left : left + 16])
    plain, _ = read([write("b.tfrecord", clip)], CLIPS, windows="video", batch_size=1)
    np.testing.assert_array_equal(plain["pictures"][0, 0], wide[:, 16:32])


@pytest.mark.parametrize("options", [dict(windows="video", training=True), dict(windows="all")])
def test_no_integers_are_transposed(files, options):
    # Of each such operation oneDNN writes an error to the terminal.
    config = CLIPS.replace(clip=ClipConfig(size=16, crops=3))

    @tf.function(autograph=False)
    def counted():
        return make_dataset(files, config, batch_size=2, **options).reduce(0, lambda number, _: number + 1)

    functions = counted.get_concrete_function().graph.as_graph_def().library.function
    kinds = [(node.op, node.attr["T"].type) for function in functions for node in function.node_def]
    assert any(kind == "DecodeJpeg" for kind, _ in kinds)
    assert not [dtype for kind, dtype in kinds if kind == "Transpose" and tf.as_dtype(dtype).is_integer]


@pytest.mark.slow
def test_training_depends_on_seed_and_epoch_alone(write):
    files = [
        write(
            f"{name}.tfrecord", *(make_clip(f"{name}{number}", 40 + number, segments=RATED[:1]) for number in range(6))
        )
        for name in "ab"
    ]
    augment = AugmentConfig(crop_area=0.3, flip=True, colour_jitter=0.3)

    def epoch(windows, seed=0, number=0, **options):
        options = {"training": True, "seed": seed, "epoch": number, "augment": augment, "with_info": True} | options
        return read(files, CLIPS, windows=windows, batch_size=5, **options)

    first, again, other, later = epoch("rated"), epoch("rated"), epoch("rated", seed=1), epoch("rated", number=1)
    np.testing.assert_array_equal(first[0]["pictures"], again[0]["pictures"])
    assert first[2]["id"].tolist() == again[2]["id"].tolist()
    assert sorted(first[2]["id"]) == sorted(other[2]["id"]) == sorted(later[2]["id"]) and len(first[2]["id"]) == 12
    for changed in (other, later):
        assert changed[2]["id"].tolist() != first[2]["id"].tolist()
        assert (changed[0]["pictures"] != first[0]["pictures"]).any()
    # One picture of each quarter, of which a draw says which.
    plain = epoch("rated", augment=AugmentConfig())
    numbers = numbers_of(plain[0]["pictures"])
    np.testing.assert_array_equal(numbers // 10, np.tile(np.arange(4), (12, 1)))
    assert len({tuple(row) for row in (numbers % 10).tolist()}) > 6
    whole, again = epoch("video"), epoch("video")
    np.testing.assert_array_equal(whole[0]["pictures"], again[0]["pictures"])
    assert len({tuple(row) for row in whole[0]["pictures"][:, :, 0, 0, 0].tolist()}) == 12


def test_a_clip_is_changed_as_a_whole(write):
    """All of its pictures alike, and clips of a batch each on its own."""
    picture = np.zeros((16, 16, 3), np.uint8)
    picture[:, :8] = (200, 40, 90)
    clip = dataclasses.replace(make_clip("a", 8), pictures=(jpeg(picture, form="PNG"),) * 8)
    path = write("a.tfrecord", *(dataclasses.replace(clip, video_id=f"v{number}") for number in range(40)))
    augment = AugmentConfig(crop_area=0.5, flip=True, colour_jitter=0.5)
    features, _ = read([path], CLIPS, windows="video", batch_size=40, training=True, augment=augment)
    pictures = features["pictures"]
    assert (pictures == pictures[:, :1]).all()
    assert len({item.tobytes() for item in pictures[:, 0]}) == 40
    mirrored, _ = read([path], CLIPS, windows="video", batch_size=40, training=True, augment=AugmentConfig(flip=True))
    kinds = {item.tobytes() for item in mirrored["pictures"][:, 0]}
    assert kinds == {picture.tobytes(), picture[:, ::-1].tobytes()}
    share = np.mean([item.tobytes() == picture.tobytes() for item in mirrored["pictures"][:, 0]])
    assert 0.25 < share < 0.75


def test_only_what_is_shown_is_decoded(write):
    clip = make_clip("a", 40)
    broken = tuple(b"broken" if number not in (5, 15, 25, 35) else clip.pictures[number] for number in range(40))
    path = write("a.tfrecord", dataclasses.replace(clip, pictures=broken))
    features, _ = read([path], CLIPS, windows="video", batch_size=1)
    assert numbers_of(features["pictures"]).tolist() == [[5, 15, 25, 35]]
    with pytest.raises(tf.errors.InvalidArgumentError):
        read([path], CLIPS.replace(num_frames=3), windows="video", batch_size=1)


@pytest.mark.slow
def test_some_videos_and_parts_of_batches(files):
    split = IdSplit(fraction=0.5, seed=3)
    kept = [name for name in "abc" if split.in_train(name)]
    assert 0 < len(kept) < 3
    _, _, info = read(files, CLIPS, windows="video", batch_size=2, with_info=True, keep=split.in_train)
    assert [name.decode() for name in info["id"]] == kept
    whole, _ = read(files, CLIPS, windows="rated", batch_size=2)
    shares = [
        read(files, CLIPS, windows="rated", batch_size=2, drop_remainder=True, share=(part, 2))[0] for part in (0, 1)
    ]
    np.testing.assert_array_equal(np.concatenate([share["pictures"] for share in shares]), whole["pictures"][:2])


def test_batches_that_take_turns(write):
    path = write("a.tfrecord", *(make_clip(f"v{number}", 40) for number in range(9)))
    batches = list(
        make_dataset(
            [path],
            CLIPS,
            windows="video",
            batch_size=[4, 2, 1],
            num_frames=[1, 2, 4],
            training=True,
            drop_remainder=True,
        )
    )
    assert [batch[0]["pictures"].shape[:2] for batch in batches][:3] == [(4, 1), (2, 2), (1, 4)]
    for features, _ in batches[:3]:
        numbers = numbers_of(features["pictures"])
        length = numbers.shape[1]
        assert (features["num_frames"].numpy() == length).all()
        # Of four parts one in each, from the second quarter on where there are fewer.
        assert (numbers // 10 == {1: [2], 2: [1, 3], 4: [0, 1, 2, 3]}[length]).all()


@pytest.mark.slow
def test_rare_classes_mixtures_and_estimates(write):
    common = [make_clip(f"c{number}", 40, segments=((0, 1, 1.0),)) for number in range(8)]
    rare = make_clip("r", 40, segments=((0, 2, 1.0),))
    files = [write("a.tfrecord", *common, rare), write("b.tfrecord", *common, rare)]
    factors = np.ones(10, np.float32)
    factors[2] = 3
    _, _, info = read(files, CLIPS, windows="rated", batch_size=4, training=True, factors=factors, with_info=True)
    assert sorted(info["id"].tolist()) == sorted([record.video_id.encode() for record in common] * 2 + [b"r"] * 6)
    config = CLIPS.replace(num_frames=1, sampling="sequence")
    mixed = list(
        make_dataset(files, config, windows="rated", batch_size=4, training=True, augment=AugmentConfig(mixup=1.0))
    )
    for features, targets in mixed:
        assert targets["share"].shape[1] == 1 and features["pictures"].dtype == tf.uint8
    assert estimate_examples(Source(tuple(files)), CLIPS, windows="rated") == 18
    assert estimate_examples(Source(tuple(files)), CLIPS, windows="all") == 18


def test_all_masks_and_drops_of_frames_are_of_pictures_too(write):
    path = write("a.tfrecord", *(make_clip(f"v{number}", 40, first=1) for number in range(20)))
    features, _ = read(
        [path], CLIPS, windows="video", batch_size=20, training=True, augment=AugmentConfig(frame_dropping=0.5)
    )
    numbers, counts = numbers_of(features["pictures"]), features["num_frames"]
    assert 1 <= counts.min() < counts.max() <= 4
    for row, count in zip(numbers, counts):
        assert (np.diff(row[:count]) > 0).all() and (row[:count] > 0).all() and not row[count:].any()


def test_pictures_as_pillow_has_them(write):
    random = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32]
    pictures = tuple(
        jpeg(np.rint(127 + 100 * np.sin((x + 3 * k) / 5)[..., None] * random.uniform(0.5, 1, 3)).astype(np.uint8))
        for k in range(4)
    )
    path = write("a.tfrecord", dataclasses.replace(make_clip("a", 4), pictures=pictures))
    features, _ = read([path], CLIPS.replace(clip=ClipConfig(size=32)), windows="video", batch_size=1)
    for found, encoded in zip(features["pictures"][0], pictures):
        assert np.abs(found.astype(int) - decoded(encoded)).max() <= 1


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"windows": "all", "views": (-1, 0)}, "clips have --views and --crops"),
        ({"windows": "unlabelled", "training": True}, "consistency on unlabelled segments is of features of frames"),
        (
            {"windows": "rated", "training": True, "augment": AugmentConfig(shift=1)},
            "augment_shift, augment_dilute and augment_enlarge are views of features of frames",
        ),
    ],
)
def test_what_is_of_features_is_refused(files, options, sentence):
    with pytest.raises(InputError, match=sentence):
        make_dataset(files, CLIPS, batch_size=2, **options)


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"sampling": "random"}, "sampling is 'random'; valid for clips: uniform, sequence"),
        ({"max_frames": 3}, "max_frames is of features of frames, and these records are clips"),
        ({"l2_normalize": True}, "l2_normalize is of features of frames"),
        ({"feature_sizes": (1,)}, "clips have one feature, pictures, of 3 channels"),
        (
            {"level": "frame", "clip": ClipConfig(views=2)},
            "views is of clips, and these records are frame-level",
        ),
        (
            {"level": "frame", "clip": ClipConfig(gamma="auto")},
            "clip_gamma is of clips, and these records are frame-level",
        ),
    ],
)
def test_configs_that_contradict_clips(changes, sentence):
    with pytest.raises(InputError, match=sentence):
        CLIPS.replace(**changes)
    with pytest.raises(InputError, match="crops is 2; it must be 1 or 3"):
        ClipConfig(crops=2)
    with pytest.raises(InputError, match="gamma is '2'; it must be off, auto or a number"):
        ClipConfig(gamma="2")
    assert DataConfig.from_json(CLIPS.to_json()) == CLIPS


def test_augmentation_of_pictures_is_of_clips():
    frames = DataConfig(feature_names=("rgb",), feature_sizes=(4,), num_classes=10)
    from yt8m.data.augment import check_augment

    with pytest.raises(InputError, match="random_crop, random_flip and colour_jitter change pictures"):
        check_augment(AugmentConfig(flip=True), frames, windows="video")


def test_flat_pictures_tell_their_numbers():
    assert numbers_of(np.stack([decoded(jpeg(flat(number))) for number in (0, 1, 30, 63)])).tolist() == [0, 1, 30, 63]
