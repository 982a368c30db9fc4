"""Titles, transcripts and tags of the synthetic YouTube-8M, and pairs of its videos with their similarity.

What makes them like real ones: they name what is shown, often and not always, and say what no picture shows, the topic
of a video; they are in several languages and scripts, of which some have no blanks; most words say nothing; any may be
missing. Speech is timed, and names what is there at that time. The similarity of two videos is half of what is
shown in both and half of their topics, so that neither pictures nor texts alone tell it.
"""

import dataclasses
import io
from collections.abc import Sequence

import numpy as np

from yt8m.types import TimedText

TOPICS = 12
_TOPIC_WORDS, _FILLERS = 8, 150
_MISSING = {"title": 0.1, "asr": 0.3, "tags": 0.5}
_NAMED, _SPOKEN = 0.6, 0.7
"""Probability that a title names a class that its video shows, and speech one that is there."""

_SENTENCE_SECONDS = 6
_NOISE = 0.05
_PAIRS_A_VIDEO = 4
_LANGUAGES = {
    "latin": (0.6, " ", "bcdfgklmnprst", "aeiou"),
    "cyrillic": (0.15, " ", "бвгдклмнпрст", "аеиоу"),
    "chinese": (0.2, "", "山水火木金土日月人口手足雨雪风云花草鸟鱼", "上下大小中白红青黑高长新老明东西南北"),
    "devanagari": (0.05, " ", "कगचजटडतदनपबमरलवस", "ािीुूेो"),
}
"""How often each is, what joins its words, and the beginnings and ends of its syllables."""


@dataclasses.dataclass(frozen=True)
class Hidden:
    """What decides the similarity of a video: shown (C,) float, the classes that are there; topics (TOPICS,) float."""

    shown: np.ndarray
    topics: np.ndarray

    def similarity(self, other: "Hidden") -> float:
        """In [0, 1]: the mean of the cosines of what is shown and of the topics."""
        return float(_cosine(self.shown, other.shown) + _cosine(self.topics, other.topics)) / 2


class TextWorld:
    """Words of classes, topics and nothing in each language. names: of the classes, their words in Latin letters."""

    def __init__(self, rng: np.random.Generator, names: Sequence[str]):
        self._classes, self._topics, self._fillers = {}, {}, {}
        taken = {name.lower() for name in names}
        for language in _LANGUAGES:
            self._classes[language] = [_new_word(rng, language, taken) for _ in names]
            self._topics[language] = [
                [_new_word(rng, language, taken) for _ in range(_TOPIC_WORDS)] for _ in range(TOPICS)
            ]
            self._fillers[language] = [_new_word(rng, language, taken) for _ in range(_FILLERS)]
        self._classes["latin"] = [name.lower() for name in names]
        # As in any language, a few words are most of what is said.
        self._rarity = 1 / np.arange(1, _FILLERS + 1)
        self._rarity /= self._rarity.sum()

    def draw(self, rng: np.random.Generator, activity: np.ndarray) -> tuple[tuple[TimedText, ...], Hidden]:
        """The texts of a video and what they are made of. activity: (seconds, C) float, how much a class is there."""
        shown = activity.max(axis=0) > 0
        topics = np.zeros(TOPICS)
        topics[rng.choice(TOPICS, size=rng.integers(1, 3), replace=False)] = 1
        language = rng.choice(list(_LANGUAGES), p=[settings[0] for settings in _LANGUAGES.values()])
        missing = {field: rng.random() < share for field, share in _MISSING.items()}
        texts = []
        if not missing["title"]:
            words = self._class_words(rng, language, shown, _NAMED) + self._topic_words(rng, language, topics, 3)
            texts.append(_whole("title", self._sentence(rng, language, words, fillers=3)))
        if not missing["tags"]:
            tags = self._class_words(rng, language, shown, _NAMED) + self._topic_words(rng, language, topics, 1)
            texts += [_whole("tags", tag) for tag in tags]
        if not missing["asr"]:
            texts += self._speech(rng, language, activity, topics)
        return tuple(texts), Hidden(shown.astype(float), topics)

    def _speech(self, rng, language, activity, topics):
        for start in range(0, len(activity), _SENTENCE_SECONDS):
            end = min(start + _SENTENCE_SECONDS, len(activity))
            there = activity[start:end].mean(axis=0) > 0.5
            words = self._class_words(rng, language, there, _SPOKEN)
            words += self._topic_words(rng, language, topics, int(rng.integers(0, 3)))
            yield TimedText(float(start), float(end), "asr", self._sentence(rng, language, words, fillers=4))

    def _class_words(self, rng, language, shown, share):
        return [self._classes[language][index] for index in np.flatnonzero(shown) if rng.random() < share]

    def _topic_words(self, rng, language, topics, count):
        drawn = rng.choice(np.flatnonzero(topics), size=count)
        return [self._topics[language][topic][rng.integers(_TOPIC_WORDS)] for topic in drawn]

    def _sentence(self, rng, language, words, *, fillers):
        words = words + [self._fillers[language][place] for place in rng.choice(_FILLERS, size=fillers, p=self._rarity)]
        return _LANGUAGES[language][1].join(words[place] for place in rng.permutation(len(words)))


def draw_pairs(rng: np.random.Generator, videos: Sequence[tuple[str, Hidden]]) -> str:
    """CSV ``id_a,id_b,score`` of annotated pairs of ``videos``, of id and Hidden, each four times as the first.

    Every second one is with the most similar of ten: of pairs at random most have nothing in common. The score is the
    similarity with the error of annotators, in [0, 1].
    """
    table = io.StringIO()
    table.write("id_a,id_b,score\n")
    for place, (video_id, hidden) in enumerate(videos):
        others = len(videos) - 1
        for number in range(_PAIRS_A_VIDEO if others else 0):
            drawn = rng.choice(others, size=min(others, 10 if number % 2 else 1), replace=False)
            candidates = (videos[other + (other >= place)] for other in drawn)
            other_id, other = max(candidates, key=lambda video: hidden.similarity(video[1]))
            score = np.clip(hidden.similarity(other) + _NOISE * rng.standard_normal(), 0, 1)
            table.write(f"{video_id},{other_id},{score:.3f}\n")
    return table.getvalue()


def truth_table(videos: Sequence[tuple[str, Hidden]]) -> str:
    """CSV ``video_id,classes,topics`` of ``videos``, of id and Hidden: the numbers of those there, blanks between."""
    rows = ["video_id,classes,topics"]
    for video_id, hidden in videos:
        numbers = (" ".join(map(str, np.flatnonzero(part))) for part in (hidden.shown, hidden.topics))
        rows.append(",".join((video_id, *numbers)))
    return "\n".join(rows) + "\n"


def _whole(field, text):
    return TimedText(0.0, np.inf, field, text)


def _new_word(rng, language, taken):
    _, joint, beginnings, ends = _LANGUAGES[language]
    while True:
        syllables = int(rng.integers(2, 4)) if joint else 1
        word = "".join(rng.choice(list(beginnings)) + rng.choice(list(ends)) for _ in range(syllables))
        if word not in taken:
            taken.add(word)
            return word


def _cosine(one, other):
    return one @ other / np.sqrt((one @ one) * (other @ other))
