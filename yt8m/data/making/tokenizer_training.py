"""A tokenizer trained on the texts of records, of any script."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from yt8m.data.scan import scan
from yt8m.data.text_fields import PREFIX, fields_of, keys_of, text_problem
from yt8m.data.tokens import import_tokenizers
from yt8m.runtime.files import write_text
from yt8m.runtime.progress import Progress
from yt8m.types import InputError, StrPath

UNKNOWN = "[UNK]"
_WITHIN = "##"
_LONGEST_WORD = 1000
"""Characters of a run without blanks that WordPiece looks at: sentences in Thai have no blanks."""

_MARK = PREFIX.encode()


def read_record_texts(files: Sequence[str], fields: Sequence[str] = ()) -> Iterator[str]:
    """Generator of the texts of records, in their order; fields: those wanted, all where empty.

    Raises InputError for a record or text that cannot be read.
    """
    with Progress("reading texts", total=len(files), unit="files") as progress:
        for file in files:
            for found in scan(file):
                where = f"{file}, record {found.number}"
                if found.serialized is None:
                    raise InputError(f"{where}: {found.problem}")
                if _MARK in found.serialized:
                    yield from _texts(found.serialized, fields, where)
            progress.update()


def _texts(serialized, fields, where):
    # Frames, which an Example has none of, are passed over.
    context = tf.train.Example.FromString(serialized).features.feature
    wanted = [field for field in sorted(fields_of(context)) if not fields or field in fields]
    if problem := text_problem(context, wanted):
        raise InputError(f"{where}: {problem}")
    for field in wanted:
        yield from (text.decode() for text in context[keys_of(field)[0]].bytes_list.value)


def train_tokenizer(texts: Iterator[str], path: StrPath, *, kind: str, vocabulary_size: int) -> int:
    """Writes the tokenizer.json that ``texts`` give to ``path``; returns the size of its vocabulary.

    kind: "wordpiece" (BERT's), for which each Chinese character is a word, the same file for the same texts; or
    "unigram" (Kudo 2018, SentencePiece's), whose tokens may be of several characters in scripts without blanks, and
    whose scores the library sums up in no fixed order. Texts are first in NFKC and lower case. Tokens are at most
    ``vocabulary_size``, and fewer where texts are few. Raises InputError where there are no texts, or more characters
    than tokens.
    """
    import_tokenizers()
    # Each once and sorted, so that neither repeated titles nor the order of files count.
    lines = sorted(set(texts))
    if not lines:
        raise InputError("there are no texts to train a tokenizer on: yt8m-pack --texts_csv writes them into records")
    too_few = f"the texts have more characters than a vocabulary of {vocabulary_size:,} tokens has room for: give more"
    try:
        tokenizer = {"unigram": _unigram, "wordpiece": _wordpiece}[kind](lines, vocabulary_size)
    except Exception as error:
        raise InputError(f"{too_few} ({error})") from error
    if tokenizer.get_vocab_size() > vocabulary_size:
        raise InputError(too_few)
    # Nothing is looked for in texts as it stands: no text says [UNK].
    described = json.loads(tokenizer.to_str()) | {"added_tokens": []}
    write_text(path, json.dumps(described, ensure_ascii=False, indent=1) + "\n")
    return len(described["model"]["vocab"])


def _unigram(lines: Sequence[str], size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=size, special_tokens=[UNKNOWN], unk_token=UNKNOWN, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer, len(lines))
    return tokenizer


def _wordpiece(lines: Sequence[str], size: int) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN, max_input_chars_per_word=_LONGEST_WORD))
    bert = normalizers.BertNormalizer(strip_accents=False, lowercase=True)
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), bert])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    # Of pairs as frequent as others those with the lower numbers are merged, and characters within words would have
    # theirs from a hash table. What is special is numbered first, as it is given.
    within: set[str] = set()
    for line in lines:
        words = tokenizer.pre_tokenizer.pre_tokenize_str(tokenizer.normalizer.normalize_str(line))
        within.update(*(word[1:] for word, _ in words))
    first = [UNKNOWN, *(f"{_WITHIN}{character}" for character in sorted(within))]
    trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=first, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer, len(lines))
    return tokenizer
