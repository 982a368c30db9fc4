"""Timelines of videos as rows of a page: a class each, fuller in colour where it scores higher, ratings marked."""

import dataclasses

import numpy as np
from markupsafe import Markup

from yt8m.ranking.diagnosis import FALSE_ALARM, MISS
from yt8m.ranking.ranks import UNLISTED
from yt8m.ranking.timelines import Timeline, class_name
from yt8m.report.page import render
from yt8m.types import SEGMENT_SECONDS

_LEVELS = 9
_ROWS = 10
_MISTAKES = {FALSE_ALARM: ", a false alarm", MISS: ", a miss"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Media:
    """A video or sound file that a page plays.

    kind: "video" or "audio". address: URL, relative to the page or data:. name: of the file, for those who read.
    thumbnails: (second, URL of a picture) pairs.
    """

    kind: str
    address: str
    name: str
    thumbnails: tuple[tuple[int, str], ...] = ()


def timeline_part(
    timeline: Timeline,
    ratings: dict[tuple[int, int], tuple[bool, int]],
    *,
    note: str,
    class_names: dict[int, str],
    media: Media | None = None,
    full: float = 1.0,
) -> Markup:
    """HTML of one video. ratings: dict of (class id, start) to (positive, mistake), see
    yt8m.ranking.diagnosis.video_ratings; note: text behind the video's id; class_names: dict of class id to name;
    media: what plays beside the timeline; full: the score from which on a cell has its full colour.
    """
    chosen = timeline.take(_chosen_rows(timeline, ratings))
    end = max([timeline.end, 1, *(start + SEGMENT_SECONDS for _, start in ratings if start >= timeline.end)])
    rows = [
        {
            "name": class_name(class_id, class_names),
            "numbers": _numbers(chosen, place),
            "shades": _shades(chosen.starts, chosen.ends(), np.minimum(chosen.scores[place] / full, 1)),
            "marks": _marks({start: rating for (other, start), rating in ratings.items() if other == class_id}, end),
        }
        for place, class_id in enumerate(chosen.class_ids.tolist())
    ]
    return render(
        "timeline.html",
        video_id=timeline.video_id,
        note=note,
        starts=timeline.starts.tolist(),
        end=end,
        kind="score" if timeline.ranks is None else "rank",
        rows=rows,
        media=media,
        ticks=_ticks(end),
    )


def _chosen_rows(timeline, ratings):
    """Rows of the classes to show: those with mistakes, other rated ones, then those with the best segments."""
    best = timeline.scores.max(axis=1, initial=0)
    wrong = {class_id for (class_id, _), (_, mistake) in ratings.items() if mistake}
    rated = {class_id for class_id, _ in ratings}
    urgency = np.array([(c in wrong) + (c in rated) for c in timeline.class_ids.tolist()])
    order = np.lexsort((-best, -urgency))
    rows = order[(best[order] > 0) | (urgency[order] > 0)][:_ROWS]
    return rows[np.argsort(-best[rows], kind="stable")]


def _numbers(timeline, place):
    """What the page says of each segment: its score, or its rank from 1, or "-"."""
    if timeline.ranks is None:
        return [f"{score:.3f}" for score in timeline.scores[place].tolist()]
    return ["-" if rank == UNLISTED else str(rank + 1) for rank in timeline.ranks[place].tolist()]


def _shades(starts, ends, scores):
    """(opacity, outline) for each shade: one path of all its segments, where an element each would make megabytes."""
    levels = np.rint(scores * _LEVELS).astype(np.int64)
    for level in range(1, _LEVELS + 1):
        inside = levels == level
        if inside.any():
            boxes = zip(starts[inside].tolist(), (ends - starts)[inside].tolist())
            yield level / _LEVELS, "".join(f"M{start} 0h{width}v1h-{width}z" for start, width in boxes)


def _marks(ratings, end):
    """Ratings of one class, by start: where they are, and what they say."""
    return [
        {
            "start": start,
            "seconds": min(SEGMENT_SECONDS, end - start),
            "positive": positive,
            "mistake": _MISTAKES.get(mistake, ""),
        }
        for start, (positive, mistake) in sorted(ratings.items())
    ]


def _ticks(end):
    """Seconds to name below the rows, six or so."""
    step = next((step for step in (10, 30, 60, 300, 600, 3600) if end / step <= 6), 36000)
    # The last one has no room where the line ends just behind it.
    return range(0, max(1, end - end // 20), step)
