"""Frames of a raw video, a second apart, and their features."""

import keras
import numpy as np
import pytest

from examples.video_features import backbone, read_frames
from yt8m.types import InputError

av = pytest.importorskip("av", reason="PyAV is not installed: pip install -e '.[video]'")


@pytest.fixture
def video(tmp_path):
    """2.5 seconds at 10 frames a second; frame t is grey of the value 8 * t."""
    path = str(tmp_path / "a.mp4")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(25):
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), 8 * number, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_frame_a_second(video):
    frames = read_frames(video, size=32)
    assert frames.shape == (3, 32, 32, 3) and frames.dtype == np.uint8
    np.testing.assert_allclose(frames.mean(axis=(1, 2, 3)), [0, 80, 160], atol=6)
    assert len(read_frames(video, size=32, max_seconds=2)) == 2


def test_what_is_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"junk" * 100)
    with pytest.raises(InputError, match="a.mp4 cannot be read as a video"):
        read_frames(str(tmp_path / "a.mp4"), size=32)


def test_features_and_the_warning_of_random_weights(capsys):
    extract = backbone("MobileNetV2")
    features = extract(np.stack([np.zeros((224, 224, 3), np.uint8), np.full((224, 224, 3), 200, np.uint8)]))
    assert features.shape == (2, 1280) and not np.array_equal(features[0], features[1])
    assert "the network is random" in capsys.readouterr().err
    with pytest.raises(InputError, match="--weights=absent.h5 is not there"):
        backbone("MobileNetV2", "absent.h5")


def test_weights_from_a_file_are_those_that_are_used(tmp_path):
    path = str(tmp_path / "random.weights.h5")
    model = keras.applications.MobileNetV2(include_top=False, weights=None, pooling="avg", input_shape=(224, 224, 3))
    model.save_weights(path)
    frames = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3), np.uint8)
    scaled = keras.applications.mobilenet_v2.preprocess_input(frames.astype(np.float32))
    np.testing.assert_allclose(
        backbone("MobileNetV2", path)(frames), model.predict(scaled, verbose=0), rtol=1e-4, atol=1e-6
    )
    other = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(3)])
    other.save_weights(path)
    with pytest.raises(InputError) as error:
        backbone("MobileNetV2", path)
    assert "are not MobileNetV2's without its top" in str(error.value) and "\n" not in str(error.value)
