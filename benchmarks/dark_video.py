"""What enhancement gives back of dark video: how close features of darkened pictures are to those of the bright ones.

    .venv/bin/python -m benchmarks.dark_video --videos='clips/*.mp4' [--backbone=efficientnet-lite0] [--seconds=10]

Each picture is darkened as a camera would have it in little light: linear light divided by --stops factors of two, with
the noise of few photons and of the sensor, then encoded again. Prints a Markdown table: for each setting of --gamma and
--enhance the mean cosine between the features of what was enhanced and those of the bright picture, less the mean of
all features, over all pictures, and the share of pictures whose nearest bright picture is their own.
"""

import glob

import numpy as np
from absl import app, flags

from yt8m.features.backbones import load_backbone
from yt8m.features.decoding import Grid, read_pictures
from yt8m.features.enhancement import make_enhancement
from yt8m.features.settings import ExtractionSettings

FLAGS = flags.FLAGS
flags.DEFINE_string("videos", None, "Glob of videos.", required=True)
flags.DEFINE_string("backbone", "efficientnet-lite0", "Backbone of pictures.")
flags.DEFINE_integer("seconds", 10, "Seconds of each video.", lower_bound=1)
flags.DEFINE_integer("stops", 5, "Factors of two by which light is less.", lower_bound=0)
flags.DEFINE_integer("photons", 2000, "Photons of a white pixel in full light; 0 for no noise.", lower_bound=0)

WAYS = [
    {},
    {"gamma": "0.6"},
    {"gamma": "0.4"},
    {"gamma": "auto"},
    {"enhance": "equalize"},
    {"enhance": "clahe"},
    {"gamma": "auto", "enhance": "clahe"},
]
_DISPLAY = 2.2
_SENSOR = 2
"""Standard deviation of a pixel without light, in photons."""


def main(_):
    backbone = load_backbone(FLAGS.backbone)
    grid = Grid(rate=1, input=backbone.input)
    bright = [
        picture
        for path in sorted(glob.glob(FLAGS.videos))
        for _, _, picture in read_pictures(path, [grid], max_seconds=FLAGS.seconds)
    ]
    random = np.random.default_rng(0)
    dark = [darkened(picture, FLAGS.stops, random) for picture in bright]
    print(
        f"{len(bright)} pictures, median brightness {np.median(bright):.0f} and darkened {np.median(dark):.0f} of 255"
    )
    wanted = centred(backbone.features(np.stack(bright)))
    print("| enhancement | cosine to the bright picture | nearest is its own |\n| --- | ---: | ---: |")
    for way in WAYS:
        enhance = make_enhancement(ExtractionSettings(**way)) or (lambda picture: picture)
        found = centred(backbone.features(np.stack([enhance(picture) for picture in dark])))
        cosines = found @ wanted.T
        own = np.diag(cosines)
        name = " ".join(f"`--{option}={value}`" for option, value in way.items()) or "none"
        print(f"| {name} | {own.mean():.3f} | {(own >= cosines.max(axis=1)).mean():.0%} |", flush=True)


def darkened(picture, stops, random):
    """A uint8 picture as it would be with 2 ** stops times less light."""
    light = (picture / 255) ** _DISPLAY / 2**stops
    if FLAGS.photons:
        seen = random.poisson(light * FLAGS.photons) + random.normal(0, _SENSOR, picture.shape)
        light = np.clip(seen / FLAGS.photons, 0, 1)
    return np.rint(255 * light ** (1 / _DISPLAY)).astype(np.uint8)


def centred(features):
    """(N, D) rows of length 1, their mean taken off before."""
    features = features - features.mean(axis=0)
    return features / np.linalg.norm(features, axis=1, keepdims=True)


if __name__ == "__main__":
    app.run(main)
