"""Texts from records to tokens."""

import dataclasses
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.helpers import fast
from tests.helpers.records import CONFIG, make_video
from tests.helpers.texts import VOCABULARY, text_config, whole, write_tokenizer
from yt8m.config import AugmentConfig, DataConfig, TextConfig
from yt8m.data import pipeline
from yt8m.data.cache import open_cache
from yt8m.data.clip_records import ClipRecord
from yt8m.data.record_checks import check_record, explain_errors
from yt8m.data.scan import probe
from yt8m.data.texts import parse_texts, text_features
from yt8m.data.tfrecord import FrameRecord, VideoRecord, parse_context
from yt8m.data.tokens import facts_of_tokenizer, fair_shares, load_tokenizer
from yt8m.types import InputError, LongTextsWarning, NoFramesWarning, TimedText

SPEECH = (
    TimedText(0, 4.5, "asr", "cat"), TimedText(4.5, 5.0, "asr", "cats"), TimedText(5, 5, "asr", "sea"),
    TimedText(9, 12, "asr", "dog"), whole("asr", "always"),
)  # fmt: skip


def with_texts(video_id, *texts, **settings):
    return dataclasses.replace(make_video(video_id, **settings), texts=texts)


@pytest.fixture
def tokenizer(tmp_path):
    return write_tokenizer(tmp_path / "tokenizer.json")


@pytest.fixture
def config(tokenizer):
    return CONFIG.replace(text=text_config(tokenizer))


def elements(files, config, windows, **options):
    return list(pipeline.make_dataset([files], config, windows=windows, batch_size=64, **options).as_numpy_iterator())


def test_texts_come_back_from_records_of_every_level():
    texts = (whole("title", "Vidéo 山"), whole("tags", "a"), whole("tags", "b"), *SPEECH)
    for record in (
        with_texts("v", *texts),
        VideoRecord(video_id="v", features={"mean_rgb": np.zeros(6)}, texts=texts),
        ClipRecord(video_id="v", pictures=(b"x",), times=(0,), size=(2, 2), rate=1.0, texts=texts),
    ):
        parsed = parse_texts(tf.constant([record.serialize()] * 2), ("title", "tags", "asr", "ocr"))
        for row in range(2):
            found = [
                TimedText(start, end, field, text.decode())
                for field, of in parsed.items()
                for text, start, end in zip(*(values[row].numpy().tolist() for values in of))
            ]
            assert found == list(texts)


def test_the_first_records_say_which_fields_there_are(write):
    path = write("v.tfrecord", make_video("a"), with_texts("b", whole("title", "x"), *SPEECH))
    found = probe([path])
    assert found.texts == ("asr", "title") and found.features == {"audio": 4, "rgb": 6}
    means = VideoRecord(video_id="v", features={"mean_rgb": np.zeros(6)}, texts=SPEECH)
    assert probe([write("m.tfrecord", means)]).features == {"mean_rgb": 6}


def test_a_segment_has_the_texts_within_its_seconds():
    serialized = tf.constant([make_video("a").serialize(), with_texts("b", whole("title", "t"), *SPEECH).serialize()])
    config = DataConfig(text=TextConfig(fields=("asr", "title"), tokenizer="x", vocabulary_size=1))
    rows, starts = tf.constant([0, 1, 1, 1, 1]), tf.constant([0, 0, 5, 10, 15])
    found = text_features(serialized, config, rows=rows, starts=starts)["texts"].numpy().tolist()
    assert found == [
        [b"", b""], [b"cat cats always", b"t"], [b"sea dog always", b"t"], [b"dog always", b"t"], [b"always", b"t"],
    ]  # fmt: skip
    whole_videos = text_features(serialized, config)["texts"].numpy().tolist()
    assert whole_videos == [[b"", b""], [b"cat cats sea dog always", b"t"]]
    assert text_features(serialized, DataConfig()) == {}


def test_tokens_by_hand(tokenizer):
    texts = np.array([[b"Cats cat", "山水 bird".encode()], [b"", b""], [b"", b"dog"]])
    tokens, sources, words, cut = load_tokenizer(tokenizer)(texts, max_tokens=7)
    assert tokens.tolist() == [[2, 3, 2, 5, 6, 1, 0], [0] * 7, [4] + [0] * 6]
    assert sources.tolist() == [[1, 1, 1, 2, 2, 2, 0], [0] * 7, [2] + [0] * 6]
    # The pieces of "cats" are one word; of a script without blanks each is one.
    assert words.tolist() == [[1, 1, 2, 3, 4, 5, 0], [0] * 7, [1] + [0] * 6]
    assert cut == 0 and tokens.dtype == sources.dtype == words.dtype == np.int32


def test_too_many_tokens_are_cut_to_equal_shares(tokenizer):
    texts = np.array([[b"sea " * 9, b"dog", b"cat " * 9], [b"sea", b"dog", b"cat"]])
    tokens, sources, _, cut = load_tokenizer(tokenizer)(texts, max_tokens=8)
    assert sources[0].tolist() == [1, 1, 1, 2, 3, 3, 3, 3] and tokens[0].tolist() == [7, 7, 7, 4, 2, 2, 2, 2]
    assert sources[1].tolist() == [1, 2, 3] + [0] * 5 and cut == 1


def slow_shares(lengths, limit):
    """A token a round to each field that wants more, the longest last."""
    taken, order = [0] * len(lengths), sorted(range(len(lengths)), key=lambda field: -lengths[field])
    while True:
        wanting = [field for field in order if taken[field] < lengths[field]]
        if not wanting or sum(taken) == limit:
            return taken
        for field in wanting[: limit - sum(taken)]:
            taken[field] += 1


def test_shares_are_max_min_fair():
    lengths = np.random.default_rng(0).integers(0, 30, (300, 4))
    for limit in (1, 7, 40, 1000):
        found, slow = fair_shares(lengths, limit), np.array([slow_shares(row, limit) for row in lengths.tolist()])
        np.testing.assert_array_equal(found.sum(axis=1), slow.sum(axis=1))
        # Which of equal ones has the odd token is a matter of order.
        assert np.abs(found - slow).max() <= 1 and (found <= lengths).all()


def test_batches_have_tokens_of_videos_and_of_segments(write, config):
    path = write("v.tfrecord", with_texts("a", whole("title", "sea"), *SPEECH[:4]), make_video("b"))
    ((features, _),) = elements(path, config, "video")
    assert features["tokens"].tolist() == [[7, 2, 2, 3, 7, 4], [0] * 6]
    assert features["token_sources"].tolist() == [[1, 2, 2, 2, 2, 2], [0] * 6]
    ((features, _, info),) = elements(path, config, "rated", with_info=True)
    assert list(zip(info["id"].tolist(), info["start_time"].tolist())) == [(b"a", 0), (b"a", 10), (b"b", 0), (b"b", 10)]
    assert features["tokens"].tolist() == [[7, 2, 2, 3, 0, 0], [7, 4, 0, 0, 0, 0], [0] * 6, [0] * 6]
    ((features, info),) = elements(path, config, "all", views=(-1, 0))
    assert features["rgb"].shape[:2] == (6, 2) and info["start_time"].tolist() == [0, 5, 10] * 2
    assert features["tokens"].tolist()[:3] == [[7, 2, 2, 3, 0, 0], [7, 7, 4, 0, 0, 0], [7, 4, 0, 0, 0, 0]]
    assert features["token_words"].tolist()[0] == [1, 2, 3, 3, 0, 0]
    ((features, _),) = elements(path, config, "unlabelled", training=True)
    assert features["tokens"].shape == (6, 2, 6) and np.array_equal(features["tokens"][:, 0], features["tokens"][:, 1])
    ((features, _),) = elements(path, CONFIG, "video")
    assert not {"texts", "tokens"} & set(features)


def test_means_of_videos_have_texts_too(write, config):
    record = VideoRecord(video_id="v", features={"mean_rgb": np.ones(6)}, labels=(1,), texts=(whole("asr", "dog"),))
    means = config.replace(level="video", feature_names=("mean_rgb",), feature_sizes=(6,))
    ((features, _),) = elements(write("v.tfrecord", record), means, "video")
    assert features["tokens"].tolist() == [[4, 0, 0, 0, 0, 0]] and features["mean_rgb"].tolist() == [[1.0] * 6]


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["random", "sequence", "random_ordered", "uniform"])
def test_videos_of_texts_alone_have_tokens_and_no_frames(write, config, sampling):
    alone = [FrameRecord(video_id=f"t{n}", features={}, labels=(2,), texts=(whole("title", "dog"),)) for n in range(2)]
    mixed = write(
        "v.tfrecord", alone[0], with_texts("a", whole("title", "sea"), frames=3, segments=((0, 1, 1.0),)), alone[1]
    )
    for file, counts in ((mixed, [0, 3, 0]), (write("t.tfrecord", *alone), [0, 0])):
        for training in (False, True):
            drawn = config.replace(sampling=sampling, num_frames=3)
            with pytest.warns(NoFramesWarning, match="video t. has no frames: its texts are read"):
                ((features, targets),) = elements(file, drawn, "video", training=training)
            assert sorted(features["num_frames"].tolist()) == sorted(counts)
            for row, count in enumerate(features["num_frames"]):
                assert not features["rgb"][row, count:].any() and features["rgb"][row, :count].all()
                assert features["tokens"][row].tolist() == [7 if count else 4] + [0] * 5
            assert targets["classes"].shape[0] == len(counts)
    for windows in ("rated", "all"):
        with pytest.warns(NoFramesWarning):
            ((_, *_, info),) = elements(mixed, config, windows, **({"with_info": True} if windows == "rated" else {}))
        assert set(info["id"].tolist()) == {b"a"}


def test_who_needs_frames_says_so_of_videos_of_texts_alone(write, config):
    alone = FrameRecord(video_id="t", features={}, labels=(2,), texts=(whole("title", "dog"),))
    path = write("v.tfrecord", with_texts("a", whole("title", "sea")), alone)
    message = "v.tfrecord, record 1: rgb is missing; the record has id, labels, text/title"
    with pytest.raises(InputError, match=message), explain_errors([path], CONFIG):
        elements(path, CONFIG, "video")
    # One feature of several is no video of texts alone.
    half = dataclasses.replace(alone, features={"rgb": np.ones((4, 6), np.uint8)})
    path = write("h.tfrecord", half)
    with pytest.raises(InputError, match="record 0: audio is missing"), explain_errors([path], config):
        elements(path, config, "video")


@pytest.mark.filterwarnings("ignore::yt8m.types.NoFramesWarning")
@pytest.mark.parametrize("windows", ["rated", "video"])
@pytest.mark.parametrize("training", fast([False], [False, True]))
def test_a_cache_has_the_same_texts(write, config, tmp_path, windows, training):
    alone = FrameRecord(video_id="t", features={}, labels=(2,), segments=(), texts=(whole("title", "dog"),))
    first = write("a.tfrecord", with_texts("a", whole("title", "sea"), *SPEECH), make_video("b"))
    last = write("b.tfrecord", alone, with_texts("c", whole("asr", "cat")))
    reads = {"windows": windows, "batch_size": 3, "training": training, "seed": 4, "with_info": True}
    config = config.replace(num_frames=7, text=config.text.replace(max_tokens=12))
    for files in ([last, first], [write("t.tfrecord", alone)] if windows == "video" else [last]):
        cache = open_cache(tmp_path / "cache", files, config, windows=windows)
        packed, read = (
            list(pipeline.make_dataset(files, config, cache=of, **reads).as_numpy_iterator()) for of in (cache, None)
        )
        assert len(packed) == len(read) > 0 and "tokens" in read[0][0]
        for one, other in zip(packed, read):
            tf.nest.map_structure(np.testing.assert_array_equal, one, other)
        assert not cache.fits(config.replace(text=config.text.replace(fields=("title",))), windows=windows)
        assert not cache.fits(CONFIG.replace(num_frames=7), windows=windows)


def test_a_cut_text_is_told(write, config):
    path = write("v.tfrecord", with_texts("a", whole("title", "sea " * 7)))
    with pytest.warns(LongTextsWarning, match="an example has more than the 6 tokens that are read"):
        ((features, _),) = elements(path, config, "video")
    assert features["tokens"].tolist() == [[7] * 6]
    # One word of more characters than are looked at is cut as well, though it is a single token.
    _, _, _, cut = load_tokenizer(config.text.tokenizer)(np.array([[b"x" * 500, b""]]), max_tokens=6)
    assert cut == 1


def test_texts_may_be_dropped_as_a_modality_and_not_mixed(write, config):
    path = write("v.tfrecord", *(with_texts(f"v{place}", whole("title", "sea")) for place in range(40)))
    augment = AugmentConfig(modality_dropout=1.0)
    ((features, _),) = elements(path, config, "video", training=True, augment=augment)
    blank = {name: (features[name] == 127).all(axis=(1, 2)) for name in ("rgb", "audio")}
    none = (features["tokens"] == 0).all(axis=1)
    np.testing.assert_array_equal(blank["rgb"].astype(int) + blank["audio"] + none, 1)
    assert 3 < none.sum() < 25
    with pytest.raises(InputError, match="mixup mixes numbers"):
        elements(path, config, "video", training=True, augment=AugmentConfig(mixup=0.2))


def broken(change):
    example = tf.train.SequenceExample.FromString(with_texts("a", whole("title", "x"), *SPEECH).serialize())
    change(example.context.feature)
    return example.SerializeToString()


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["text/title"].bytes_list.value.append(b"\xff\xfe"), "text 1 of text/title is not UTF-8"),
        (lambda c: c["text/asr/end"].float_list.value.append(1), "have 5, 5, 6 values, and must have equally many"),
        (
            lambda c: c["text/asr/start"].float_list.value.__setitem__(0, math.nan),
            "holds a text from nan to 4.5 seconds",
        ),
        (lambda c: c["text/asr/end"].float_list.value.__setitem__(3, 8), "holds a text from 9 to 8 seconds"),
    ],
)
def test_bad_texts_are_named(config, change, message):
    record = broken(change)
    with pytest.raises(tf.errors.InvalidArgumentError):
        parse_texts(tf.constant([record]), config.text.fields)
    assert message in check_record(record, config, windows="video")
    assert check_record(record, CONFIG, windows="video") is None


def test_a_bad_text_stops_the_reader_of_texts_alone(tmp_path, config):
    path = str(tmp_path / "v.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(make_video("good").serialize())
        writer.write(broken(lambda context: context["text/title"].bytes_list.value.append(b"\xff")))
    message = "v.tfrecord, record 1: text 1 of text/title is not UTF-8"
    with pytest.raises(InputError, match=message), explain_errors([path], config):
        elements(path, config, "video")
    assert len(elements(path, CONFIG, "video")[0][0]["rgb"]) == 2
    with pytest.warns(UserWarning, match="skipped 1 corrupt record"):
        ((features, _),) = elements(path, config.replace(skip_corrupt=True), "video")
    assert len(features["rgb"]) == 1


RARE = {"\U00012000": 0, "\U00016f00": 1, "\U0001f0a1": 2}
BPE = {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]], "dropout": 0.5}
ADDED = {"content": "[CLS]", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}


@pytest.mark.parametrize(
    "vocabulary, changes, message",
    [
        ({"cat": 0}, {}, "is not a tokenizer.json: .*Missing .UNK. token"),
        (VOCABULARY | {"sea": 3}, {}, "gives number 3 to two tokens, '(sea|dog)' and '(sea|dog)'"),
        (VOCABULARY | {"sea": 2**31}, {}, "has tokens up to number 2,147,483,648, more than 4,194,304"),
        (VOCABULARY, {"model": BPE}, "has a dropout, by which a text has other tokens each time"),
        (
            VOCABULARY,
            {"model": {"type": "Unigram", "vocab": [["a", 0], ["b", -1], ["b", -2]], "unk_id": 0}},
            "has a token twice",
        ),
        (
            VOCABULARY,
            {"added_tokens": [ADDED | {"id": 50, "special": True}]},
            "has an added token '.CLS.' of number 50",
        ),
        (
            VOCABULARY,
            {"normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAAA"}},
            "is not a tokenizer.json: .*Cannot parse precomp",
        ),
    ],
)
def test_tokenizers_that_fail_later_are_refused_when_they_are_read(tmp_path, vocabulary, changes, message, capfd):
    path = write_tokenizer(tmp_path / "odd.json", vocabulary, **changes)
    with pytest.raises(InputError, match=f"odd.json {message}"):
        load_tokenizer(path)
    # A panic of Rust is in the sentence alone.
    assert capfd.readouterr().err == ""


def test_the_json_of_a_tokenizer_is_utf8_and_has_no_name_twice(tmp_path):
    path = pathlib.Path(write_tokenizer(tmp_path / "odd.json"))
    data = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + data)
    assert load_tokenizer(path).size == len(VOCABULARY)
    path.write_bytes(data.replace(b"cat", b"c\xff"))
    with pytest.raises(InputError, match="odd.json is not a tokenizer.json: byte .* is no UTF-8"):
        load_tokenizer(path)
    path.write_bytes(data.replace(b'"sea"', b'"cat"'))
    with pytest.raises(InputError, match="odd.json is not a tokenizer.json: it has 'cat' twice in one object"):
        load_tokenizer(path)


def test_what_a_tokenizer_fails_at_in_the_graph_is_one_sentence(tmp_path, write, config):
    path = write_tokenizer(tmp_path / "rare.json", RARE)
    text = TextConfig(fields=("title",), tokenizer=path, **facts_of_tokenizer(path))
    files = write("v.tfrecord", with_texts("a", whole("title", "cat")))
    config = config.replace(text=text)
    with (
        pytest.raises(InputError, match="rare.json is not a tokenizer.json: .*Missing"),
        explain_errors([files], config),
    ):
        elements(files, config, "video")


def test_another_tokenizer_of_as_many_tokens_is_refused(tmp_path, write, config):
    path = write_tokenizer(tmp_path / "tokenizer.json")
    config = config.replace(text=config.text.replace(tokenizer=path, **facts_of_tokenizer(path)))
    files = write("v.tfrecord", with_texts("a", whole("title", "cat")))
    assert elements(files, config, "video")[0][0]["tokens"].tolist() == [[2, 0, 0, 0, 0, 0]]
    write_tokenizer(tmp_path / "tokenizer.json", VOCABULARY | {"dog": 1, "cat": 3})
    with pytest.raises(InputError, match="tokenizer.json is another tokenizer than the model was made for, or damaged"):
        elements(files, config, "video")


@pytest.mark.parametrize("text", [b"\xed\xa0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf4\x90\x80\x80", b"\xff"])
def test_what_is_no_utf8_is_no_text_and_no_id(config, text):
    """Of these a regular expression takes all but the last."""
    record = broken(lambda context: context["text/title"].bytes_list.value.append(text))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not UTF-8"):
        parse_texts(tf.constant([record]), config.text.fields)
    record = broken(lambda context: context["id"].bytes_list.value.__setitem__(0, text))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a record has no id"):
        parse_context(tf.constant([record]))


def test_bad_tokenizers_are_named(tmp_path, write, config):
    path = tmp_path / "other.json"
    for content, message in {
        "{": "is not a tokenizer.json: it does not parse",
        "[]": "is not a tokenizer.json: it must be an object",
        '{"a": 1}': "is not a tokenizer.json: it has no field model",
        '{"model": {"type": "BPE"}}': "is not a tokenizer.json: ",
    }.items():
        path.write_text(content)
        with pytest.raises(InputError, match=f"other.json {message}"):
            load_tokenizer(path)
    write_tokenizer(path, {})
    with pytest.raises(InputError, match="other.json"):
        load_tokenizer(path)
    with pytest.raises(InputError, match="cannot read .*absent.json"):
        load_tokenizer(tmp_path / "absent.json")
    write_tokenizer(path, {"[UNK]": 0, "cat": 1})
    other = config.replace(text=config.text.replace(tokenizer=str(path)))
    with pytest.raises(InputError, match="has 2 tokens, and the model was made for 7: it is another tokenizer"):
        elements(write("v.tfrecord", make_video("a")), other, "video")


@pytest.mark.parametrize("fields, message", [(("a b",), "'a b' is no name of a field"), (("a", "a"), "repeats a name")])
def test_bad_names_of_fields_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        TextConfig(fields=fields, tokenizer="x", vocabulary_size=1)
    with pytest.raises(InputError, match="set tokenizer"):
        TextConfig(fields=("title",))
