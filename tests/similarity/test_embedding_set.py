"""Files that do not hold the same rows are refused, with the row that differs."""

import numpy as np
import pytest

from tests.helpers.embeddings import all_vectors, embedding_set, write_embeddings
from yt8m.similarity.embedding_files import EmbeddingWriter, Rows
from yt8m.types import InputError


@pytest.mark.parametrize(
    "rows, sentence",
    [
        ([*range(20), *range(21, 50)], "v10:0 is in .*a.npy and not in .*c.npy"),
        ([*range(50), 50], "v25:0 is in .*c.npy and not in .*a.npy"),
        ([1, 0, *range(2, 50)], "c.npy holds v0:5 where .*a.npy holds v0:0: their orders must be the same"),
    ],
)
def test_files_of_other_rows_are_refused(paths, tmp_path, rows, sentence):
    ids, starts = [f"v{row // 2}" for row in rows], np.array(rows, np.int32) % 2 * 5
    write_embeddings(tmp_path / "c.npy", np.ones((len(rows), 2), np.float32), ids=ids, starts=starts)
    with pytest.raises(InputError, match=sentence):
        all_vectors(embedding_set([paths[0], tmp_path / "c.npy"]))


def test_segments_and_videos_do_not_mix(paths, tmp_path):
    with EmbeddingWriter(tmp_path / "v.npy", segments=False) as writer:
        writer.write(Rows([f"v{row}" for row in range(50)], None, np.ones((50, 2), np.float32)))
    with pytest.raises(
        InputError, match="all files must hold segments, or all videos: .*a.npy holds segments, .* videos"
    ):
        all_vectors(embedding_set([paths[0], tmp_path / "v.npy"]))
