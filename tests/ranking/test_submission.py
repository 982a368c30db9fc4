"""Submission files: what is written is read again, in every form, and what is bad is named."""

import contextlib
import gzip
import os
import pickle
import random
import re

import numpy as np
import pytest

from yt8m.ranking import submission as submission_module
from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission, SubmissionWriter, read_submission, write_submission
from yt8m.types import InputError, Segment

RANKINGS = {
    3: [Segment("abcd", 5), Segment("x:y", 10), Segment("a;b", 295)],
    12: [Segment("ß中😀", 0), Segment("b" * 100, 15), Segment("b" * 64, 1234567)],
}
SCORES = {3: [0.75, 0.5, 0.25], 12: [0.5, 0.25, 0.125]}


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz", "s.parquet"])
def test_round_trip(tmp_path, name):
    write_submission(tmp_path / name, RANKINGS, scores=SCORES)
    assert dict(read_submission(tmp_path / name)) == RANKINGS
    with Submission(tmp_path / name) as submission:
        assert submission.class_ids == [3, 12]
        assert list(submission[3]) == RANKINGS[3]
        assert submission.read(12, depth=2).texts() == [str(segment) for segment in RANKINGS[12][:2]]
        assert 4 not in submission
        with pytest.raises(KeyError):
            submission[4]
        if name == "s.parquet":
            np.testing.assert_array_equal(submission[12].scores, SCORES[12])
        copy = pickle.loads(pickle.dumps(submission))
        assert copy[3].texts() == submission[3].texts()


def test_text_form(tmp_path):
    write_submission(tmp_path / "s.csv", {7: ["b:0", "a:5"], 2: []})
    assert (tmp_path / "s.csv").read_bytes() == b"Class,Segments\n2,\n7,b:0 a:5\n"


def test_compressed_form_is_reproducible(tmp_path):
    write_submission(tmp_path / "a.csv.gz", RANKINGS)
    write_submission(tmp_path / "b.csv.gz", RANKINGS)
    assert (tmp_path / "a.csv.gz").read_bytes() == (tmp_path / "b.csv.gz").read_bytes()


def test_parquet_form(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_submission(tmp_path / "s.parquet", RANKINGS, scores=SCORES)
    file = parquet.ParquetFile(tmp_path / "s.parquet")
    assert {field.name: str(field.type) for field in file.schema_arrow} == {
        "Class": "int32",
        "Segment": "string",
        "Score": "float",
        "Rank": "int32",
    }
    assert file.num_row_groups == 2
    assert file.read()["Rank"].to_pylist() == [1, 2, 3, 1, 2, 3]


def test_parquet_of_other_writers(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    table = pyarrow.table(
        {
            "Rank": [2, 1, 1, 3],
            "Class": [5, 5, 1, 5],
            "Segment": ["b:0", "a:0", "q:0", "c:0"],
            "Score": [0.5, 1, 1, 0.1],
        }
    )
    parquet.write_table(table, tmp_path / "s.parquet", row_group_size=3)
    with Submission(tmp_path / "s.parquet") as submission:
        assert submission[5].texts() == ["a:0", "b:0", "c:0"]
        assert submission.read(5, depth=1).texts() == ["a:0"]
    parquet.write_table(table.drop(["Score"]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match="t.parquet has no column Score"):
        Submission(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "text",
    [
        b"7,b:0 a:5\n2,c:0\n",
        b"\xef\xbb\xbfClass,Segments\r\n7,b:0 a:5\r\n\r\n2, c:0 \r\n",
        b"class,segments\n2,c:0\n7,b:0  a:5",
        b"\xef\xbb\xbf7,b:0 a:5\n2,c:0\n",
    ],
)
def test_tolerated_forms(tmp_path, text):
    (tmp_path / "s.csv").write_bytes(text)
    with Submission(tmp_path / "s.csv") as submission:
        assert {c: part.texts() for c, part in submission.items()} == {2: ["c:0"], 7: ["b:0", "a:5"]}
        assert submission.has_header == (b"lass" in text)
        assert submission.ends_whole == text.endswith(b"\n")


def test_lines_across_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(submission_module, "_BLOCK", 7)
    rankings = {c: [f"video{i}:{c}" for i in range(c)] for c in range(1, 9)}
    write_submission(tmp_path / "s.csv", rankings)
    with Submission(tmp_path / "s.csv") as submission:
        assert {c: part.texts() for c, part in submission.items()} == rankings
        assert submission.lines == {c: c + 1 for c in rankings}


@pytest.mark.parametrize(
    "text, sentence",
    [
        (b"", "s.csv holds no classes"),
        (b"Class,Segments\n", "s.csv holds no classes"),
        (b"Class,Segments\nx,a:0\n", "s.csv, line 2: expected class_id,vid:start .*, not 'x,a:0'"),
        (b"1,a:0\n2\n", "s.csv, line 2: expected class_id"),
        (b"-1,a:0\n", "line 1: expected class_id"),
        (b"1,a:0\n2,a:0\n1,b:0\n", "s.csv, line 3: class 1 stands on line 1 already"),
        (b"1,a:0 b:\n", r"s.csv, line 1 \(class 1\): 'b:' is not a segment"),
        (b"1,a:0 b:0\x00 c:0\n", r"s.csv, line 1 \(class 1\): byte 0x00 among the segments"),
        (b"1,a:0\tb:0\n", r"line 1 \(class 1\): byte 0x09"),
        (b"1,a:05\n", "'a:05' is not a segment"),
        (b"1,:5\n", "':5' is not a segment"),
        (b"1,a:-5\n", "'a:-5' is not a segment"),
        (b"1,a:12345678\n", "'a:12345678' is not a segment"),
        (b"1,a:0 ab", "'ab' is not a segment"),
        (b"1," + b"q" * 500 + b"\n", "is not a segment"),
    ],
)
def test_bad_text(tmp_path, text, sentence):
    (tmp_path / "s.csv").write_bytes(text)
    with pytest.raises(InputError, match=sentence) as caught:
        list(read_submission(tmp_path / "s.csv"))
    assert len(str(caught.value)) < 400


def test_bad_files(tmp_path):
    with pytest.raises(InputError, match="cannot read .*: Is a directory"):
        Submission(tmp_path)
    with pytest.raises(InputError, match="cannot read .*none.csv: No such file"):
        Submission(tmp_path / "none.csv")
    packed = gzip.compress(b"1,a:0\n" + b"".join(b"%d,a:0\n" % i for i in range(2, 5000)))
    for name, content in [("cut.gz", packed[:-20]), ("text.gz", b"1,a:0\n"), ("damaged.gz", packed[:50] + b"x" * 50)]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"cannot read .*{name}: "):
            Submission(tmp_path / name)
    (tmp_path / "text.parquet").write_bytes(b"1,a:0\n")
    with pytest.raises(InputError, match="cannot read .*text.parquet"):
        Submission(tmp_path / "text.parquet")


def test_unpacked_copies_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    write_submission(tmp_path / "s.csv.gz", RANKINGS)
    with Submission(tmp_path / "s.csv.gz"):
        assert len(list((tmp_path / "temporary").iterdir())) == 1
    (tmp_path / "bad.csv.gz").write_bytes(gzip.compress(b"nonsense"))
    with pytest.raises(InputError):
        Submission(tmp_path / "bad.csv.gz")
    assert not list((tmp_path / "temporary").iterdir())


def test_pipes_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    if os.fork() == 0:
        with open(tmp_path / "pipe", "wb") as pipe:
            pipe.write(b"1,a:0 b:5\n")
        os._exit(0)
    with Submission(tmp_path / "pipe") as submission:
        assert submission[1].texts() == ["a:0", "b:5"]
    os.wait()


def test_a_long_line_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(submission_module, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(submission_module, "_BLOCK", 100)
    for ending in (b"", b"\n2,a:0\n"):
        (tmp_path / "s.csv").write_bytes(b"1,a:0\n5," + b"a:0 " * 1000 + ending)
        with pytest.raises(InputError, match=r"s.csv, line 2: more than 1,000 bytes on one line"):
            Submission(tmp_path / "s.csv")


def test_a_changing_file_is_noticed(tmp_path):
    write_submission(tmp_path / "s.csv", RANKINGS)
    with Submission(tmp_path / "s.csv") as submission:
        submission[3]
        with open(tmp_path / "s.csv", "a", encoding="utf-8") as file:
            file.write("13,a:0\n")
        with pytest.raises(InputError, match="s.csv was changed while it was read"):
            submission[12]


@pytest.mark.parametrize("name", ["s.csv", "s.csv.gz", "s.parquet"])
def test_an_error_leaves_the_earlier_file(tmp_path, name):
    (tmp_path / name).write_bytes(b"earlier")
    with pytest.raises(RuntimeError), SubmissionWriter(tmp_path / name) as writer:
        writer.write(1, ["a:0"], scores=[1.0])
        raise RuntimeError
    assert (tmp_path / name).read_bytes() == b"earlier"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_disk_full(tmp_path, monkeypatch):
    @contextlib.contextmanager
    def full(_):
        (tmp_path / "temporary").mkdir()
        (tmp_path / "temporary" / "s.csv").symlink_to("/dev/full")
        yield str(tmp_path / "temporary")

    monkeypatch.setattr("yt8m.runtime.files.temporary_folder", full)
    with pytest.raises(InputError, match="cannot write .*s.csv: No space left on device"):
        write_submission(tmp_path / "s.csv", RANKINGS)
    assert not (tmp_path / "s.csv").exists()


def test_writer_refuses(tmp_path):
    with SubmissionWriter(tmp_path / "s.csv") as writer:
        writer.write(2, ["a:0"])
        with pytest.raises(ValueError, match="must ascend"):
            writer.write(2, ["a:0"])
        with pytest.raises(InputError, match="has a blank or control character"):
            writer.write(3, [Segment("a b", 0)])
        with pytest.raises(InputError, match="is not a segment"):
            writer.write(4, ["ab"])
    with SubmissionWriter(tmp_path / "s.parquet") as writer, pytest.raises(ValueError, match="needs a score"):
        writer.write(2, ["a:0"])


def test_order_and_grouping_equal_python():
    generator = random.Random(0)
    for letters, length in [("ab", 2), ("a\u00e9\U0001f600:0", 7), ("ab", 70)]:
        texts = [
            f"{''.join(generator.choices(letters, k=generator.randint(1, length)))}:{generator.randrange(120)}"
            for _ in range(500)
        ]
        segments = SegmentList.from_segments(texts)
        assert segments.texts() == texts
        assert list(segments) == [Segment.parse(text) for text in texts]
        ordered = [Segment.parse(texts[row]) for row in segments.order()]
        assert ordered == sorted(map(Segment.parse, texts))
        groups = np.array([generator.randrange(3) for _ in texts])
        expected = sorted(range(500), key=lambda row: (groups[row], Segment.parse(texts[row]), row))
        assert segments.order(groups=groups).tolist() == expected
        order, first = segments.group()
        assert sorted(order) == list(range(500))
        places = {}
        for row, begins in zip(order.tolist(), first.tolist()):
            assert begins == (texts[row] not in places)
            assert row > places.get(texts[row], -1)
            places[texts[row]] = row


def test_parsing_equals_a_regular_expression():
    generator = random.Random(1)
    pieces = [":", "0", "1", "9", "/", ";", "a", "\u00e9", "\U0001f600", "12", "300"]
    texts = ["".join(generator.choices(pieces, k=generator.randint(1, 10))) for _ in range(5000)]
    texts += ["a:1234567", ":5", "5"]
    segments = SegmentList.from_text(" ".join(texts).encode())
    digits, times, valid = segments.parse()
    for text, count, time, is_valid in zip(texts, digits.tolist(), times.tolist(), valid.tolist()):
        match = re.fullmatch(r".+:(0|[1-9][0-9]{0,6})", text)
        assert is_valid == bool(match), text
        if match:
            assert (count, time) == (len(match[1]), int(match[1])), text
    assert valid.sum() > 200


def test_empty_list():
    empty = SegmentList.from_text(b"")
    assert (len(empty), empty.texts(), empty.to_text(), list(empty)) == (0, [], b"", [])
    assert empty.order().tolist() == empty.hashes().tolist() == []
