"""A trained run, loaded, for use from Python: timelines of videos, rankings, scores."""

import os
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from yt8m.config import RunConfig
from yt8m.data import examples
from yt8m.data.feature_origins import check_origins, with_record_views
from yt8m.data.splits import Source, find_video, open_source, sources_of
from yt8m.data.tfrecord import FrameRecord, quantize
from yt8m.data.tokens import with_tokens
from yt8m.inference.model_evaluation import evaluate_model
from yt8m.inference.prediction import make_timeline, predict_segments, predict_timelines
from yt8m.inference.scorer import Scorer, check_views
from yt8m.models.base import VideoModel
from yt8m.models.checkpoints import load_calibration, load_model, overlap_with
from yt8m.ranking.evaluation import Evaluation
from yt8m.ranking.submission import write_lists
from yt8m.ranking.timelines import Timeline
from yt8m.ranking.top_segments import TopSegments
from yt8m.types import MAX_SEGMENTS_PER_CLASS, DataWarning, InputError, TimedText

_BATCH_SIZE = 64


class TrainedRun:
    """The best model of a run, with the run's configuration.

    model: the VideoModel. run: the RunConfig. views: those of each segment whose scores are averaged, by default the
    run's shifts, see yt8m.data.views. calibration: what eval.py --calibrate has fitted, or None.
    """

    def __init__(self, train_dir: str | os.PathLike[str]):
        self.model: VideoModel
        self.run: RunConfig
        self.train_dir = os.fspath(train_dir)
        self.model, self.run = load_model(self.train_dir)
        self.calibration = load_calibration(self.train_dir)
        first, last = self.run.tta
        self.views: tuple[int | str, ...] = tuple(range(first, last + 1))
        self._scorers: dict[tuple[int, ...], Scorer] = {}

    def predict(
        self,
        features: Mapping[str, np.ndarray],
        *,
        video_id: str = "video",
        texts: Sequence[TimedText] = (),
        class_ids: Sequence[int] | None = None,
    ) -> Timeline:
        """The Timeline of a video given as arrays: the score of every class in every segment.

        features: for each feature of the run (T, size), one row a second; uint8 as YouTube-8M quantises, or floats, of
        which those outside [-2, 2] are clipped. class_ids: the classes to score, None for the whole vocabulary.
        Raises InputError where a feature is missing or of another size.
        """
        record = FrameRecord(video_id=video_id, features=self._checked(features), texts=self._checked_texts(texts))
        serialized = tf.constant([record.serialize()])
        inputs, info = examples.parse_all(serialized, config=self.run.data, views=self.views)
        if fields := self.run.data.text.fields:
            inputs = with_tokens(inputs, self.run.data)
            if not texts:
                text = f"the run reads {', '.join(fields)}, and a video is given without texts, here as in others"
                warnings.warn(text, DataWarning, stacklevel=2)
        wanted = self._class_ids(class_ids)
        scores = []
        for first in range(0, len(info["start_time"]), _BATCH_SIZE):
            batch = {name: values[first : first + _BATCH_SIZE].numpy() for name, values in inputs.items()}
            scores.append(self._scorer(wanted)(batch))
        entries = zip(info["start_time"].numpy().tolist(), info["end_time"].numpy().tolist(), np.concatenate(scores))
        return self._calibrated(make_timeline(video_id, list(entries), np.asarray(wanted, np.int64)))

    def predict_record(
        self, pattern: str, *, video_id: str | None = None, class_ids: Sequence[int] | None = None
    ) -> Timeline:
        """The Timeline of one video of frame-level records.

        pattern: paths or globs, comma-separated. video_id: None where the records hold a single video.
        """
        found, source = find_video(self._source(pattern), video_id, skip_corrupt=self.run.data.skip_corrupt)
        (timeline,) = predict_timelines(
            self.model,
            source,
            with_record_views(self.run.data, source.files),
            video_ids=[found],
            class_ids=self._class_ids(class_ids),
            views=self.views,
            batch_size=_BATCH_SIZE,
        )
        return self._calibrated(timeline)

    def rank(
        self,
        pattern: str,
        *,
        output_file: str | os.PathLike[str] | None = None,
        class_ids: Sequence[int] | None = None,
        top_n: int = MAX_SEGMENTS_PER_CLASS,
        batch_size: int = 512,
    ) -> TopSegments:
        """The best ``top_n`` segments of each class among all videos of ``pattern``, best first.

        Iterating over the result gives (class id, segments, scores). output_file: submission to write, if any.
        """
        source = self._source(pattern)
        top = predict_segments(
            self.model,
            source,
            with_record_views(self.run.data, source.files),
            class_ids=self._class_ids(class_ids),
            views=self.views,
            top_n=top_n,
            batch_size=batch_size,
        )
        assert isinstance(top, TopSegments)
        if output_file is not None:
            write_lists(output_file, top)
        return top

    def evaluate(self, pattern: str | None = None) -> Evaluation:
        """The Evaluation on the rated segments of ``pattern``, None for those that the run held out; without shifts."""
        if pattern is None:
            _, holdout = sources_of(self.run)
            if holdout is None:
                raise InputError("the run held nothing out: give the pattern of the files to evaluate on")
        else:
            holdout = self._source(pattern)
        scorer = Scorer(self.model, batch_size=_BATCH_SIZE)
        overlap = overlap_with(self.train_dir)
        results = evaluate_model(scorer, holdout, self.run.data, segment_labels=True, overlap=overlap)
        if overlap is not None:
            overlap.warn()
        return results["evaluation"]

    def _source(self, pattern: str) -> Source:
        source = open_source(pattern)
        if source is None:
            raise InputError("the data pattern is empty: give files or globs, separated by commas")
        check_origins(self.train_dir, source.files)
        return source

    def _class_ids(self, class_ids):
        return tuple(range(self.run.data.num_classes) if class_ids is None else map(int, class_ids))

    def _scorer(self, class_ids):
        if class_ids not in self._scorers:
            check_views(self.model, self.views)
            self._scorers[class_ids] = Scorer(self.model, batch_size=_BATCH_SIZE, class_ids=class_ids)
        return self._scorers[class_ids]

    def _calibrated(self, timeline):
        if self.calibration is None:
            return timeline
        return timeline.replace(scores=self.calibration(timeline.scores))

    def _checked_texts(self, texts):
        known = self.run.data.text.fields
        for text in texts:
            if text.field not in known:
                raise InputError(f"the run reads {', '.join(known) or 'no texts'}, and a text is of {text.field!r}")
        return tuple(texts)

    def _checked(self, features):
        sizes = self.run.data.features
        if self.run.data.level != "frame":
            what = "pictures, which predict_record takes" if self.run.data.level == "clip" else "means of whole videos"
            raise InputError(f"this run was trained on {what}: it has no timeline of features")
        if set(features) != set(sizes):
            raise InputError(f"the run has the features {', '.join(sizes)}, and these are {', '.join(features)}")
        checked = {}
        for name, size in sizes.items():
            values = np.asarray(features[name])
            if values.ndim != 2 or values.shape[1] != size or not len(values):
                raise InputError(f"{name} has the shape {values.shape}, not (frames, {size})")
            if values.dtype != np.uint8:
                if not np.isfinite(values).all():
                    raise InputError(f"{name} has values that are not finite")
                values = quantize(values)
            checked[name] = values
        return checked


def load(train_dir: str | os.PathLike[str]) -> TrainedRun:
    """The TrainedRun in the folder of a run. Raises InputError where it is none."""
    return TrainedRun(train_dir)
