"""The rows of one or several files of embeddings as one vector each."""

from collections.abc import Iterator, Sequence

import numpy as np

from yt8m.similarity.embedding_files import EmbeddingFile, Rows, aligned_blocks
from yt8m.similarity.projection import JointProjection
from yt8m.types import InputError, Segment


class EmbeddingSet:
    """Files of the same rows, and the projection of these to one vector each; InputError where they do not fit."""

    def __init__(self, files: Sequence[EmbeddingFile], projection: JointProjection):
        self.files = files
        self.projection = projection
        sizes = tuple(file.size for file in files)
        if sizes != projection.sizes:
            there, wanted = (" and ".join(map(str, part)) for part in (sizes, projection.sizes))
            raise InputError(f"the files have vectors of {there}, and the projection is for {wanted}")

    def blocks(self) -> Iterator[Rows]:
        """Yields Rows of projected vectors, a block at a time."""
        for rows, matrices in aligned_blocks(self.files):
            yield rows._replace(vectors=self.projection(matrices))

    def find(self, keys: Sequence[Segment | str]) -> np.ndarray:
        """(len(keys), dim) float32 vectors. Raises InputError naming the first of ``keys`` that is not there."""
        found = {}
        wanted = set(keys)
        for rows in self.blocks():
            for place, key in enumerate(rows.keys):
                if key in wanted and key not in found:
                    found[key] = rows.vectors[place]
        for key in keys:
            if key not in found:
                raise InputError(f"{key} is not in {self.files[0].path}")
        return np.stack([found[key] for key in keys])

    def parse_key(self, text: str) -> Segment | str:
        """The key of the row that ``text`` names: "id:start" for segments, an id for videos."""
        return Segment.parse(text) if self.files[0].segments else text
