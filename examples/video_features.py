"""Image features of videos, a frame a second, as yt8m-pack takes them: an .npz with the array rgb for each video.

  .venv/bin/python -m pip install -e '.[video]'
  .venv/bin/python -m examples.video_features --input_data_pattern='videos/*.mp4' --output_dir=features \
      --backbone=EfficientNetV2B0 --weights=efficientnetv2-b0_notop.h5

Weights are a file that Keras' application of that name reads, without the top. Nothing is fetched. Videos whose .npz is
there already are left alone.
"""

import dataclasses
import glob
import os
import sys

from yt8m.commands import command_line
from yt8m.options import option

BACKBONES = {
    "ConvNeXtTiny": "convnext",
    "EfficientNetV2B0": "efficientnet_v2",
    "InceptionV3": "inception_v3",
    "MobileNetV2": "mobilenet_v2",
    "ResNet50V2": "resnet_v2",
}
_BATCH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureOptions(command_line.Options):
    """Which videos, which network."""

    input_data_pattern: str = option("", "Glob of video files, of any format that FFmpeg reads.", required=True)
    output_dir: str = option("", "Folder of the .npz files, named as the videos.", required=True)
    backbone: str = option("EfficientNetV2B0", "Network of keras.applications.", choices=tuple(sorted(BACKBONES)))
    weights: str = option("", "File of its weights, without the top.", defaults_to="random ones, for a trial")
    max_seconds: int = option(300, "Seconds of a video that are looked at.", unit="seconds", low=1)


def main(options):
    """Writes the features of each video."""
    import numpy as np

    from yt8m.runtime.files import atomic_path
    from yt8m.runtime.progress import Progress
    from yt8m.types import InputError

    paths = sorted(glob.glob(options.input_data_pattern))
    if not paths:
        raise InputError(f"no file matches {options.input_data_pattern}")
    extract = backbone(options.backbone, options.weights)
    with Progress("extracting features", total=len(paths), unit="videos") as progress:
        for path in paths:
            name = os.path.splitext(os.path.basename(path))[0]
            target = os.path.join(options.output_dir, f"{name}.npz")
            if not os.path.exists(target):
                features = extract(read_frames(path, size=extract.size, max_seconds=options.max_seconds))
                with atomic_path(target) as temporary:
                    np.savez(temporary, rgb=features)
            progress.update()


def read_frames(path, *, size, max_seconds=300):
    """(T, size, size, 3) uint8: of each second of the video, the frame that is shown first in it, scaled."""
    import numpy as np

    from yt8m.types import InputError

    try:
        import av
    except ImportError as error:
        raise InputError("to read videos, PyAV is needed: pip install -e '.[video]'") from error
    frames = []
    try:
        with av.open(path) as container:
            begin = None
            for frame in container.decode(video=0):
                time = float(frame.time or 0)
                begin = time if begin is None else begin
                # A gap repeats the next frame, so that second s stays at index s.
                while len(frames) < max_seconds and time - begin >= len(frames):
                    frames.append(frame.to_ndarray(width=size, height=size, format="rgb24"))
                if len(frames) == max_seconds:
                    break
    except (av.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a video: {error}") from error
    if not frames:
        raise InputError(f"{path} has no frames")
    return np.stack(frames)


def backbone(name, weights=None):
    """Function of (T, size, size, 3) uint8 frames to (T, K) float32 features; its attribute ``size`` is in pixels.

    weights: path; None leaves random ones and warns.
    """
    import keras
    import numpy as np

    from yt8m.types import InputError

    if not weights:
        print(
            "warning: without --weights the network is random, and its features are good for a trial only",
            file=sys.stderr,
        )
        keras.utils.set_random_seed(0)
    elif not os.path.exists(weights):
        raise InputError(f"--weights={weights} is not there")
    size = 299 if name == "InceptionV3" else 224
    try:
        model = getattr(keras.applications, name)(
            include_top=False, weights=weights, pooling="avg", input_shape=(size, size, 3)
        )
    except (ValueError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"--weights={weights} are not {name}'s without its top: {reason}") from error
    preprocess = getattr(keras.applications, BACKBONES[name]).preprocess_input

    def extract(frames):
        batches = [frames[first : first + _BATCH] for first in range(0, len(frames), _BATCH)]
        outputs = [model.predict_on_batch(preprocess(batch.astype(np.float32))) for batch in batches]
        return np.concatenate([np.asarray(output, np.float32) for output in outputs])

    extract.size = size
    return extract


if __name__ == "__main__":
    command_line.run(main, FeatureOptions, resume_hint="The same command resumes with the videos that are left.")
