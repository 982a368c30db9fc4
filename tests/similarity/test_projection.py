"""The joint projection against NumPy on all rows at once."""

import numpy as np
import pytest

from tests.helpers.embeddings import SIZES, all_vectors, concatenated, embedding_set
from yt8m.similarity.cosine import cosines
from yt8m.similarity.embedding_files import EmbeddingFile
from yt8m.similarity.embedding_set import EmbeddingSet
from yt8m.similarity.projection import JointProjection, fit_projection, read_projection
from yt8m.types import InputError


def test_rows_are_normalised_weighted_and_joined(paths, vectors):
    fused = all_vectors(embedding_set(paths, JointProjection((1.0, 2.0), SIZES)))
    np.testing.assert_allclose(fused, concatenated(vectors, (1, 2)), atol=1e-6)
    # The cosine is then the mean of the models' cosines, weighted by the squares.
    one, other = (cosines(v[:1], v[1:2])[0] for v in vectors)
    assert cosines(fused[:1], fused[1:2])[0] == pytest.approx((one + 4 * other) / 5, abs=1e-6)


def test_the_projection_is_a_truncated_svd_of_all_rows(paths, vectors, tmp_path):
    files = list(map(EmbeddingFile, paths))
    projection = fit_projection(files, (1.0, 0.5), dim=3)
    matrix = concatenated(vectors, (1, 0.5)).astype(np.float64)
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    found = all_vectors(EmbeddingSet(files, projection))
    signs = np.sign((found * (left * values)[:, :3]).sum(axis=0))
    np.testing.assert_allclose(found * signs, (left * values)[:, :3], atol=1e-5)
    np.testing.assert_allclose(projection.shares, values[:3] ** 2 / (values**2).sum(), rtol=1e-5)
    assert (projection.components[np.abs(projection.components).argmax(axis=0), np.arange(3)] > 0).all()
    projection.save(tmp_path / "p.npz")
    again = read_projection(tmp_path / "p.npz")
    np.testing.assert_array_equal(all_vectors(EmbeddingSet(files, again)), found)
    with pytest.raises(InputError, match="vectors of 6, and the projection is for 6 and 4"):
        EmbeddingSet(files[:1], again)
    with pytest.raises(InputError, match="11 dimensions cannot be made of 50 rows of 10: choose at most 10"):
        fit_projection(files, (1.0, 1.0), dim=11)


@pytest.mark.parametrize(
    "name, array",
    [
        ("components", np.zeros((3, 2))), ("components", np.full((5, 2), np.nan)), ("shares", np.zeros(3)),
        ("weights", np.ones(1)), ("sizes", np.array([2.0, 3.0])), ("sizes", np.array(5)), ("components", np.zeros(4)),
    ],
)  # fmt: skip
def test_projections_whose_arrays_do_not_fit_are_refused(tmp_path, name, array):
    arrays = {"weights": np.ones(2), "sizes": np.array([2, 3]), "components": np.zeros((5, 2)), "shares": np.zeros(2)}
    np.savez(tmp_path / "p.npz", **arrays)
    assert read_projection(tmp_path / "p.npz").sizes == (2, 3)
    np.savez(tmp_path / "p.npz", **arrays | {name: array})
    with pytest.raises(InputError, match="p.npz is no projection that yt8m-similar wrote"):
        read_projection(tmp_path / "p.npz")
