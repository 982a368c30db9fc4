"""Ratings of other videos, of other spellings of ids and of other starts are told, not scored as 0."""

import warnings

import numpy as np
import pytest

from yt8m.ensemble.segment_objective import SegmentObjective
from yt8m.ensemble.video_fusion import VideoObjective
from yt8m.ranking.evaluation import evaluate_submission
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import write_submission
from yt8m.ranking.video_evaluation import evaluate_videos
from yt8m.ranking.video_predictions import write_video_predictions
from yt8m.types import DataWarning, InputError

VIDEOS = [f"v{number:02}" for number in range(10)]
SEGMENTS = [f"{video}:{start}" for video in VIDEOS for start in range(0, 30, 5)]


def evaluate(path, labels):
    return evaluate_submission(path, labels).map_at_k


def search(path, labels):
    return SegmentObjective.from_submissions([path, path], labels)


@pytest.fixture
def ranking(tmp_path):
    write_submission(tmp_path / "s.csv", {class_id: SEGMENTS for class_id in (1, 2)})
    return tmp_path / "s.csv"


def rated(spelled, *, classes=(1, 2), count=40):
    random = np.random.default_rng(0)
    segments = [spelled(text) for text in random.permutation(SEGMENTS)[:count].tolist()]
    return RatedLabels(segments, np.resize(classes, count), np.arange(count) % 3 == 0)


@pytest.mark.parametrize("use", [evaluate, search])
@pytest.mark.parametrize(
    "spelled, classes, sentence",
    [
        (
            lambda text: f"b'{text[:3]}'{text[3:]}",
            (1, 2),
            r"such as b'v0\d', .*such as v00|b'v0\d' .* bytes: write v0\d",
        ),
        (lambda text: f"w{text}", (1, 2), r"the ratings have ids such as wv0\d, and it has v00"),
        (lambda text: text.upper(), (1, 2), r"the ratings have ids such as V0\d, and it has v00"),
        (lambda text: f"{text}3", (1, 2), r"of one video, the ratings have v00:\d+3, and it has v00:0"),
        (lambda text: text, (8, 9), "the ratings are of classes such as 8, and it has 1"),
    ],
)
def test_ratings_that_share_no_segment_are_refused_with_one_of_each_side(ranking, use, spelled, classes, sentence):
    with pytest.raises(InputError, match=f"s.csv ranks none of the 40 rated segments: .*({sentence})"):
        use(ranking, rated(spelled, classes=classes))


@pytest.mark.parametrize("use", [evaluate, search])
@pytest.mark.parametrize("share", [0, 1, 4, 6, 9])
def test_videos_that_are_nowhere_are_counted_where_they_are_most(ranking, use, share):
    def spelled(text):
        return text if int(text[1:3]) >= share else f"w{text}"

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        use(ranking, rated(spelled))
    found = {str(warning.message) for warning in said if warning.category is DataWarning}
    expected = f"{share} of the 10 rated videos are nowhere in {ranking}, the first wv00: nothing of them is found"
    assert found == ({expected} if share > 5 else set())


def test_lists_that_are_cut_are_no_other_videos(tmp_path):
    write_submission(tmp_path / "s.csv", {1: SEGMENTS[:31], 2: SEGMENTS[-31:]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(tmp_path / "s.csv", rated(str))


def test_starts_off_the_grid_are_counted(ranking):
    labels = rated(lambda text: f"{text[:3]}:{int(text[4:]) + 3 * (text < 'v02')}")
    off = sum(int(text.rpartition(b":")[2]) % 5 > 0 for text in labels.texts)
    with pytest.warns(DataWarning, match=rf"^{off} of 40 ratings start at no multiple of 5 s, the first v0\d:\d+"):
        evaluate(ranking, labels)
    with pytest.warns(DataWarning, match="start at no multiple"):
        search(ranking, labels)


def test_labels_of_other_videos_are_refused_with_one_of_each_side(tmp_path):
    path = tmp_path / "v.csv"
    write_video_predictions(path, [("a", (1,), (0.5,)), ("b", (2,), (0.5,))])
    for labels in ({"b'a'": (1,), "b'b'": (2,)}, {"x": (1,)}):
        for use in (evaluate_videos, lambda path, labels: VideoObjective.from_predictions([path, path], labels)):
            with pytest.raises(
                InputError, match=r"v.csv has none of the \d labelled videos: .* such as (b'a'|x), .* a"
            ):
                use(path, labels)
    with pytest.warns(DataWarning, match="lacks 1 of 2 labelled videos, the first c"):
        VideoObjective.from_predictions([path], {"a": (1,), "c": (1,)})
