"""Small tokenizers, and texts of which it is known what they give."""

import json
import math

from yt8m.config import TextConfig
from yt8m.types import TimedText

VOCABULARY = {"[UNK]": 0, "cat": 1, "##s": 2, "dog": 3, "山": 4, "##水": 5, "sea": 6}


def write_tokenizer(path, vocabulary=VOCABULARY, **changes):
    """A WordPiece tokenizer of a few tokens, lower case, words between blanks."""
    described = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    }  # fmt: skip
    path.write_text(json.dumps(described | changes))
    return str(path)


def whole(field, text):
    """A text of a whole video."""
    return TimedText(0.0, math.inf, field, text)


def text_config(path, fields=("title", "asr"), max_tokens=6):
    """The TextConfig that reads ``fields`` by the tokenizer of write_tokenizer."""
    return TextConfig(fields=fields, tokenizer=path, max_tokens=max_tokens, vocabulary_size=len(VOCABULARY))
