"""Which pictures a backbone is shown for each second, against a slow reading of what the options say."""

import numpy as np
import pytest

from yt8m.features.backbones.base import PictureInput
from yt8m.features.settings import ExtractionSettings
from yt8m.features.windows import PictureWindows
from yt8m.types import InputError


def shown(wanted, settings, *, seconds):
    """[(views, T) numbers of the pictures, by second] of a video whose picture k of the grid shows the number k."""
    windows = PictureWindows(wanted, settings)
    found, most_held = [], 0
    for number in range(round(seconds * windows.grid.rate)):
        picture = np.full((*wanted.size, 3), number % 256, np.uint8)
        found += list(windows.add(picture))
        most_held = max(most_held, len(windows._held))
    found += list(windows.finish())
    return windows.grid, [inputs.reshape(len(inputs), wanted.frames, -1)[:, :, 0] for inputs in found], most_held


def test_a_picture_is_the_first_of_its_second():
    grid, found, most_held = shown(PictureInput(size=(2, 2)), ExtractionSettings(), seconds=7)
    assert grid.rate == 1 and [inputs.tolist() for inputs in found] == [[[second]] for second in range(7)]
    assert most_held <= 2


def test_views_are_spread_over_the_second():
    grid, found, _ = shown(PictureInput(size=(2, 2)), ExtractionSettings(views=3), seconds=3)
    assert grid.rate == 3 and [inputs[:, 0].tolist() for inputs in found] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


@pytest.mark.parametrize("rate", [4, 7.5])
@pytest.mark.parametrize("views", [1, 2])
def test_a_dense_clip_lies_around_the_middle_of_its_second(rate, views):
    wanted = PictureInput(size=(2, 2), frames=6, rate=rate)
    grid, found, most_held = shown(wanted, ExtractionSettings(views=views), seconds=12)
    assert grid.rate == rate and len(found) == 12
    for second, inputs in enumerate(found):
        for place, numbers in enumerate(inputs.tolist()):
            view = (place + views // 2) % views
            middle = (second + (view + 0.5) / views) * rate
            wanted_numbers = [min(max(round(middle - 3) + k, 0), round(12 * rate) - 1) for k in range(6)]
            assert numbers == wanted_numbers
    assert most_held <= 6 + 2 * rate


@pytest.mark.parametrize("frames", [4, 8])
def test_uniform_sampling_takes_one_frame_of_each_part_of_the_segment(frames):
    wanted = PictureInput(size=(2, 2), frames=frames, rate=25)
    grid, found, _ = shown(wanted, ExtractionSettings(sampling="uniform"), seconds=11)
    assert len(found) == 11
    for second, inputs in enumerate(found):
        times = np.array(inputs[0], float) / grid.rate
        parts = second - 2 + np.arange(frames) * 5 / frames
        inside = (parts >= 0) & (parts + 5 / frames <= 11)
        assert ((times >= parts) & (times < parts + 5 / frames))[inside].all()
        assert inside.any()


@pytest.mark.parametrize("settings", [{"views": 3}, {"views": 3, "sampling": "uniform"}, {"crops": 3}])
@pytest.mark.parametrize("frames", [1, 4])
def test_the_first_view_is_that_of_a_single_one(settings, frames):
    wanted = PictureInput(size=(8, 8), shorter_side=8, frames=frames, rate=4.0)
    single, several = (
        PictureWindows(wanted, ExtractionSettings(**changes))
        for changes in ({**settings, "views": 1, "crops": 1}, settings)
    )
    assert first_views(single) == first_views(several)


def first_views(windows, seconds=8):
    """Of each second the first view of a video 24 pixels wide whose picture at t seconds has the value 30 t."""
    found = []
    width = windows.grid.input.size[1] if windows.grid.input.size else 24
    for number in range(int(seconds * windows.grid.rate)):
        columns = np.arange(24)[(24 - width) // 2 :][:width]
        picture = np.full((8, width, 3), int(30 * number / windows.grid.rate), np.uint8)
        picture[..., 0] = columns
        found += [inputs[0].tolist() for inputs in windows.add(picture)]
    return found + [inputs[0].tolist() for inputs in windows.finish()]


def test_three_crops_lie_along_the_longer_side():
    wanted = PictureInput(size=(4, 4), shorter_side=4)
    windows = PictureWindows(wanted, ExtractionSettings(crops=3))
    assert windows.grid.input.size is None and windows.grid.input.shorter_side == 4
    picture = np.broadcast_to(np.arange(10, dtype=np.uint8)[:, None, None], (10, 4, 3))
    (inputs,) = list(windows.add(picture))
    assert inputs.shape == (3, 4, 4, 3) and inputs[:, 0, 0, 0].tolist() == [3, 0, 6]
    (across,) = list(windows.add(picture.transpose(1, 0, 2)))
    np.testing.assert_array_equal(across, inputs.transpose(0, 2, 1, 3))


def test_pictures_of_any_size_are_cropped_by_nobody():
    windows = PictureWindows(PictureInput(size=None), ExtractionSettings())
    (inputs,) = list(windows.add(np.zeros((5, 9, 3), np.uint8)))
    assert inputs.shape == (1, 5, 9, 3)


@pytest.mark.parametrize(
    "settings", [{"crops": 2}, {"gamma": "bright"}, {"gamma": "0"}, {"gamma": "nan"}, {"views": 0}]
)
def test_settings_out_of_bounds_are_refused(settings):
    with pytest.raises(InputError, match=f"{next(iter(settings))} is "):
        ExtractionSettings(**settings)
