"""Pictures of clips against Pillow's decoder and a slow NumPy twin of what is drawn for them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.clips import decoded, jpeg
from yt8m.config import AugmentConfig
from yt8m.data.pictures import Draws, brightened, changed, decode_pictures, draw
from yt8m.features.enhancement import automatic_gamma, corrected


def scene(height=48, width=96, seed=0):
    """A smooth coloured picture, which JPEG keeps nearly as it is."""
    y, x = np.mgrid[:height, :width]
    phases = np.random.default_rng(seed).uniform(0, 6, 3)
    waves = [np.sin(x / 9 + phase) + np.cos(y / 7 - phase) for phase in phases]
    return np.rint(127 + 60 * np.stack(waves, -1)).astype(np.uint8)


def made(pictures, size=24, crops=1, augment=AugmentConfig(), draws=None):
    encoded = tf.constant([picture if isinstance(picture, bytes) else jpeg(picture) for picture in pictures])
    found = decode_pictures(encoded, size=size, crops=crops, least_area=augment.crop_area, draws=draws)
    return (found if draws is None else changed(found, augment, draws)).numpy()


def draws_of(**values):
    known = {"area": 0.5, "aspect": 0.5, "top": 0.5, "left": 0.5, "flip": 0.9, "jitter": [0.5, 0.5, 0.5]} | values
    return Draws(**{name: tf.constant(value, tf.float32) for name, value in known.items()})


def test_crops_are_those_of_the_picture():
    encoded = jpeg(scene())
    right = decoded(encoded).astype(int)
    # The shorter side is the square's, so nothing is scaled.
    (found,) = made([encoded], size=48, crops=3)
    for crop, left in zip(found, (24, 0, 48)):
        assert np.abs(crop.astype(int) - right[:, left : left + 48]).max() <= 1
    turned = jpeg(np.rot90(scene()).copy())
    (found,) = made([turned], size=48, crops=3)
    for crop, top in zip(found, (24, 0, 48)):
        assert np.abs(crop.astype(int) - decoded(turned).astype(int)[top : top + 48]).max() <= 1


def test_half_size_is_the_mean_of_an_area_within_the_filter():
    encoded = jpeg(scene(96, 96))
    right = decoded(encoded).astype(float)
    # A triangle two pixels wide to either side of the middle of each 2 by 2 pixels.
    weights = np.array([1, 3, 3, 1]) / 8
    (found,) = made([encoded], size=48)
    rows, columns = np.arange(1, 47), np.arange(1, 47)
    expected = sum(
        weights[a] * weights[b] * right[2 * rows[:, None] - 1 + a, 2 * columns - 1 + b]
        for a in range(4)
        for b in range(4)
    )
    assert np.abs(found[0, 1:47, 1:47] - expected).max() <= 1


@pytest.mark.parametrize("size", [10, 31, 60])
def test_a_size_known_in_the_graph_alone_makes_the_same_pictures(size):
    decode = tf.function(lambda encoded, size: decode_pictures(encoded, size=size, crops=3))
    encoded = tf.constant([jpeg(scene()), jpeg(scene(seed=1))])
    # Aliases are filtered out of the smaller ones.
    np.testing.assert_array_equal(decode(encoded, tf.constant(size)), made(encoded.numpy(), size=size, crops=3))


@pytest.mark.parametrize("size", [(1, 1), (7, 200), (33, 17), (240, 320)])
def test_pictures_of_all_sizes_become_squares_of_one(size):
    found = made([np.full((*size, 3), 90, np.uint8), scene()], size=20, crops=3)
    assert found.shape == (2, 3, 20, 20, 3) and np.abs(found[0].astype(int) - 90).max() <= 1


def test_grey_pictures_and_png_are_read():
    grey = scene()[..., 0]
    found = made([jpeg(grey, 100), jpeg(scene(), form="PNG")], size=48)
    assert np.abs(found[0, 0].astype(int) - grey[:, 24:72, None]).max() <= 3
    np.testing.assert_array_equal(found[1, 0], scene()[:, 24:72])


@pytest.mark.parametrize("seed", range(8))
def test_a_random_crop_is_that_of_its_draws(seed):
    random = np.random.default_rng(seed)
    draws = draws_of(**dict(zip(("area", "aspect", "top", "left"), random.uniform(size=4))))
    area = (0.35 + 0.65 * float(draws.area)) * 48 * 96
    aspect = 0.75 * (16 / 9) ** float(draws.aspect)
    height, width = (
        int(np.clip(np.rint(side), 1, most))
        for side, most in ((np.sqrt(area / aspect), 48), (np.sqrt(area * aspect), 96))
    )
    top, left = int(float(draws.top) * (48 - height + 1)), int(float(draws.left) * (96 - width + 1))
    picture = scene()
    png = jpeg(picture, form="PNG")
    (found,) = made([png], augment=AugmentConfig(crop_area=0.35), draws=draws)
    alone = jpeg(np.ascontiguousarray(picture[top : top + height, left : left + width]), form="PNG")
    # The part as a picture of its own, stretched to a square.
    part = tf.image.resize(tf.io.decode_png(alone), [24, 24], antialias=max(height, width) > 36)
    assert np.abs(found[0].astype(float) - part.numpy()).max() <= 0.51
    assert (height < 48 or width < 96) and 3 / 4 - 0.05 < width / height


def test_mirror_image_and_colours():
    png = jpeg(scene(), form="PNG")
    (plain,) = made([png], size=48)
    (mirrored,) = made([png], size=48, augment=AugmentConfig(flip=True), draws=draws_of(flip=0.49))
    np.testing.assert_array_equal(mirrored[0], plain[0][:, ::-1])
    (same,) = made([png], size=48, augment=AugmentConfig(flip=True), draws=draws_of(flip=0.51))
    np.testing.assert_array_equal(same, plain)
    jitter = np.array([0.2, 0.9, 0.7])
    (found,) = made([png], size=48, augment=AugmentConfig(colour_jitter=0.4), draws=draws_of(jitter=jitter))
    brightness, contrast, saturation = 1 + 0.4 * (2 * jitter - 1)
    expected = brightness * plain[0].astype(float)
    mean = (expected @ [0.299, 0.587, 0.114]).mean()
    expected = mean + contrast * (expected - mean)
    grey = expected @ [0.299, 0.587, 0.114]
    expected = grey[..., None] + saturation * (expected - grey[..., None])
    assert np.abs(found[0] - np.clip(expected, 0, 255)).max() <= 0.51


def test_draws_depend_on_the_seed_alone():
    drawn = [np.concatenate([np.ravel(part) for part in draw(tf.constant(seed))]) for seed in ([1, 2], [1, 2], [1, 3])]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).all() and len(set(drawn[0])) == 8 and drawn[0].min() >= 0 and drawn[0].max() < 1


@pytest.mark.parametrize("light", [0.01, 0.1, 0.3, 1.0])
def test_dark_clips_are_brightened_as_a_whole(light):
    """As a picture of all of its pictures beside each other is in extraction."""
    clip = np.rint(light * np.stack([scene(seed=seed) * (0.5 + 0.2 * seed) for seed in range(3)])).astype(np.uint8)
    beside = np.concatenate(list(clip), axis=1)
    found = brightened(tf.constant(clip), "auto").numpy()
    assert (
        np.abs(np.concatenate(list(found), axis=1).astype(int) - corrected(beside, automatic_gamma(beside))).max() <= 3
    )
    assert (found >= clip).all() and (light < 0.5 or np.array_equal(found, clip))
    np.testing.assert_array_equal(brightened(tf.constant(clip), "0.4"), corrected(clip, 0.4))
    assert brightened(tf.constant(clip), "off").numpy().tobytes() == clip.tobytes()


def test_a_broken_picture_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        made([jpeg(scene())[:500]])


@pytest.mark.parametrize("side", [30, 35, 37, 60])
def test_aliases_are_filtered_out_where_a_picture_becomes_much_smaller(side):
    """Stripes a pixel wide to 24 pixels: grey where they are filtered, else what beats with the pixels that are read."""
    stripes = np.broadcast_to((np.arange(side) % 2 * 255).astype(np.uint8)[None, :, None], (side, side, 3)).copy()
    (found,) = made([jpeg(stripes, form="PNG")])
    contrast = found[0, 4:-4, 4:-4].astype(float).std()
    assert contrast < 40 if side > 36 else contrast > 50
