"""Searches find what is there, keep equal weights where nothing is, and are honest about what they found."""

import json

import numpy as np
import pytest

from yt8m.ensemble import weight_search
from yt8m.ensemble.fusion import Fusion
from yt8m.ensemble.objective import Objective
from yt8m.ensemble.segment_objective import SegmentObjective
from yt8m.ensemble.weight_search import METHODS, Gain, SearchSettings, search_weights
from yt8m.ensemble.weights_file import read_weights, search_into_file
from yt8m.types import InputError


class Bowl(Objective):
    """A smooth objective with its best at weights (1, 0.5, 0) and w0 at half of the list; the third file hurts."""

    metric = "map_at_k"

    def __init__(self, num_videos=20):
        distances = np.argsort(np.random.default_rng(0).random((3, num_videos)), axis=1).astype(float)
        super().__init__(distances, np.ones(num_videos, bool), np.zeros(num_videos), np.arange(num_videos))

    def keys(self, fusion):
        first, second, third = np.asarray(fusion.weights) / np.sum(fusion.weights)
        distance = (first - 2 / 3) ** 2 + (second - 1 / 3) ** 2 + third**2
        return np.array(0.6 - 0.3 * distance - 0.001 * np.log(fusion.w0_share / 0.5) ** 2)

    def scores(self, keys, video_weights):
        return np.full(len(video_weights), keys)

    def __call__(self, fusion):
        return float(self.keys(fusion))

    def restrict(self, kept):
        raise NotImplementedError


def made_up(strengths, *, seed=0, alike=False, random_labels=False, classes=8, videos=60):
    """SegmentObjective of models whose scores are ``strength`` higher for positives; with ``alike`` the first two agree."""
    generator = np.random.default_rng(seed)
    size = 3 * videos
    ranks, positives = [], []
    for _ in range(classes):
        positive = generator.random(size) < 0.3
        common, own = generator.normal(size=size), generator.normal(size=(len(strengths), size))
        if alike:
            own[1] = own[0]
        scores = np.array(strengths)[:, None] * positive + 0.5 * common + 0.8 * own
        ranks.append(np.argsort(np.argsort(-scores, axis=1), axis=1).astype(float))
        positives.append(generator.random(size) < 0.3 if random_labels else positive)
    ids, places = np.repeat(np.arange(classes), size), np.tile(np.arange(size) % videos, classes)
    lengths = np.full((len(strengths), classes), size)
    return SegmentObjective(np.concatenate(ranks, axis=1), ids, np.concatenate(positives), places, lengths=lengths)


def plain(objective, **settings):
    return Fusion((1.0,) * objective.num_files, **settings)


def search(objective, *, method="bagging", w0=None, **settings):
    return search_weights(objective, plain=plain(objective, w0=w0), settings=SearchSettings(method, **settings))


@pytest.mark.parametrize("method, least", [("bagging", 0.585), ("bayesian", 0.595)])
def test_finds_the_best(method, least):
    result = search(Bowl(), method=method, steps=50)
    assert result.score == Bowl()(result.fusion) > least > 0.55 > result.plain_score
    assert result.fusion.weights[0] > result.fusion.weights[1] > result.fusion.weights[2]
    assert 2 in result.droppable and 0 not in result.droppable
    assert result.gain.mean == pytest.approx(result.score - result.plain_score, abs=0.02)
    assert result.single_scores == tuple(Bowl()(Fusion(tuple(row.tolist()))) for row in np.eye(3))


@pytest.mark.parametrize("kind", [{"strengths": (0.1, 1.2, 1.2, 1.2)}, {"strengths": (1, 1, 1), "alike": True}])
def test_gains_hold_on_others_where_models_are_unequal_or_alike(kind):
    found, others = made_up(**kind), made_up(**kind, seed=1)
    result = search(found)
    assert result.gain.mean > 0.005
    best = max(others(plain(others, w0=w0)) for w0 in (1.0, 32.0, 300.0, 1000.0))
    assert others(result.fusion) > best + 0.002
    weights = result.fusion.weights
    assert weights[0] < 0.6 if len(weights) == 4 else weights[2] > 1.1


def test_a_gain_below_its_standard_error_is_not_taken(monkeypatch):
    objective = made_up([2, 2, 0.3])
    found = search_weights(objective, plain=plain(objective), settings=SearchSettings())
    folds = np.array(found.gain.folds)
    error = np.sqrt((1 / 5 + 1 / 4) * folds.var(ddof=1))
    assert found.gain.mean > error and found.chosen and found.fusion != found.plain
    monkeypatch.setattr(weight_search, "CAUTION_OF_ALL", found.gain.mean / error + 0.01)
    held = search_weights(objective, plain=plain(objective), settings=SearchSettings())
    assert held.gain == found.gain and held.chosen == 0 and held.fusion == held.plain


@pytest.mark.slow
def test_labels_without_meaning_promise_nothing():
    results = [search(made_up((1,) * 4, seed=seed, random_labels=True, classes=2)) for seed in range(3)]
    assert max(result.gain.low for result in results) < 0
    # What gains nothing out of fold is not taken, whatever it seems worth on all labels.
    lost = [result for result in results if result.gain.mean <= 0]
    assert lost and all(result.fusion == result.plain for result in lost)
    assert search(made_up((1, 1, 1, 1), random_labels=True), method="bayesian", steps=60).gain.low < 0


def test_what_a_fold_leaves_out_does_not_shape_its_weights():
    objective, settings = made_up((0.1, 1, 1), classes=4), SearchSettings()
    left_out = weight_search._Folds(objective, settings).outside[0].astype(bool)
    turned = SegmentObjective(
        objective.distances,
        objective.class_ids,
        objective.positive ^ left_out[objective.videos],
        objective.videos,
        lengths=objective.lengths,
    )
    found = []
    for labels in (objective, turned):
        bagging = weight_search._Bagging(labels, plain(labels), settings, weight_search._Folds(labels, settings), None)
        equal = np.array([bagging._on_halves(fusion) for fusion in bagging.fusions])
        found.append([bagging._candidates(equal, bagging.fold_of_half == fold) for fold in (0, 1)])
    assert found[0][0] == found[1][0]
    assert found[0][1] != found[1][1]


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_weights(method):
    objective = made_up((0.5, 1, 1), classes=2)
    first, second, third = (search(objective, method=method, seed=seed, steps=12) for seed in (3, 3, 4))
    assert first == second
    assert first.gain != third.gain


@pytest.mark.parametrize("method", METHODS)
def test_given_w0_stays(method):
    result = search_weights(
        made_up((0.1, 1, 1), classes=2),
        plain=Fusion((1.0,) * 3, w0=3.0),
        settings=SearchSettings(method, steps=15, search_w0=False),
    )
    assert result.fusion.w0 == 3.0 and {candidate.fusion.w0 for candidate in result.candidates} <= {3.0}
    assert result.fusion.weights[0] < result.fusion.weights[1]


def test_obvious_cases_answer_at_once():
    single = made_up((1,))
    result = search(single)
    assert (result.fusion, result.candidates, result.gain) == (plain(single), (), None)
    assert "one submission" in result.note
    same = made_up((1, 1))
    same.distances[1] = same.distances[0]
    assert "alike" in search(same).note and search(same).fusion == plain(same)


def test_interval_is_the_corrected_one():
    gain = Gain.of([0.01, 0.02, 0.03, 0.0, 0.04])
    # t of 4 degrees of freedom at 97.5% is 2.776; the variance is 0.00025, times 1/5 + 1/4.
    assert gain.mean == pytest.approx(0.02)
    assert gain.high - 0.02 == pytest.approx(0.02 - gain.low) == pytest.approx(2.776445 * (0.00025 * 0.45) ** 0.5)


def test_labels_of_other_videos_are_refused():
    objective = made_up((1, 1))
    objective.distances[:] = np.inf
    with pytest.raises(InputError, match="list nothing of what the labels rate"):
        search(objective)


def test_bad_folds():
    with pytest.raises(InputError, match="100 folds: expected 2 to 20, the number of rated videos"):
        search(Bowl(), num_folds=100)
    with pytest.raises(InputError, match="num_folds is 0; valid for bagging: 3 or more"):
        SearchSettings(num_folds=0)
    assert search(Bowl(), method="bayesian", steps=9, num_folds=0).gain is None
    objective = made_up((1, 1), classes=1)
    few = objective.restrict((objective.videos < 6) | ~objective.positive)
    with pytest.raises(InputError, match="use fewer folds"):
        search(few, num_folds=30)


def test_weights_file(tmp_path):
    path = tmp_path / "weights.json"
    objective = made_up((0.1, 1, 1), classes=2)
    content = search_into_file(
        objective,
        path,
        described={"submissions": list("abc"), "labels": "l"},
        plain=plain(objective),
        settings=SearchSettings(num_folds=3),
    )
    assert json.loads(path.read_text()) == content
    assert len(content["candidates"]) == 10 and sum(entry["chosen"] for entry in content["candidates"]) == 1
    fusion = read_weights(path, num_files=3, top_n=7)
    assert fusion == Fusion(tuple(content["weights"]), w0_share=content["w0_share"], top_n=7)
    assert content["map_at_k"] == objective(fusion) > content["equal_weights"]["map_at_k"]
    with pytest.raises(InputError, match="has 3 weights, for 2 submissions"):
        read_weights(path, num_files=2, top_n=7)


def test_weights_files_of_0_2_0_are_read(tmp_path):
    (tmp_path / "w.json").write_text('{"method": "bayesian", "weights": [1, 0.5], "w0": 6.06, "history": []}')
    assert read_weights(tmp_path / "w.json", num_files=2, top_n=5) == Fusion((1.0, 0.5), w0=6.06, top_n=5)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "is not a weights file: it does not parse: Expecting"),
        ("[]", "is not a weights file: it must be an object"),
        ("{}", "it has no field weights"),
        ('{"weights": "12", "w0": 1}', "weights must be a list and is text"),
        ('{"weights": [1, "2"], "w0": 1}', 'a weight is "2"; it must be a finite number'),
        ('{"weights": [1, NaN], "w0": 1}', "a weight is NaN; it must be a finite number"),
        ('{"weights": [1, true], "w0": 1}', "a weight is true; it must be a finite number"),
        ('{"weights": [1, 1%s], "w0": 1}' % ("0" * 400), "a weight is 1000"),
        ('{"weights": [1, -2], "w0": 1}', "w.json: weights must be finite and at least 0"),
        ('{"weights": [1, 2], "w0": "1"}', "w0 must be a number or null and is text"),
        ('{"weights": [1, 2], "w0": 1, "w0_share": "x"}', "w0_share is"),
        ('{"weights": [1, 2], "w0": 1, "fusion": "sum"}', "w.json: method is"),
        ('{"weights": [1, 2], "w0": 1, "fusion": [1]}', "w.json: method is"),
    ],
)
def test_bad_weights_files(tmp_path, text, sentence):
    (tmp_path / "w.json").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_weights(tmp_path / "w.json", num_files=2, top_n=5)


@pytest.mark.parametrize(
    "options", [{"method": "x"}, {"steps": 0}, {"num_folds": 2}, {"method": "bayesian", "num_folds": 1}]
)
def test_bad_settings(options):
    with pytest.raises(InputError):
        SearchSettings(**options)
