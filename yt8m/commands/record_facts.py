"""What records and the files beside them say where flags leave it open: features, their sizes, the vocabulary."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from yt8m.config import DataConfig
from yt8m.runtime.files import read_json
from yt8m.types import MAX_RECORD_VIEWS, InputError, view_name


def default_features(available: dict[str, int]) -> tuple[str, ...]:
    """Names in the field's usual order: rgb before audio, and further ones as the file has them; of views the first."""
    views = {view_name(name, view) for name in available for view in range(1, MAX_RECORD_VIEWS)}
    available = {name: size for name, size in available.items() if name not in views}
    usual = [name for name in ("rgb", "audio", "mean_rgb", "mean_audio") if name in available]
    return (*usual, *(name for name in available if name not in usual))


def found_num_classes(file: str) -> int:
    """Size of the vocabulary as the folder of the records or the one above says it, YouTube-8M's where neither does."""
    from yt8m.vocabulary import read_class_names

    folder = os.path.dirname(file) or "."
    for place in (folder, os.path.join(folder, os.pardir)):
        for name in ("pack.json", "manifest.json"):
            path = os.path.normpath(os.path.join(place, name))
            found = _num_classes_in(path) if os.path.exists(path) else None
            if found:
                _tell(f"num_classes is {found}, as {path} says")
                return found
        path = os.path.normpath(os.path.join(place, "vocabulary.csv"))
        if os.path.exists(path):
            found = max(read_class_names(path), default=-1) + 1
            if found:
                _tell(f"num_classes is {found}, as {path} has them")
                return found
    default = DataConfig().num_classes
    _tell(
        f"num_classes is {default}, as in YouTube-8M: neither --num_classes nor a pack.json or vocabulary.csv beside "
        "the records says otherwise"
    )
    return default


def _num_classes_in(path):
    """What a JSON file says, None where it does not."""
    try:
        found = read_json(path, fields={"num_classes": int})["num_classes"]
    except InputError:
        return None
    return found if found > 0 else None


def _tell(text):
    # Not a result: standard output has those alone.
    print(text, file=sys.stderr)


def found_sizes(names: Sequence[str], available: dict[str, int], file: str) -> tuple[int, ...]:
    """Sizes of the features ``names`` of those ``available`` in the first record of ``file``; InputError for others."""
    missing = [name for name in names if name not in available]
    if missing:
        raise InputError(
            f"{file}, record 0 has no feature {', '.join(missing)}; it has {', '.join(available) or 'none'}"
        )
    return tuple(available[name] for name in names)


def text_settings(file: str, *, known: Mapping[str, Any], given: Mapping[str, Any], wanted: bool) -> dict[str, Any]:
    """Fields of the TextConfig of a model on records of ``file``; what flags leave open is that of the first records.

    known: of a run to start from; given: by flags. wanted: whether the model reads texts. Raises InputError for flags
    that it has no use for, and where fields or tokenizer are missing.
    """
    if not wanted:
        if given:
            raise InputError(
                "--text_fields, --tokenizer and --max_tokens are for --model=multimodal_bert: leave them out"
            )
        return {}
    from yt8m.data.scan import probe
    from yt8m.data.tokens import facts_of_tokenizer

    chosen = {**known, **given}
    if not chosen.get("fields"):
        chosen["fields"] = probe([file]).texts
        if not chosen["fields"]:
            raise InputError(
                f"{file} holds no texts in its first records: yt8m-pack --texts_csv writes them, see docs/text.md"
            )
        _tell(f"text_fields is {','.join(chosen['fields'])}, as the first records of {file} have them")
    if not chosen.get("tokenizer"):
        raise InputError("--tokenizer must be given: yt8m-tokenizer trains one on the texts of records")
    return chosen | facts_of_tokenizer(chosen["tokenizer"])
