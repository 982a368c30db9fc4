"""The one reader of CSV files: what spreadsheets and programs write comes back, and what is damaged is told."""

import csv
import io

import numpy as np
import pytest

from yt8m.data.making.annotations import ClassIds, read_intervals, read_labels
from yt8m.ranking.evaluation import merge_per_class
from yt8m.ranking.f1 import Thresholds
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import read_submission
from yt8m.ranking.video_predictions import VideoPredictions, is_video_predictions
from yt8m.similarity.pairs import read_pairs
from yt8m.tables import read_rows
from yt8m.types import InputError
from yt8m.vocabulary import read_class_names, read_segment_class_ids


def ratings(path):
    labels = RatedLabels.from_csv(path)
    return labels.texts, labels.class_ids.tolist(), labels.positive.tolist()


def predictions(path):
    found = VideoPredictions.read(path)
    return found.video_ids, found.class_ids.tolist(), found.scores.tolist()


def pairs(path):
    found = read_pairs(path)
    return found.first, found.second, found.scores.tolist()


def submission(path):
    return {class_id: list(map(str, segments)) for class_id, segments in read_submission(path)}


TABLES = {
    "ratings": (ratings, "a:0,3,1\na:5,4,0\nb:10,3,0.5\n"),
    "ratings with header": (ratings, "segment,class,score\na:0,3,1\nb:10,3,0.5\n"),
    "class ids": (read_segment_class_ids, "7\n3\n12\n"),
    "class ids with header": (read_segment_class_ids, "Index\n7\n3\n12\n"),
    "vocabulary": (read_class_names, "Index,Count,Name\n0,5,Game\n3,6,Concert\n"),
    "labels": (lambda path: read_labels(path, ClassIds()), "v,3,4\nw,5\n"),
    "intervals": (lambda path: read_intervals(path, ClassIds()), "video_id,start,end,class\nv,0,5,3\nw,1,2.5,4\n"),
    "thresholds": (Thresholds.read, "Class,Threshold\nothers,0.5\n3,0.25\n"),
    "predictions": (predictions, "VideoId,LabelConfidencePairs\na,3 0.5 4 0.25\nb,5 1\n"),
    "pairs": (pairs, "a:0,b:5,0.5\nc:0,d:5,1\n"),
    "tables of classes": (lambda path: merge_per_class([path]), "Class,Name,AveragePrecision,Rated,Positive,Listed,Missing\n"
    "3,Concert,0.5,2,1,1,0\n"),
    "submission": (submission, "Class,Segments\n3,a:0 b:5\n4,c:10\n"),
}  # fmt: skip
UTF8, CR = b"\xef\xbb\xbf", b"\r"


@pytest.mark.parametrize("name", TABLES)
def test_marks_and_line_ends_change_nothing(tmp_path, name):
    read, text = TABLES[name]
    path = tmp_path / "t.csv"
    path.write_text(text)
    right = read(path)
    data = text.encode()
    forms = [UTF8 + data, data.replace(b"\n", b"\r\n"), UTF8 + data.replace(b"\n", b"\r\n"), data.rstrip(b"\n")]
    if name != "submission":
        forms += [data.replace(b"\n", CR), data.replace(b"\n", b"\n\n"), data.replace(b",", b", ")]
    for form in forms:
        path.write_bytes(form)
        assert read(path) == right, form
        assert is_video_predictions(path) == (name == "predictions"), form


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"])
def test_other_encodings_are_one_sentence_that_names_them(tmp_path, name, encoding):
    read, text = TABLES[name]
    path = tmp_path / "t.csv"
    head, last = text.rstrip("\n").rsplit("\n", 1)
    odd = "é”" if encoding == "cp1252" else "é"
    odd_line = last.replace("c:", f"{odd}:") if name == "submission" else odd + last
    path.write_bytes(f"{head}\n{odd_line}\n".encode(encoding))
    words = {"utf-16": "UTF-16", "latin-1": "may be Latin-1", "cp1252": "may be Windows-1252"}[encoding[:7].rstrip("-")]
    with pytest.raises(InputError) as raised:
        read(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)
    assert (words if name != "submission" or "UTF-16" in words else "is not UTF-8") in str(raised.value)


@pytest.mark.parametrize("name", TABLES)
def test_damage_is_read_or_told(tmp_path, name):
    """One to three bytes of each file are changed, doubled or dropped: an InputError that names the file, or a value."""
    read, text = TABLES[name]
    path = tmp_path / "t.csv"
    for seed in range(150):
        random = np.random.default_rng(seed)
        data = bytearray(text.encode())
        for _ in range(random.integers(1, 4)):
            place = random.integers(len(data))
            data[place : place + 1] = random.choice(
                [b"", b"\0", b'"', b",", b"\xe9", b"\r", b"-", b"1e30", b"nan", b"\n"]
            )
        path.write_bytes(data)
        try:
            read(path)
        except InputError as error:
            assert "t.csv" in str(error) and "\n" not in str(error), f"seed {seed}: {bytes(data)}"


@pytest.mark.parametrize(
    "number", ["1" + "0" * 30, "1" + "0" * 5000, "2147483648", "-1", "1.5", "1_0", "١", "nan", "inf", "1e3", "0x1"]
)
def test_what_is_no_class_id_is_told_with_its_line(tmp_path, number):
    path = tmp_path / "t.csv"
    for name, (read, text) in TABLES.items():
        if "3" not in text:
            continue
        path.write_text(text.rstrip("\n").replace("3", number))
        try:
            read(path)
        except InputError as error:
            assert "t.csv, line" in str(error), name
        else:
            raise AssertionError(f"{name} took {number} for a class id")


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400", "-1", "", "x", "1_0", "0,5"])
@pytest.mark.parametrize("name", ["ratings", "intervals", "thresholds", "predictions", "pairs", "tables of classes"])
def test_what_is_no_finite_number_is_told_with_its_line(tmp_path, name, number):
    read, text = TABLES[name]
    if (name, number) in {("pairs", "-1"), ("thresholds", "-1")}:
        return
    lines = text.splitlines()
    place = {"ratings": "0.5", "intervals": "2.5", "thresholds": "0.25", "predictions": "0.25", "pairs": ",1"}
    wrong = [line.replace(place.get(name, "0.5"), f",{number}" if name == "pairs" else number) for line in lines]
    (tmp_path / "t.csv").write_text("\n".join(wrong))
    with pytest.raises(InputError, match=r"t\.csv, line \d"):
        read(tmp_path / "t.csv")


def test_rows_are_those_of_the_csv_module(tmp_path):
    """Random tables, written by the csv module in its own and in Excel's dialect, come back as they were."""
    letters = list('ab",\n é1')
    for seed in range(100):
        random = np.random.default_rng(seed)
        rows = [
            ["".join(random.choice(letters, random.integers(1, 9))).strip() or "x" for _ in range(3)] for _ in range(5)
        ]
        text = io.StringIO()
        csv.writer(text, lineterminator=["\n", "\r\n"][seed % 2]).writerows(rows)
        (tmp_path / "t.csv").write_bytes(text.getvalue().encode())
        assert [row.fields for row in read_rows(tmp_path / "t.csv")] == rows, f"seed {seed}"


def test_quotes_that_do_not_close_and_other_separators_are_told(tmp_path):
    path = tmp_path / "t.csv"
    for text, sentence in {
        'Index,Name\n0,"Game\n3,Concert\n': "unexpected end of data",
        'Index,Name\n0,"Game"x\n': "line 2",
        "Index;Name\n0;Game\n": "has no column Index, Name; its first line is 'Index;Name'",
    }.items():
        path.write_text(text)
        with pytest.raises(InputError, match=f"t.csv.*{sentence}"):
            read_class_names(path)
    path.write_text("a:0;3;1\n")
    with pytest.raises(InputError, match="commas separate fields, not ';'"):
        RatedLabels.from_csv(path)


def test_a_field_may_be_longer_than_the_csv_module_likes(tmp_path):
    many = " ".join(f"{class_id} 0.500000" for class_id in range(20_000))
    (tmp_path / "t.csv").write_text(f"VideoId,LabelConfidencePairs\na,{many}\n")
    assert len(VideoPredictions.read(tmp_path / "t.csv").class_ids) == 20_000


def test_a_repeated_class_of_a_vocabulary_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("Index,Name\n0,Game\n0,Concert\n")
    with pytest.raises(InputError, match="line 3: class id 0 stands in the file already"):
        read_class_names(tmp_path / "t.csv")
