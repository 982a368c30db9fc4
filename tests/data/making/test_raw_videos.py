"""Features of others: frames of any rate are put where they belong in time, and MediaPipe's files are read."""

import numpy as np
import pytest
import tensorflow as tf

from yt8m.data.making.packer import Packer, PackSettings
from yt8m.data.making.raw_videos import RawVideos, resample
from yt8m.types import CropsWarning, InputError

VGGISH = 1 / 0.96


def slow_means(frames, rate, seconds):
    """Mean over [s, s + 1) of what is shown, frame by frame."""
    means = []
    for second in range(seconds):
        weights = [max(0.0, min((i + 1) / rate, second + 1) - max(i / rate, second)) for i in range(len(frames))]
        means.append(np.average(frames, axis=0, weights=weights))
    return np.array(means)


@pytest.mark.parametrize("rate", [VGGISH, 1.0416667, 1.1, 1.25, 25, 29.97, 0.5, 0.7])
@pytest.mark.parametrize("method", ["mean", "nearest"])
def test_a_second_shows_its_own_time_whatever_the_rate(rate, method):
    """A frame holds the middle of its time; second s must come out as s + 0.5, at every length."""
    for count in range(5, 320):
        times = ((np.arange(count) + 0.5) / rate).astype(np.float32)[:, None]
        found = resample(times, rate, method=method)[:, 0]
        assert len(found) == max(1, round(count / rate)), f"{count} frames"
        errors = found - (np.arange(len(found)) + 0.5)
        # The last second may be shown in half alone, and a frame lasts 1 / rate.
        bound = max(0.5, 0.5 / rate) + 1e-3
        assert np.abs(errors).max() <= bound, f"{count} frames"
        if len(found) > 20:
            assert abs(errors.mean()) < 0.02 if method == "mean" else 0.1, f"{count} frames"


@pytest.mark.parametrize("seed", range(30))
def test_means_are_those_of_a_slow_twin(seed):
    random = np.random.default_rng(seed)
    rate, count = float(random.uniform(0.3, 30)), int(random.integers(1, 80))
    frames = random.normal(0, 1, (count, 3)).astype(np.float32)
    found = resample(frames, rate)
    np.testing.assert_allclose(found, slow_means(frames, rate, len(found)), atol=1e-5)
    bytes_ = random.integers(0, 256, (count, 3), np.uint8)
    np.testing.assert_allclose(resample(bytes_, rate), slow_means(bytes_, rate, len(found)), atol=0.5 + 1e-6)


def mediapipe(path, features):
    """Writes a file as MediaPipe's extraction does: floats, timestamps and facts about them."""
    example = tf.train.SequenceExample()
    example.context.feature["clip/data_path"].bytes_list.value.append(b"/videos/clip.mp4")
    for name, frames in features.items():
        example.context.feature[f"{name}/feature/rate"].float_list.value.append(1)
        for number, frame in enumerate(frames):
            example.feature_lists.feature_list[f"{name}/feature/floats"].feature.add().float_list.value.extend(frame)
            times = example.feature_lists.feature_list[f"{name}/feature/timestamp"]
            times.feature.add().int64_list.value.append(number * 1_000_000)
    path.write_bytes(example.SerializeToString())


def test_mediapipe_files_are_packed_as_rgb_and_audio(tmp_path):
    random, expected = np.random.default_rng(0), {}
    for name in ("clip0", "clip1"):
        expected[name] = {
            key: random.normal(0, 0.7, (6, size)).astype(np.float32) for key, size in (("AUDIO", 8), ("RGB", 16))
        }
        mediapipe(tmp_path / f"{name}.pb", expected[name])
    videos = RawVideos.of_videos(f"{tmp_path}/*.pb")
    assert videos.names == ("rgb", "audio") and sorted(videos.ids) == ["clip0", "clip1"]
    for name, features in expected.items():
        found = videos.read(name)
        np.testing.assert_array_equal(found["rgb"], features["RGB"])
        np.testing.assert_array_equal(found["audio"], features["AUDIO"])
    Packer(videos, str(tmp_path / "out"), PackSettings()).run()
    assert (tmp_path / "out" / "part0000.tfrecord").exists()
    single = RawVideos.of_features({"audio": f"{tmp_path}/*.pb"})
    np.testing.assert_array_equal(single.read("clip1")["audio"], expected["clip1"]["AUDIO"])


def test_other_pb_files_are_named(tmp_path):
    path = tmp_path / "a.pb"
    for data in (b"", b"junk", b"\xff" * 100):
        path.write_bytes(data)
        with pytest.raises(InputError, match="a.pb is no features.pb of MediaPipe"):
            RawVideos.of_videos(f"{tmp_path}/*.pb")
    mediapipe(path, {"RGB": [[1.0, 2.0], [1.0]]})
    with pytest.raises(InputError, match="a.pb, feature rgb: frame 1 has 1 values, and frame 0 has 2"):
        RawVideos.of_videos(f"{tmp_path}/*.pb").read("a")
    with pytest.raises(InputError, match="a.pb has no feature audio; it has rgb"):
        RawVideos.of_features({"audio": f"{tmp_path}/*.pb"}).read("a")
    example = tf.train.SequenceExample()
    example.feature_lists.feature_list["rgb"].feature.add().bytes_list.value.append(b"x")
    path.write_bytes(example.SerializeToString())
    with pytest.raises(InputError, match="it has rgb, and not RGB/feature/floats"):
        RawVideos.of_videos(f"{tmp_path}/*.pb")


def test_crops_are_averaged(tmp_path):
    """(frames, crops, size), as networks for action detection store features: their mean, told once."""
    rng = np.random.default_rng(3)
    floats, whole = rng.normal(size=(7, 10, 4)).astype(np.float32), rng.integers(0, 255, (7, 3, 2), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", clip=floats, rgb=whole, one=floats[:, :1])
    videos = RawVideos.of_videos(f"{tmp_path}/*.npz")
    with pytest.warns(CropsWarning) as caught:
        found = videos.read("a")
    assert len(caught) == 2 and "array clip has the shape (7, 10, 4), and videos like it" in str(caught[0].message)
    assert np.allclose(found["clip"], floats.mean(1), atol=1e-6) and found["clip"].dtype == np.float32
    assert found["rgb"].dtype == np.uint8 and (found["rgb"] == np.rint(whole.mean(1))).all()
    assert (found["one"] == floats[:, 0]).all()
    floats[5, 3, 1] = np.nan
    np.savez(tmp_path / "a.npz", clip=floats)
    with pytest.raises(InputError, match="array clip, frame 5 has a value that is not finite"):
        RawVideos.of_videos(f"{tmp_path}/*.npz").read("a")
    np.savez(tmp_path / "a.npz", clip=floats[None])
    with pytest.raises(InputError, match=r"\(frames, size\) or \(frames, crops, size\)"):
        RawVideos.of_videos(f"{tmp_path}/*.npz").read("a")


def test_some_videos_of_several(tmp_path):
    for name in "abc":
        np.savez(tmp_path / f"{name}.npz", clip=np.ones((3, 2), np.float32))
    assert set(RawVideos.of_videos(f"{tmp_path}/*.npz").only({"a", "c", "d"}).ids) == {"a", "c"}
