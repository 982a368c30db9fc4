"""An annotation, a class in a video, as files give it, and the count of what is not taken from them."""

import dataclasses
import warnings
from collections.abc import Iterator

from yt8m.types import DataWarning

EMPTY, UNCLEAR, UNTIMED, UNKNOWN, BARE = "empty", "unclear", "untimed", "unknown", "bare"
"""Intervals that end where they begin or before; those that THUMOS calls ambiguous; marks without a beginning and an
end; classes that a vocabulary does not have; videos without annotations."""

_SENTENCES = {
    EMPTY: "{count:,} of {total:,} annotations are left out, because they are no interval of seconds: the first is "
    "{first}",
    UNCLEAR: "{count:,} of {total:,} annotations are left out, because they are ambiguous: the first is {first}",
    UNTIMED: "{count:,} of {total:,} annotations are left out, because they have no beginning and end in time, or no "
    "class: the first is {first}",
    UNKNOWN: "{count:,} of {total:,} annotations are left out, because the vocabulary does not have their class: the "
    "first is {first}",
    BARE: "{count:,} videos have no annotations, the first {first}: with --rate_the_rest all of their segments are "
    "rated 0; --subset takes a part that has",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Annotation:
    """A class, named or given by its id, that a video has from ``start`` to ``end`` seconds, None where it is not said.

    where: file and line or field, for messages; line: its number, 0 where lines do not tell.
    """

    video_id: str
    name: str
    where: str
    start: float | None = None
    end: float | None = None
    score: float = 1.0
    line: int = 0


class Tally:
    """What was found in annotation files: ``total`` annotations, and by kind those left out."""

    def __init__(self):
        self.total = 0
        self.left_out: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, first: str) -> None:
        """Counts one; the first of a kind is kept."""
        count, known = self.left_out.get(kind, (0, first))
        self.left_out[kind] = count + 1, known

    def spanned(self, found: Annotation) -> Iterator[Annotation]:
        """Yields an annotation, or counts it where its times are no interval of seconds."""
        assert found.start is not None and found.end is not None
        if 0 <= found.start < found.end:
            yield found
        else:
            self.total += 1
            self.add(EMPTY, f"{found.where}, {found.start:g}-{found.end:g} s")

    def warn(self, path: str) -> None:
        """Tells what was left out, in a DataWarning each."""
        for kind, (count, first) in self.left_out.items():
            text = _SENTENCES[kind].format(count=count, total=self.total, first=first)
            warnings.warn(f"{path}: {text}", DataWarning, stacklevel=3)
