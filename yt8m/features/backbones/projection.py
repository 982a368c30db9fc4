"""YouTube-8M's projections of features, principal components whitened, in the layouts that they are published in."""

import dataclasses
import os

import numpy as np

from yt8m.features.backbones.protobuf import fields_of
from yt8m.runtime.arrays import read_npy, read_npz
from yt8m.runtime.files import read_bytes
from yt8m.types import InputError, StrPath

_LARGEST = 1 << 28
_WHITENING = 1e-4
"""Added to the variances of Inception's components. Source: ``feature_extractor.py`` of YouTube-8M."""


@dataclasses.dataclass(frozen=True)
class Projection:
    """matrix @ (features - mean). mean: (d,) float32; matrix: (k, d) float32; paths: of the files that hold them."""

    mean: np.ndarray
    matrix: np.ndarray
    paths: tuple[str, ...]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """(N, d) -> (N, k) float32."""
        return (features - self.mean) @ self.matrix.T


def read_projection(folder: StrPath, name: str, *, inputs: int, outputs: int) -> Projection:
    """The Projection of ``name``, "inception3" or "vggish", from ``inputs`` to ``outputs`` values, of a folder.

    Its files are those of MediaPipe, NAME_mean_matrix_data.pb and NAME_projection_matrix_data.pb, or else those of the
    extractors in Python: mean.npy, eigenvals.npy and eigenvecs.npy, or vggish_pca_params.npz. Raises InputError where
    there are neither, and for files of other shapes or with numbers that are not finite.
    """
    files = [os.path.join(folder, f"{name}_{part}_matrix_data.pb") for part in ("mean", "projection")]
    if any(map(os.path.exists, files)):
        mean, matrix = map(read_matrix_data, files)
    elif name == "vggish":
        files = [os.path.join(folder, "vggish_pca_params.npz")]
        mean, matrix = _read_arrays(files[0], ("pca_means", "pca_eigen_vectors"), folder, name)
    else:
        files = [os.path.join(folder, f"{part}.npy") for part in ("mean", "eigenvals", "eigenvecs")]
        mean, values, vectors = (_read_arrays(file, None, folder, name) for file in files)
        if np.ndim(vectors) != 2 or np.size(values) < outputs or not np.all(values >= 0):
            raise InputError(f"{files[1]} and {files[2]} are not variances and directions of {outputs} components")
        matrix = vectors[:outputs] / np.sqrt(np.ravel(values)[:outputs] + _WHITENING)[:, None]
    if np.size(mean) != inputs or np.shape(matrix) != (outputs, inputs):
        shapes = f"{np.size(mean)} values and {' x '.join(map(str, np.shape(matrix)))}"
        raise InputError(f"{', '.join(files)}: {shapes}, and {inputs} and {outputs} x {inputs} are needed")
    if not (np.isfinite(mean).all() and np.isfinite(matrix).all()):
        raise InputError(f"{', '.join(files)}: there are numbers that are not finite")
    return Projection(np.ravel(mean).astype(np.float32), matrix.astype(np.float32), tuple(files))


def _read_arrays(path, names, folder, projection):
    """The array of a .npy, or those of ``names`` in a .npz."""
    if not os.path.exists(path):
        raise InputError(
            f"{folder} has no projection of {projection}: neither {projection}_mean_matrix_data.pb and "
            f"{projection}_projection_matrix_data.pb nor {os.path.basename(path)}"
        )
    try:
        found = read_npy(path) if names is None else [read_npz(path, name) for name in names]
    except InputError as error:
        raise InputError(f"{path} does not hold the arrays that it should: {error}") from error
    if not all(np.issubdtype(array.dtype, np.number) for array in ([found] if names is None else found)):
        raise InputError(f"{path} does not hold numbers")
    return found


def read_matrix_data(path: StrPath) -> np.ndarray:
    """(rows, columns) float32 of a file that holds MediaPipe's message MatrixData; InputError where it does not.

    Its fields: 1 rows, 2 columns, 3 values as packed or single float32, 4 layout, by columns unless it is 1.
    """
    content = read_bytes(path, most=_LARGEST)
    numbers, parts = {1: 0, 2: 0, 4: 0}, []
    try:
        for field, value in fields_of(content):
            if isinstance(value, int):
                numbers[field] = value
            elif field == 3:
                parts.append(np.frombuffer(value, "<f4"))
        return np.concatenate(parts).reshape((numbers[1], numbers[2]), order="C" if numbers[4] == 1 else "F")
    except ValueError as error:
        raise InputError(f"{path} is no MatrixData of MediaPipe, or is cut short") from error
