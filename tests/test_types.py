"""The nouns."""

import pytest

from yt8m.types import InputError, Segment, id_problem, sanitized_id


def test_a_segment_prints_and_parses():
    segment = Segment("Eq0a", 15)
    assert str(segment) == "Eq0a:15" and Segment.parse("Eq0a:15") == segment


def test_video_ids_may_contain_colons():
    assert Segment.parse("--4gqARaEJE:0:5") == ("--4gqARaEJE:0", 5)
    assert str(Segment("a:0", 5)) == "a:0:5"


@pytest.mark.parametrize("text", ["", "Eq0a", ":5", "Eq0a:", "Eq0a:-5", "Eq0a:5.0", "Eq0a:five", "Eq0a:\u0665"])
def test_what_is_not_a_segment_is_refused(text):
    with pytest.raises(InputError, match="is not a segment"):
        Segment.parse(text)


def test_segments_sort_by_video_then_by_time():
    assert sorted([Segment("b", 0), Segment("a", 10), Segment("a", 5)]) == [("a", 5), ("a", 10), ("b", 0)]


@pytest.mark.parametrize("video_id", ["Eq0a", "--4gq:0", "größe", "日本", "a/b", "👩🔬", "'", "a;b"])
def test_ids_are_text_without_separators(video_id):
    assert id_problem(video_id) == id_problem(video_id.encode()) == "" and sanitized_id(video_id) == video_id


@pytest.mark.parametrize("number", [*range(33), *range(127, 160), 0x2028, 0x200B, 0x202E, 0xFEFF, ord(","), ord('"')])
def test_ids_have_no_separators_or_unseen_characters(number):
    for video_id in (chr(number), f"a{chr(number)}b", f"ab{chr(number)}"):
        assert id_problem(video_id) and id_problem(video_id.encode())
        assert id_problem(sanitized_id(video_id)) == ""


def test_ids_that_are_no_text():
    assert id_problem("") == id_problem(b"") == "is empty"
    assert id_problem(b"a\xe9") == id_problem(b"a\xe9".decode(errors="surrogateescape")) == "is not UTF-8"
    assert sanitized_id("a\udce9") == "a_" and sanitized_id("") == "_"
