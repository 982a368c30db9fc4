"""Tokenizers trained on texts of records."""

import dataclasses

import pytest

from tests.helpers.commands import passed, refused
from tests.helpers.records import make_video
from tests.helpers.texts import whole
from yt8m.data.making.tokenizer_training import read_record_texts, train_tokenizer
from yt8m.data.tokens import load_tokenizer
from yt8m.types import InputError

TEXTS = [
    *(f"The guitar and the ukulele, part {number}" for number in range(30)),
    *("云顶之弈新手教程", "云顶之弈高手", "原神新手教程", "原神云顶之弈直播", "杀手17云顶之弈"),
    *("Гитара и укулеле", "гитара для всех", "สวัสดีครับ", "नमस्ते दुनिया"),
]


def test_the_same_texts_give_the_same_file_in_any_order(tmp_path):
    """Of a hash table that is another one each time, which the library trains with, nothing is left."""
    contents = set()
    for texts in (TEXTS, [*reversed(TEXTS), *TEXTS], TEXTS[5:] + TEXTS[:5], TEXTS):
        train_tokenizer(iter(texts), tmp_path / "t.json", kind="wordpiece", vocabulary_size=150)
        contents.add((tmp_path / "t.json").read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize("kind", ["unigram", "wordpiece"])
def test_every_script_comes_back_from_its_tokens(tmp_path, kind):
    path = tmp_path / "tokenizer.json"
    size = train_tokenizer(iter(TEXTS), path, kind=kind, vocabulary_size=200)
    tokenizer = load_tokenizer(path)
    assert size <= 200 and tokenizer.size == size
    for numbers, _ in tokenizer.encode(TEXTS):
        assert len(numbers) and tokenizer.unknown not in numbers.tolist()
    (numbers, words), (latin, latin_words) = tokenizer.encode(["云顶之弈", "Guitar ☃ 17"])
    # Tokens of several characters are what unigram is for; each is a word of its own.
    assert len(numbers) == 4 if kind == "wordpiece" else len(numbers) <= 2
    assert words.tolist() == list(range(len(numbers)))
    assert tokenizer.unknown in latin.tolist() and len(set(latin_words.tolist())) == 3


def test_the_command_reads_records(tmp_path, write):
    videos = [
        dataclasses.replace(make_video(f"v{place}"), texts=(whole("asr", text),)) for place, text in enumerate(TEXTS)
    ]
    tagged = dataclasses.replace(make_video("t"), texts=(whole("tags", "Ω"),))
    path = write("v.tfrecord", *videos, tagged, make_video("none"))
    assert list(read_record_texts([path])) == [*TEXTS, "Ω"]
    said = passed("tokenizer", path, "--vocabulary_size=200", "--text_fields=asr", f"--output_file={tmp_path}/t.json")
    tokenizer = load_tokenizer(tmp_path / "t.json")
    assert f"{tokenizer.size:,} tokens" in said.stdout
    assert tokenizer.unknown in tokenizer.encode(["Ω"])[0][0].tolist()
    none = refused("tokenizer", path, "--text_fields=title", f"--output_file={tmp_path}/n.json")
    assert "there are no texts to train a tokenizer on" in none and not (tmp_path / "n.json").exists()
    assert "no files are named" in refused("tokenizer")


@pytest.mark.parametrize("kind", ["unigram", "wordpiece"])
def test_fewer_tokens_than_characters_are_refused(tmp_path, kind):
    with pytest.raises(InputError, match="more characters than a vocabulary of 20 tokens has room for"):
        train_tokenizer(iter(TEXTS), tmp_path / "t.json", kind=kind, vocabulary_size=20)
