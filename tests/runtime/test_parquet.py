"""Parquet files: columns of other types, nulls and flipped bits are told, with file and column."""

import numpy as np
import pytest

from yt8m.data.making.raw_videos import RawVideos
from yt8m.ranking.submission import read_submission, write_submission
from yt8m.ranking.submission_checks import check_submission
from yt8m.similarity.embedding_files import EmbeddingFile, EmbeddingWriter, Rows
from yt8m.types import InputError

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

GOOD = {"Class": [1, 1, 2], "Segment": ["a:0", "a:5", "b:0"], "Score": [0.5, 0.25, 1.0], "Rank": [1, 2, 1]}
"""Columns of a submission; further ones do not matter."""


def write(path, columns):
    parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize(
    "column, values, sentence",
    [
        ("Class", ["1", "1", "2"], "column Class is of type string; it must hold whole numbers"),
        ("Class", [1.5, 1.5, 2], "column Class is of type double; it must hold whole numbers"),
        ("Class", [1, None, 2], "column Class has 1 nulls"),
        ("Class", [1, -1, 2], "column Class: '-1' is not a class id"),
        ("Class", [1, 1, 2**31], "column Class: '2147483648' is not a class id"),
        ("Class", [True, True, False], "column Class is of type bool"),
        ("Segment", [["a"], ["b"], ["c"]], "column Segment is of type list<.*>; it must hold text"),
        ("Segment", [b"a:0", b"a:5", b"b:0"], "column Segment is of type binary; it must hold text"),
        ("Segment", ["a:0", None, "b:0"], "column Segment has 1 nulls"),
        ("Segment", ["a:0", "a:-5", "b:0"], "class 1: 'a:-5' is not a segment"),
        ("Segment", ["a:0", "a,b:5", "b:0"], "class 1: the id of 'a,b:5' has a comma"),
        ("Score", ["a", "b", "c"], "column Score is of type string; it must hold numbers"),
        ("Score", [0.5, None, 1.0], "column Score has 1 nulls"),
        ("Score", [0.5, float("nan"), 1.0], "class 1: the score of 'a:5' is nan, no finite number"),
        ("Score", [0.5, 0.25, float("inf")], "class 2: the score of 'b:0' is inf, no finite number"),
        ("Score", [0.5, 1e39, 1.0], "class 1: the score of 'a:5' is 1e\\+39, no finite number"),
        ("Rank", [None, None, None], "column Rank is of type null; it must hold whole numbers"),
        ("Rank", [1, None, 1], "column Rank has 1 nulls"),
        ("Rank", [1.5, 2.5, 1.0], "column Rank is of type double"),
    ],
)
def test_a_submission_of_another_schema_is_refused(tmp_path, column, values, sentence):
    path = write(tmp_path / "s.parquet", GOOD | {column: values})
    with pytest.raises(InputError, match=f"s.parquet, {sentence}"):
        dict(read_submission(path))
    assert any(problem.is_error for problem in check_submission(path))


@pytest.mark.parametrize("class_type", [pyarrow.int8(), pyarrow.uint16(), pyarrow.int64()])
@pytest.mark.parametrize("text_type", [pyarrow.string(), pyarrow.large_string()])
@pytest.mark.parametrize("score_type", [pyarrow.float32(), pyarrow.float64(), pyarrow.int32()])
def test_other_widths_are_read(tmp_path, class_type, text_type, score_type):
    scores = [3, 2, 1]
    columns = {
        "Class": pyarrow.array(GOOD["Class"], class_type),
        "Segment": pyarrow.array(GOOD["Segment"], text_type),
        "Score": pyarrow.array(scores, score_type),
        "Rank": pyarrow.array(GOOD["Rank"], class_type),
        "Note": ["x"] * 3,
    }
    found = dict(read_submission(write(tmp_path / "s.parquet", columns)))
    assert {class_id: list(map(str, segments)) for class_id, segments in found.items()} == {
        1: ["a:0", "a:5"],
        2: ["b:0"],
    }


def test_flipped_bits_do_not_come_through(tmp_path):
    """A submission and a file of embeddings, one bit flipped at 300 places: what was written, or an InputError."""
    segments = [f"v{number}:{5 * number}" for number in range(40)]
    write_submission(
        tmp_path / "s.parquet", {1: segments, 5: segments[::-1]}, scores=dict.fromkeys((1, 5), np.arange(40)[::-1])
    )
    rows = Rows([f"v{number}" for number in range(40)], np.arange(40, dtype=np.int32), np.eye(40, 8, dtype=np.float32))
    with EmbeddingWriter(tmp_path / "e.parquet", segments=True) as writer:
        writer.write(rows)

    def submission(path):
        return [(class_id, list(map(str, found))) for class_id, found in read_submission(path)]

    def embeddings(path):
        return [(found.ids, found.starts.tolist(), found.vectors.tolist()) for found in EmbeddingFile(path).blocks()]

    for name, read in (("s.parquet", submission), ("e.parquet", embeddings)):
        whole, right = (tmp_path / name).read_bytes(), read(tmp_path / name)
        # Behind the pages stands the footer, which has no checksum.
        end = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
        for seed in range(300):
            random = np.random.default_rng(seed)
            data = bytearray(whole)
            data[random.integers(4, end)] ^= 1 << int(random.integers(8))
            (tmp_path / f"bad-{name}").write_bytes(data)
            try:
                assert read(tmp_path / f"bad-{name}") == right, f"{name}, seed {seed}"
            except InputError as error:
                assert f"bad-{name}" in str(error), f"{name}, seed {seed}"


@pytest.mark.parametrize(
    "columns, sentence",
    [
        ({"id": ["a"], "vector": [[1.0, 2.0]]}, "column vector is of type list<.*>, no list of fixed size"),
        ({"id": [1], "vector": [[1.0]]}, "column id is of type int64; it must hold text"),
        ({"id": ["a"], "vector": ["x"]}, "column vector is of type string; it must hold lists of numbers"),
        ({"id": ["a"]}, "has no column vector"),
    ],
)
def test_embeddings_of_another_schema_are_refused(tmp_path, columns, sentence):
    with pytest.raises(InputError, match=f"e.parquet,? ?{sentence}"):
        list(EmbeddingFile(write(tmp_path / "e.parquet", columns)).blocks())


@pytest.mark.parametrize(
    "rgb, sentence",
    [
        (["x", "y"], "column rgb is of type string; it must hold lists of numbers"),
        ([[1.0], [1.0, 2.0]], "column rgb must hold a list of as many numbers in each row"),
        ([[1.0], None], "column rgb has 1 nulls"),
        ([[1.0], [None]], "column rgb has 1 nulls in its lists"),
        ([[1.0], [float("nan")]], "array rgb, frame 1 has a value that is not finite"),
        ([[1], [2]], "array rgb is of int64; it must be of floats, or of uint8"),
        (pyarrow.array([], pyarrow.list_(pyarrow.float32())), r"array rgb has the shape \(0, 0\)"),
    ],
)
def test_features_of_another_schema_are_refused(tmp_path, rgb, sentence):
    write(tmp_path / "v.parquet", {"rgb": rgb})
    with pytest.raises(InputError, match=f"v.parquet, {sentence}"):
        RawVideos.of_videos(f"{tmp_path}/*.parquet").read("v")


@pytest.mark.parametrize("list_type", [pyarrow.list_, pyarrow.large_list, lambda kind: pyarrow.list_(kind, 2)])
@pytest.mark.parametrize("kind", [pyarrow.float16(), pyarrow.float32(), pyarrow.float64(), pyarrow.uint8()])
def test_features_of_any_list_are_read(tmp_path, list_type, kind):
    rows = np.array([[1, 2], [3, 4], [5, 6]], kind.to_pandas_dtype())
    write(
        tmp_path / "v.parquet",
        {"rgb": pyarrow.array(rows.tolist() if kind != "halffloat" else list(rows), list_type(kind))},
    )
    found = RawVideos.of_videos(f"{tmp_path}/*.parquet").read("v")["rgb"]
    np.testing.assert_array_equal(found, rows)
    assert found.dtype == (np.uint8 if kind == pyarrow.uint8() else np.float32)
