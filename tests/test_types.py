"""The nouns."""

import pytest

from yt8m.types import InputError, Segment


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
