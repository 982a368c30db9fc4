"""What yt8m-doctor says of texts."""

import dataclasses

from tests.helpers.commands import call, passed, refused
from tests.helpers.records import CONFIG, make_video
from tests.helpers.texts import whole, write_tokenizer
from yt8m.data.survey.summary import page, summarize
from yt8m.data.survey.survey import Survey
from yt8m.data.survey.texts import script_of
from yt8m.data.tokens import load_tokenizer
from yt8m.types import TimedText


def videos():
    texts = {
        "a": (whole("title", "cats"), whole("tags", "sea"), whole("tags", "birds")),
        "b": (whole("title", "山水 7!"), TimedText(0, 4, "asr", "dog cat"), TimedText(4, 9, "asr", "sea")),
        "c": (whole("title", "Лев"),),
        "d": (),
    }
    return [dataclasses.replace(make_video(name), texts=of) for name, of in texts.items()]


def test_fields_are_counted_by_hand(write, tmp_path):
    path = write("v.tfrecord", *videos())
    tokenizer = load_tokenizer(write_tokenizer(tmp_path / "t.json"))
    facts = summarize(Survey([path], CONFIG, tokenizer=tokenizer), max_tokens=3)
    assert facts["texts"]["fields"] == {
        "asr": {
            "videos": 1, "texts": 2, "videos_with_times": 1, "characters": {"least": 11, "median": 11, "most": 11},
            "scripts": {"Latin": 9}, "tokens": 3, "unknown_tokens": 0,
        },
        "tags": {
            "videos": 1, "texts": 2, "videos_with_times": 0, "characters": {"least": 9, "median": 9, "most": 9},
            "scripts": {"Latin": 8}, "tokens": 2, "unknown_tokens": 1,
        },
        "title": {
            "videos": 3, "texts": 3, "videos_with_times": 0, "characters": {"least": 3, "median": 4, "most": 5},
            "scripts": {"Latin": 4, "Cyrillic": 3, "Cjk": 2}, "tokens": 7, "unknown_tokens": 3,
        },
    }  # fmt: skip
    # a has 2 + 2 tokens, b 2 + 2 + 3 and c 1.
    expected = {"max_tokens": 3, "videos_with_more": 2, "least": 1, "median": 4, "most": 7}
    assert facts["texts"]["tokens_of_a_video"] == expected
    assert not facts["errors"] and "texts      asr: in 1 of 4 videos, 1 with times; 11 to 11 characters" in page(facts)
    assert "letters: Latin 44.4%, Cyrillic 33.3%, Cjk 22.2%; of 7 tokens 42.86% unknown" in page(facts)
    assert "texts" not in summarize(Survey([write("w.tfrecord", make_video("x"))], CONFIG))


def test_bad_texts_are_errors(write):
    record = videos()[1]
    path = write("v.tfrecord", videos()[0], _Broken(record))
    facts = summarize(Survey([path], CONFIG))
    (error,) = facts["errors"]
    assert error["what"] == "text # of text/title is not UTF-8" and "record 1, video b" in error["examples"][0]
    assert facts["texts"]["fields"]["title"]["videos"] == 1
    assert "text # of text/title is not UTF-8" in refused_page(path)


def refused_page(path):
    result = call("doctor", path, "--num_classes=10")
    assert result.returncode == 2
    return result.stdout


@dataclasses.dataclass
class _Broken:
    record: object

    def serialize(self, *, id_key):
        return self.record.serialize(id_key=id_key).replace("山".encode(), b"\xff\xff\xff")


def test_the_command_counts_tokens(write, tmp_path):
    path, tokenizer = write("v.tfrecord", *videos()), write_tokenizer(tmp_path / "t.json")
    said = passed("doctor", path, "--num_classes=10", f"--tokenizer={tokenizer}", "--max_tokens=6").stdout
    assert "tokens of a video: 1 to 7, half of them at most 4; 1 videos have more than 6" in said
    assert "absent.json" in refused("doctor", path, "--num_classes=10", "--tokenizer=absent.json")


def test_scripts_of_letters():
    found = [script_of(character) for character in "aÉяア山ｂ한ก7!☃ "]
    assert found == ["Latin", "Latin", "Cyrillic", "Katakana", "Cjk", "Latin", "Hangul", "Thai", "", "", "", ""]
