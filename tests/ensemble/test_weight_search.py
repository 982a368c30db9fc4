"""Searches find what is there, resume exactly, and are honest about what they found."""

import json

import numpy as np
import pytest

from tests.helpers.submissions import write_case
from yt8m.ensemble.rank_objective import RankObjective
from yt8m.ensemble.weight_search import METHODS, SearchSettings, cross_validate, search_weights
from yt8m.ensemble.weights_file import read_weights, search_into_file
from yt8m.ranking.evaluation import RatedLabels
from yt8m.types import InputError


class Bowl:
    """A smooth objective with its best at weights (1, 0.5, 0) and w0 = 6; the third file hurts."""

    num_files = 3
    single_maps = (0.5, 0.4, 0.3)

    def __init__(self):
        self.calls = 0

    def __call__(self, weights, w0):
        self.calls += 1
        first, second, third = np.asarray(weights) / np.sum(weights)
        distance = (first - 2 / 3) ** 2 + (second - 1 / 3) ** 2 + third**2
        return 0.6 - 0.3 * distance - 0.001 * np.log(w0 / 6) ** 2


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    paths, labels = write_case(folder)
    return RankObjective.from_submissions(paths, RatedLabels.from_csv(labels))


@pytest.mark.parametrize(
    "method, least", [("bayesian", 0.595), ("nelder_mead", 0.599), ("random", 0.59), ("greedy", 0.595)]
)
def test_finds_the_best(method, least):
    result = search_weights(Bowl(), settings=SearchSettings(method, steps=32 if method == "bayesian" else 200))
    assert result.map_at_k >= max(step.map_at_k for step in result.history)
    assert result.map_at_k > least
    assert result.map_at_k == Bowl()(result.weights, result.w0)
    assert 2 in result.droppable
    assert all(result.weights[index] == 0 for index in result.droppable)


@pytest.mark.parametrize("method", METHODS)
def test_resumes_exactly(method):
    settings = SearchSettings(method, steps=22, seed=5)
    whole = search_weights(Bowl(), settings=settings)
    half = search_weights(Bowl(), settings=SearchSettings(method, steps=17, seed=5))
    assert half.history == whole.history[:17]
    steps = []
    resumed = Bowl()
    result = search_weights(resumed, settings=settings, history=half.history, on_step=lambda s: steps.append(len(s)))
    assert result == whole
    assert len(steps) <= 22 - 17


def test_seeds_differ():
    first, second = (search_weights(Bowl(), settings=SearchSettings("random", steps=20, seed=s)) for s in (0, 1))
    assert first.history[:6] == second.history[:6]
    assert first.history[6:] != second.history[6:]


def test_given_w0_stays():
    result = search_weights(Bowl(), settings=SearchSettings("bayesian", steps=15, w0=3.0))
    assert {step.w0 for step in result.history} == {3.0}


def test_bounds_are_each_files_own_map():
    result = search_weights(Bowl(), settings=SearchSettings("random", steps=300, patience=300))
    weights = np.array([step.weights for step in result.history[6:]])
    np.testing.assert_array_less(weights.max(axis=0), [1.0, 0.8, 0.6])
    assert (weights.max(axis=0) > np.array([1.0, 0.8, 0.6]) * 0.95).all()


def test_converges_early():
    result = search_weights(lambda_objective(lambda weights, w0: 0.5), settings=SearchSettings("random", steps=500))
    assert result.converged
    assert len(result.history) < 100


def lambda_objective(function):
    function.num_files, function.single_maps = 2, (0.5, 0.5)
    return function


def test_useless_files_are_dropped(case):
    result = search_weights(lambda_objective(lambda weights, w0: 0.5), settings=SearchSettings("random", steps=10))
    assert len(result.droppable) == 1
    found = search_weights(case, settings=SearchSettings("greedy", steps=200))
    assert found.map_at_k >= max(case.single_maps)
    for index in found.droppable:
        assert found.weights[index] == 0


def test_cross_validation(case):
    settings = SearchSettings("greedy", steps=60)
    result = cross_validate(case, settings=settings, num_folds=3)
    assert len(result["folds"]) == 3
    assert result["in_fold"] == pytest.approx(np.mean([fold["in_fold"] for fold in result["folds"]]))
    assert result["optimism"] == pytest.approx(result["in_fold_gain"] - result["out_of_fold_gain"])
    assert result == cross_validate(case, settings=settings, num_folds=3)
    with pytest.raises(InputError, match="expected 2 to"):
        cross_validate(case, settings=settings, num_folds=1)


def test_optimism_of_random_labels_is_found(tmp_path):
    # Labels that have nothing to do with the lists: what the search gains on them cannot hold outside.
    paths, labels = write_case(tmp_path, positives=0.5, rated=40, files=6)
    objective = RankObjective.from_submissions(paths, RatedLabels.from_csv(labels))
    settings = SearchSettings("random", steps=200, patience=200)
    assert cross_validate(objective, settings=settings, num_folds=4)["optimism"] > 0


def test_weights_file(case, tmp_path):
    path = tmp_path / "weights.json"
    described = {"submissions": list("abcd"), "labels": "l"}
    settings = SearchSettings("random", steps=15)
    content = search_into_file(case, path, described=described, settings=settings, num_folds=2)
    assert json.loads(path.read_text()) == content
    assert len(content["history"]) == 15
    assert set(content["cross_validation"]) >= {"in_fold", "out_of_fold", "optimism", "folds"}
    assert read_weights(path, num_files=4) == (tuple(content["weights"]), content["w0"])
    longer = SearchSettings("random", steps=25)
    again = search_into_file(case, path, described=described, settings=longer)
    assert again["history"][:15] == content["history"]
    assert len(again["history"]) == 25
    with pytest.raises(InputError, match="holds a search with seed 0, not 1: choose another --weights_file"):
        search_into_file(case, path, described=described, settings=SearchSettings("random", seed=1))
    with pytest.raises(InputError, match="is of other contents"):
        search_into_file(lambda_four(), path, described=described, settings=settings)
    with pytest.raises(InputError, match="has 4 weights, for 2 submissions"):
        read_weights(path, num_files=2)


def lambda_four():
    objective = lambda_objective(lambda weights, w0: 0.123)
    objective.num_files, objective.single_maps = 4, (0.1,) * 4
    return objective


@pytest.mark.parametrize(
    "text, sentence", [("{", "is not JSON"), ("[]", "is not a weights file"), ("{}", "it needs weights")]
)
def test_bad_weights_files(tmp_path, text, sentence):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_weights(tmp_path / "w.json", num_files=1)


@pytest.mark.parametrize("options", [{"method": "x"}, {"steps": 0}, {"w0": -1.0}])
def test_bad_settings(options):
    with pytest.raises(InputError):
        SearchSettings(**options)
