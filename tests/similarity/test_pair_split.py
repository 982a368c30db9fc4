"""No video is on both sides, and what is lost is counted."""

import numpy as np
import pytest

from yt8m.similarity.pair_split import check_disjoint_pairs, split_pairs
from yt8m.similarity.pairs import Pairs
from yt8m.types import DataWarning, InputError


def pairs_of(*edges):
    first, second = zip(*edges)
    return Pairs(first, second, np.arange(len(edges), dtype=float))


def videos(pairs):
    return {*pairs.first, *pairs.second}


def test_components_stay_together():
    """Ten chains of three pairs, a-b, b-c, c-d."""
    edges = [(f"{chain}{a}", f"{chain}{b}") for chain in range(10) for a, b in ("ab", "bc", "cd")]
    train, held_out = split_pairs(pairs_of(*edges), fraction=0.25, seed=3, name="p.csv")
    assert len(held_out.scores) == 6 and len(train.scores) == 24
    assert not videos(train) & videos(held_out)
    assert {video[0] for video in videos(held_out)} == {video[0] for video in held_out.first}
    # Scores stay with their pairs.
    for part in (train, held_out):
        assert [edges[int(score)] for score in part.scores] == list(zip(part.first, part.second))
    again = split_pairs(pairs_of(*edges), fraction=0.25, seed=3, name="p.csv")[1]
    assert again.first == held_out.first
    others = {tuple(split_pairs(pairs_of(*edges), fraction=0.25, seed=s, name="p.csv")[1].first) for s in range(5)}
    assert len(others) > 1


def test_where_all_hang_together_videos_are_drawn_and_pairs_across_are_counted():
    rng = np.random.default_rng(0)
    edges = [tuple(map(str, rng.choice(40, size=2, replace=False))) for _ in range(400)]
    with pytest.warns(DataWarning, match=r"p\.csv: (\d+) of 400 pairs are left out, as they join videos") as told:
        train, held_out = split_pairs(pairs_of(*edges), fraction=0.2, seed=0, name="p.csv")
    lost = int(str(told[0].message).split()[1])
    assert lost + len(train.scores) + len(held_out.scores) == 400
    assert not videos(train) & videos(held_out)
    assert 0.08 < len(held_out.scores) / (400 - lost) < 0.35


@pytest.mark.filterwarnings("ignore::yt8m.types.DataWarning")
def test_where_nothing_can_be_held_out_it_is_said():
    with pytest.raises(InputError, match=r"p\.csv: of its 2 pairs none can be held out so that others are left"):
        split_pairs(pairs_of("ab", "bc"), fraction=0.1, seed=0, name="p.csv")


def test_a_video_on_both_sides_is_named():
    check_disjoint_pairs(pairs_of("ab"), pairs_of("cd"), name="held.csv")
    with pytest.raises(InputError, match=r"held\.csv: video b is in pairs to train on too"):
        check_disjoint_pairs(pairs_of("ab"), pairs_of("cb"), name="held.csv")
