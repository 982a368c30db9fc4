"""Tokens of text in any script: a word where words are separated, a character where they are not."""

import functools
import re
import unicodedata

_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u31f0-\u31ff\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Characters of scripts that do not separate words, Thai, Lao, Burmese, Khmer, Japanese and Chinese, or that join
particles to them, Korean."""

_ACCENTS = re.compile("[\u0300-\u036f]")
_CYRILLIC_ENDING = re.compile("(?<=[\u0430-\u04ff]{4})[аеиоуыэюяймьх]{1,3}$")


@functools.lru_cache(maxsize=1 << 16)
def tokens(text: str) -> tuple[str, ...]:
    """The tokens of a text, compatible forms (NFKC), case and accents apart, without plural and Russian case endings.

    Of scripts without spaces each character is a token, so that a name is found within a sentence as tokens in a row.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    plain = unicodedata.normalize("NFC", _ACCENTS.sub("", plain))
    found, word = [], ""
    for character in plain:
        unspaced = is_unspaced(character)
        if not unspaced and unicodedata.category(character)[0] in "LMN":
            word += character
            continue
        if word:
            found.append(_stem(word))
        word = ""
        if unspaced:
            found.append(character)
    return tuple([*found, _stem(word)] if word else found)


def is_unspaced(token: str) -> bool:
    """Whether a token is a character of a script that does not separate words."""
    return len(token) == 1 and _UNSPACED.match(token) is not None


def _stem(word):
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith("s") and len(word) > 3 and not word.endswith("ss"):
        return word[:-1]
    return _CYRILLIC_ENDING.sub("", word)
