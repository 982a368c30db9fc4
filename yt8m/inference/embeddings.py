"""The vectors that models classify by: ``VideoModel.embed`` of every segment or video, part by part."""

import dataclasses
from collections.abc import Iterator, Sequence

import keras
import numpy as np
from keras import ops

from yt8m.config import DataConfig
from yt8m.data.splits import Source
from yt8m.inference.jobs import Execution, Job, ids_of, part_results
from yt8m.models.base import VideoModel
from yt8m.similarity.embedding_files import Rows


def predict_embeddings(
    model: VideoModel | str,
    source: Source,
    config: DataConfig,
    *,
    segments: bool,
    views: Sequence[int | str] = (0,),
    batch_size: int = 512,
    execution: Execution = Execution(),
) -> Iterator[Rows]:
    """Yields Rows, in the order of the files: the vector before the head of every segment, or of every video.

    segments: which of both. views: of a segment, see yt8m.data.views, whose vectors are averaged. Other
    arguments as of yt8m.inference.prediction.predict_segments. Memory is bounded by the vectors of a few parts, about
    32 batches each; the parts folder holds as much as the output until it is removed.
    """
    job = _EmbeddingJob(
        config=config, keep=source.keep, batch_size=batch_size, segments=segments,
        views=tuple(views) if segments else (0,),
    )  # fmt: skip
    for arrays in part_results(model, source, job, execution=execution):
        ids = [video_id.decode() for video_id in arrays["videos"].tolist()]
        yield Rows(ids, arrays["starts"] if segments else None, arrays["vectors"])


@dataclasses.dataclass(frozen=True, kw_only=True)
class _EmbeddingJob(Job):
    segments: bool
    views: tuple

    class_ids = None

    @property
    def windows(self):
        return "all" if self.segments else "video"

    def scored_model(self, model):
        return _Embedder(model.in_compute_dtype())

    def collect(self, scored, _):
        """The result of a part, in its order, from an iterator of (vectors, info)."""
        videos, starts, vectors = [], [np.empty(0, np.int32)], []
        for values, info in scored:
            videos += ids_of(info)
            starts.append(info["start_time"])
            vectors.append(values)
        return {
            "videos": np.array(videos, np.bytes_),
            "starts": np.concatenate(starts),
            "vectors": np.concatenate(vectors) if vectors else np.empty((0, 0), np.float32),
            "num_examples": np.int64(len(videos)),
        }


class _Embedder(keras.Model):
    """Gives the vector of ``model`` that similarity goes by, (B, E) float32, see VideoModel.embedding."""

    def __init__(self, model):
        super().__init__(name="embedder")
        self.model = model

    def call(self, inputs, training=None):
        return ops.cast(self.model.embedding(inputs, training=False), "float32")
