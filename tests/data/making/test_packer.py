"""Features of one's own: read, resampled, projected, quantised, and packed to the records that were meant."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import shared_path
from yt8m.data.making.annotations import ClassIds, Interval, rate_segments, read_intervals, read_labels
from yt8m.data.making.packer import STANDARDIZE, Packer, PackSettings
from yt8m.data.making.projection import Moments, Projection
from yt8m.data.making.raw_videos import RawVideos, resample
from yt8m.data.tfrecord import dequantize
from yt8m.types import InputError

RNG = np.random.default_rng(0)


def make_files(folder, count=6, size=4, dtype=np.float32):
    """Folder with ``count`` videos v0, v1, ... of 6 + n frames in a.npz each; their frames."""
    frames = {f"v{n}": RNG.normal(0, 0.7, (6 + n, size)) for n in range(count)}
    frames = {
        name: (values * 30 + 128 if dtype == np.uint8 else values).astype(dtype) for name, values in frames.items()
    }
    os.makedirs(folder, exist_ok=True)
    for name, values in frames.items():
        np.savez(f"{folder}/{name}.npz", clip=values)
    return frames


def packed(folder):
    """Dict of id to (labels, ratings, dict of feature to uint8 frames) of the records in ``folder``."""
    found = {}
    for path in sorted(folder.glob("*.tfrecord")):
        for item in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            example = tf.train.SequenceExample.FromString(item)
            context = example.context.feature
            starts, classes = (context[f"segment_{key}"].int64_list.value for key in ("start_times", "labels"))
            frames = {
                name: np.stack([np.frombuffer(frame.bytes_list.value[0], np.uint8) for frame in feature.feature])
                for name, feature in example.feature_lists.feature_list.items()
            }
            ratings = list(zip(starts, classes, context["segment_scores"].float_list.value))
            found[context["id"].bytes_list.value[0].decode()] = (
                list(context["labels"].int64_list.value),
                ratings,
                frames,
            )
    return found


def pack(tmp_path, videos, settings=None, **options):
    packer = Packer(videos, str(tmp_path), settings or PackSettings(), **options)
    packer.run()
    return packer


def test_ids_that_no_submission_can_hold_are_refused_or_renamed(tmp_path):
    """A blank, a comma and a control character; labels are found by the ids as the files have them."""
    frames = np.ones((6, 4), np.float32)
    for name in ("clip 03", "rock,paper", "tab\there", "fine-1"):
        (tmp_path / "in").mkdir(exist_ok=True)
        np.savez(tmp_path / "in" / f"{name}.npz", clip=frames)
    videos = RawVideos.of_videos(f"{tmp_path}/in/*.npz")
    with pytest.raises(
        InputError, match=r"in/.*: the id '.*' has .*, which no submission can hold: rename the file, or"
    ):
        pack(tmp_path / "out", videos)
    labels = {"clip 03": (1,), "rock,paper": (2,), "tab\there": (3,), "fine-1": (0,)}
    packer = pack(tmp_path / "out", videos, PackSettings(sanitize_ids=True), labels=labels, num_classes=7)
    found = {name: record[0] for name, record in packed(tmp_path / "out").items()}
    assert found == {"clip_03": [1], "rock_paper": [2], "tab_here": [3], "fine-1": [0]}
    log = json.loads((tmp_path / "out" / "pack.json").read_text())
    assert log["renamed"] == packer.renamed and packer.renamed["clip 03"] == "clip_03" and log["num_classes"] == 7
    np.savez(tmp_path / "in" / "clip_03.npz", clip=frames)
    with pytest.raises(InputError, match="the ids 'clip.03' and 'clip.03' would both be clip_03: rename a file"):
        pack(tmp_path / "new", RawVideos.of_videos(f"{tmp_path}/in/*.npz"), PackSettings(sanitize_ids=True))


def test_moments_and_projections_against_numpy():
    rows = RNG.normal(5, 1, (500, 6)) @ RNG.normal(0, 1, (6, 6)) + 1000
    moments = Moments(6)
    for part in np.split(rows, [1, 40, 300]):
        moments.add(part)
    covariance = np.cov(rows.T, bias=True)
    np.testing.assert_allclose(moments.covariance, covariance, rtol=1e-8, atol=1e-8)
    projection = Projection.whitening(moments, 3)
    projected = projection(rows)
    np.testing.assert_allclose(projection.variances, np.linalg.eigvalsh(covariance)[::-1][:3], rtol=1e-5)
    expected = projection.variances / (projection.variances + 1e-4 * np.trace(covariance) / 6)
    np.testing.assert_allclose(np.cov(projected.T, bias=True), np.diag(expected), atol=2e-3)
    standard = Projection.standardizing(moments)(rows)
    np.testing.assert_allclose(standard.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(standard.std(axis=0), 1, rtol=1e-3)
    with pytest.raises(InputError, match="PCA to 7 dimensions is asked for, of features that have 6"):
        Projection.whitening(moments, 7)


def test_projections_are_stored(tmp_path):
    moments = Moments(4)
    moments.add(RNG.normal(0, 1, (50, 4)))
    rows = RNG.normal(0, 1, (3, 4))
    for made in (Projection.whitening(moments, 2), Projection.standardizing(moments)):
        made.save(tmp_path / "a.npz")
        np.testing.assert_array_equal(Projection.load(tmp_path / "a.npz")(rows), made(rows))
    np.savez(tmp_path / "b.npz", mean=np.array([None]), variances=np.zeros(1), epsilon=1.0)
    for name in ("b.npz", "absent.npz"):
        with pytest.raises(InputError, match=f"{name} is no projection"):
            Projection.load(tmp_path / name)


@pytest.mark.parametrize(
    "rate, method, expected",
    [
        # 3.5 seconds round to 4.
        (2, "mean", [[0.5], [2.5], [4.5], [6.0]]),
        (2, "nearest", [[1], [3], [5], [6]]),
        # Frame 2 is shown in two seconds, 0.2 s each: (0 + 1 + 2 / 2) / 2.5.
        (2.5, "mean", [[0.8], [3.2], [5.5]]),
        (0.5, "mean", [[0], [0], [1], [1], [2], [2], [3], [3], [4], [4], [5], [5], [6], [6]]),
        (100, "mean", [[3.0]]),
    ],
)
def test_resampling(rate, method, expected):
    frames = np.arange(7, dtype=np.float32)[:, None]
    np.testing.assert_array_equal(resample(frames, rate, method=method), np.array(expected, np.float32))
    assert resample(frames.astype(np.uint8), rate, method=method).dtype == np.uint8


def test_intervals_rate_segments():
    intervals = [
        Interval(0.0, 2.5, 1, 1.0),
        Interval(5.0, 7.4, 1, 1.0),
        Interval(10, 11.5, 1, 1.0),
        Interval(11, 12, 1, 1.0),
        Interval(13.5, 14.0, 1, 1.0),
        Interval(15, 20, 1, 0.0),
        Interval(17, 20, 1, 1.0),
        Interval(3, 40, 2, 0.25),
    ]
    ratings = rate_segments(intervals, 23)
    assert ratings == (
        (0, 1, 1.0), (5, 2, 0.25), (10, 1, 1.0), (10, 2, 0.25), (15, 1, 1.0), (15, 2, 0.25), (20, 2, 0.25)
    )  # fmt: skip
    assert (10, 1, 1.0) not in rate_segments(intervals, 23, min_overlap=2.6)
    rest = set(rate_segments(intervals, 23, rest_classes=(1, 2))) - set(ratings)
    # Class 1 touches 5-10 a little, so that nothing is said of it there.
    assert rest == {(20, 1, 0.0), (0, 2, 0.0)}


def test_csv_files(tmp_path):
    classes = ClassIds({3: "Car, red", 7: "Cat", 8: ""})
    for header in ("", "video_id,class\n"):
        (tmp_path / "a.csv").write_text(header + 'v,7,"Car, red"\n\nw,3\nv,7\n')
        assert read_labels(tmp_path / "a.csv", classes) == {"v": (3, 7), "w": (3,)}
    (tmp_path / "a.csv").write_text("v,7,,\nw,3,8,\n")
    assert read_labels(tmp_path / "a.csv", classes) == {"v": (7,), "w": (3, 8)}
    (tmp_path / "a.csv").write_text("v,7\nw,,\n")
    with pytest.raises(InputError, match="a.csv, line 2: expected video_id,class, not 'w,,'"):
        read_labels(tmp_path / "a.csv", classes)
    (tmp_path / "b.csv").write_text("\ufeffvideo_id,start,end,class,score\nv,0,2.5,Cat,0.5\nv,3,4,3\n")
    assert read_intervals(tmp_path / "b.csv", classes) == {"v": [Interval(0, 2.5, 7, 0.5), Interval(3, 4, 3, 1.0)]}
    for line, problem in {
        "v,0,1,Cet": "b.csv, line 1: the vocabulary has no class 'Cet'; did you mean 'Cat'?",
        "v,0,1,9": "line 1: class 9 is not in the vocabulary",
        "v,2,1,3": "line 1: start 2 and end 1 are no interval of seconds",
        "v,0,x,3": "line 1: end 'x' is not a finite number",
        "v,0,1,3,2": r"line 1: score '2' is not a finite number in \[0, 1\]",
        "v,0,1": "line 1: expected video_id,start,end,class,score, not 'v,0,1'",
    }.items():
        (tmp_path / "b.csv").write_text(line + "\n")
        with pytest.raises(InputError, match=problem.replace("?", r"\?")):
            read_intervals(tmp_path / "b.csv", classes)
    with pytest.raises(InputError, match="'Cat' is not a class id; names need --vocabulary"):
        ClassIds().read("Cat", "x")


def test_floats_are_quantised_and_what_is_cut_is_counted(tmp_path):
    frames = make_files(tmp_path / "in")
    frames["v0"][0, :3] = 9.0
    np.savez(tmp_path / "in" / "v0.npz", clip=frames["v0"])
    videos = RawVideos.of_videos(f"{tmp_path}/in/*.npz")
    packer = pack(tmp_path / "out", videos, PackSettings(num_shards=2), labels={"v1": (5,)})
    records = packed(tmp_path / "out")
    assert list(records) == list(videos.ids) and sorted(records) == sorted(frames)
    for name, values in frames.items():
        labels, ratings, stored = records[name]
        assert labels == ([5] if name == "v1" else []) and ratings == []
        inside = np.abs(values) < 1.99
        np.testing.assert_allclose(dequantize(stored["clip"])[inside], values[inside], atol=2 / 255 + 1e-6)
    steps = (np.concatenate(list(frames.values())) + 2 - 4 / 512) * 255 / 4
    counted = packer.totals()["clip"]
    assert counted["clipped"] == ((steps < -0.5) | (steps > 255.5)).sum() >= 3 and counted["frames"] == 51


@pytest.mark.parametrize("fit", [2, STANDARDIZE])
def test_projections_are_fitted_and_used_again(tmp_path, fit):
    make_files(tmp_path / "in")
    videos = RawVideos.of_videos(f"{tmp_path}/in/*.npz")
    packer = pack(tmp_path / "a", videos, PackSettings(fit={"clip": fit}))
    pack(tmp_path / "b", videos, PackSettings(use={"clip": packer.projection_path("clip")}))
    first, second = packed(tmp_path / "a"), packed(tmp_path / "b")
    values = []
    for name in first:
        np.testing.assert_array_equal(first[name][2]["clip"], second[name][2]["clip"])
        values.append(dequantize(first[name][2]["clip"]))
    values = np.concatenate(values)
    assert values.shape == (51, 2 if fit == 2 else 4)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=0.1)


def test_what_was_stopped_goes_on(tmp_path, monkeypatch):
    make_files(tmp_path / "in")
    videos = RawVideos.of_videos(f"{tmp_path}/in/*.npz")
    settings = PackSettings(num_shards=3, fit={"clip": 3})
    whole = pack(tmp_path / "whole", videos, settings)
    stopped = Packer(videos, str(tmp_path / "out"), settings)
    monkeypatch.setattr(stopped, "_record", _failing_after(3, stopped._record))
    with pytest.raises(KeyboardInterrupt):
        stopped.run()
    assert [path.name for path in sorted((tmp_path / "out").glob("*.tfrecord"))] == ["part0000.tfrecord"]
    first = os.stat(tmp_path / "out" / "part0000.tfrecord").st_mtime_ns
    resumed = pack(tmp_path / "out", videos, settings)
    assert os.stat(tmp_path / "out" / "part0000.tfrecord").st_mtime_ns == first
    assert resumed.log == whole.log == json.loads((tmp_path / "out" / "pack.json").read_text())
    for path in (tmp_path / "whole").glob("*.tfrecord"):
        assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    with pytest.raises(InputError, match="was packed from other files or with other flags: name another folder"):
        pack(tmp_path / "out", videos, PackSettings(num_shards=2))


def _failing_after(count, function):
    calls = iter(range(count))

    def call(*arguments):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return function(*arguments)

    return call


def test_a_file_for_each_feature(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for folder in ("a", "b"):
        os.mkdir(tmp_path / folder)
    clip, sound = RNG.normal(0, 0.5, (50, 3)).astype(np.float32), RNG.integers(0, 256, (3, 2), np.uint8)
    np.save(tmp_path / "a" / "x.npy", clip)
    pq.write_table(pa.table({"sound": list(sound)}), tmp_path / "b" / "x.parquet")
    np.save(tmp_path / "a" / "alone.npy", clip)
    videos = RawVideos.of_features({"clip": f"{tmp_path}/a/*.npy", "sound": f"{tmp_path}/b/*"})
    assert videos.ids == ("x",) and videos.incomplete == {"alone": ["sound"]}
    pack(tmp_path / "out", videos, PackSettings(rates={"clip": 10}), intervals={"x": [Interval(0, 5, 4, 1.0)]})
    labels, ratings, frames = packed(tmp_path / "out")["x"]
    # Five seconds of clip, three of sound: the shorter counts.
    np.testing.assert_array_equal(frames["sound"], sound)
    np.testing.assert_allclose(dequantize(frames["clip"]), clip.reshape(5, 10, 3).mean(axis=1)[:3], atol=2 / 255 + 1e-6)
    assert (labels, ratings) == ([4], [(0, 4, 1.0)])


BAD_ARRAYS = {
    "one axis": (np.zeros(3), r"has the shape \(3,\); it must be \(frames, size\)"),
    "no frames": (np.zeros((0, 4)), r"has the shape \(0, 4\)"),
    "whole numbers": (np.zeros((2, 4), np.int64), "is of int64; it must be of floats, or of uint8"),
    "not finite": (np.array([[0.0] * 4, [np.nan] * 4]), "frame 1 has a value that is not finite"),
    "other size": (np.zeros((2, 5)), "has 5 dimensions, but 4 in "),
    "objects": (np.array([[None]], object), "cannot be read: it holds Python objects"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_arrays_are_named(tmp_path, case):
    array, problem = BAD_ARRAYS[case]
    np.save(tmp_path / "good.npy", np.zeros((2, 4)))
    np.save(tmp_path / "bad.npy", array)
    videos = RawVideos.of_features({"clip": f"{tmp_path}/*.npy"})
    videos.read("good")
    with pytest.raises(InputError, match=f"{tmp_path}/bad.npy,? ?(array clip,? ?)?{problem}"):
        videos.read("bad")


def test_files_that_cannot_be_meant(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"junk")
    with pytest.raises(InputError, match="cannot read .*a.npz: "):
        RawVideos.of_videos(f"{tmp_path}/*.npz")
    with pytest.raises(InputError, match="no file matches"):
        RawVideos.of_videos(f"{tmp_path}/*.parquet")
    np.savez(tmp_path / "a.npz", other=np.zeros((2, 2)))
    with pytest.raises(InputError, match="a.npz has no array clip; it has other"):
        RawVideos.of_videos(f"{tmp_path}/*.npz", ["clip"]).read("a")
    np.save(tmp_path / "a.npy", np.zeros((2, 2)))
    with pytest.raises(InputError, match="are of the same video, a"):
        RawVideos.of_features({"clip": f"{tmp_path}/a.*"})


def test_real_records_survive_unpacking_and_packing(tmp_path):
    path = shared_path("data") / "desed_segments" / "validate0000.tfrecord"
    os.mkdir(tmp_path / "in")
    expected, intervals = {}, {}
    for item in tf.data.TFRecordDataset(str(path)).take(60).as_numpy_iterator():
        example = tf.train.SequenceExample.FromString(item)
        context = example.context.feature
        name = context["id"].bytes_list.value[0].decode()
        frames = [frame.bytes_list.value[0] for frame in example.feature_lists.feature_list["audio"].feature]
        np.savez(tmp_path / "in" / f"{name}.npz", audio=np.stack([np.frombuffer(frame, np.uint8) for frame in frames]))
        starts, classes = (context[f"segment_{key}"].int64_list.value for key in ("start_times", "labels"))
        ratings = sorted(set(zip(starts, classes, context["segment_scores"].float_list.value)))
        expected[name] = (ratings, b"".join(frames))
        intervals[name] = [Interval(start, start + 5, class_id, score) for start, class_id, score in ratings]
    pack(tmp_path / "out", RawVideos.of_videos(f"{tmp_path}/in/*.npz"), intervals=intervals)
    found = {
        name: (ratings, frames["audio"].tobytes()) for name, (_, ratings, frames) in packed(tmp_path / "out").items()
    }
    assert found == expected and len(found) == 60
