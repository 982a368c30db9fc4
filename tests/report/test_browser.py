"""The report in a real browser: nothing is loaded, nothing complains, clicks sort, it fits a phone and paper."""

import numpy as np
import pytest

from tests.helpers.browser import find_chromium, open_page
from yt8m.ranking.bootstrap import bootstrap_interval
from yt8m.ranking.evaluation import evaluate_scores
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.timelines import Timeline
from yt8m.report import write_evaluation_report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="no Chromium is installed; CHROMIUM=PATH names one"),
]
EVIL = "<script>document.title='broken'</script>"
COLUMN = "[...document.querySelectorAll('#classes tbody tr')].map(row => row.cells[{}].textContent)"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Path of a report on 30 classes and three videos."""
    random = np.random.default_rng(0)
    segments = [f"video{place % 3}:{5 * (place // 3 % 20)}" for place in range(1800)]
    labels = RatedLabels(segments, np.arange(1800) // 60, random.integers(0, 2, 1800))
    evaluation = evaluate_scores(labels, random.random(len(labels)))
    timelines = [
        Timeline(video_id=f"video{number}", starts=5 * np.arange(20), end=98, class_ids=evaluation.class_ids,
                 scores=random.random((30, 20), np.float32))
        for number in range(3)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("report") / "r.html"
    results = evaluation.summary() | {"interval": list(bootstrap_interval(evaluation, num_samples=50))}
    write_evaluation_report(
        path, title="A run", results=results, evaluation=evaluation, timelines=timelines,
        class_names={0: EVIL} | {class_id: f"Class {class_id}" for class_id in range(1, 30)},
        learning={"run": [{"step": step, "loss": 1 / step, "map_at_k": step / 10} for step in range(1, 6)]},
    )  # fmt: skip
    return path


@pytest.fixture(params=[(1200, False), (390, True)], ids=["desktop", "phone"])
def page(request, report):
    """The report, open."""
    width, phone = request.param
    with open_page(report, width=width, height=800, phone=phone, dark=phone) as page:
        yield page
        assert page.errors == []
        assert page.requests == [f"file://{report}"]


def test_a_click_sorts(page):
    before = page.evaluate(COLUMN.format(2))
    assert before == sorted(before)
    page.click("#classes th:nth-child(3) button")
    assert page.evaluate(COLUMN.format(2)) == before[::-1]
    page.click("#classes th:nth-child(2) button")
    assert page.evaluate(COLUMN.format(1)) == [str(class_id) for class_id in range(29, -1, -1)]
    page.click("#classes th:nth-child(2) button")
    assert page.evaluate(COLUMN.format(1)) == [str(class_id) for class_id in range(30)]
    assert page.evaluate("document.querySelector('#classes th:nth-child(2)').getAttribute('aria-sort')") == "ascending"


def test_it_fits_the_window_and_shows_names_as_text(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.title") == "A run"
    assert EVIL in page.evaluate(COLUMN.format(0))


def test_pointing_at_a_segment_says_its_score(page):
    x, y = page.middle(".strip")
    page.move(x, y)
    said = page.evaluate("document.querySelector('#tip').textContent")
    strip = "document.querySelector('.strip')"
    # The middle of 98 seconds is in the segment at 45.
    number = page.evaluate(f"{strip}.dataset.n.split(' ')[9]")
    assert (page.evaluate(f"{strip}.dataset.name") + f", 0:45: score {number}") in said, said
    assert not page.evaluate("document.querySelector('#tip').hidden")


def test_pointing_at_a_curve_says_its_numbers(page):
    circle = "document.querySelectorAll('.charts figure')[0].querySelectorAll('circle')[2]"
    page.evaluate(f"{circle}.id = 'third'")
    assert page.evaluate(f"getComputedStyle({circle}).opacity") == "0"
    page.move(*page.middle("#third"))
    assert page.evaluate("document.querySelector('#tip').textContent") == "run: step 3, loss 0.3333"
    assert page.evaluate(f"getComputedStyle({circle}).opacity") == "1"
    assert page.evaluate("document.querySelectorAll('svg title').length") == 0


def test_charts_are_legible(page):
    """Text and lines are of the page's colours, which are light on dark, or dark on light."""
    colour = "getComputedStyle(document.querySelector('.charts {}')).{}"
    ink, line = page.evaluate(colour.format("svg text", "fill")), page.evaluate(colour.format("svg g path", "stroke"))
    expected = {"rgb(255, 255, 255)": ("rgb(31, 36, 48)", "rgb(37, 99, 168)"),
                "rgb(20, 23, 28)": ("rgb(230, 233, 238)", "rgb(110, 168, 234)")}  # fmt: skip
    assert (ink, line) == expected[page.evaluate("getComputedStyle(document.body).backgroundColor")]


def test_it_prints(page):
    assert page.print().startswith(b"%PDF")
