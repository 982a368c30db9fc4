"""Charts are where their numbers are, say them when pointed at, and hold names as text."""

import sys
import warnings
from xml.etree import ElementTree

import numpy as np
import pytest

from yt8m.report.charts import bars, heat_map, line_chart, reliability_chart
from yt8m.text import printable
from yt8m.types import InputError

EVIL = "</svg><script>alert('&')</script>"
BINS = [
    {"low": 0.2, "high": 0.3, "count": 1200, "mean_score": 0.25, "share_positive": 0.5},
    {"low": 0.9, "high": 1.0, "count": 10, "mean_score": 0.95, "share_positive": 1.0},
]


def parse(html):
    """The svg element of a chart."""
    return ElementTree.fromstring(html[html.index("<svg role") : html.index("</svg>") + len("</svg>")])


def titles(svg):
    return [title.text for title in svg.iter("title")]


def box(group):
    """(left, top, right, bottom) of the path of a mark."""
    numbers = [float(part) for part in group.find("path").get("d").split() if part not in "MLz"]
    return min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])


def test_points_of_a_line_lie_on_it_and_say_their_numbers():
    svg = parse(line_chart("t", [("a", [0, 1, 2, np.nan], [1, 3, np.inf, 2])], x_label="step", y_label="loss"))
    line, points = svg.findall("g")
    left, top, right, bottom = box(line)
    circles = [(float(circle.get("cx")), float(circle.get("cy"))) for circle in points]
    assert circles == [pytest.approx((left, bottom), abs=0.11), pytest.approx((right, top), abs=0.11)]
    assert titles(svg) == ["a", "a: step 0, loss 1.0000", "a: step 1, loss 3.0000"]


def test_a_line_of_many_points_says_some_of_them():
    svg = parse(line_chart("t", [("a", np.arange(1001), np.arange(1001))], x_label="x", y_label="y"))
    said = titles(svg)[1:]
    assert len(said) == 40 and said[0] == "a: x 0, y 0.0000" and said[-1] == "a: x 1000, y 1000.0000"
    assert svg.find("g").find("path").get("d").count("L") == 1000


@pytest.mark.parametrize("series", [[], [("a", [], [])], [("a", [1], [2])], [("a", [1, 2], [np.nan, np.nan])]])
def test_few_points_are_a_chart_too(series):
    svg = parse(line_chart("t", series, x_label="x", y_label="y"))
    assert titles(svg) == (["a: x 1, y 2.0000"] if series and series[0][1] == [1] else [])


def test_lines_are_told_apart_by_colour_then_dash():
    series = [(f"run {index}", [0, 1], [0, index]) for index in range(8)]
    html = line_chart("t", series, x_label="x", y_label="y")
    styles = [group.find("path").get("style") for group in parse(html).findall("g") if group.find("path") is not None]
    assert len(set(styles)) == 8 and "var(--c0)" in styles[0] and "var(--c0)" in styles[6]
    assert "dasharray" not in styles[5] and "stroke-dasharray: 6,3" in styles[6]
    assert 'stroke-dasharray="6 3" style="stroke: var(--c1)"/></svg>run 7</li>' in html


def test_bars_of_reliability_are_shares_of_positives():
    svg = parse(reliability_chart("t", BINS))
    half, whole = [box(group) for group in svg.findall("g") if group.find("path") is not None]
    assert whole[3] - whole[1] == pytest.approx(2 * (half[3] - half[1]), abs=0.3)
    assert titles(svg)[0] == "1,200 pairs, mean score 0.250, positive 0.500"
    low, high = list(svg.iter("circle"))
    assert float(low.get("cx")) == pytest.approx((half[0] + half[2]) / 2, abs=0.2)
    assert float(high.get("cy")) == pytest.approx(whole[1], abs=0.2)


def test_bars_are_as_long_as_their_values():
    svg = parse(bars("t", [("a", 0.2, ("20%",)), ("b", 0.4, ("40%",)), ("c", 0.0, ("0%",))], columns=("share",)))
    widths = [right - left for left, _, right, _ in map(box, svg.findall("g"))]
    assert widths == pytest.approx([150, 300, 0], abs=0.2)
    assert titles(svg) == ["a: 20%", "b: 40%", "c: 0%"]
    assert [text.text for text in svg.iter("text")] == ["a", "b", "c", "share", "20%", "40%", "0%"]


def test_cells_are_deeper_the_higher_and_unknown_ones_have_a_dash():
    svg = parse(heat_map("t", ["a", "b"], np.array([[1, 0.25], [np.nan, 1]])))
    cells = [group.find("path").get("style") for group in svg.findall("g") if group.find("path") is not None]
    assert [style.partition("opacity: ")[2][:4] for style in cells] == ["0.5", "0.15", "0.04", "0.5"]
    assert titles(svg) == ["a and a: 1.00", "a and b: 0.25", "b and a: –", "b and b: 1.00"]


@pytest.mark.parametrize("name", [EVIL, "$x^", "\x01\x1b", "日本", "#2563a8", "%s {} \\"])
def test_names_are_text_in_every_chart(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        charts = [
            line_chart(name, [(name, [0, 1], [0, 1]), ("b", [0, 1], [1, 0])], x_label="x", y_label="y"),
            bars(name, [(name, 1.0, ("1",))], columns=("share",)),
            heat_map(name, [name, "b"], np.eye(2)),
        ]
    shown = printable(name)
    for html in charts[1:]:
        svg = parse(html)
        assert any(shown in text.text for text in svg.iter("text")) and titles(svg)[0].startswith(shown)
    assert not any("<script" in html for html in charts)


def test_a_chart_needs_nothing_that_is_elsewhere():
    html = line_chart("t", [("a", [0, 1], [0, 1])], x_label="x", y_label="y")
    for part in ("href", "url(", "id=", "<style", "font", "#", "<?xml", "xmlns"):
        assert part not in html


def test_matplotlib_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"need Matplotlib: pip install 'yt8m\[report\]'"):
        heat_map("t", ["a"], np.eye(1))
