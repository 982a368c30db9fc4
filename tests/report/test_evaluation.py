"""The report is one page that holds what it was told, escaped."""

import html.parser
import json
import tracemalloc
from xml.etree import ElementTree

import numpy as np
import pytest

from yt8m.ranking.bootstrap import bootstrap_interval
from yt8m.ranking.diagnosis import video_ratings, videos_by_mistakes
from yt8m.ranking.evaluation import evaluate_scores, evaluate_submission
from yt8m.ranking.rated_labels import RatedLabels
from yt8m.ranking.submission import write_submission
from yt8m.ranking.timelines import Timeline, read_timelines
from yt8m.report import ensemble_parts, gains_part, write_ensemble_report, write_evaluation_report

EVIL = "</script><script>alert('&')</script>"


class Reader(html.parser.HTMLParser):
    """Collects text and the addresses of what a page would load."""

    def __init__(self):
        super().__init__()
        self.text, self.loaded, self.open, self.tags, self.rows = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.loaded += [value for name, value in attributes if name in ("src", "href") or "url(" in (value or "")]
        assert not [name for name, _ in attributes if name.startswith("on")]
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.rows[-1].append(dict(attributes).get("data-v"))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if "td" in self.open and self.rows[-1][-1] is None:
            self.rows[-1][-1] = data


@pytest.fixture
def submissions(tmp_path):
    write_submission(tmp_path / "a<b>&.csv", {1: ["x:0", "y:0"]})
    write_submission(tmp_path / "c.csv", {1: ["y:0", "z:0", "w:0"]})
    return [tmp_path / "a<b>&.csv", tmp_path / "c.csv"]


def parse(path):
    reader = Reader()
    reader.feed(path.read_text())
    assert not reader.open and not reader.loaded
    return reader


def read(path):
    return "\n".join(parse(path).text)


def test_overlap_alone(tmp_path, submissions):
    write_ensemble_report(tmp_path / "r.html", submissions)
    text = read(tmp_path / "r.html")
    assert "a<b>&.csv" in text
    assert "a<b>" not in (tmp_path / "r.html").read_text()
    # One of two segments is in both.
    assert "0.50" in text


def test_with_a_search(tmp_path, submissions):
    gains = [{"mean": 0.0, "low": 0.0, "high": 0.0}, {"mean": 0.01, "low": -0.02, "high": 0.04}]
    search = {
        "submissions": [str(path) for path in submissions],
        "weights": [1.5, 0.5],
        "w0": None,
        "w0_share": 0.6,
        "metric": "map_at_k",
        "map_at_k": 0.8,
        "equal_weights": {"w0": 6.06, "w0_share": None, "map_at_k": 0.75},
        "single_scores": [0.7, 0.6],
        "method": "bagging",
        "droppable": [str(submissions[1])],
        "out_of_fold_gain": gains[1] | {"folds": [0.0, 0.02]},
        "candidates": [
            {"strength": 0.0, "w0": 6.06, "w0_share": None, "gain": gains[0], "chosen": False},
            {"strength": 0.5, "w0": None, "w0_share": 0.6, "gain": gains[1], "chosen": True},
        ],
    }
    write_ensemble_report(tmp_path / "r.html", submissions, search=search)
    text = " ".join(read(tmp_path / "r.html").split())
    for expected in (
        *(
            "0.80000",
            "0.75000 with equal weights and w0 = 6.06",
            "and w0 = 0.6 of the list",
            "no lower without: c.csv.",
        ),
        *("+0.01000 over equal weights, 95% interval -0.02000 to +0.04000 (2 folds", "That is within its noise."),
        *("50% to the bagged ones, chosen 0.6 of the list +0.01000 -0.02000 +0.04000", "equal 6.06 +0.00000"),
    ):
        assert expected in text
    certain = search | {"out_of_fold_gain": {"mean": 0.02, "low": 0.01, "high": 0.03, "folds": [0.01, 0.03]}}
    write_ensemble_report(tmp_path / "r.html", submissions, search=certain)
    assert "noise" not in read(tmp_path / "r.html") and "Equal weights stay" not in read(tmp_path / "r.html")
    none = search | {"out_of_fold_gain": {"mean": -0.01, "low": -0.03, "high": 0.01, "folds": [0.0, -0.02]}}
    write_ensemble_report(tmp_path / "r.html", submissions, search=none)
    assert "Equal weights stay." in read(tmp_path / "r.html")


@pytest.fixture
def evaluation():
    """Two classes, two videos; the model errs on b alone."""
    segments = ["a:0", "a:5", f"{EVIL}:0", f"{EVIL}:5", "a:0", "a:5"]
    labels = RatedLabels(segments, [1, 1, 1, 1, 2, 2], [1, 0, 0, 1, 0, 1])
    scores = {
        ("a:0", 1): 0.9,
        ("a:5", 1): 0.1,
        (f"{EVIL}:0", 1): 0.8,
        (f"{EVIL}:5", 1): 0.4,
        ("a:0", 2): 0.3,
        ("a:5", 2): 0.7,
    }
    ordered = [scores[text.decode(), c] for text, c in zip(labels.texts, labels.class_ids.tolist())]
    return evaluate_scores(labels, np.array(ordered))


def timelines_of(evaluation, *, num_segments=3):
    starts = 5 * np.arange(num_segments)
    scores = np.linspace(0, 1, len(evaluation.class_ids) * num_segments, dtype=np.float32).reshape(-1, num_segments)
    return [
        Timeline(
            video_id=video_id, starts=starts, end=5 * num_segments - 2, class_ids=evaluation.class_ids, scores=scores
        )
        for video_id, _, _ in videos_by_mistakes(evaluation, limit=20)
    ]


def test_the_page_holds_the_numbers_that_were_printed(tmp_path, evaluation):
    results = evaluation.summary() | {
        "loss": 0.1 + 0.2,
        "interval": list(bootstrap_interval(evaluation, num_samples=50)),
    }
    learning = {
        "run": [{"step": 10, "loss": 0.5, "map_at_k": 0.25}, {"step": 20, "loss": float("nan"), "map_at_k": 0.5}]
    }
    write_evaluation_report(
        tmp_path / "r.html", title="run", results=results, evaluation=evaluation, learning=learning,
        class_names={1: "Cat"}, timelines=timelines_of(evaluation),
    )  # fmt: skip
    reader = parse(tmp_path / "r.html")
    embedded = next(text for text in reader.text if text.startswith('{"map_at_k"'))
    assert json.loads(embedded) == json.loads(json.dumps(results))
    text = "\n".join(reader.text)
    for expected in (
        f"{results['map_at_k']:.5f}",
        f"{results['interval'][0]:.4f}–{results['interval'][1]:.4f}",
        "Holdout MAP@K",
        "Holdout loss",
        "Expected calibration error",
        "2 of 2 rated pairs wrong",
    ):
        assert expected in text
    # Worst class first: (1 + 2/3) / 2 and 1.
    table = [row for row in reader.rows if len(row) == 6]
    assert [row[:2] for row in table] == [["Cat", "1"], ["class 2", "2"]]
    assert [float(row[2]) for row in table] == evaluation.average_precision.tolist() == [pytest.approx(5 / 6), 1]
    assert [row[3:] for row in table] == [["4", "2", "2"], ["2", "1", "1"]]


def test_what_comes_from_data_is_text(tmp_path, evaluation):
    results = evaluation.summary() | {"note": EVIL}
    models = {EVIL: {"pretrained": 0.1, "finetuned": 0.2, "tta": 0.3, "shifts": [0, 1]}}
    ensemble = {
        "equal": {"map_at_k": 0.4, "w0": "1"}, "searched": {"map_at_k": 0.5, "w0": "2", "weights": [1]}, "against": EVIL,
        "difference": {"difference": 0.1, "low": 0.05, "high": 0.15},
    }  # fmt: skip
    write_evaluation_report(
        tmp_path / "r.html",
        title=EVIL,
        results=results,
        evaluation=evaluation,
        learning={EVIL: [{"step": 1, "loss": 1}]},
        class_names={1: EVIL, 2: '" onclick="alert(1)'},
        timelines=timelines_of(evaluation),
        probabilities=(EVIL, evaluation),
        extra=[gains_part(models, ensemble)],
    )
    reader = parse(tmp_path / "r.html")
    # The numbers and the page's own script.
    assert reader.tags.count("script") == 2
    assert EVIL in reader.text
    assert json.loads(next(text for text in reader.text if text.startswith('{"map_at_k"')))["note"] == EVIL


def test_gains_are_differences(tmp_path, submissions):
    models = {"A": {"pretrained": 0.5, "finetuned": 0.7, "tta": 0.71, "shifts": [-2, 1]},
              "B": {"pretrained": 0.4, "finetuned": 0.65, "tta": 0.64, "shifts": [0, 2]}}  # fmt: skip
    ensemble = {"equal": {"map_at_k": 0.72, "w0": "1"}, "searched": {"map_at_k": 0.74, "w0": "6.06", "weights": [3, 1]},
                "against": "A", "difference": {"difference": 0.03, "low": -0.01, "high": 0.07}}  # fmt: skip
    html_text = gains_part(models, ensemble)
    for expected in ("+0.2000", "+0.0100", "-0.0100", "-2 to 1", "75.0%", "+0.0300", "[-0.0100, +0.0700]"):
        assert expected in html_text
    assert "0.50" in "".join(ensemble_parts(submissions))


def test_whole_videos_have_numbers_and_curves_alone(tmp_path):
    results = {"gap_at_20": 0.61, "hit_at_one": 0.7, "perr": 0.5, "map": 0.4, "num_videos": 1234, "loss": 0.01}
    write_evaluation_report(
        tmp_path / "r.html", title="run", results=results, learning={"run": [{"step": 1, "gap_at_20": 0.5}]}
    )
    text = read(tmp_path / "r.html")
    assert "training" not in text
    for expected in ("GAP@20", "0.61000", "1,234", "Holdout GAP@20"):
        assert expected in text
    assert "Calibration" not in text and "Timelines" not in text


def test_training_and_holdout_loss_share_a_chart(tmp_path):
    entries = [
        {"step": 0, "loss": 1.0},
        {"step": 10, "train_loss": 3.0, "loss": 2.0},
        {"step": 20, "train_loss": 1.0, "loss": 1.5},
    ]
    write_evaluation_report(tmp_path / "r.html", title="x", results={"loss": 1.5}, learning={"run": entries})
    page = (tmp_path / "r.html").read_text()
    (figure,) = [part for part in page.split("<figure>")[1:] if "Loss in training and on the holdout" in part]
    svg = ElementTree.fromstring(figure[figure.index("<svg") : figure.index("</svg>") + len("</svg>")])
    lines = {
        group.find("title").text: [
            tuple(map(float, point.split())) for point in group.find("path").get("d").strip("M ").split(" L ")
        ]
        for group in svg.findall("g")
        if group.find("path") is not None
    }
    assert list(lines) == ["run, training", "run, holdout"]
    (x1, y3), (x2, y1) = lines["run, training"]
    assert [x for x, _ in lines["run, holdout"]] == pytest.approx([2 * x1 - x2, x1, x2], abs=0.21)
    assert [y for _, y in lines["run, holdout"]] == pytest.approx([y1, (y1 + y3) / 2, y1 + (y3 - y1) / 4], abs=0.11)
    said = [title.text for title in svg.iter("title")]
    assert "run, training: step 10, loss 3.0000" in said and "run, holdout: step 20, loss 1.5000" in said


def test_a_thousand_classes_stay_under_three_megabytes(tmp_path):
    random = np.random.default_rng(0)
    segments = [f"video{place % 200}:{5 * (place // 200 % 60)}" for place in range(20_000)]
    classes = np.arange(20_000) % 1000
    labels = RatedLabels(segments, classes, random.integers(0, 2, 20_000))
    evaluation = evaluate_scores(labels, random.random(len(labels)))
    assert len(evaluation.class_ids) > 990
    names = {class_id: f"A class with quite a long name, {class_id}" for class_id in range(1000)}
    timelines = timelines_of(evaluation, num_segments=60)
    write_evaluation_report(
        tmp_path / "r.html", title="x", results=evaluation.summary(), evaluation=evaluation, class_names=names,
        timelines=timelines,
    )  # fmt: skip
    assert len(timelines) == 20
    assert 300_000 < (tmp_path / "r.html").stat().st_size < 1_500_000


def test_memory_does_not_grow_with_segments_that_nobody_rated(tmp_path):
    peaks = []
    labels = RatedLabels(["a:0", "b:5", "b:0"], [1, 1, 1], [1, 0, 1])
    # Libraries are loaded first, since the space of their code is counted too.
    evaluation = evaluate_scores(labels, np.zeros(3))
    write_evaluation_report(tmp_path / "r.html", title="x", results=evaluation.summary(), evaluation=evaluation)
    line = " ".join(f"video{place}:5" for place in range(20_000)) + " a:0 b:5\n"
    # Both files are larger than the blocks in which lines are sought.
    for num_classes in (80, 160):
        (tmp_path / "s.csv").write_text("Class,Segments\n" + "".join(f"{c},{line}" for c in range(num_classes)))
        tracemalloc.start()
        evaluation = evaluate_submission(tmp_path / "s.csv", labels)
        timelines = read_timelines(tmp_path / "s.csv", ["a", "b"], class_ids=range(num_classes))
        write_evaluation_report(
            tmp_path / "r.html", title="x", results=evaluation.summary(), evaluation=evaluation, timelines=timelines
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.05 * peaks[0]
    assert video_ratings(evaluation, ["b"]) == {"b": {(1, 5): (False, 1), (1, 0): (True, -1)}}
