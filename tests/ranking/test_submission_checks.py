"""Problems of every kind are found, with line and class; parts merge to what one run writes."""

import random

import numpy as np
import pytest

from yt8m.ranking.submission import Submission, read_submission, write_submission
from yt8m.ranking.submission_checks import check_submission, merge_submissions
from yt8m.types import InputError


def problems(path, **options):
    return [str(problem).removeprefix(f"{path}").lstrip(", :") for problem in check_submission(path, **options)]


def test_a_good_file_has_no_problems(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["a:0", "b:5"], 7: ["a:295"]})
    assert problems(tmp_path / "s.csv", expected_classes=(1, 7)) == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("1,a:0\n", ["line 1: warning: no header Class,Segments"]),
        (
            "Class,Segments\n1,a:0 b:7 c:3\n",
            ["line 2, class 1: error: segment 2, 'b:7': no multiple of 5 s, and 1 more off"],
        ),
        ("Class,Segments\n1,a:0 b:5 a:0\n", ["line 2, class 1: error: segment 3, 'a:0': listed before in this class"]),
        (
            "Class,Segments\n1,a:0 b\n",
            ["line 2, class 1: error: segment 2, 'b': not video_id:start_time with a start in seconds"],
        ),
        ("Class,Segments\n1,\n", ["line 2, class 1: warning: no segments"]),
        ("Class,Segments\n\n1,a:0\n\r\n", ["line 2: warning: blank line", "line 4: warning: blank line"]),
        ("Class,Segments\n1,a:0", ["warning: no line end at the end: the file may have been cut"]),
        (
            "Class,Segments\n1," + " ".join(f"a:{5 * i}" for i in range(6)) + "\n",
            ["line 2, class 1: error: 6 segments, more than 5"],
        ),
        ("Class,Segments\n1,a:0 b\0:5\n", None),
    ],
)
def test_faults(tmp_path, text, expected):
    (tmp_path / "s.csv").write_text(text)
    found = problems(tmp_path / "s.csv", top_n=5)
    if expected is None:
        assert len(found) == 1 and "byte 0x00" in found[0] and "line 2" in found[0]
    else:
        assert found == expected


def test_expected_classes(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["a:0"], 3: ["a:0"]})
    assert problems(tmp_path / "s.csv", expected_classes=(1, 2, 5)) == [
        "line 3, class 3: error: this class is not expected",
        "error: 2 expected classes are missing: 2, 5",
    ]


def test_unreadable(tmp_path):
    (found,) = check_submission(tmp_path / "none.csv")
    assert found.is_error and "No such file" in found.message
    write_submission(tmp_path / "s.parquet", {1: ["a:0"]}, scores={1: [np.nan]})
    assert problems(tmp_path / "s.parquet") == ["class 1: error: a score is not a finite number"]


def test_parts_by_class_merge_to_the_whole(tmp_path):
    whole = {c: [f"v{i}:{5 * c}" for i in range(c + 2)] for c in range(5)}
    write_submission(tmp_path / "whole.csv", whole)
    write_submission(tmp_path / "a.csv", {c: whole[c] for c in (1, 4)})
    write_submission(tmp_path / "b.csv.gz", {c: whole[c] for c in (0, 2, 3)})
    assert merge_submissions([tmp_path / "a.csv", tmp_path / "b.csv.gz"], tmp_path / "merged.csv") == 5
    assert (tmp_path / "merged.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_parts_by_video_merge_by_score(tmp_path):
    generator = random.Random(0)
    scores = {f"v{i}:{5 * j}": np.float32(generator.randrange(20) / 8) for i in range(30) for j in range(3)}
    parts = []
    for part in range(3):
        names = [name for name in scores if int(name[1:].split(":")[0]) % 3 == part]
        names = sorted(names, key=lambda name: -scores[name])[:20]
        parts.append(tmp_path / f"{part}.parquet")
        write_submission(parts[-1], {4: names}, scores={4: [scores[name] for name in names]})
    merge_submissions(parts, tmp_path / "merged.parquet", top_n=20)
    listed = {text for path in parts for text in Submission(path)[4].texts()}
    expected = sorted(listed, key=lambda n: (-scores[n], n.split(":")[0], int(n.split(":")[1])))[:20]
    with Submission(tmp_path / "merged.parquet") as merged:
        assert merged[4].texts() == expected
        np.testing.assert_array_equal(merged[4].scores, [scores[name] for name in expected])


def test_parts_without_scores_do_not_merge(tmp_path):
    for name in ("a.csv", "b.csv"):
        write_submission(tmp_path / name, {1: ["a:0"]})
    with pytest.raises(InputError, match=r"a.csv, line 2 \(class 1\): this class is in 2 of the files"):
        merge_submissions([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "line, sentence",
    [
        (b"3,a:0,b:5 c:10", "'a:0,b:5': the id has a comma"),
        (b'3,"a:0 b:5', "the id has a quote"),
        (b"3,a\xe9:0 b:5", "the id is not UTF-8"),
        ("3,a\xa0b:0".encode(), "the id has the character"),
        ("3,a\x9b31m:0".encode(), "the id has the character"),
        (b"3,a\x7f:0", "the id has the character"),
        ("3,a\u202eb:0".encode(), "the id has the character"),
        (b"3000000000,a:0", "'3000000000' is not a class id"),
        (b"99999999999999999999,a:0", "is not a class id"),
    ],
)
def test_ids_that_no_table_can_hold_are_errors(tmp_path, line, sentence):
    (tmp_path / "s.csv").write_bytes(b"Class,Segments\n2,k:0 \xc3\xa9:5\n" + line + b"\n")
    (problem,) = check_submission(tmp_path / "s.csv")
    assert problem.is_error and sentence in str(problem) and "line 3" in str(problem)
    with pytest.raises(InputError, match="line 3"):
        dict(read_submission(tmp_path / "s.csv"))


def test_lines_that_end_in_cr_alone_are_told(tmp_path):
    for text in ("Class,Segments\r3,a:0\r", "3,a:0\r4,b:5\r"):
        (tmp_path / "s.csv").write_text(text, newline="")
        with pytest.raises(InputError, match="s.csv.*(CR alone|0x0d)"):
            dict(read_submission(tmp_path / "s.csv"))
