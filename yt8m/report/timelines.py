"""Timelines of videos as rows of a page: a class each, fuller in colour where it scores higher, ratings marked."""

import numpy as np

from yt8m.ranking.diagnosis import FALSE_ALARM, MISS
from yt8m.ranking.ranks import UNLISTED
from yt8m.ranking.timelines import class_name
from yt8m.report.page import escape
from yt8m.types import SEGMENT_SECONDS

_LEVELS = 9
_ROWS = 10
_MISTAKES = {FALSE_ALARM: ", a false alarm", MISS: ", a miss"}


def timeline_part(timeline, ratings, *, note, class_names):
    """HTML of one video. timeline: a Timeline; ratings: dict of (class id, start) to (positive, mistake), see
    yt8m.ranking.diagnosis.video_ratings; note: text behind the video's id; class_names: dict of class id to name.
    """
    chosen = timeline.take(_chosen_rows(timeline, ratings))
    end = max([timeline.end, *(start + SEGMENT_SECONDS for _, start in ratings if start >= timeline.end)])
    rows = "\n".join(
        _row(chosen, place, {start: rating for (other, start), rating in ratings.items() if other == class_id},
             name=class_name(class_id, class_names), end=end)
        for place, class_id in enumerate(chosen.class_ids.tolist())
    )
    starts = " ".join(map(str, timeline.starts.tolist()))
    return (
        f'<div class="video" data-starts="{starts}" data-end="{end}"><h3>{escape(timeline.video_id)} '
        f'<span class="soft">{escape(note)}</span></h3>\n{rows}\n{_ticks(end)}</div>'
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


def _row(timeline, place, marks, *, name, end):
    scores = timeline.scores[place]
    kind = "score" if timeline.ranks is None else "rank"
    if timeline.ranks is None:
        numbers = [f"{score:.3f}" for score in scores.tolist()]
    else:
        numbers = ["-" if rank == UNLISTED else str(rank + 1) for rank in timeline.ranks[place].tolist()]
    spots = "".join(_mark(start, positive, mistake, end=end) for start, (positive, mistake) in sorted(marks.items()))
    return (
        f'<div class="row"><span>{escape(name)}</span><div class="strip" data-kind="{kind}" data-name="{escape(name)}" '
        f'data-n="{" ".join(numbers)}"><svg viewBox="0 0 {end} 1" preserveAspectRatio="none" aria-hidden="true">'
        f"{_shades(timeline.starts, timeline.ends(), scores)}</svg>{spots}</div></div>"
    )


def _shades(starts, ends, scores):
    """One path for all segments of a shade: a few bytes each, where an element each would make megabytes."""
    levels = np.rint(scores * _LEVELS).astype(np.int64)
    paths = ""
    for level in range(1, _LEVELS + 1):
        cells = "".join(f"M{starts[i]} 0h{ends[i] - starts[i]}v1h-{ends[i] - starts[i]}z" for i in np.flatnonzero(levels == level))
        if cells:
            paths += f'<path class="l{level}" d="{cells}"/>'
    return paths


def _mark(start, positive, mistake, *, end):
    said = f"rated {'positive' if positive else 'negative'}{_MISTAKES.get(mistake, '')}"
    kind = ("" if positive else " neg") + (" wrong" if mistake else "")
    return (
        f'<i class="mark{kind}" data-start="{start}" title="{said}" style="left:{100 * start / end:.2f}%;'
        f'width:{100 * min(SEGMENT_SECONDS, end - start) / end:.2f}%">{"+" if positive else "−"}</i>'
    )


def _ticks(end):
    step = next((step for step in (10, 30, 60, 300, 600, 3600) if end / step <= 6), 36000)
    marks = "".join(
        f'<span style="left:{100 * second / max(end, 1):.2f}%">{second // 60}:{second % 60:02}</span>'
        for second in range(0, end, step)
    )
    return f'<div class="row"><span class="ticks-name"></span><div class="ticks">{marks}</div></div>'
