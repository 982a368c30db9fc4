"""Features as MediaPipe writes them: a .pb a video, which is one tf.train.SequenceExample of lists of floats.

What it calls RGB/feature/floats and AUDIO/feature/floats are the features rgb and audio.
"""

import numpy as np

from yt8m.types import InputError, StrPath

_SUFFIX = "/feature/floats"


def mediapipe_names(path: StrPath) -> tuple[str, ...]:
    """Names of the features in a file, rgb and audio first; InputError where it holds none."""
    return tuple(_features(path))


def read_mediapipe(path: StrPath, name: str) -> np.ndarray:
    """The feature ``name`` of a file, (frames, size) float32; InputError naming the frame that is of another size."""
    features = _features(path)
    if name not in features:
        raise InputError(f"{path} has no feature {name}; it has {', '.join(features)}")
    frames = [feature.float_list.value for feature in features[name].feature]
    for number, frame in enumerate(frames):
        if len(frame) != len(frames[0]):
            raise InputError(
                f"{path}, feature {name}: frame {number} has {len(frame)} values, and frame 0 has {len(frames[0])}"
            )
    return np.array(frames, np.float32).reshape(len(frames), -1 if frames else 0)


def _features(path):
    """Dict of feature name to its FeatureList."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        with open(path, "rb") as file:
            lists = tf.train.SequenceExample.FromString(file.read()).feature_lists.feature_list
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except DecodeError as error:
        raise InputError(f"{path} is no features.pb of MediaPipe, a serialized SequenceExample: {error}") from error
    found = {key.removesuffix(_SUFFIX).lower(): lists[key] for key in lists if key.endswith(_SUFFIX)}
    if not found:
        has = ", ".join(sorted(lists)) or "none"
        raise InputError(f"{path} is no features.pb of MediaPipe: it has {has}, and not RGB{_SUFFIX} or the like")
    return {name: found[name] for name in sorted(found, key=lambda name: (name != "rgb", name != "audio", name))}
