"""What a survey finds in the texts of records: who has them, their lengths and scripts, and what is unknown."""

import collections
import functools
import unicodedata
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from yt8m.data.survey.findings import Findings
from yt8m.data.text_fields import PREFIX, fields_of, keys_of, text_problem
from yt8m.data.tokens import Tokenizer

_MARK = PREFIX.encode()


class FieldTally:
    """Counts of a field: videos, texts, and timed, those of a part; lengths, Counter of the characters of a video.

    scripts: Counter of letters by script. tokens, unknown: of all its texts.
    """

    def __init__(self):
        self.videos = self.texts = self.timed = self.tokens = self.unknown = 0
        self.lengths: collections.Counter[int] = collections.Counter()
        self.scripts: collections.Counter[str] = collections.Counter()


class TextTally:
    """Counts of the texts of good records. tokenizer: by which tokens are counted, None for none.

    fields: dict of field to FieldTally. lengths: Counter of the tokens of all texts of a video, of those that have any.
    """

    def __init__(self, tokenizer: Tokenizer | None = None):
        self.tokenizer = tokenizer
        self.fields: dict[str, FieldTally] = {}
        self.lengths: collections.Counter[int] = collections.Counter()

    def add(self, records: Sequence[bytes], good: np.ndarray, findings: Findings, place: Callable[[int], str]) -> None:
        """Counts the ``good`` (B,) bool of serialized ``records``; what is wrong with texts becomes a finding.

        place: function of a row to words on it.
        """
        found: list[tuple[int, str, str]] = []
        for row in np.flatnonzero(good).tolist():
            if _MARK not in records[row]:
                continue
            # Frames, which an Example has none of, are passed over.
            context = tf.train.Example.FromString(records[row]).features.feature
            fields = sorted(fields_of(context))
            if problem := text_problem(context, fields):
                findings.error(problem, place(row))
                continue
            found += [(row, field, text) for field in fields if (text := self._count(context, field))]
        if self.tokenizer is not None and found:
            self._count_tokens(found)

    def _count(self, context, field):
        """The texts of a field of a record, joined."""
        values, starts, _ = keys_of(field)
        texts = [text.decode() for text in context[values].bytes_list.value] if values in context else []
        if not texts:
            return ""
        tally = self.fields.setdefault(field, FieldTally())
        joined = " ".join(texts)
        tally.videos += 1
        tally.texts += len(texts)
        tally.timed += starts in context and len(context[starts].float_list.value) > 0
        tally.lengths[len(joined)] += 1
        for character, count in collections.Counter(joined).items():
            if script := script_of(character):
                tally.scripts[script] += count
        return joined

    def _count_tokens(self, found):
        assert self.tokenizer is not None
        of_video: collections.Counter[int] = collections.Counter()
        for (row, field, _), (numbers, _) in zip(found, self.tokenizer.encode([text for _, _, text in found])):
            tally = self.fields[field]
            tally.tokens += len(numbers)
            tally.unknown += int((numbers == self.tokenizer.unknown).sum()) if self.tokenizer.unknown is not None else 0
            of_video[row] += len(numbers)
        self.lengths.update(of_video.values())

    def facts(self, *, max_tokens: int) -> dict[str, Any]:
        """The counts, as JSON has them; empty where there are no texts."""
        facts: dict[str, Any] = {
            field: {
                "videos": tally.videos,
                "texts": tally.texts,
                "videos_with_times": tally.timed,
                "characters": spread(tally.lengths),
                "scripts": dict(tally.scripts.most_common()),
                **({"tokens": tally.tokens, "unknown_tokens": tally.unknown} if self.tokenizer else {}),
            }
            for field, tally in sorted(self.fields.items())
        }
        if not (facts and self.tokenizer):
            return {"fields": facts} if facts else {}
        cut = sum(count for length, count in self.lengths.items() if length > max_tokens)
        tokens = {"max_tokens": max_tokens, "videos_with_more": cut, **spread(self.lengths)}
        return {"fields": facts, "tokens_of_a_video": tokens}


@functools.lru_cache(1 << 16)
def script_of(character: str) -> str:
    """The script of a letter, by the first word of its name in Unicode, as Latin or Cjk; "" for what is no letter."""
    character = unicodedata.normalize("NFKC", character)[:1]
    if not character or unicodedata.category(character)[0] != "L":
        return ""
    return unicodedata.name(character, "unnamed").split()[0].split("-")[0].capitalize()


def spread(lengths: collections.Counter[int]) -> dict[str, int]:
    """Least, median and most of a Counter of numbers, not empty."""
    values = np.array(sorted(lengths))
    ends = np.cumsum([lengths[value] for value in values])
    return {
        "least": int(values[0]),
        "median": int(values[np.searchsorted(ends, 0.5 * ends[-1])]),
        "most": int(values[-1]),
    }


def text_lines(facts: dict[str, Any], records: int) -> list[str]:
    """Lines of a page on what TextTally.facts gives; records: good ones of all."""
    if not facts:
        return []
    lines = []
    for field, found in facts["fields"].items():
        length, letters = found["characters"], sum(found["scripts"].values())
        timed = f", {found['videos_with_times']:,} with times" if found["videos_with_times"] else ""
        lines.append(
            f"{'' if lines else 'texts':<10} {field}: in {found['videos']:,} of {records:,} videos{timed}; "
            f"{length['least']:,} to {length['most']:,} characters, half of them at most {length['median']:,}"
        )
        scripts = ", ".join(f"{script} {count / letters:.1%}" for script, count in list(found["scripts"].items())[:6])
        unknown = f"; of {found['tokens']:,} tokens {_share(found)} unknown" if "tokens" in found else ""
        lines.append(f"{'':<10} letters: {scripts or 'none'}{unknown}")
    if tokens := facts.get("tokens_of_a_video"):
        lines.append(
            f"{'':<10} tokens of a video: {tokens['least']:,} to {tokens['most']:,}, half of them at most "
            f"{tokens['median']:,}; {tokens['videos_with_more']:,} videos have more than {tokens['max_tokens']:,}"
        )
    return lines


def _share(found):
    return f"{found['unknown_tokens'] / max(found['tokens'], 1):.2%}"
