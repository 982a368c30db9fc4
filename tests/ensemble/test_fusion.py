"""Fusion against a plain dict loop, byte for byte."""

import gzip

import numpy as np
import pytest

from benchmarks import plain
from tests.helpers.submissions import ALPHABETS, rankings_of, write_all
from yt8m.ensemble import fusion
from yt8m.ensemble.fusion import Fusion, fuse, fuse_lists, rank_overlap
from yt8m.ranking import segment_lists
from yt8m.ranking.segment_lists import SegmentList
from yt8m.ranking.submission import Submission, read_submission, write_submission
from yt8m.types import InputError


@pytest.mark.parametrize("method", ["reciprocal_rank", "borda"])
@pytest.mark.parametrize("name", ALPHABETS)
def test_equals_plain_loop(tmp_path, name, method):
    rankings = rankings_of(name)
    paths = write_all(tmp_path, rankings)
    for weights, w0, top_n in [((1, 1, 1), 1.0, 100_000), ((0.3, 2, 0.7), 6.06, 100_000), ((1, 1, 1), None, 7)]:
        plain.fuse(paths, tmp_path / "slow.csv", weights=weights, w0=w0, method=method, top_n=top_n)
        fuse(paths, tmp_path / "fast.csv", fusion=Fusion(weights, method=method, w0=w0, top_n=top_n))
        assert (tmp_path / "fast.csv").read_bytes() == (tmp_path / "slow.csv").read_bytes()


def test_equation_20_by_hand():
    lists = [SegmentList.from_text(b"a:0 b:5 c:10"), SegmentList.from_text(b"b:5 d:15 a:0")]
    fused, repeats = fuse_lists(lists, fusion=Fusion((1.0, 2.0), w0=1.0))
    assert fused.texts() == ["b:5", "a:0", "d:15", "c:10"]
    np.testing.assert_allclose(fused.scores, [1 / 2 + 2, 1 + 2 / 3, 2 / 2, 1 / 3])
    assert repeats.tolist() == [0, 0]


def test_w0_by_hand():
    fused, _ = fuse_lists([SegmentList.from_text(b"a:0 b:5")], fusion=Fusion((2.0,), w0=6.06))
    np.testing.assert_allclose(fused.scores, [2.0, 2 * 6.06 / 7.06])


def test_w0_is_a_share_of_the_longest_list():
    lists = [SegmentList.from_text(b"a:0 b:5 c:10 d:0 e:0"), SegmentList.from_text(b"b:5")]
    fused, _ = fuse_lists(lists, fusion=Fusion((1.0, 1.0)))
    assert fused.texts() == ["b:5", "a:0", "c:10", "d:0", "e:0"]
    np.testing.assert_allclose(fused.scores, [1 + 1 / 2, 1, 1 / 3, 1 / 4, 1 / 5])
    fused, _ = fuse_lists(lists, fusion=Fusion((1.0, 1.0), w0_share=2.0))
    np.testing.assert_allclose(fused.scores, [1 + 10 / 11, 1, 10 / 12, 10 / 13, 10 / 14])


def test_ties_rank_by_video_and_then_start_as_a_number():
    lists = [SegmentList.from_text(text.encode()) for text in ("b:0", "a:10", "a:5", "é:0", "a1:0", "Z:0", "a:b:0")]
    fused, _ = fuse_lists(lists, fusion=Fusion((1.0,) * len(lists)))
    assert fused.texts() == ["Z:0", "a:5", "a:10", "a1:0", "a:b:0", "b:0", "é:0"]


def test_cut_through_ties():
    lists = [SegmentList.from_text(text) for text in (b"c:0", b"b:0", b"a:0")]
    fused, _ = fuse_lists(lists, fusion=Fusion((1.0, 1.0, 1.0), top_n=2))
    assert fused.texts() == ["a:0", "b:0"]


def test_repeats_count_once_and_ranks_close_up():
    lists = [SegmentList.from_text(b"a:0 a:0 b:0 a:0"), SegmentList.from_text(b"b:0 c:0")]
    fused, repeats = fuse_lists(lists, fusion=Fusion((1.0, 1.0), w0=1.0))
    assert fused.texts() == ["b:0", "a:0", "c:0"]
    np.testing.assert_allclose(fused.scores, [1.5, 1.0, 0.5])
    assert repeats.tolist() == [2, 0]


@pytest.mark.parametrize("salts", [(0,), (0, 0x9E3779B97F4A7C15)])
def test_colliding_hashes_are_detected(monkeypatch, salts):
    monkeypatch.setattr(segment_lists, "_SALTS", salts)
    rankings = rankings_of("eleven", classes=1)
    lists = [SegmentList.from_text(" ".join(ranking.get(0, [])).encode()) for ranking in rankings]
    fused, _ = fuse_lists(lists, fusion=Fusion((1.0, 2.0, 3.0)))
    assert fused.texts() == plain.fuse_rankings(rankings, weights=(1.0, 2.0, 3.0))[0]


def test_means_of_scores(tmp_path):
    write_submission(tmp_path / "a.parquet", {1: ["a:0", "b:0"]}, scores={1: [0.5, 0.25]})
    write_submission(tmp_path / "b.parquet", {1: ["b:0", "c:0"]}, scores={1: [0.75, 0.5]})
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    fuse(paths, tmp_path / "mean.parquet", fusion=Fusion((1, 3), method="mean"))
    with Submission(tmp_path / "mean.parquet") as fused:
        assert fused[1].texts() == ["b:0", "c:0", "a:0"]
        np.testing.assert_allclose(fused[1].scores, [(0.25 + 3 * 0.75) / 4, 3 * 0.5 / 4, 0.5 / 4])
    fuse(paths, tmp_path / "geometric.parquet", fusion=Fusion((1, 3), method="geometric_mean"))
    with Submission(tmp_path / "geometric.parquet") as fused:
        assert fused[1].texts() == ["b:0", "c:0", "a:0"]
        expected = [0.25**0.25 * 0.75**0.75, 1e-6**0.25 * 0.5**0.75, 0.5**0.25 * 1e-6**0.75]
        np.testing.assert_allclose(fused[1].scores, expected, rtol=1e-6)


def test_means_need_scores(tmp_path):
    (path,) = write_all(tmp_path, rankings_of("short", files=1))
    with pytest.raises(InputError, match="model0.csv has no scores: method mean needs parquet files"):
        fuse([path], tmp_path / "out.csv", fusion=Fusion((1.0,), method="mean"))


def test_forms_orders_and_headers_do_not_matter(tmp_path):
    rankings = rankings_of("youtube", files=2)
    paths = write_all(tmp_path, rankings)
    fuse(paths, tmp_path / "expected.csv", fusion=Fusion((1, 2)))
    with open(paths[0], encoding="utf-8") as file:
        lines = file.read().splitlines()[1:]
    text = "\r\n".join(reversed(lines)).encode()
    (tmp_path / "reversed.csv.gz").write_bytes(gzip.compress(text))
    write_submission(
        tmp_path / "other.parquet", rankings[1], scores={c: np.zeros(len(rankings[1][c])) for c in rankings[1]}
    )
    report = fuse(
        [tmp_path / "reversed.csv.gz", tmp_path / "other.parquet"], tmp_path / "out.csv", fusion=Fusion((1, 2))
    )
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()
    assert any("reversed.csv.gz has no header line" in note for note in report.notes)
    assert any("reversed.csv.gz does not end with a line end" in note for note in report.notes)


def test_missing_classes_are_reported(tmp_path):
    paths = write_all(tmp_path, [{1: ["a:0"], 2: ["a:0"]}, {2: ["b:0"]}])
    report = fuse(paths, tmp_path / "out.csv", fusion=Fusion((1, 1)))
    assert report.notes == (f"{paths[1]} lacks 1 of 2 classes: 1",)
    assert (report.num_classes, report.rows_read, report.rows_written) == (2, 3, 3)


def test_weight_zero_is_not_read(tmp_path):
    paths = write_all(tmp_path, [{1: ["a:0"]}])
    fuse([*paths, "absent.csv"], tmp_path / "out.csv", fusion=Fusion((1, 0)))
    assert dict(read_submission(tmp_path / "out.csv")) == {1: [("a", 0)]}


def test_workers_write_the_same_bytes(tmp_path):
    paths = write_all(tmp_path, rankings_of("eleven", classes=9))
    fuse(paths, tmp_path / "one.csv", fusion=Fusion((1, 2, 3)))
    fuse(paths, tmp_path / "two.csv", fusion=Fusion((1, 2, 3)), workers=2)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


def test_merge_of_shifts_is_fusion_by_rank(tmp_path):
    rankings = rankings_of("youtube", files=4)
    paths = write_all(tmp_path, rankings)
    fuse(paths, tmp_path / "merged.csv", fusion=Fusion((1,) * 4, w0=3.72))
    sums = {}
    for ranking in rankings:
        for rank, segment in enumerate(ranking.get(0, ())):
            sums[segment] = sums.get(segment, 0) + 3.72 / (rank + 3.72)
    merged = [str(segment) for segment in dict(read_submission(tmp_path / "merged.csv"))[0]]
    assert sorted(merged) == sorted(sums)
    assert all(sums[first] >= sums[second] for first, second in zip(merged, merged[1:]))


def test_rank_overlap_by_hand(tmp_path):
    paths = write_all(tmp_path, [{1: ["a:0", "b:0", "c:0"], 2: ["x:0"]}, {1: ["b:0", "a:0", "d:0"]}, {3: ["a:0"]}])
    np.testing.assert_allclose(
        rank_overlap(paths, depth=3), [[1, 2 / 3, np.nan], [2 / 3, 1, np.nan], [np.nan, np.nan, 1]]
    )
    assert rank_overlap(paths[:2], depth=1)[0, 1] == 0


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"weights": (1, -1)}, "weights must be finite and at least 0"),
        ({"weights": (1, float("nan"))}, "weights must be finite"),
        ({"weights": (0, 0)}, "all weights are 0"),
        ({"weights": (1,), "w0": 0}, "w0 is 0; it must be above 0"),
        ({"weights": (1,), "method": "median"}, "method is 'median'; valid: reciprocal_rank, borda"),
        ({"weights": (1,), "top_n": 0}, "top_n is 0; it must be at least 1"),
    ],
)
def test_bad_fusions(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Fusion(**options)


@pytest.mark.parametrize("text", ["250", "5:2", "a:b", ":5", "3:3", "-1:4"])
def test_bad_class_ranges(text):
    with pytest.raises(InputError, match="expected FIRST:END"):
        fusion.parse_class_range(text)


def test_bad_input_leaves_earlier_output(tmp_path):
    output = tmp_path / "out.csv"
    output.write_text("earlier")
    (tmp_path / "bad.csv").write_text("Class,Segments\n1,a:0 b:5\n2,a:0 b\n")
    with pytest.raises(InputError, match=r"bad.csv, line 3 \(class 2\): 'b' is not a segment"):
        fuse([tmp_path / "bad.csv"], output, fusion=Fusion((1,)))
    assert output.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "out.csv"]
