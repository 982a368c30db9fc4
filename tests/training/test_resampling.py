import numpy as np
import pytest

from yt8m.training.resampling import resample


def distance(drawn, candidates, class_counts):
    """L1 distance of the classes of what was drawn from the distribution, one pair at a time."""
    found = {c: sum(drawn.get(example, 0) for example in candidates.get(c, ())) for c in class_counts}
    total, wanted = sum(found.values()), sum(class_counts.values())
    return sum(abs(found[c] / total - class_counts[c] / wanted) for c in class_counts)


def test_one_class_each_is_drawn_to_the_distribution_and_what_is_out_of_reach_is_named():
    candidates = {1: range(40), 2: range(40, 43), 3: range(43, 60)}
    class_counts = {1: 20, 2: 50, 3: 10, 5: 15, 8: 5, 9: 0}
    drawn, report = resample(candidates, class_counts=class_counts, total=160, seed=[1])
    # 80 of 100 rated ones have candidates: of 160 draws 40, 100 and 20.
    counts = {c: sum(drawn.get(example, 0) for example in of_class) for c, of_class in candidates.items()}
    assert counts == {1: 40, 2: 100, 3: 20} and sum(drawn.values()) == 160
    # All of a class alike, give or take the one that whole numbers ask for.
    assert [drawn[example] for example in range(40)] == [1] * 40
    assert sorted(drawn[example] for example in range(40, 43)) == [33, 33, 34]
    assert report.without_candidates == {5: 15, 8: 5} and report.most_repeats == 34 and report.distinct == 60
    # A fifth is missing, and too much on the others.
    assert report.out_of_reach == pytest.approx(0.4) and report.after == pytest.approx(0.4)
    every = dict.fromkeys(range(60), 1)
    assert report.before == pytest.approx(distance(every, candidates, class_counts))
    assert report.told() == (
        "L1 distance to the rated classes 0.400, before resampling "
        f"{report.before:.3f}; 0.400 of it is 2 classes without a candidate (5, 8)"
    )


def test_examples_of_several_classes_come_near_it():
    """Skewed candidates that have classes in common, and twenty rated classes."""
    rng = np.random.default_rng(0)
    skewed = rng.dirichlet(np.full(20, 0.5))
    has = rng.random((3000, 20)) < 1.2 * skewed
    candidates = {c: np.flatnonzero(has[:, c]).tolist() for c in range(20)}
    class_counts = {c: int(count) for c, count in enumerate(rng.integers(20, 100, 20))}
    drawn, report = resample(candidates, class_counts=class_counts, total=3000, seed=[5])
    assert report.after == pytest.approx(distance(drawn, candidates, class_counts))
    assert report.before > 0.6 and report.after - report.out_of_reach < 0.05
    again, _ = resample(candidates, class_counts=class_counts, total=3000, seed=[5])
    other, _ = resample(candidates, class_counts=class_counts, total=3000, seed=[6])
    assert drawn == again != other
