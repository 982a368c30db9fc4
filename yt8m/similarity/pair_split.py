"""Pairs to train on and pairs to hold out, of which no video is in both."""

import warnings

import numpy as np

from yt8m.similarity.pairs import Pairs
from yt8m.types import DataWarning, InputError


def split_pairs(pairs: Pairs, *, fraction: float, seed: int, name: str) -> tuple[Pairs, Pairs]:
    """(pairs to train on, pairs to hold out); ``name`` of their file, for messages.

    Videos that pairs join, directly or through others, are on one side: connected components are drawn until
    ``fraction`` of the pairs are held out, none that would go beyond it. Where less than half of that can be held out
    so, because most pairs hang together, videos are drawn instead, so many that ``fraction`` of the pairs within a side
    are held out, and pairs across are left out of both, which a DataWarning counts. Raises InputError where a side is
    left without pairs.
    """
    rng = np.random.default_rng(seed)
    first, second = _numbers(pairs)
    groups = _components(first, second)
    is_held = _drawn_groups(groups, fraction * len(groups), rng)
    is_trained = ~is_held
    if is_held.sum() < fraction * len(groups) / 2:
        # Of pairs drawn at random, share^2 are within the videos held out and (1 - share)^2 within the others.
        share = np.sqrt(fraction) / (np.sqrt(fraction) + np.sqrt(1 - fraction))
        held_videos = rng.random(max(first.max(), second.max()) + 1) < share
        is_held, is_trained = held_videos[first] & held_videos[second], ~(held_videos[first] | held_videos[second])
        across = len(groups) - int(is_held.sum() + is_trained.sum())
        text = f"{name}: {across:,} of {len(groups):,} pairs are left out, as they join videos to train on and held out"
        warnings.warn(f"{text}; give eval_pairs to lose none", DataWarning, stacklevel=2)
    if not (is_held.any() and is_trained.any()):
        raise InputError(
            f"{name}: of its {len(groups):,} pairs none can be held out so that others are left which share no video "
            "with them: give eval_pairs"
        )
    return _part(pairs, is_trained), _part(pairs, is_held)


def _drawn_groups(groups, wanted, rng):
    """(N,) bool: pairs of the components that are held out, ``wanted`` pairs at most."""
    sizes, chosen, held = np.bincount(groups), [], 0
    for group in rng.permutation(len(sizes)).tolist():
        if held + sizes[group] <= wanted:
            held += int(sizes[group])
            chosen.append(group)
    return np.isin(groups, chosen)


def check_disjoint_pairs(train: Pairs, holdout: Pairs, *, name: str) -> None:
    """Raises InputError naming the first video that is in pairs of both sides; ``name``: of the holdout's file."""
    trained = {*train.first, *train.second}
    for video_id in (*holdout.first, *holdout.second):
        if video_id in trained:
            raise InputError(f"{name}: video {video_id} is in pairs to train on too, so that it tells nothing new")


def _numbers(pairs):
    """Numbers of the first and second videos of pairs, (N,) int each."""
    places = {video_id: place for place, video_id in enumerate(dict.fromkeys((*pairs.first, *pairs.second)))}
    return (np.array([places[video_id] for video_id in side]) for side in (pairs.first, pairs.second))


def _components(first, second):
    """(N,) int: number of the connected component of each pair."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = max(first.max(), second.max()) + 1
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(count, count))
    return connected_components(graph, directed=False)[1][first]


def _part(pairs, mask):
    places = np.flatnonzero(mask).tolist()
    return Pairs(
        [pairs.first[place] for place in places], [pairs.second[place] for place in places], pairs.scores[mask]
    )
