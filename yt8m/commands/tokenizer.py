"""Training of a tokenizer on the texts of records, for models that read texts.

  yt8m-tokenizer 'train/*.tfrecord' --output_file=tokenizer.json --vocabulary_size=16000
  train.py --model=multimodal_bert --tokenizer=tokenizer.json --train_data_pattern='train/*.tfrecord' ...

The file is a tokenizer.json of Hugging Face's tokenizers; one that is there already does as well. docs/text.md.
"""

import dataclasses

from yt8m.commands import command_line
from yt8m.data.making.settings import TOKENIZERS
from yt8m.options import option
from yt8m.types import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizerOptions(command_line.Options):
    """Options of the training of a tokenizer."""

    output_file: str = option("tokenizer.json", "File of the tokenizer.")
    kind: str = option(
        "wordpiece",
        "Algorithm: wordpiece, BERT's, each Chinese character a word, the same for the same texts; unigram, "
        "SentencePiece's, with tokens of several characters in scripts without blanks too.",
        choices=TOKENIZERS,
    )
    vocabulary_size: int = option(
        16_000, "Most tokens of the vocabulary; few texts give fewer.", unit="tokens", low=16, high=1_000_000
    )
    text_fields: tuple[str, ...] = option((), "Texts to train on, as in title,asr.", defaults_to="all texts")


def main(options: TokenizerOptions, patterns: list[str]) -> None:
    """Trains it."""
    from yt8m.data.making.tokenizer_training import read_record_texts, train_tokenizer
    from yt8m.data.tfrecord import list_files
    from yt8m.runtime.files import check_writable

    if not patterns:
        raise InputError("no files are named: give paths or globs of records, as in 'train/*.tfrecord'")
    check_writable(options.output_file)
    texts = read_record_texts(list_files(patterns), options.text_fields)
    size = train_tokenizer(texts, options.output_file, kind=options.kind, vocabulary_size=options.vocabulary_size)
    print(f"wrote {options.output_file}: {size:,} tokens")


def run() -> None:
    """Entry point of the console script."""
    command_line.run(main, TokenizerOptions, takes_files=True)


if __name__ == "__main__":
    run()
