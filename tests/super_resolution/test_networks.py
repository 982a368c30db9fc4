"""The networks against BasicSR's own, against slow twins, and as Keras models."""

import pathlib

import keras
import numpy as np
import pytest

from tests.oracle.make_basicvsr import BLOCKS, seeded
from yt8m.super_resolution import RESOLVERS
from yt8m.super_resolution.base import as_pictures, pixel_shuffle
from yt8m.super_resolution.basicvsr import BasicVSR
from yt8m.super_resolution.published_weights import _basicvsr_layers, take_published
from yt8m.super_resolution.spynet import SpyNet
from yt8m.super_resolution.warping import double_flow, warp
from yt8m.types import InputError

_SMALL = {"basicvsr": {"width": 6, "blocks": 2, "flow_levels": 3, "flow_width": 4}, "espcn": {"width": 8}}


def _small(name, **settings):
    keras.utils.set_random_seed(0)
    model = RESOLVERS[name](**_SMALL[name], **settings)
    model.build()
    return model


def _published(model):
    """Dict of BasicSR's names to seeded weights, for the model's sizes."""
    arrays = {}
    for name, layer in _basicvsr_layers(model):
        height, width, inputs, outputs = layer.kernel.shape
        arrays[f"{name}.weight"] = seeded(f"{name}.weight", (outputs, inputs, height, width))
        arrays[f"{name}.bias"] = seeded(f"{name}.bias", (outputs,))
    return arrays


@pytest.fixture(scope="module")
def golden():
    path = pathlib.Path(__file__).parents[1] / "oracle" / "basicvsr.npz"
    model = BasicVSR(width=64, blocks=BLOCKS)
    model.build()
    take_published(model, _published(model), "seeded weights")
    return model, dict(np.load(path))


def test_basicvsr_gives_what_basicsr_gives(golden):
    model, arrays = golden
    outputs = np.asarray(model(arrays["clip"].transpose(0, 1, 3, 4, 2)))
    expected = arrays["enlarged"].transpose(0, 1, 3, 4, 2)
    assert outputs.shape == (1, 3, 264, 304, 3)
    np.testing.assert_allclose(outputs[:, :, ::7, ::7], expected, atol=1e-4)


def test_spynet_gives_what_basicsr_gives(golden):
    model, arrays = golden
    pictures = arrays["clip"].transpose(0, 1, 3, 4, 2)
    flow = np.asarray(model.flow(pictures[:, 0], pictures[:, 1]))
    expected = arrays["flow"].transpose(0, 2, 3, 1)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(flow, expected, atol=1e-4)


def _slow_warp(picture, flow, outside):
    height, width, _ = picture.shape
    warped = np.zeros_like(picture)
    for row in range(height):
        for column in range(width):
            x, y = column + flow[row, column, 0], row + flow[row, column, 1]
            if outside == "border":
                x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
            for i in (int(np.floor(y)), int(np.floor(y)) + 1):
                for j in (int(np.floor(x)), int(np.floor(x)) + 1):
                    if 0 <= i < height and 0 <= j < width:
                        warped[row, column] += picture[i, j] * (1 - abs(x - j)) * (1 - abs(y - i))
    return warped


@pytest.mark.parametrize("outside", ["zeros", "border"])
@pytest.mark.parametrize("seed", range(3))
def test_warp_reads_bilinearly_where_the_flow_points(outside, seed):
    random = np.random.default_rng(seed)
    pictures = random.random((2, 4, 5, 3)).astype(np.float32)
    flow = (random.random((2, 4, 5, 2)) * 12 - 6).astype(np.float32)
    expected = np.stack([_slow_warp(*pair, outside) for pair in zip(pictures, flow)])
    np.testing.assert_allclose(np.asarray(warp(pictures, flow, outside=outside)), expected, atol=1e-5)


def test_a_doubled_flow_keeps_its_corners_and_is_twice_as_long():
    flow = np.random.default_rng(0).random((1, 2, 3, 2)).astype(np.float32)
    doubled = np.asarray(double_flow(flow))
    assert doubled.shape == (1, 4, 6, 2)
    np.testing.assert_allclose(doubled[:, ::3, ::5], 2 * flow[:, ::1, ::2], rtol=1e-5)
    row = 2 * np.interp(np.arange(6) * 2 / 5, np.arange(3), flow[0, 0, :, 0])
    np.testing.assert_allclose(doubled[0, 0, :, 0], row, rtol=1e-5)


def test_pixel_shuffle_puts_channels_into_squares():
    inputs = np.arange(2 * 3 * 8, dtype=np.float32).reshape(1, 2, 3, 8)
    outputs = np.asarray(pixel_shuffle(inputs, 2))
    assert outputs.shape == (1, 4, 6, 2)
    for row, column, channel in np.ndindex(4, 6, 2):
        place = channel * 4 + (row % 2) * 2 + column % 2
        assert outputs[0, row, column, channel] == inputs[0, row // 2, column // 2, place]


@pytest.mark.parametrize("name", RESOLVERS)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_network_is_saved_and_loaded(name, scale, tmp_path):
    model = _small(name, scale=scale)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 9, 10, 3), dtype=np.uint8)
    outputs = np.asarray(model(pictures))
    assert outputs.shape == (2, 3, 9 * scale, 10 * scale, 3) and outputs.dtype == np.float32
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(np.asarray(loaded(pictures)), outputs)
    floats = pictures.astype(np.float32) / 255
    np.testing.assert_allclose(np.asarray(model(floats)), outputs, atol=1e-6)


@pytest.mark.parametrize("name", RESOLVERS)
def test_clips_of_all_sizes_and_lengths_are_enlarged_one_after_another(name):
    model, random = _small(name, scale=2), np.random.default_rng(0)
    for length, height, width in ((3, 8, 9), (1, 8, 9), (3, 10, 7), (2, 13, 20)):
        clip = random.integers(0, 256, (1, length, height, width, 3), dtype=np.uint8)
        enlarged = model.resolve(clip)
        assert enlarged.shape == (1, length, 2 * height, 2 * width, 3) and enlarged.dtype == np.uint8
        np.testing.assert_array_equal(enlarged, as_pictures(model(clip)))


@pytest.mark.parametrize("name", RESOLVERS)
def test_a_grey_clip_without_detail_is_interpolated(name):
    model = _small(name, scale=2)
    for variable in model.last.variables:
        variable.assign(np.zeros(variable.shape, np.float32))
    pictures = np.full((1, 2, 5, 6, 3), 51, np.uint8)
    np.testing.assert_allclose(np.asarray(model(pictures)), 0.2, atol=1e-6)


def test_basicvsr_sees_both_directions_of_time_and_espcn_none():
    clip = np.random.default_rng(0).random((1, 5, 8, 8, 3)).astype(np.float32)
    for name, reaches in (("basicvsr", True), ("espcn", False)):
        model = _small(name, scale=2)
        outputs = np.asarray(model(clip))
        for changed in (0, 4):
            other = clip.copy()
            other[:, changed] = 1 - other[:, changed]
            moved = np.abs(np.asarray(model(other)) - outputs).max(axis=(0, 2, 3, 4))
            assert (moved[np.arange(5) != changed] > 0).all() == reaches
            assert moved[changed] > 0.1


def test_a_single_picture_is_a_clip():
    clip = np.random.default_rng(0).random((1, 1, 8, 8, 3)).astype(np.float32)
    assert np.asarray(_small("basicvsr", scale=4)(clip)).shape == (1, 1, 32, 32, 3)


@pytest.mark.parametrize("name", ["espcn", pytest.param("basicvsr", marks=pytest.mark.slow)])
def test_training_lowers_the_loss(name):
    model = RESOLVERS[name](scale=2, **_SMALL[name] | ({"blocks": 1, "flow_levels": 1} if name == "basicvsr" else {}))
    model.build()
    random = np.random.default_rng(0)
    large = random.random((4, 3, 8, 8, 3)).repeat(2, axis=2).repeat(2, axis=3).astype(np.float32)
    small = large[:, :, ::2, ::2]
    model.compile(optimizer=keras.optimizers.Adam(1e-2))
    first = model.evaluate(small, large, verbose=0)
    model.fit(small, large, epochs=20, batch_size=4, verbose=0)
    assert model.evaluate(small, large, verbose=0) < 0.9 * first


def test_weights_of_another_model_are_refused_and_change_nothing():
    model = _small("basicvsr", scale=4)
    before = [np.asarray(variable) for variable in model.variables]
    arrays = _published(model)
    with pytest.raises(
        InputError, match="b.pth is of another model than basicvsr of width 6, 2 blocks .* has no conv_hr"
    ):
        take_published(model, {name: value for name, value in arrays.items() if "conv_hr" not in name}, "b.pth")
    with pytest.raises(InputError, match="has, and the model has not, backward_trunk.main.2.2.conv1.bias"):
        extra = {"backward_trunk.main.2.2.conv1.bias": np.zeros(6), "forward_trunk.main.2.2.conv1.bias": np.zeros(6)}
        take_published(model, arrays | extra, "b.pth")
    with pytest.raises(InputError, match=r"fusion is \(1, 1, 12, 7\), not \(1, 1, 12, 6\)"):
        take_published(model, arrays | {"fusion.weight": np.zeros((7, 12, 1, 1))}, "b.pth")
    for variable, value in zip(model.variables, before):
        np.testing.assert_array_equal(np.asarray(variable), value)


def test_spynets_own_checkpoint_sets_the_flow_alone():
    model = _small("basicvsr", scale=4)
    arrays = {name.removeprefix("spynet."): value for name, value in _published(model).items() if "spynet." in name}
    before = np.asarray(model.fusion.kernel)
    take_published(model, arrays | {"mean": np.zeros(3), "std": np.ones(3)}, "spynet.pth")
    np.testing.assert_array_equal(np.asarray(model.fusion.kernel), before)
    kernel = arrays["basic_module.1.basic_module.2.weight"]
    np.testing.assert_array_equal(np.asarray(model.flow.networks[1][1].kernel), kernel.transpose(2, 3, 1, 0))


def test_bytes_are_rounded_and_cut():
    assert as_pictures(np.float32([-0.1, 0.5, 0.1001, 1.2])).tolist() == [0, 128, 26, 255]


def test_a_scale_that_no_network_has_is_one_sentence():
    with pytest.raises(InputError, match="scale is 3; valid: 2, 4"):
        BasicVSR(scale=3)


def test_spynet_takes_pictures_smaller_than_its_pyramid():
    flow = SpyNet(levels=6, width=4)
    flow.build()
    pictures = np.random.default_rng(0).random((2, 1, 10, 12, 3)).astype(np.float32)
    assert np.asarray(flow(*pictures)).shape == (1, 10, 12, 2)
