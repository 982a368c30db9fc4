"""The objective of the weight search equals full fusion and scoring, with the cut at K and without."""

import numpy as np
import pytest

from tests.helpers.submissions import with_scores, write_case
from yt8m.ensemble import cut_classes
from yt8m.ensemble.fusion import METHODS, Fusion, fuse
from yt8m.ensemble.segment_objective import SegmentObjective
from yt8m.ranking.evaluation import RatedLabels, evaluate_submission
from yt8m.types import InputError


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """(paths, labels, labels path) of lists that agree in part."""
    paths, labels = write_case(tmp_path_factory.mktemp("case"))
    return paths, RatedLabels.from_csv(labels), labels


@pytest.fixture(scope="module")
def scored(case, tmp_path_factory):
    """Paths of the same lists with scores, some of them 0 and many equal."""
    return with_scores(case[0], tmp_path_factory.mktemp("scored"))


def weightings(generator, number):
    """Weights of four files, some of them 0."""
    return [(1.0,) * 4, (0, 1, 0, 0.5), (0, 0, 3, 0), *map(tuple, generator.random((number, 4)) ** 3)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("top_n", [5, 40, 119, 150, 200, 100_000])
@pytest.mark.filterwarnings("ignore:.*rated videos are nowhere")
def test_equals_full_fusion_and_scoring(case, scored, tmp_path, top_n, method):
    by_score = method in ("mean", "geometric_mean")
    paths, labels = scored if by_score else case[0], case[1]
    objective = SegmentObjective.from_submissions(paths, labels, top_n=top_n, by_score=by_score)
    generator = np.random.default_rng(top_n)
    for weights in weightings(generator, 8 if method == "reciprocal_rank" else 2):
        w0 = generator.choice([None, 0.5, 1, 6.06, 50])
        fusion = Fusion(weights, method=method, w0=w0 and float(w0), w0_share=generator.choice([0.02, 2]), top_n=top_n)
        output = str(tmp_path / "fused.parquet")
        fuse(paths, output, fusion=fusion)
        expected = evaluate_submission(output, labels, top_n=top_n).map_at_k
        assert objective(fusion) == pytest.approx(expected, abs=1e-14)


def test_blocks_and_doubt_do_not_matter(case, monkeypatch):
    objective = SegmentObjective.from_submissions(case[0], case[1], top_n=119)
    fusions = [Fusion(tuple(row), w0=w0) for row in np.random.default_rng(1).random((5, 4)) for w0 in (1.0, 40.0)]
    expected = [objective(fusion) for fusion in fusions]
    monkeypatch.setattr(cut_classes, "_BLOCK", 7)
    assert [objective(fusion) for fusion in fusions] == expected
    # All sums in doubt, all summed again.
    monkeypatch.setattr(cut_classes, "_TINY", 10.0)
    assert [objective(fusion) for fusion in fusions] == expected


def test_cut_is_exercised(case, scored):
    for paths, method in ((case[0], "reciprocal_rank"), (scored, "mean")):
        objectives = [
            SegmentObjective.from_submissions(paths, case[1], top_n=top_n, by_score=method == "mean")
            for top_n in (119, 100_000)
        ]
        assert objectives[0].cut_classes and not objectives[1].cut_classes
        cut, whole = (objective(Fusion((1.0,) * 4, method=method)) for objective in objectives)
        assert cut < whole


@pytest.mark.parametrize("top_n", [40, 119, 100_000])
def test_restricted_objective_is_that_of_fewer_labels(case, tmp_path, top_n):
    paths, labels, labels_path = case
    objective = SegmentObjective.from_submissions(paths, labels, top_n=top_n)
    chosen = {video for video in labels.video_ids if int(video[1:]) % 3}
    videos = np.array([video in chosen for video in labels.video_ids])
    restricted = objective.restrict(videos[objective.videos])
    lines = [line for line in labels_path.read_text().splitlines(keepends=True) if line.split(":")[0] in chosen]
    (tmp_path / "part.csv").write_text("".join(lines))
    part = SegmentObjective.from_submissions(paths, RatedLabels.from_csv(tmp_path / "part.csv"), top_n=top_n)
    for weights in np.random.default_rng(0).random((5, 4)):
        fusion = Fusion(tuple(weights), w0=3.0)
        assert restricted(fusion) == pytest.approx(part(fusion), abs=1e-14)
        # Weights of the videos are the same thing, in one go.
        weighted = objective.scores(objective.keys(fusion), np.stack([videos, np.ones(len(videos))]).astype(float))
        assert weighted == pytest.approx([part(fusion), objective(fusion)], abs=1e-14)
    with pytest.raises(InputError, match="use fewer folds"):
        objective.restrict(~objective.positive)


def test_workers_and_class_ranges(case):
    paths, labels, _ = case
    one = SegmentObjective.from_submissions(paths, labels, top_n=119)
    two = SegmentObjective.from_submissions(paths, labels, top_n=119, workers=2)
    np.testing.assert_array_equal(one.distances, two.distances)
    assert one(Fusion((1.0,) * 4)) == two(Fusion((1.0,) * 4))
    assert set(SegmentObjective.from_submissions(paths, labels, class_range=(1, 3)).class_ids) == {1, 2}


def test_scores_are_needed_and_at_least_0(case, tmp_path):
    with pytest.raises(InputError, match="model0.csv has no scores: means of scores need parquet files"):
        SegmentObjective.from_submissions(case[0], case[1], by_score=True)
    paths = with_scores(case[0], tmp_path, lowest=-1.0)
    with pytest.raises(InputError, match="model0.parquet, class 0: a score is no number from 0 on"):
        SegmentObjective.from_submissions(paths, case[1], by_score=True)
