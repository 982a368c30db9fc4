"""Training data of a run, epoch by epoch."""

import dataclasses
import functools
from typing import Any

from yt8m.config import AugmentConfig, RunConfig
from yt8m.data.joined_batches import attach_unlabelled, join_batches
from yt8m.data.labels import repeat_factors
from yt8m.data.pipeline import count_examples, estimate_examples, make_dataset
from yt8m.data.seen_videos import SeenVideos
from yt8m.data.splits import Source
from yt8m.runtime.devices import Placement
from yt8m.training.multigrid import Multigrid
from yt8m.types import InputError

UNLABELLED_AUGMENT = AugmentConfig(shift=1, dilute=True, frame_dropping=0.2)
"""How unlabelled segments are changed where labelled ones are not: views that agree on nothing new teach nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingData:
    """The examples of a run.

    run: RunConfig. source: the labelled videos. pseudo: pseudo-labelled segments to learn beside them, or None;
    unlabelled: videos whose segments consistency is learned on, or None. cache: RecordCache of the source, or None.
    placement: the devices that share each batch. seen: where the ids of the labelled videos are noted as they come.
    """

    run: RunConfig
    source: Source
    pseudo: Source | None = None
    unlabelled: Source | None = None
    cache: object = None
    seen: SeenVideos = dataclasses.field(default_factory=SeenVideos)
    placement: Placement = Placement()

    @property
    def windows(self) -> str:
        """Kind of examples, as make_dataset names it."""
        return "rated" if self.run.train.segment_labels else "video"

    @property
    def files(self) -> list[str]:
        """All files that are read."""
        sources = (self.source, self.pseudo, self.unlabelled)
        return [file for source in sources if source for file in source.files]

    def epoch(self, number: int) -> Any:
        """tf.data.Dataset of the batches (features, targets) of an epoch; the same for the same number."""
        shapes = self.multigrid.shapes(number)
        if len(shapes) > 1:
            turns = dict(zip(("batch_size", "num_frames", "clip_sizes"), zip(*shapes)))
            options = {"cache": self.cache, "factors": self._repeat_factors}
            return self._examples(self.source, self.run.data, number, **turns, **options)
        ((batch_size, num_frames, size),) = shapes
        config = self.run.data.replace(num_frames=num_frames)
        if size:
            config = config.replace(clip=config.clip.replace(size=size))
        labelled = batch_size - self._pseudo_per_batch(batch_size)
        batches = self._examples(
            self.source, config, number, batch_size=labelled, cache=self.cache, factors=self._repeat_factors
        )
        if self.pseudo is not None:
            # What the teacher has not listed it takes for absent.
            config = config.replace(unrated="negative")
            pseudo = self._examples(self.pseudo, config, number, batch_size=batch_size - labelled)
            train = self.run.train
            batches = join_batches(
                batches,
                pseudo,
                ratio=(batch_size - labelled) / labelled,
                weight=train.pseudo_ratio if train.pseudo_weight is None else train.pseudo_weight,
                num_classes=config.num_classes,
            )
        if self.unlabelled is not None:
            ratio = self.run.train.consistency.ratio
            views = self._make(
                self.unlabelled, self.run.data, number, windows="unlabelled", batch_size=batch_size * ratio
            )
            share = batch_size // self.placement.num_processes
            batches = attach_unlabelled(batches, views, ratio=ratio, batch_size=share)
        return batches

    @functools.cached_property
    def multigrid(self) -> Multigrid:
        """The schedule of shapes of batches and, with multigrid training, of the learning rate."""
        run = self.run
        examples = estimate_examples(self.source, run.data, windows=self.windows) if run.train.multigrid else 0
        if examples is None:
            files, keep = list(self.source.files), self.source.keep
            examples = count_examples(files, run.data, windows=self.windows, keep=keep)
        size = run.data.clip.size if run.data.level == "clip" else 0
        return Multigrid(config=run.train, num_frames=run.data.num_frames, size=size, epoch_examples=examples)

    def estimated_steps(self) -> int | None:
        """About how many steps all epochs have, None where only a pass over the data would tell, or without end."""
        epochs = self.run.train.num_epochs
        if epochs is None:
            return None
        if self.run.train.multigrid:
            return sum(self.multigrid.steps(epoch, self.multigrid.epoch_examples) for epoch in range(epochs))
        examples = estimate_examples(self.source, self.run.data, windows=self.windows)
        batch_size = self.run.train.batch_size
        each = examples and max(1, round(examples / (batch_size - self._pseudo_per_batch(batch_size))))
        return each and epochs * each

    def check_not_empty(self, steps: int) -> None:
        """Raises InputError where an epoch had no ``steps``."""
        if not steps:
            kind = "rated segments" if self.run.train.segment_labels else "videos"
            files = f"{self.source.files[0]} and {len(self.source.files) - 1} more"
            if self.placement.num_devices > 1:
                raise InputError(
                    f"the training files hold fewer {kind} than a batch, and several devices take whole batches: lower "
                    f"batch_size from {self.run.train.batch_size}, or set num_devices to 1: {files}"
                )
            raise InputError(f"the training files hold no {kind}: {files}")

    def _pseudo_per_batch(self, batch_size):
        if self.pseudo is None:
            return 0
        ratio = self.run.train.pseudo_ratio
        return min(batch_size - 1, max(1, round(batch_size * ratio / (1 + ratio))))

    @functools.cached_property
    def _repeat_factors(self):
        threshold = self.run.train.balance_threshold
        return repeat_factors(self.source, self.run.data, threshold=threshold) if threshold else None

    def _examples(self, source, config, number, **options):
        return self._make(source, config, number, windows=self.windows, **options)

    def _augment(self, windows):
        augment = self.run.train.augment
        if windows == "unlabelled" and augment == AugmentConfig():
            return UNLABELLED_AUGMENT
        return augment

    def _make(self, source, config, number, *, windows, **options):
        return make_dataset(
            list(source.files),
            config,
            windows=windows,
            training=True,
            seed=self.run.train.seed,
            epoch=number,
            augment=self._augment(windows),
            keep=source.keep,
            note_ids=None if windows == "unlabelled" else self.seen.add,
            # Devices share a batch evenly.
            drop_remainder=self.placement.num_devices > 1,
            share=(self.placement.process_id, self.placement.num_processes),
            **options,
        )
