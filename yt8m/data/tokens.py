"""Tokens of texts: what a tokenizer makes of the texts of examples, and how several fields share the room there is.

Tokenizers are those of Hugging Face's ``tokenizers``, a tokenizer.json: JSON, without any code, of any algorithm. What
one adds to texts, as BERT's [CLS], is left out, because models have vectors of their own for it.
"""

import contextlib
import functools
import hashlib
import os
import tempfile
import warnings
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.config import DataConfig
from yt8m.data.python_calls import python_call
from yt8m.features.words.tokens import is_unspaced
from yt8m.runtime.files import parse_json, read_bytes
from yt8m.runtime.quiet_imports import standard_error_to
from yt8m.types import TEXTS, TOKEN_INPUTS, InputError, LongTextsWarning, StrPath

_MOST_BYTES = 128 << 20
"""Of a tokenizer.json: that of the largest multilingual models has a quarter of it."""

_MOST_TOKENS = 1 << 22
_CHARACTERS_A_TOKEN = 32
"""Characters of a text that are looked at for each token that there is room for."""

_RARE = "\U00012000 \U00016f00 \U0001f0a1"
"""Letters of cuneiform and Miao, and a playing card."""

_WHAT = "a tokenizer.json"


class Tokenizer:
    """The tokenizer of a file. Raises InputError where the file is none, or the package ``tokenizers`` is missing.

    size: V, tokens of its vocabulary, those that none has among them. unknown: number of what stands for characters
    that it does not know, None where there is no such. digest: SHA-256 of the file, in hex.
    """

    def __init__(self, path: StrPath):
        tokenizers = import_tokenizers()
        self._path, data = os.fspath(path), read_bytes(path, most=_MOST_BYTES)
        self.digest = hashlib.sha256(data).hexdigest()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(f"{self._path} is not {_WHAT}: byte {error.start:,} is no UTF-8") from error
        described = parse_json(text, self._path, what=_WHAT, fields={"model": dict})
        # A panic of Rust says itself on standard error.
        with tempfile.TemporaryFile() as panic, standard_error_to(panic), self._explained():
            self._tokenizer = tokenizers.Tokenizer.from_str(text)
            self._tokenizer.no_truncation()
            self._tokenizer.no_padding()
            vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
            # Letters that few know, so that what fails at the unknown fails now.
            self._tokenizer.encode_batch([_RARE] if vocabulary else [])
        self.size = max(vocabulary.values()) + 1 if vocabulary else 0
        self._check_vocabulary(vocabulary, described)
        model = described["model"]
        self.unknown: int | None = model.get("unk_id", vocabulary.get(model.get("unk_token")))
        self._apart = np.zeros(self.size, bool)
        for token, number in vocabulary.items():
            self._apart[number] = any(map(is_unspaced, token))

    @contextlib.contextmanager
    def _explained(self):
        """Context of calls of the package: its errors are Exceptions, and panics of Rust are not even that."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise InputError(f"{self._path} is not {_WHAT}: {reason}") from error

    def _check_vocabulary(self, vocabulary, described):
        """Raises InputError where texts have no tokens that are theirs alone, or numbers are too large."""
        if not vocabulary:
            raise InputError(f"{self._path} has an empty vocabulary: train it on texts")
        if self.size > _MOST_TOKENS:
            raise InputError(f"{self._path} has tokens up to number {self.size - 1:,}, more than {_MOST_TOKENS:,}")
        by_number: dict[int, str] = {}
        for token, number in vocabulary.items():
            if (other := by_number.setdefault(number, token)) != token:
                raise InputError(f"{self._path} gives number {number:,} to two tokens, {other!r} and {token!r}")
        if described["model"].get("dropout"):
            raise InputError(f"{self._path} has a dropout, by which a text has other tokens each time: set it to null")
        pieces = described["model"]["vocab"]
        if isinstance(pieces, list) and len(pieces) > len({piece for piece, _ in pieces}):
            raise InputError(f"{self._path} has a token twice in its vocabulary")
        for added in described.get("added_tokens") or ():
            if vocabulary.get(added["content"]) != added["id"]:
                raise InputError(
                    f"{self._path} has an added token {added['content']!r} of number {added['id']:,}, which does not "
                    f"go on from its vocabulary of {len(vocabulary):,}"
                )

    def encode(self, texts: list[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        """(numbers, words) of the tokens of each text, int32 (n,) both; words counts them from 0.

        The tokens of a word are those of what the tokenizer takes for one; in scripts that do not separate words, and
        where it does not tell, each token is a word.
        """
        with self._explained():
            encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        return [(numbers, self._words(numbers, encoding)) for encoding in encodings for numbers in [_ids(encoding)]]

    def _words(self, numbers, encoding):
        told = np.array([-1 if word is None else word for word in encoding.word_ids], np.int64)
        if not len(told):
            return numbers
        apart = self._apart[numbers] | (told < 0)
        begins = (told[1:] != told[:-1]) | apart[1:] | apart[:-1]
        return np.concatenate([[0], np.cumsum(begins)]).astype(np.int32)

    def __call__(self, texts: np.ndarray, *, max_tokens: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
        """Tokens, sources and words of examples, (..., max_tokens) int32 each; and how many examples are cut.

        texts: (..., F) array of bytes, UTF-8. tokens: number + 1. sources: number of the field + 1. words: a number
        from 1 on, the same for the tokens of a word. What is behind the tokens of an example is 0 in all of them. Field
        follows field; where they have more than max_tokens, see fair_shares.
        """
        longest = _CHARACTERS_A_TOKEN * max_tokens
        whole = [text.decode() for text in texts.reshape(-1).tolist()]
        encoded = self.encode([text[:longest] for text in whole])
        lengths = np.array([len(numbers) for numbers, _ in encoded], np.int64).reshape(-1, texts.shape[-1])
        taken = fair_shares(lengths, max_tokens)
        made = np.zeros((3, len(lengths), max_tokens), np.int32)
        for row in range(len(lengths)):
            first = word = 0
            for field, count in enumerate(taken[row].tolist()):
                numbers, words = (part[:count] for part in encoded[row * texts.shape[-1] + field])
                if count:
                    filled = slice(first, first + count)
                    made[0, row, filled], made[1, row, filled] = numbers + 1, field + 1
                    made[2, row, filled] = words + (word + 1)
                    first, word = first + count, word + int(words[-1]) + 1
        long = np.array([len(text) > longest for text in whole]).reshape(lengths.shape)
        cut = ((taken < lengths) | long).any(axis=1)
        tokens, sources, words = made.reshape(3, *texts.shape[:-1], max_tokens)
        return tokens, sources, words, int(cut.sum())


def import_tokenizers() -> Any:
    """The package ``tokenizers``; InputError where it is not installed."""
    try:
        import tokenizers
    except ImportError as error:
        raise InputError("texts need the package tokenizers: pip install 'yt8m[text]'") from error
    return tokenizers


def load_tokenizer(path: StrPath) -> Tokenizer:
    """The Tokenizer of a file as it is now; loaded once."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot read {os.fspath(path)}: {error.strerror}") from error
    return _load(os.fspath(path), status.st_mtime_ns, status.st_size)


def facts_of_tokenizer(path: StrPath) -> dict[str, Any]:
    """The fields of a TextConfig that say which tokenizer it is."""
    tokenizer = load_tokenizer(path)
    return {"vocabulary_size": tokenizer.size, "digest": tokenizer.digest}


@functools.lru_cache(8)
def _load(path, *_):
    return Tokenizer(path)


def _ids(encoding):
    return np.array(encoding.ids, np.int32)


def fair_shares(lengths: np.ndarray, limit: int) -> np.ndarray:
    """How many of ``lengths`` (N, F) tokens each field of an example keeps, so that the sum is at most ``limit``.

    Max-min fairness: no field has less than another unless it needs no more.
    """
    left = np.full(len(lengths), limit, np.int64)
    taken = np.zeros_like(lengths)
    rows, number = np.arange(len(lengths)), lengths.shape[1]
    for place, field in enumerate(np.argsort(lengths, axis=1, kind="stable").T):
        taken[rows, field] = np.minimum(lengths[rows, field], left // (number - place))
        left -= taken[rows, field]
    return taken


def with_tokens(features: dict[str, Any], config: DataConfig) -> dict[str, Any]:
    """Features, of which "texts" (..., F), see yt8m.data.texts, are made "tokens", "token_sources" and "token_words".

    Those are (..., config.text.max_tokens) int32, as a Tokenizer gives them. One call for a batch, in which the package
    works on several cores. The first that is cut is told. Raises InputError where the tokenizer is not the run's.
    """
    settings = config.text
    tokenizer = load_tokenizer(settings.tokenizer)
    if tokenizer.size != settings.vocabulary_size:
        raise InputError(
            f"{settings.tokenizer} has {tokenizer.size:,} tokens, and the model was made for "
            f"{settings.vocabulary_size:,}: it is another tokenizer"
        )
    if settings.digest not in ("", tokenizer.digest):
        raise InputError(f"{settings.tokenizer} is another tokenizer than the model was made for, or damaged")

    def tokenize(texts):
        *made, cut = tokenizer(texts, max_tokens=settings.max_tokens)
        if cut:
            text = f"an example has more than the {settings.max_tokens:,} tokens that are read, as --max_tokens says"
            warnings.warn(
                f"{text}: its fields are cut to equal shares, here as in others", LongTextsWarning, stacklevel=2
            )
        return made

    features = dict(features)
    texts = features.pop(TEXTS)
    made = python_call(tokenize, [texts], [tf.int32] * len(TOKEN_INPUTS))
    shape = [*texts.shape[:-1], settings.max_tokens]
    return features | {name: tf.ensure_shape(values, shape) for name, values in zip(TOKEN_INPUTS, made)}
