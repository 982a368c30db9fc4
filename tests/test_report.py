"""The report is one page that holds what it was told, escaped."""

import html.parser

import pytest

from yt8m.report import write_ensemble_report
from yt8m.submission import write_submission


class Reader(html.parser.HTMLParser):
    """Collects text and the addresses of what a page would load."""

    def __init__(self):
        super().__init__()
        self.text, self.loaded, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.loaded += [value for name, value in attributes if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture
def submissions(tmp_path):
    write_submission(tmp_path / "a<b>&.csv", {1: ["x:0", "y:0"]})
    write_submission(tmp_path / "c.csv", {1: ["y:0", "z:0", "w:0"]})
    return [tmp_path / "a<b>&.csv", tmp_path / "c.csv"]


def read(path):
    reader = Reader()
    reader.feed(path.read_text())
    assert reader.open == ["p"] or reader.open == []
    assert not reader.loaded
    return "\n".join(reader.text)


def test_overlap_alone(tmp_path, submissions):
    write_ensemble_report(tmp_path / "r.html", submissions)
    text = read(tmp_path / "r.html")
    assert "a<b>&.csv" in text
    assert "a<b>" not in (tmp_path / "r.html").read_text()
    # One of two segments is in both.
    assert "0.50" in text


def test_with_a_search(tmp_path, submissions):
    search = {
        "weights": [1.0, 0.0], "w0": 6.06, "map_at_k": 0.8, "equal_weights_map": 0.75, "single_maps": [0.7, 0.6],
        "method": "random", "converged": True, "history": [{"map_at_k": value} for value in (0.7, 0.6, 0.8)],
        "cross_validation": {"in_fold_gain": 0.05, "out_of_fold_gain": 0.01, "optimism": 0.04, "folds": [{}, {}]},
    }
    write_ensemble_report(tmp_path / "r.html", submissions, search=search)
    text = read(tmp_path / "r.html")
    for expected in ("0.80000", "0.75000", "6.06", "c.csv.", "+0.04000", "2 folds", "3 steps", "converged"):
        assert expected in text
