"""Evidence of classes in segments, of the names that stand in texts near them."""

import collections
import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np

from yt8m.features.words.matching import NameMatcher
from yt8m.features.words.texts import SCREEN, SPEECH, TITLE
from yt8m.ranking.submission import write_lists
from yt8m.ranking.top_segments import TopSegments
from yt8m.types import MAX_SEGMENTS_PER_CLASS, SEGMENT_SECONDS, StrPath, TimedText

_WEIGHTS = {SCREEN: 0.9, SPEECH: 0.6, TITLE: 0.3}
"""How likely, at most, a text means what is shown: a title is of a whole video, of which a class may fill a little."""

_HALF_LIFE = 10.0
_REACH = 30.0
"""Seconds from a text within which what it says of a segment halves, and behind which it says nothing."""

_LEAST_RARITY = 0.1


@dataclasses.dataclass(frozen=True)
class _Mention:
    """A name in a text: what it says of the segments that the text lies in."""

    class_id: int
    key: str
    start: float
    end: float
    weight: float


def find_evidence(
    texts: Mapping[str, Sequence[TimedText]], matcher: NameMatcher, seconds: Mapping[str, int]
) -> dict[str, dict[int, np.ndarray]]:
    """Dict of video id to dict of class id to (S,) float32 in [0, 1], evidence of its segments; of classes with any.

    texts: dict of video id to TimedTexts. seconds: dict of video id to its length.

    A mention says weight * rarity * 2 ** (-distance / 10 s) of a segment. weight: strength of the match times that of
    the field. distance: from the text to the middle of the segment, up to 30 s, and 0 where they overlap. rarity:
    log((N + 1) / n) / log(N + 1), at least 0.1, of a name that n of the N videos with texts mention; what is said in
    every video, "watch" say, is hardly evidence. Of several mentions each leaves open what it does not say: together
    they say 1 minus the product of that. Titles count in every segment.
    """
    mentions = {video_id: _mentions(items, matcher) for video_id, items in texts.items()}
    counts = collections.Counter(key for found in mentions.values() for key in {mention.key for mention in found})
    number = sum(1 for items in texts.values() if items)
    rarity = {key: max(_LEAST_RARITY, math.log((number + 1) / n) / math.log(number + 1)) for key, n in counts.items()}
    return {video_id: _of_video(found, rarity, seconds[video_id]) for video_id, found in mentions.items()}


def write_evidence(path: StrPath, evidence: Mapping[str, Mapping[int, np.ndarray]]) -> int:
    """Writes what find_evidence gives as a submission, segments by falling evidence; returns the number of classes.

    Segments without evidence of a class are not listed. Nothing is written where no class has any.
    """
    class_ids = sorted({class_id for found in evidence.values() for class_id in found})
    if not class_ids:
        return 0
    best = TopSegments(class_ids, top_n=MAX_SEGMENTS_PER_CLASS)
    for video_id, found in evidence.items():
        if found:
            size = len(next(iter(found.values())))
            scores = np.stack([found.get(class_id, np.zeros(size, np.float32)) for class_id in class_ids], axis=1)
            starts = np.arange(size) * SEGMENT_SECONDS
            best.add([video_id.encode()] * size, starts, np.where(scores > 0, scores, -np.inf))
    write_lists(path, best)
    return len(class_ids)


def _mentions(texts, matcher):
    return [
        _Mention(match.class_id, match.key, text.start, text.end, match.strength * _WEIGHTS[text.field])
        for text in texts
        for match in matcher(text.text, misread=text.field == SCREEN)
    ]


def _of_video(mentions, rarity, seconds):
    """Dict of class id to (S,) evidence."""
    firsts = np.arange(0, seconds, SEGMENT_SECONDS)
    lasts = np.minimum(firsts + SEGMENT_SECONDS, seconds)
    middles = (firsts + lasts) / 2
    doubt: dict[int, np.ndarray] = {}
    for mention in mentions:
        distances = np.maximum(middles - mention.end, mention.start - middles)
        distances[(firsts < mention.end) & (mention.start < lasts)] = 0
        said = mention.weight * rarity[mention.key] * 0.5 ** (distances / _HALF_LIFE)
        said[distances > _REACH] = 0
        doubt[mention.class_id] = doubt.get(mention.class_id, np.ones(len(firsts))) * (1 - said)
    found = {class_id: (1 - left).astype(np.float32) for class_id, left in sorted(doubt.items())}
    return {class_id: values for class_id, values in found.items() if values.any()}
