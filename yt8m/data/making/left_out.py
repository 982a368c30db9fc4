"""What packing leaves out of the records: counted, with the first of each kind, and said."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

UNEVEN, BEHIND, SHORT, PAST, LABEL = "uneven", "behind", "short", "past", "label"
"""Videos whose features differ in length; intervals behind the end of their video, too short to rate anything, or past
the end in part; labels of videos whose intervals rate nothing."""


class LeftOut:
    """Counts by kind; ``entries``, a JSON-able dict of kind to [count, place of the first, words on it]."""

    def __init__(self, entries: Mapping[str, list] | None = None):
        self.entries: dict[str, list] = dict(entries or {})

    def add(self, kind: str, place: int, words: str, count: int = 1) -> None:
        """Counts one, or ``count``; that with the least ``place``, say a line of a file, is shown."""
        known, first, shown = self.entries.get(kind, (0, place, words))
        self.entries[kind] = [known + count, *min((first, shown), (place, words))]

    @classmethod
    def merged(cls, parts: Iterable[Mapping[str, list]]) -> "LeftOut":
        """All of several entries together."""
        whole = cls()
        for entries in parts:
            for kind, (count, place, words) in entries.items():
                whole.add(kind, place, words, count)
        return whole

    def sentences(self, **facts: Any) -> Iterator[str]:
        """Yields what a user should know.

        facts: csv, the file of the intervals, and num_intervals in it; min_overlap, in seconds; num_videos; num_cut,
        frames that features have past the shortest. A place of 0 is none.
        """
        for kind, text in _SENTENCES.items():
            if kind in self.entries:
                count, place, words = self.entries[kind]
                at = f"on line {place}, " if place else ""
                yield text.format(count=count, at=at, words=words, **facts)


_SENTENCES = {
    UNEVEN: "{count:,} of {num_videos:,} videos have features of different lengths and are cut to the shortest, by "
    "{num_cut:,} frames in all: the first is {words}",
    BEHIND: "{csv}: {count:,} of {num_intervals:,} intervals rate nothing, because they lie behind the end of their "
    "video: the first {at}{words}; times are in seconds",
    SHORT: "{csv}: {count:,} of {num_intervals:,} intervals rate nothing, because they cover less than {min_overlap:g} "
    "s of each segment (--min_overlap): the first {at}{words}",
    PAST: "{csv}: {count:,} of {num_intervals:,} intervals go on behind the end of their video, where they rate "
    "nothing: the first {at}{words}",
    LABEL: "{csv}: labels of videos that are lost with intervals that rate nothing: {count:,}, the first {words}",
}
