"""MAP@K of submissions against hand values, the plain loop and scikit-learn."""

import json
import random

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from benchmarks import plain
from yt8m.ranking.bootstrap import bootstrap_interval, paired_difference
from yt8m.ranking.evaluation import RatedLabels, evaluate_submission, merge_per_class, write_per_class_csv
from yt8m.ranking.ranks import average_precisions
from yt8m.ranking.submission import write_submission
from yt8m.types import InputError, Segment


def random_case(folder, *, seed=0, classes=6, size=200, video="v"):
    """(path of a submission, path of labels): random lists over 400 segments, a part of them rated."""
    generator = random.Random(seed)
    segments = [f"{video}{i:02}:{5 * j}" for i in range(20) for j in range(20)]
    rankings = {c: generator.sample(segments, size) for c in range(classes) if c != 2}
    plain.write(folder / "submission.csv", rankings)
    with open(folder / "labels.csv", "w", encoding="utf-8") as file:
        for c in range(classes):
            for segment in generator.sample(segments, 40):
                # Class 4 has no positives.
                file.write(f"{segment},{c},{int(c != 4 and generator.random() < 0.4)}\n")
    return folder / "submission.csv", folder / "labels.csv"


@pytest.mark.parametrize("top_n", [100_000, 200, 77, 1])
@pytest.mark.parametrize("video", ["v", "ß:eleven-xx", "x" * 90])
def test_equals_plain_loop(tmp_path, top_n, video):
    submission, labels = random_case(tmp_path, video=video)
    result = evaluate_submission(submission, RatedLabels.from_csv(labels), top_n=top_n)
    value, precisions = plain.score_rankings(plain.read(submission), plain.read_labels(labels), top_n=top_n)
    assert result.map_at_k == pytest.approx(value, abs=1e-12)
    assert dict(zip(result.class_ids.tolist(), result.average_precision)) == pytest.approx(precisions, abs=1e-12)
    assert 4 not in result.class_ids
    assert result.missing == (2,)
    assert result.average_precision[result.class_ids.tolist().index(2)] == 0


def test_by_hand(tmp_path):
    write_submission(tmp_path / "s.csv", {7: ["a:0", "b:0", "c:0", "d:0", "e:0"]})
    # Of the list, b is unrated; positives a (1/1), d (2/3), and z, which is not listed.
    labels = RatedLabels(["a:0", "c:0", Segment("d", 0), "z:0", "a:0"], [7, 7, 7, 7, 8], [1, 0, 1, 1, 0])
    result = evaluate_submission(tmp_path / "s.csv", labels)
    assert result.map_at_k == pytest.approx((1 + 2 / 3) / 3)
    assert (result.num_rated, result.num_positive, result.num_listed) == (4, 3, 2)
    assert evaluate_submission(tmp_path / "s.csv", labels, top_n=3).map_at_k == pytest.approx(1 / 3)
    assert labels["d:0", 7] == 1
    assert labels[Segment("a", 0), 8] == 0


def test_repeated_segments_count_once(tmp_path):
    (tmp_path / "s.csv").write_text("1,x:0 x:0 a:0 a:0 b:0\n")
    labels = RatedLabels(["a:0", "b:0", "x:0"], [1, 1, 1], [1, 1, 0])
    assert evaluate_submission(tmp_path / "s.csv", labels).map_at_k == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert evaluate_submission(tmp_path / "s.csv", labels, top_n=2).map_at_k == pytest.approx(1 / 4)


def test_weighted_precision_equals_scikit_learn():
    generator = np.random.default_rng(0)
    groups = np.repeat([0, 1, 2], 30)
    ranks = np.concatenate([generator.permutation(30) for _ in range(3)])
    positive = generator.random(90) < 0.4
    weights = generator.integers(0, 4, (5, 90)).astype(float)
    result = average_precisions(ranks, positive, groups, weights=weights)
    for row, values in zip(weights, result):
        for group, value in enumerate(values):
            rows = groups == group
            expected = average_precision_score(positive[rows], -ranks[rows], sample_weight=row[rows])
            assert value == pytest.approx(expected, abs=1e-12)


def test_bootstrap_equals_plain_resampling(tmp_path):
    submission, path = random_case(tmp_path)
    labels = RatedLabels.from_csv(path)
    result = evaluate_submission(submission, labels)
    rankings = plain.read(submission)
    rated = plain.read_labels(path)
    # The same draws, each drawn video put in as often as it was drawn, copies of a segment tied.
    generator = np.random.default_rng(3)
    used = [v for v in labels.video_ids if any(s.startswith(f"{v}:") for c in result.class_ids for s in rated[int(c)])]
    values = []
    for draw in generator.integers(len(used), size=(20, len(used))):
        counts = np.bincount(draw, minlength=len(used))
        weight = dict(zip(used, counts.tolist()))
        precisions = []
        for c in result.class_ids.tolist():
            total = sum(weight[s.split(":")[0]] for s, label in rated[c].items() if label)
            hits = seen = gain = 0
            for segment in rankings.get(c, ()):
                if segment in rated[c]:
                    times = weight[segment.split(":")[0]]
                    seen += times
                    if rated[c][segment] and times:
                        hits += times
                        gain += times * hits / seen
            if total:
                precisions.append(gain / total)
        values.append(np.mean(precisions))
    low, high = np.percentile(values, [5, 95]) - np.mean(values) + result.map_at_k
    assert bootstrap_interval(result, num_samples=20, seed=3, confidence=0.9) == pytest.approx((low, high), abs=1e-12)


def test_interval_covers_the_truth(tmp_path):
    # Many draws of labels from one world: the interval holds that world's MAP about as often as it says.
    generator = np.random.default_rng(0)
    segments = [f"v{i}:0" for i in range(4000)]
    write_submission(tmp_path / "s.csv", {1: segments, 2: segments[::-1]})
    world = [
        (s, c, int(generator.random() < (1 - i / 4000 if c == 1 else 0.3)))
        for i, s in enumerate(segments)
        for c in (1, 2)
    ]
    truth = evaluate_submission(tmp_path / "s.csv", RatedLabels(*zip(*world))).map_at_k
    inside = 0
    for seed in range(40):
        chosen = [world[i] for i in generator.choice(len(world), 400, replace=False)]
        result = evaluate_submission(tmp_path / "s.csv", RatedLabels(*zip(*chosen)))
        low, high = bootstrap_interval(result, num_samples=200, seed=seed, confidence=0.8)
        assert low < result.map_at_k < high
        inside += low < truth < high
    assert 24 <= inside <= 38


def test_a_draw_without_positives_is_left_out(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["b:0", "a:0"]})
    result = evaluate_submission(tmp_path / "s.csv", RatedLabels(["a:0", "b:0"], [1, 1], [1, 0]))
    low, high = bootstrap_interval(result, num_samples=100)
    assert np.isfinite([low, high]).all() and low < 0.5 < high


def test_paired_difference(tmp_path):
    submission, path = random_case(tmp_path)
    labels = RatedLabels.from_csv(path)
    truth = plain.read_labels(path)
    perfect = {c: sorted(rated, key=lambda s: -rated[s]) for c, rated in truth.items()}
    plain.write(tmp_path / "perfect.csv", perfect)
    first, second = (evaluate_submission(p, labels) for p in (tmp_path / "perfect.csv", submission))
    result = paired_difference(first, second, num_samples=100)
    assert first.map_at_k == 1.0
    assert result["difference"] == pytest.approx(1 - second.map_at_k)
    assert 0 < result["low"] < result["difference"] < result["high"]
    assert result["share_above"] == 1.0
    assert paired_difference(first, first)["low"] == paired_difference(first, first)["high"] == 0
    # A pair has a narrower interval than two samples on their own, and the same seed gives the same.
    assert result == paired_difference(first, second, num_samples=100)
    with pytest.raises(InputError, match="different labels"):
        paired_difference(first, evaluate_submission(submission, labels, class_range=(0, 2)))


def test_class_ranges_merge_exactly(tmp_path):
    submission, path = random_case(tmp_path)
    labels = RatedLabels.from_csv(path)
    whole = evaluate_submission(submission, labels)
    parts = []
    for index, class_range in enumerate([(3, 6), (0, 3)]):
        parts.append(tmp_path / f"{index}.csv")
        write_per_class_csv(evaluate_submission(submission, labels, class_range=class_range), parts[-1])
    merged = merge_per_class(parts)
    summary = whole.summary()
    assert merged == {name: summary[name] for name in merged}
    assert json.loads(json.dumps(summary)) == summary
    with pytest.raises(InputError, match="stands in another table"):
        merge_per_class([parts[0], parts[0]])
    with pytest.raises(InputError, match="has no column Class, AveragePrecision"):
        merge_per_class([path])


def test_per_class_csv(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["a:0", "b:0"]})
    labels = RatedLabels(["a:0", "b:0", "b:0"], [1, 1, 2], [0, 1, 1])
    result = evaluate_submission(tmp_path / "s.csv", labels)
    write_per_class_csv(result, tmp_path / "t.csv", class_names={1: "Dog, cat"})
    assert (tmp_path / "t.csv").read_text() == (
        'Class,Name,AveragePrecision,Rated,Positive,Listed,Missing\n1,"Dog, cat",0.5,2,1,1,0\n2,,0.0,1,1,0,1\n'
    )


def test_labels_csv(tmp_path):
    (tmp_path / "l.csv").write_text("segment,class,score\nb:c:5,3,0.5\na:10,3,0\na:5,3,1\na:5,3,0\n\n")
    labels = RatedLabels.from_csv(tmp_path / "l.csv")
    assert labels.texts == [b"a:5", b"a:10", b"b:c:5"]
    assert labels.positive.tolist() == [True, False, True]
    assert labels.video_ids == ["a", "b:c"]
    labels.write_csv(tmp_path / "again.csv")
    assert RatedLabels.from_csv(tmp_path / "again.csv").texts == labels.texts


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("a:0,1,1\na:0;1;1\n", "l.csv, line 2: expected vid:start,class,score, not 'a:0;1;1'"),
        ("a,1,1\n", "line 1: 'a' is not a segment"),
        ("a:0,x,1\n", "line 1: 'x' is not a class id"),
        ("a:0,1,2\n", r"line 1: score '2' is not a finite number in \[0, 1\]"),
        ("a:0,1,nan\n", "line 1: score 'nan' is not a finite number in"),
        ("a:0,1,1\nb,c:0,1,1\n", "line 2: expected vid:start,class,score, not 'b,c:0,1,1'"),
        ('a:0,1,1\n"b,c:0",1,1\n', "line 2: the id 'b,c' has a comma"),
        ("a:0,1,1\na:-5,1,1\n", "line 2: 'a:-5' is not a segment"),
        ("", "rates no segment"),
    ],
)
def test_bad_labels(tmp_path, text, sentence):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        RatedLabels.from_csv(tmp_path / "l.csv")


def test_bad_evaluations(tmp_path):
    write_submission(tmp_path / "s.csv", {1: ["a:0"]})
    with pytest.raises(InputError, match="no class has a positive label"):
        evaluate_submission(tmp_path / "s.csv", RatedLabels(["a:0"], [1], [0]))
    with pytest.raises(InputError, match="in the class range 5:9"):
        evaluate_submission(tmp_path / "s.csv", RatedLabels(["a:0"], [1], [1]), class_range=(5, 9))
    with pytest.raises(InputError, match="MAP@K needs 1 or more"):
        evaluate_submission(tmp_path / "s.csv", RatedLabels(["a:0"], [1], [1]), top_n=0)
    with pytest.raises(InputError, match="cannot read .*: Is a directory"):
        RatedLabels.from_csv(tmp_path)


@pytest.mark.parametrize(
    "segment, score", [("a:0", float("nan")), ("a:0", -0.1), ("a:0", 1.5), (Segment("a", -5), 1.0)]
)
def test_what_is_no_rating_is_refused_wherever_it_comes_from(segment, score):
    with pytest.raises(InputError, match=r"^a:(0|-5) is rated .* for class 3"):
        RatedLabels(["b:0", segment], [3, 3], [1.0, score])
