"""The objective of the weight search equals full fusion and scoring, with the cut at K and without."""

import numpy as np
import pytest

from tests.helpers.submissions import write_case
from yt8m.ensemble import rank_objective
from yt8m.ensemble.fusion import Fusion, fuse
from yt8m.ensemble.rank_objective import RankObjective
from yt8m.ranking.evaluation import RatedLabels, evaluate_submission
from yt8m.types import InputError


@pytest.mark.parametrize("top_n", [5, 40, 119, 150, 200, 100_000])
def test_equals_full_fusion_and_scoring(tmp_path, top_n):
    paths, labels_path = write_case(tmp_path)
    labels = RatedLabels.from_csv(labels_path)
    objective = RankObjective.from_submissions(paths, labels, top_n=top_n)
    generator = np.random.default_rng(top_n)
    cases = [(np.ones(4), 1.0), (np.array([0, 1, 0, 0.5]), 1.0), (np.array([0, 0, 3, 0]), 7.0)]
    cases += [(generator.random(4) ** 3, float(generator.choice([0.5, 1, 6.06, 50]))) for _ in range(12)]
    for weights, w0 in cases:
        fuse(paths, tmp_path / "fused.csv", fusion=Fusion(tuple(weights.tolist()), w0=w0, top_n=top_n))
        expected = evaluate_submission(tmp_path / "fused.csv", labels, top_n=top_n).map_at_k
        assert objective(weights, w0) == pytest.approx(expected, abs=1e-14)


def test_blocks_and_doubt_do_not_matter(tmp_path, monkeypatch):
    paths, labels_path = write_case(tmp_path)
    objective = RankObjective.from_submissions(paths, RatedLabels.from_csv(labels_path), top_n=119)
    cases = [(weights, w0) for weights in np.random.default_rng(1).random((5, 4)) for w0 in (1.0, 40.0)]
    expected = [objective(weights, w0) for weights, w0 in cases]
    monkeypatch.setattr(rank_objective, "_BLOCK", 7)
    assert [objective(weights, w0) for weights, w0 in cases] == expected
    # All sums in doubt, all summed again.
    monkeypatch.setattr(rank_objective, "_TINY", 10.0)
    assert [objective(weights, w0) for weights, w0 in cases] == expected


def test_cut_is_exercised(tmp_path):
    paths, labels_path = write_case(tmp_path)
    labels = RatedLabels.from_csv(labels_path)
    cut, whole = (RankObjective.from_submissions(paths, labels, top_n=top_n) for top_n in (119, 100_000))
    assert cut.cut_classes and not whole.cut_classes
    assert cut(np.ones(4)) < whole(np.ones(4))


def test_single_maps_are_those_of_the_files(tmp_path):
    paths, labels_path = write_case(tmp_path)
    labels = RatedLabels.from_csv(labels_path)
    objective = RankObjective.from_submissions(paths, labels)
    expected = [evaluate_submission(path, labels).map_at_k for path in paths]
    assert objective.single_maps == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("top_n", [40, 119, 100_000])
def test_restricted_objective_is_that_of_fewer_labels(tmp_path, top_n):
    paths, labels_path = write_case(tmp_path)
    labels = RatedLabels.from_csv(labels_path)
    objective = RankObjective.from_submissions(paths, labels, top_n=top_n)
    chosen = {video for video in labels.video_ids if int(video[1:]) % 3}
    restricted = objective.restrict(np.array([labels.video_ids[v] in chosen for v in objective.videos]))
    with open(labels_path, encoding="utf-8") as file:
        lines = [line for line in file if line.split(":")[0] in chosen]
    (tmp_path / "part.csv").write_text("".join(lines))
    part = RankObjective.from_submissions(paths, RatedLabels.from_csv(tmp_path / "part.csv"), top_n=top_n)
    for weights in np.random.default_rng(0).random((5, 4)):
        assert restricted(weights, 3.0) == pytest.approx(part(weights, 3.0), abs=1e-14)
    with pytest.raises(InputError, match="use fewer folds"):
        objective.restrict(~objective.positive)


def test_workers_and_class_ranges(tmp_path):
    paths, labels_path = write_case(tmp_path)
    labels = RatedLabels.from_csv(labels_path)
    one = RankObjective.from_submissions(paths, labels, top_n=119)
    two = RankObjective.from_submissions(paths, labels, top_n=119, workers=2)
    np.testing.assert_array_equal(one.ranks, two.ranks)
    assert one(np.ones(4), 2.0) == two(np.ones(4), 2.0)
    assert set(RankObjective.from_submissions(paths, labels, class_range=(1, 3)).class_ids) == {1, 2}
