"""Pairs to train on and pairs to hold out, of which no video is in both."""

import warnings

import numpy as np

from yt8m.similarity.pairs import Pairs
from yt8m.types import DataWarning, InputError


def split_pairs(pairs: Pairs, *, fraction: float, seed: int, name: str) -> tuple[Pairs, Pairs]:
    """(pairs to train on, pairs to hold out); ``name`` of their file, for messages.

    Videos that pairs join, directly or through others, are on one side: connected components are drawn until
    ``fraction`` of the pairs are held out, none that would go beyond it. Raises InputError where none is small enough,
    and tells in a DataWarning where less than half of what was asked for could be held out.
    """
    groups = _components(pairs)
    sizes = np.bincount(groups)
    wanted, held, chosen = fraction * len(groups), 0, []
    for group in np.random.default_rng(seed).permutation(len(sizes)).tolist():
        if held + sizes[group] <= wanted:
            held += int(sizes[group])
            chosen.append(group)
    if not held:
        raise InputError(
            f"{name}: holdout_fraction {fraction:g} of its {len(groups):,} pairs is {wanted:,.1f}, and the fewest that "
            f"share no video with the others are {sizes.min():,}: give eval_pairs, or a larger fraction"
        )
    if held < wanted / 2:
        text = f"{name}: {held:,} of {len(groups):,} pairs are held out, fewer than asked for: the others hang together"
        warnings.warn(f"{text} by videos that they share", DataWarning, stacklevel=2)
    is_held = np.isin(groups, chosen)
    return _part(pairs, ~is_held), _part(pairs, is_held)


def check_disjoint_pairs(train: Pairs, holdout: Pairs, *, name: str) -> None:
    """Raises InputError naming the first video that is in pairs of both sides; ``name``: of the holdout's file."""
    trained = {*train.first, *train.second}
    for video_id in (*holdout.first, *holdout.second):
        if video_id in trained:
            raise InputError(f"{name}: video {video_id} is in pairs to train on too, so that it tells nothing new")


def _components(pairs):
    """(N,) int: number of the connected component of each pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = {video_id: place for place, video_id in enumerate(dict.fromkeys((*pairs.first, *pairs.second)))}
    first, second = (np.array([places[video_id] for video_id in side]) for side in (pairs.first, pairs.second))
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(places), len(places)))
    return connected_components(graph, directed=False)[1][first]


def _part(pairs, mask):
    places = np.flatnonzero(mask).tolist()
    return Pairs(
        [pairs.first[place] for place in places], [pairs.second[place] for place in places], pairs.scores[mask]
    )
