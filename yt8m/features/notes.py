"""Notes: what is said of a video while it is read, kept to be said once, wherever it was read."""

import contextlib
import warnings
from collections.abc import Iterator

from yt8m.types import DataWarning


@contextlib.contextmanager
def taking_notes(notes: list[str]) -> Iterator[None]:
    """Context whose DataWarnings are added to ``notes``, each text once, in place of being shown."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        yield
    for item in caught:
        if not issubclass(item.category, DataWarning):
            warnings.warn_explicit(item.message, item.category, item.filename, item.lineno)
        elif str(item.message) not in notes:
            notes.append(str(item.message))
