"""Names of classes found in texts: exactly, and where text was read off a picture also with what reading gets wrong."""

import collections
import dataclasses
import functools
import re
import warnings
from collections.abc import Callable, Iterable, Mapping

from yt8m.features.words.tokens import is_unspaced, tokens
from yt8m.tables import read_rows
from yt8m.types import DataWarning, InputError, StrPath

_LETTERS_PER_ERROR = 8
"""Letters of a name for each that may be wrong: shorter words have too many others that differ by one letter."""

_SHORTEST_MISREAD = 5
_LONGEST_MISREAD = 3
"""Least letters, and most tokens, of what is looked at for a name that was misread."""

_SURE_WORDS, _SURE_CHARACTERS = 2, 3
"""Tokens of a name, of words or of characters of scripts without spaces, that are hardly met by accident."""

_SHORT, _MISREAD = 0.5, 0.5
"""Factors of what a match says: of a name with fewer tokens, and of one with errors."""

_NOTE = re.compile(r"\s*[(（].*?[)）]")
_LOOKALIKES = str.maketrans("1l|0589", "iiiosbg")
_PAIRS = {"rn": "m", "vv": "w"}


@dataclasses.dataclass(frozen=True)
class Match:
    """A class whose name stands in a text: ``key``, its tokens joined; ``strength`` in (0, 1], what that says of it."""

    class_id: int
    key: str
    strength: float


class NameMatcher:
    """Finds classes by their names, and by aliases.

    names: dict of class id to name; what stands in parentheses tells names apart and is not looked for. aliases: pairs
    of class id and another name, which goes before names. Classes that share a name share its strength. Names of one
    character in scripts without spaces are not looked for, which is told in a DataWarning.
    """

    def __init__(self, names: Mapping[int, str], aliases: Iterable[tuple[int, str]] = ()):
        self._classes = _keys(names.items()) | _keys(aliases)
        self._longest = max((len(key) for key in self._classes), default=0)
        self._words = {word for key in self._classes for word in key}
        self._folded: dict[str, list[str]] = {}
        self._compact: dict[str, tuple[str, ...]] = {}
        for key in self._classes:
            text = "".join(key)
            if len(text) >= _SHORTEST_MISREAD and not any(map(is_unspaced, key)) and text not in self._compact:
                self._compact[text] = key
                self._folded.setdefault(_folded(text), []).append(text)
        self._long = {text: _folded(text) for text in self._compact if len(text) >= _LETTERS_PER_ERROR}
        self._cached = functools.lru_cache(maxsize=1 << 16)(self._matches)

    def __call__(self, text: str, *, misread: bool = False) -> list[Match]:
        """The Matches in a text, longest names first, no word in two names.

        misread: whether letters may be wrong and blanks missing, as in what was read off a picture.
        """
        return self._cached(text, misread)

    def _matches(self, text, misread):
        words = tokens(text)
        used = [False] * len(words)
        found = []
        for size in range(min(self._longest, len(words)), 0, -1):
            for first in range(len(words) - size + 1):
                key = words[first : first + size]
                if key in self._classes and not any(used[first : first + size]):
                    found += self._found(key, 1.0)
                    used[first : first + size] = [True] * size
        return [*found, *self._misread(words, used)] if misread else found

    def _misread(self, words, used):
        for size in range(min(_LONGEST_MISREAD, len(words)), 0, -1):
            for first in range(len(words) - size + 1):
                part = words[first : first + size]
                if any(used[first : first + size]) or any(map(is_unspaced, part)):
                    continue
                # A word of the vocabulary was read right.
                name = None if size == 1 and part[0] in self._words else self._nearest("".join(part))
                if name is not None:
                    used[first : first + size] = [True] * size
                    yield from self._found(self._compact[name], _MISREAD)

    def _found(self, key, factor):
        ids = self._classes[key]
        strength = factor * (1.0 if _is_sure(key) else _SHORT) / len(ids)
        return [Match(class_id, " ".join(key), strength) for class_id in ids]

    def _nearest(self, text):
        """The name that looks like ``text``, or differs by the errors that its length allows; None for several."""
        if len(text) < _SHORTEST_MISREAD - 1:
            return None
        folded = _folded(text)
        alike = [name for name in self._folded.get(folded, ()) if _digits_agree(name, text)]
        if alike or len(text) < _LETTERS_PER_ERROR - 1:
            return alike[0] if len(alike) == 1 else None
        process, distance = _rapidfuzz()
        # One more letter may have been read than there are.
        limit = (len(text) + 1) // _LETTERS_PER_ERROR
        near = [
            (errors, name)
            for _, errors, name in process.extract(folded, self._long, scorer=distance, score_cutoff=limit, limit=5)
            if errors <= len(name) // _LETTERS_PER_ERROR and _digits_agree(name, text)
        ]
        best = [name for errors, name in near if errors == min(near)[0]]
        return best[0] if len(best) == 1 else None


def read_aliases(path: StrPath, read_class: Callable[[str, str], int]) -> list[tuple[int, str]]:
    """List of (class id, alias) from a CSV ``class,alias``; a first line of these words is a header.

    read_class: (text, words on its place) -> class id, as ClassIds.read. Raises InputError naming file and line.
    """
    found = []
    for number, row in enumerate(read_rows(path)):
        row.expect("class,alias", 2)
        if number or [field.lower() for field in row.fields] != ["class", "alias"]:
            if not tokens(row.fields[1]):
                raise InputError(f"{row.where}: the alias {row.fields[1]!r} has neither letters nor digits")
            found.append((read_class(row.fields[0], row.where), row.fields[1]))
    return found


def _keys(named):
    """Dict of the tokens of each name to the ascending ids of the classes that have it."""
    classes = collections.defaultdict(set)
    short = []
    for class_id, name in named:
        key = tokens(_NOTE.sub("", name)) or tokens(name)
        if len(key) == 1 and is_unspaced(key[0]):
            short.append(name)
        elif key:
            classes[key].add(class_id)
    if short:
        text = (
            f"{len(short):,} names of classes are not looked for in texts, because they are one character, which "
            f"stands in too many words: the first is {short[0]}"
        )
        warnings.warn(text, DataWarning, stacklevel=4)
    return {key: tuple(sorted(ids)) for key, ids in classes.items()}


def _is_sure(key):
    characters = sum(map(is_unspaced, key))
    return characters >= _SURE_CHARACTERS or len(key) - characters >= _SURE_WORDS


def _folded(text):
    """A text with one letter for those that look alike."""
    for pair, letter in _PAIRS.items():
        text = text.replace(pair, letter)
    return text.translate(_LOOKALIKES)


def _digits_agree(name, text):
    """Whether the numbers of a name were read as they are: FIFA 15 is no FIFA 16; basketbal1 has no number to be."""
    digits = re.findall(r"\d", name)
    return not digits or digits == re.findall(r"\d", text)


def _rapidfuzz():
    try:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA
    except ImportError:
        raise InputError("to know names that were misread rapidfuzz is needed: pip install 'yt8m[ocr]'") from None
    return process, OSA.distance
