"""Videos that stand in a data set twice, or on both sides of a split."""

from collections.abc import Sequence

import numpy as np

from yt8m.data.survey.findings import EXAMPLES
from yt8m.data.survey.survey import Survey, index_ids, read_ids


def note_repeats(survey: Survey) -> None:
    """Adds a warning to ``survey``, a Survey, about ids that more than one of its records has."""
    index = survey.tally.ids
    hashes = index.repeated()
    if len(hashes):
        again = index.count(hashes) - len(hashes)
        _note(survey, "records with the id of an earlier one", again, index.places(hashes[:EXAMPLES]), "warning")


def note_leaks(survey: Survey, other_files: Sequence[str]) -> None:
    """Adds an error to ``survey`` about ids that records of ``other_files`` have too."""
    index, other = survey.tally.ids, index_ids(other_files)
    shared = np.intersect1d(index.hashes(), other.hashes())
    if len(shared):
        first = shared[:EXAMPLES]
        here, there = index.places(first), other.places(first)
        places = {hashed: here[hashed][:1] + there[hashed][:1] for hashed in here}
        _note(survey, "videos that the other files hold too", len(shared), places, "error")


def note_split_leaks(survey: Survey, train: Sequence[str], holdout: Sequence[str]) -> None:
    """Adds an error to ``survey`` about ids that files of both ``train`` and ``holdout``, some of its own, have."""
    index = survey.tally.ids
    shared = np.intersect1d(index.hashes(train), index.hashes(holdout))
    if len(shared):
        first = shared[:EXAMPLES]
        left, right = index.places(first, train), index.places(first, holdout)
        places = {hashed: left[hashed][:1] + right[hashed][:1] for hashed in left}
        _note(survey, "videos in both train and holdout", len(shared), places, "error")


def _note(survey, what, count, places, severity):
    """One finding whose examples are the ids at ``places``, dict of hash to places; where those differ is none."""
    examples = []
    for found in places.values():
        named = [(f"{file}, record {row}", read_ids(file, [row])[row]) for file, row in found[:2]]
        if named[0][1] == named[1][1]:
            where = " and in ".join(place for place, _ in named)
            examples.append(f"video {named[0][1].decode(errors='replace')} is in {where}")
        else:
            count -= 1
    survey.tally.findings.add(severity, what, examples, count)
