"""Texts of videos, and the evidence of classes that they are: against a slow twin, hand values and real networks."""

import os
import random
import types

import numpy as np
import pytest

from tests.helpers import shared_path
from tests.helpers.videos import write_video
from tests.helpers.words import import_ocr, use_fake_ocr
from yt8m.features.words.evidence import find_evidence, write_evidence
from yt8m.features.words.matching import NameMatcher
from yt8m.features.words.reading import TextReader, read_texts_of_videos
from yt8m.features.words.screen import ScreenReader
from yt8m.features.words.speech import SpeechReader, _blocks
from yt8m.features.words.texts import SCREEN, SPEECH, TITLE, read_texts, write_texts
from yt8m.ranking.submission import Submission
from yt8m.types import InputError, TimedText

MATCHER = NameMatcher({4: "guitar", 7: "acoustic guitar", 9: "watch", 11: "drums"})
WEIGHTS = {SCREEN: 0.9, SPEECH: 0.6, TITLE: 0.3}


def test_evidence_by_hand():
    texts = {"v": [TimedText(5, 10, SCREEN, "acoustic guitar"), TimedText(0, 22, TITLE, "my guitar")]}
    found = find_evidence(texts, MATCHER, {"v": 22})["v"]
    # Distances from the text to the middles of 0-5, 15-20 and 20-22 s are 2.5, 7.5 and 11 s.
    expected = 0.9 * np.array([0.5**0.25, 1, 0.5**0.25, 0.5**0.75, 0.5**1.1])
    assert np.allclose(found[7], expected, atol=1e-6) and set(found) == {4, 7}
    assert np.allclose(found[4], 0.3 * 0.5, atol=1e-7) and found[4].dtype == np.float32


def slow_evidence(texts, seconds, class_id, names):
    """Of one class, segment by segment; names: dict of key to its strength."""
    said = {
        video_id: [(item, key) for item in items for key in names if key == item.text]
        for video_id, items in texts.items()
    }
    number = sum(1 for items in texts.values() if items)
    result = {}
    for video_id, length in seconds.items():
        values = []
        for first in range(0, length, 5):
            last = min(first + 5, length)
            doubt = 1.0
            for item, key in said[video_id]:
                count = sum(any(other == key for _, other in found) for found in said.values())
                rarity = max(0.1, np.log((number + 1) / count) / np.log(number + 1))
                middle = (first + last) / 2
                gap = 0 if item.start < last and first < item.end else max(middle - item.end, item.start - middle)
                if gap <= 30:
                    doubt *= 1 - names[key] * WEIGHTS[item.field] * rarity * 2 ** (-gap / 10)
            values.append(1 - doubt)
        result[video_id] = values
    return result


def test_evidence_is_that_of_a_slow_twin():
    for seed in range(30):
        rng = random.Random(seed)
        texts, seconds = {}, {}
        for number in range(rng.randint(1, 6)):
            seconds[f"v{number}"] = rng.randint(1, 120)
            texts[f"v{number}"] = [
                TimedText(start := rng.uniform(0, 100), start + rng.uniform(0.1, 20), rng.choice(list(WEIGHTS)), rng.choice(["guitar", "watch", "x"]))
                for _ in range(rng.randint(0, 5))
            ]  # fmt: skip
        found = find_evidence(texts, MATCHER, seconds)
        for class_id, name in ((4, "guitar"), (9, "watch")):
            for video_id, values in slow_evidence(texts, seconds, class_id, {name: 0.5}).items():
                own = found[video_id].get(class_id, np.zeros(len(values)))
                assert np.allclose(own, values, atol=1e-6), f"seed {seed}, {video_id}, {name}"


def test_what_every_video_says_is_little_evidence():
    texts = {f"v{k}": [TimedText(0, 5, SPEECH, "watch")] for k in range(20)}
    texts["v3"] = [*texts["v3"], TimedText(0, 5, SPEECH, "drums")]
    found = find_evidence(texts, MATCHER, dict.fromkeys(texts, 5))
    assert found["v3"][11][0] == pytest.approx(0.3) and found["v3"][9][0] == pytest.approx(0.03)


def test_evidence_is_a_submission(tmp_path):
    evidence = {
        "a": {4: np.array([0.5, 0.0, 0.9], np.float32)},
        "b": {4: np.array([0.7], np.float32), 9: np.array([0.1], np.float32)},
        "c": {},
    }
    assert write_evidence(tmp_path / "w.parquet", evidence) == 2
    with Submission(tmp_path / "w.parquet") as found:
        assert list(map(str, found[4])) == ["a:10", "b:0", "a:0"] and list(map(str, found[9])) == ["b:0"]
        assert np.allclose(found[4].scores, [0.9, 0.7, 0.5])
    assert write_evidence(tmp_path / "none.parquet", {"a": {}}) == 0 and not (tmp_path / "none.parquet").exists()


def test_tables_of_texts_come_back(tmp_path):
    texts = {
        "a": [TimedText(0, 5, SCREEN, 'one, "two" | три'), TimedText(0.25, 3, SPEECH, "杀手")],
        "b": [TimedText(1, 1, TITLE, "x")],
    }
    write_texts(tmp_path / "w.csv", texts)
    assert read_texts(tmp_path / "w.csv") == texts
    assert (tmp_path / "w.csv").read_text().splitlines()[2] == "a,0.25,3.00,speech,杀手"
    for line, sentence in {
        "a,5,4,screen,x": "line 2: start 5 is behind end 4",
        "a,0,4,a sign,x": "line 2: field 'a sign' is no name of a field",
        "a,x,4,screen,x": "line 2: start 'x' is not a finite number",
        ",0,4,screen,x": "line 2: there is no video_id",
    }.items():
        (tmp_path / "w.csv").write_text(f"video_id,start,end,field,text\n{line}\n")
        with pytest.raises(InputError, match=sentence):
            read_texts(tmp_path / "w.csv")


def write_grey(path, levels, *, each=5):
    """A video of 1 frame a second that shows each grey of ``levels`` for ``each`` seconds."""
    pictures = [np.full((64, 96, 3), level, np.uint8) for level in levels for _ in range(each)]
    return write_video(path, list(range(len(pictures))), pictures=pictures)


def test_a_text_that_stays_comes_once(tmp_path, monkeypatch):
    use_fake_ocr(tmp_path, monkeypatch, [[], ["low", "line"], ["middle"], [], ["high"]])
    path = write_grey(tmp_path / "v.mp4", [50, 50, 150, 100, 50])
    assert list(ScreenReader(every=5)(path)) == [
        TimedText(0, 10, SCREEN, "low | line"), TimedText(15, 20, SCREEN, "middle"), TimedText(20, 25, SCREEN, "low | line")
    ]  # fmt: skip
    assert list(ScreenReader(every=10)(path, seconds=18)) == [TimedText(0, 10, SCREEN, "low | line")]
    assert ScreenReader(every=5).described() != ScreenReader(every=2).described()


def test_lines_are_in_reading_order(tmp_path, monkeypatch):
    use_fake_ocr(tmp_path, monkeypatch, [])

    class Network:
        def __call__(self, picture):
            class Found:
                txts = ("right", "below", "left", "dim", "x")
                scores = (0.9, 0.9, 0.9, 0.3, 0.9)
                boxes = np.array([[[x, y], [x + 9, y], [x + 9, y + 10], [x, y + 10]] for x, y in ((50, 1), (0, 30), (0, 4), (0, 60), (0, 90))])  # fmt: skip

            return Found

    reader = ScreenReader(every=5)
    reader.__dict__["_network"] = Network()
    assert reader.read(np.zeros((9, 9, 3), np.uint8)) == "left | right | below"


def test_texts_are_kept_and_read_again_where_something_changed(tmp_path, monkeypatch):
    network = use_fake_ocr(tmp_path, monkeypatch, [[], ["low"], ["high"]])
    sources = {name: str(write_grey(tmp_path / f"{name}.mp4", [50, 100])) for name in "abc"}
    lengths = dict.fromkeys(sources, 10)
    reader = TextReader(ScreenReader(every=5))
    first = read_texts_of_videos(sources, lengths, reader, tmp_path / "texts")
    assert network.calls == 6
    assert first["b"] == [
        TimedText(0, 5, SCREEN, "low"),
        TimedText(0, 10, TITLE, "b"),
        TimedText(5, 10, SCREEN, "high"),
    ]
    for name, change in {
        "a": lambda path: path.unlink(),
        "b": lambda path: path.write_text(path.read_text()[:-20]),
        "c": lambda path: path.write_text(path.read_text().replace("screen", "screw")),
    }.items():
        change(tmp_path / "texts" / f"{name}.json")
        before = network.calls
        assert read_texts_of_videos(sources, lengths, reader, tmp_path / "texts") == first
        assert network.calls == before + 2
    write_grey(tmp_path / "a.mp4", [100])
    changed = read_texts_of_videos(sources, {**lengths, "a": 5}, reader, tmp_path / "texts")
    assert changed["a"] == [TimedText(0, 5, SCREEN, "high"), TimedText(0, 5, TITLE, "a")] and changed["b"] == first["b"]
    before = network.calls
    read_texts_of_videos(sources, lengths, TextReader(ScreenReader(every=2)), tmp_path / "texts")
    assert network.calls > before + 6


def test_blocks_of_sound_are_cut_where_it_is_quiet():
    windows = [np.full(16, 1 + second % 3, np.float32) for second in range(1300)]
    windows[588][:] = 0
    blocks = list(_blocks(iter(windows)))
    assert [start for start, _ in blocks][:2] == [0, 588]
    assert np.array_equal(np.concatenate([sound for _, sound in blocks]), np.concatenate(windows))
    assert max(len(sound) for _, sound in blocks) <= 600 * 16
    assert list(_blocks(iter([]))) == []


def test_speech_is_timed_from_the_beginning_and_what_is_not_believed_is_left_out(tmp_path, monkeypatch):
    """A stand-in hears a word in each second that is not silent, in blocks of a long sound."""
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr("yt8m.features.words.speech.util.find_spec", lambda name: True)
    loud, said = {3, 599, 700, 1250}, {3: {}, 599: {}, 700: {"avg_logprob": -1.2}, 1250: {"compression_ratio": 3.0}}

    class Model:
        def transcribe(self, sound, **options):
            assert options["temperature"] == 0.0
            parts = []
            for second in np.flatnonzero(sound.reshape(-1, 16_000).max(1)).tolist():
                number = int(sound[second * 16_000])
                believed = {"avg_logprob": -0.3, "compression_ratio": 1.2} | said[number]
                parts.append(
                    types.SimpleNamespace(start=second + 0.25, end=second + 0.75, text=f" word  {number} ", **believed)
                )
            return iter(parts), None

    def windows(source, *, samples, seconds):
        for second in range(1300):
            yield np.full(samples, second if second in loud else 0, np.float32)

    monkeypatch.setattr("yt8m.features.words.speech.read_sound", windows)
    reader = SpeechReader(str(tmp_path))
    reader.__dict__["_model"] = Model()
    assert list(reader("v.mp4")) == [
        TimedText(3.25, 3.75, SPEECH, "word 3"), TimedText(599.25, 599.75, SPEECH, "word 599")
    ]  # fmt: skip


def test_what_is_missing_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"to read texts off pictures RapidOCR is needed: pip install 'yt8m\[ocr\]'"):
        ScreenReader(every=5)
    with pytest.raises(InputError, match=r"to hear speech faster-whisper is needed: pip install 'yt8m\[asr\]'"):
        SpeechReader(str(tmp_path))
    monkeypatch.undo()
    use_fake_ocr(tmp_path, monkeypatch, [])
    with pytest.raises(InputError, match=r"there is no file x\.onnx, which should be a recognition network"):
        ScreenReader(every=5, model="x.onnx")
    (tmp_path / "packages" / "rapidocr" / "models" / "PP_rec_small.onnx").unlink()
    with pytest.raises(InputError, match="has no ONNX file with _rec_ in its name"):
        ScreenReader(every=5)
    monkeypatch.setattr("yt8m.features.words.speech.util.find_spec", lambda name: True)
    with pytest.raises(
        InputError, match=r"--asr=.* holds no model of faster-whisper: there is no config.json, model.bin"
    ):
        SpeechReader(str(tmp_path))


def write_titles(path, texts):
    """A video of 1 frame a second, each text for 5 seconds, on grey noise."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed: pip install -e '.[video]'")
    from PIL import ImageDraw, ImageFont

    rng = np.random.default_rng(0)
    pictures = []
    for text in texts:
        picture = image.fromarray(np.clip(rng.normal(110, 15, (360, 640, 3)), 0, 255).astype(np.uint8))
        ImageDraw.Draw(picture).text((40, 60), text, font=ImageFont.load_default(36), fill=(250, 250, 250), spacing=40)
        pictures += [np.array(picture)] * 5
    return write_video(path, list(range(len(pictures))), pictures=pictures)


def test_rapidocr_reads_titles(tmp_path):
    import_ocr()
    path = write_titles(tmp_path / "v.mp4", ["How to play\nthe guitar", "", "BMW M3 vs Audi"])
    assert list(ScreenReader(every=5)(path)) == [
        TimedText(0, 5, SCREEN, "How to play | the guitar"), TimedText(10, 15, SCREEN, "BMW M3 vs Audi")
    ]  # fmt: skip


def test_whisper_hears_a_narrator():
    pytest.importorskip("faster_whisper", reason="faster-whisper is not installed: pip install -e '.[asr]'")
    folder = os.environ.get("YT8M_WHISPER", "")
    if not folder:
        pytest.skip("the environment variable YT8M_WHISPER names no folder of a Whisper model")
    texts = list(SpeechReader(folder)(shared_path("data/videos/nasa_13013.mp4")))
    assert "telescope" in texts[0].text.casefold() and 0 <= texts[0].start < texts[0].end < 14
    assert list(SpeechReader(folder)(shared_path("data/videos/nasa_13013.mp4"))) == texts
