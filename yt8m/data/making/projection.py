"""Features brought to YouTube-8M's range: standardised, or projected on principal components and whitened.

YouTube-8M's features are Inception's after PCA and whitening, which leaves each dimension with variance 1, clipped to
[-2, 2] and stored in 8 bits. Source: ``feature_extractor.py`` of the YouTube-8M feature extractor.
"""

import dataclasses
from typing import Any

import numpy as np

from yt8m.runtime.arrays import npz_names, read_npz
from yt8m.runtime.files import atomic_path
from yt8m.types import InputError, StrPath

_EPSILON = 1e-4
"""Share of the mean variance that is added to each before its root divides; YouTube-8M adds 1e-4 itself."""


class Moments:
    """Mean and covariance of rows that come in batches; memory is that of one covariance matrix, in float64."""

    def __init__(self, size: int):
        self.count = 0
        self.mean = np.zeros(size)
        self._scatter = np.zeros((size, size))

    def add(self, rows: np.ndarray) -> None:
        """rows: (N, size) float array, N > 0."""
        rows = np.asarray(rows, np.float64)
        mean = rows.mean(axis=0)
        centered, difference = rows - mean, mean - self.mean
        total = self.count + len(rows)
        self._scatter += centered.T @ centered
        self._scatter += np.outer(difference, difference) * (self.count * len(rows) / total)
        self.mean += difference * (len(rows) / total)
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """(size, size) float64, over the number of rows."""
        return self._scatter / max(self.count, 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Projection:
    """x -> (x - mean) @ components / sqrt(variances + epsilon).

    mean: (size,); components: (size, K) orthonormal columns, None for those of the identity; variances: (K,); all
    float32 arrays. epsilon: float.
    """

    mean: np.ndarray
    variances: np.ndarray
    epsilon: float
    components: np.ndarray | None = None

    @classmethod
    def standardizing(cls, moments: Moments) -> "Projection":
        """Gives each dimension mean 0 and variance 1."""
        variances = np.diag(moments.covariance)
        return cls._of(moments.mean, variances, None, variances.mean())

    @classmethod
    def whitening(cls, moments: Moments, size: int) -> "Projection":
        """The ``size`` first principal components, each with variance 1, largest first.

        Raises InputError where there are not so many dimensions.
        """
        if not 0 < size <= len(moments.mean):
            raise InputError(f"PCA to {size} dimensions is asked for, of features that have {len(moments.mean)}")
        variances, components = np.linalg.eigh(moments.covariance)
        chosen = components[:, ::-1][:, :size]
        # The sign of a component is free, and processors differ in it.
        largest = np.take_along_axis(chosen, np.abs(chosen).argmax(axis=0)[None], axis=0)
        return cls._of(moments.mean, variances[::-1][:size], chosen * np.where(largest < 0, -1, 1), variances.mean())

    @classmethod
    def _of(cls, mean, variances, components, typical):
        as_floats = lambda values: None if values is None else np.asarray(values, np.float32)
        return cls(
            mean=as_floats(mean),
            variances=as_floats(np.maximum(variances, 0)),
            components=as_floats(components),
            # Constant features have no variance at all.
            epsilon=float(max(_EPSILON * typical, 1e-12)),
        )

    @property
    def output_size(self) -> int:
        """Dimensions that come out."""
        return len(self.variances)

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """(frames, size) -> (frames, K) float32; raises InputError where the size is another."""
        if frames.shape[1] != len(self.mean):
            raise InputError(f"it has {frames.shape[1]} dimensions, and the projection was fitted on {len(self.mean)}")
        centered = np.asarray(frames, np.float32) - self.mean
        projected = centered if self.components is None else centered @ self.components
        return projected / np.sqrt(self.variances + np.float32(self.epsilon))

    def save(self, path: StrPath) -> None:
        """Writes an .npz with the fields as arrays; that of None is absent."""
        arrays = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        with atomic_path(path) as temporary:
            np.savez(temporary, **arrays)

    @classmethod
    def load(cls, path: StrPath) -> "Projection":
        """Reads what save wrote; raises InputError naming ``path``."""
        try:
            fields: dict[str, Any] = {name: read_npz(path, name) for name in npz_names(path)}
            if not all(np.isfinite(value).all() for value in fields.values()):
                raise ValueError("a value is not finite")
            loaded = cls(**fields | {"epsilon": float(fields["epsilon"])})
            shape = (len(loaded.mean), loaded.output_size)
            if loaded.components is not None and loaded.components.shape != shape:
                raise ValueError(f"components have the shape {loaded.components.shape}, not {shape}")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no projection that yt8m-pack wrote: {error}") from error
        return loaded
