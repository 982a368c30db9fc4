import os
import tracemalloc

import numpy as np
import pytest

from yt8m.similarity import embedding_files
from yt8m.similarity.embedding_files import EmbeddingFile, EmbeddingWriter, Rows
from yt8m.types import InputError, Segment

IDS = ["a", "a", 'b,"c"', "d:e", "f"]
STARTS = np.array([0, 5, 10, 0, 295], np.int32)
VECTORS = np.arange(15, dtype=np.float32).reshape(5, 3) / 7


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(embedding_files, "BLOCK_ROWS", 2)


def write(path, *, starts=STARTS, parts=(0, 3, 3, 5)):
    """Writes the rows in parts of 3, 0 and 2."""
    with EmbeddingWriter(path, segments=starts is not None) as writer:
        for rows in map(Rows(IDS, starts, VECTORS).cut, parts, parts[1:]):
            writer.write(rows)
    return EmbeddingFile(path)


@pytest.mark.parametrize("form", ["npy", "parquet"])
@pytest.mark.parametrize("starts", [STARTS, None])
def test_what_is_written_is_read(tmp_path, form, starts):
    file = write(tmp_path / f"x.{form}", starts=starts)
    assert (file.num_rows, file.size, file.segments) == (5, 3, starts is not None)
    blocks = list(file.blocks())
    assert [len(rows.ids) for rows in blocks] == [2, 2, 1]
    np.testing.assert_array_equal(np.concatenate([rows.vectors for rows in blocks]), VECTORS)
    keys = [key for rows in blocks for key in rows.keys]
    assert keys == (IDS if starts is None else list(map(Segment, IDS, STARTS.tolist())))
    assert list(file.keys()) == keys


def test_the_matrix_is_one_that_numpy_reads(tmp_path):
    write(tmp_path / "x.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), VECTORS)
    assert (tmp_path / "x.ids.csv").read_text() == 'id,start_time\na,0\na,5\n"b,""c""",10\nd:e,0\nf,295\n'


def test_the_table_is_one_that_arrow_reads(tmp_path):
    from pyarrow import parquet

    write(tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["id", "start_time", "vector"]
    assert table["id"].to_pylist() == IDS and table["start_time"].to_pylist() == STARTS.tolist()
    np.testing.assert_array_equal(np.array(table["vector"].to_pylist(), np.float32), VECTORS)


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_an_error_leaves_what_was_there(tmp_path, form):
    write(tmp_path / f"x.{form}")
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(KeyboardInterrupt), EmbeddingWriter(tmp_path / f"x.{form}", segments=True) as writer:
        writer.write(Rows(IDS[:1], STARTS[:1], VECTORS[:1]))
        raise KeyboardInterrupt
    with pytest.raises(InputError, match="no rows came"), EmbeddingWriter(tmp_path / f"x.{form}", segments=True):
        pass
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_what_is_no_file_of_embeddings_is_named(tmp_path):
    with pytest.raises(InputError, match="x.csv: embeddings are files that end in .npy or .parquet"):
        EmbeddingWriter(tmp_path / "x.csv", segments=True)
    with pytest.raises(InputError, match="cannot read .*none.npy: No such file"):
        EmbeddingFile(tmp_path / "none.npy")
    np.save(tmp_path / "double.npy", np.zeros((2, 2)))
    with pytest.raises(InputError, match=r"double.npy holds float64 of shape \(2, 2\), not a float32 matrix"):
        EmbeddingFile(tmp_path / "double.npy")
    np.save(tmp_path / "bare.npy", VECTORS)
    with pytest.raises(InputError, match="cannot read .*bare.ids.csv"):
        EmbeddingFile(tmp_path / "bare.npy")


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("id,start_time\na,0\n", "has 5 rows, and .*x.ids.csv another number of ids"),
        ("id\n" + "a\n" * 6, "has 5 rows, and .*x.ids.csv another number of ids"),
        ("id,start_time\na,0\na,x\n", "x.ids.csv, line 3: start_time 'x' is not a finite number"),
        ("id,start_time\na,0\na\n", "x.ids.csv, line 3: 1 fields, and 2 columns"),
    ],
)
def test_ids_that_do_not_fit_are_named(tmp_path, text, sentence):
    file = write(tmp_path / "x.npy")
    (tmp_path / "x.ids.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        list(EmbeddingFile(file.path).blocks())


@pytest.mark.parametrize("form", ["npy", "parquet"])
def test_memory_does_not_grow_with_the_rows(tmp_path, monkeypatch, form):
    monkeypatch.setattr(embedding_files, "BLOCK_ROWS", 256)
    block = Rows([f"video{place}" for place in range(1000)], np.zeros(1000, np.int32), np.ones((1000, 64), np.float32))
    peaks = []
    for blocks in (8, 32):
        tracemalloc.start()
        with EmbeddingWriter(tmp_path / f"x.{form}", segments=True) as writer:
            for _ in range(blocks):
                writer.write(block)
        assert sum(len(rows.ids) for rows in EmbeddingFile(tmp_path / f"x.{form}").blocks()) == 1000 * blocks
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_vectors_that_are_not_finite_are_named(tmp_path):
    vectors = VECTORS.copy()
    vectors[3, 1] = np.nan
    np.save(tmp_path / "x.npy", vectors)
    (tmp_path / "x.ids.csv").write_text("id\n" + "".join(f"v{row}\n" for row in range(len(vectors))))
    with pytest.raises(InputError, match="x.npy: the vector of v3 has a value that is not finite"):
        list(EmbeddingFile(tmp_path / "x.npy").blocks())
