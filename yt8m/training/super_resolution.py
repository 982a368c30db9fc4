"""Training of super-resolution networks on clips of one's own, and what they are worth on others of them."""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from yt8m.config import AugmentConfig, DataConfig
from yt8m.data.manifest import check_manifest, make_manifest, write_manifest
from yt8m.data.pipeline import make_dataset
from yt8m.data.record_checks import explain_errors
from yt8m.data.splits import Source
from yt8m.features.backbones.base import PictureInput
from yt8m.features.backbones.registry import load_backbone
from yt8m.features.decoding import Fitting
from yt8m.models import checkpoints
from yt8m.runtime.devices import default_jit_compile
from yt8m.runtime.files import read_json, write_text
from yt8m.runtime.interrupts import handling_signals
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.super_resolution import RESOLVERS
from yt8m.super_resolution.base import SuperResolver
from yt8m.super_resolution.config import SuperResolutionConfig
from yt8m.super_resolution.run import SETTINGS
from yt8m.train_parts import CHANNELS, ClipConfig
from yt8m.types import PICTURES, DivergedError, InputError

_SAVE_STEPS = 200
_EVALUATE_STEPS = 500
_PASSES = 20
"""Passes over the clips that are one epoch, because an epoch of few clips takes longer to begin than to do."""

_MOST_EVALUATED = 32
"""Held-out clips that are scored while training goes on."""


@keras.saving.register_keras_serializable("yt8m")
class FlowAdam(keras.optimizers.Adam):
    """Adam with another rate for variables of an optical flow, which begin to move at step ``flow_start``."""

    def __init__(self, learning_rate: Any = 1e-3, *, flow_rate: float = 1.0, flow_start: int = 0, **settings: Any):
        super().__init__(learning_rate, **settings)
        self.flow_rate, self.flow_start = flow_rate, flow_start

    def build(self, variables: Any) -> None:
        """Makes the moments; called by Keras."""
        super().build(variables)
        self._flows = ["/flow/" in f"/{variable.path}" for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One update of ``variable``; called by Keras."""
        # The lookup that Keras's guide to optimizers of one's own shows; it has no public name.
        if self._flows[self._get_variable_index(variable)]:
            moves = keras.ops.cast(self.iterations >= self.flow_start, learning_rate.dtype)
            learning_rate = learning_rate * self.flow_rate * moves
        super().update_step(gradient, variable, learning_rate)

    def get_config(self) -> dict[str, Any]:
        """Arguments of the constructor, for saving."""
        return {**super().get_config(), "flow_rate": self.flow_rate, "flow_start": self.flow_start}


def train_resolver(
    config: SuperResolutionConfig,
    source: Source,
    holdout: Source | None,
    *,
    run_dir: str,
    initialize: Callable[[SuperResolver], None] | None = None,
    accept_changed_inputs: bool = False,
) -> SuperResolver:
    """Trains the network of ``config`` on clip records to its end, and returns it; load_resolver has the best of it.

    source, holdout: clips to train on, and to choose the best network by, None for the last one. run_dir: folder of the
    run; one that was stopped, by a signal or killed, goes on to the same result. initialize: sets the weights of a
    fresh network. Raises InputError as yt8m.training.train.train does; DivergedError where the loss is not finite.
    """
    with locked_folder(run_dir):
        _check_same(run_dir, config)
        manifest = make_manifest({"to train on": source, "held out": holdout})
        if checkpoints.has_begun(run_dir):
            check_manifest(run_dir, manifest, accept_changed_inputs=accept_changed_inputs)
        keras.utils.set_random_seed(config.seed)
        model = make_resolver(config)
        schedule = keras.optimizers.schedules.CosineDecay(config.base_learning_rate, config.max_steps)
        adam = FlowAdam(schedule, beta_2=0.99, flow_rate=config.flow_rate, flow_start=config.flow_start)
        model.compile(optimizer=adam, jit_compile=default_jit_compile())
        state = checkpoints.restore_checkpoint(run_dir, model)
        if state is None:
            state = {"step": 0, "epoch": 0, "epoch_step": 0, "best": None, "evaluated_at": 0, "finished": False}
            if initialize is not None:
                initialize(model)
            # Before the first step, or TensorFlow traces it twice.
            adam.build(model.trainable_variables)
            write_text(os.path.join(run_dir, SETTINGS), config.to_json() + "\n")
            write_manifest(run_dir, manifest)
        elif state["step"]:
            print(f"resuming from step {state['step']} of {run_dir}")
        checkpoints.forget_metrics_after(run_dir, step=state["evaluated_at"])
        with explain_errors(list(source.files), _clip_data(config.num_frames, config.patch)):
            _Training(config, source, holdout, run_dir, model, state).run()
    return model


def make_resolver(config: SuperResolutionConfig) -> SuperResolver:
    """The network that ``config`` describes, with fresh weights."""
    blocks = {"blocks": config.blocks} if config.network == "basicvsr" else {}
    model = RESOLVERS[config.network](scale=config.scale, width=config.width, name=config.network, **blocks)
    model.build()
    return model


def _check_same(run_dir, config):
    path = os.path.join(run_dir, SETTINGS)
    if os.path.exists(path):
        there = SuperResolutionConfig.from_dict(read_json(path, what="settings of yt8m-super-resolve"))
        checkpoints.check_same_settings(run_dir, there, config)


class _Training:
    """One sitting of a run."""

    def __init__(self, config, source, holdout, run_dir, model, state):
        self.config, self.source, self.holdout = config, source, holdout
        self.run_dir, self.model, self.state = run_dir, model, state
        self.stopped = False

    def run(self):
        state, total = self.state, self.config.max_steps
        if state["finished"]:
            print(f"{self.run_dir} is trained to its end, step {total}")
            return
        progress = Progress("training", total=total, unit="steps", initial=state["step"])
        with handling_signals(self._stop), progress:
            while state["step"] < total:
                before = state["step"]
                for batch in self._epoch():
                    progress.update(note=f"loss {self._step(batch):.4g}")
                    if state["step"] == total:
                        break
                if state["step"] == before and not state["epoch_step"]:
                    raise InputError(f"{self.source.files[0]} and the other files hold no clip to train on")
                state["epoch"], state["epoch_step"] = state["epoch"] + 1, 0
            self._evaluate()
            state["finished"] = True
            self._save()

    def _step(self, batch):
        """Loss of a step, after which the run may be evaluated, saved and stopped."""
        state = self.state
        loss = float(self.model.train_on_batch(*batch))
        if not np.isfinite(loss):
            raise DivergedError(f"the loss is {loss} at step {state['step']}: lower base_learning_rate")
        state["step"] += 1
        state["epoch_step"] += 1
        if state["step"] % _EVALUATE_STEPS == 0 and self.holdout is not None and state["step"] < self.config.max_steps:
            self._evaluate()
        if self.stopped or state["step"] % _SAVE_STEPS == 0:
            self._save()
        if self.stopped:
            raise KeyboardInterrupt
        return loss

    def _epoch(self):
        """Arrays (small, large) of the rest of the current epoch, uint8 and float in [0, 1]."""
        batches = examples(self.source, self.config, epoch=self.state["epoch"]).skip(self.state["epoch_step"])
        return batches.as_numpy_iterator()

    def _stop(self, *_):
        if self.stopped:
            raise KeyboardInterrupt
        self.stopped = True

    def _save(self):
        checkpoints.save_checkpoint(self.run_dir, self.model, self.state)

    def _evaluate(self):
        """Keeps the model as the best where its score is, or where nothing is held out."""
        if self.holdout is None:
            checkpoints.save_best(self.run_dir, self.model)
            return
        scores = evaluate_resolver(self.model, self.holdout, num_frames=self.config.num_frames, most=_MOST_EVALUATED)
        found = scores["network"]["psnr"]
        self.state["evaluated_at"] = self.state["step"]
        checkpoints.append_metrics(self.run_dir, {"step": self.state["step"]} | scores["network"])
        if self.state["best"] is None or found > self.state["best"]:
            self.state["best"] = found
            checkpoints.save_best(self.run_dir, self.model)


def examples(source: Source, config: SuperResolutionConfig, *, epoch: int) -> tf.data.Dataset:
    """Some passes over clips: (small (B, T, p/s, p/s, 3) uint8, large (B, T, p, p, 3) float32 in [0, 1]).

    The large ones are random crops, half of them mirrored, in an order that the seed and ``epoch`` alone decide; the
    small ones are they, made smaller by bicubic interpolation with a filter against aliases. The last picture of a clip
    that is too short is repeated.
    """
    batches = make_dataset(
        source.files * _PASSES,
        _clip_data(config.num_frames, config.patch),
        windows="video",
        batch_size=config.batch_size,
        training=True,
        seed=config.seed,
        epoch=epoch,
        augment=AugmentConfig(crop_area=0.25, flip=True),
        keep=source.keep,
    )

    def pair(features, _):
        large = _filled(features)
        return smaller(large, config.scale), tf.cast(large, tf.float32) / 255

    return batches.map(pair, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def _filled(features):
    """Pictures (B, T, H, W, 3) with the last one of each clip in place of padding."""
    pictures, counts = features[PICTURES], tf.cast(features["num_frames"], tf.int32)
    places = tf.minimum(tf.range(tf.shape(pictures)[1])[None], counts[:, None] - 1)
    return tf.gather(pictures, places, batch_dims=1)


def smaller(pictures: Any, scale: int) -> Any:
    """uint8 (B, T, H, W, 3) -> (B, T, H / scale, W / scale, 3), bicubic with a filter against aliases."""
    return _resized(pictures, 1 / scale, "bicubic")


def _resized(pictures, factor, method):
    shape = tf.shape(pictures)
    size = tf.cast(tf.round(tf.cast(shape[2:4], tf.float32) * factor), tf.int32)
    flat = tf.reshape(pictures, tf.concat([[-1], shape[2:]], axis=0))
    resized = tf.image.resize(flat, size, method=method, antialias=factor < 1)
    resized = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    return tf.reshape(resized, tf.concat([shape[:2], size, shape[4:]], axis=0))


def evaluate_resolver(
    model: SuperResolver,
    source: Source,
    *,
    num_frames: int,
    size: int = 128,
    most: int | None = None,
    backbone: str | None = None,
) -> dict[str, dict[str, float]]:
    """Mean over clips of what the network, and interpolation, make of pictures that were made smaller.

    source: clips, of which the ``num_frames`` in the middle and squares of ``size`` are looked at; most: clips to look
    at, None for all. Dict of "bilinear", "bicubic" and "network" to a dict of "psnr", in dB, "ssim", both over the RGB
    of a picture and then means, "cosine", that between features of a picture and of the original, where a ``backbone``
    of pictures is given by its spec, and "clips", their number. Raises InputError where there is no clip.
    """
    size -= size % model.scale
    features = _features_of(backbone) if backbone else None
    ways = dict(_ways(model))
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for batch in held_out(source, num_frames=num_frames, size=size, most=most):
        small, original = smaller(batch, model.scale), np.asarray(batch)[0]
        known = features(original) if features else None
        for name, way in ways.items():
            made = np.asarray(way(small))[0]
            psnr, ssim = np.mean([picture_scores(*pair) for pair in zip(made, original)], axis=0)
            scores[name].append({"psnr": psnr, "ssim": ssim})
            if features:
                scores[name][-1]["cosine"] = np.mean(np.sum(features(made) * known, axis=1))
    count = len(scores["network"])
    if not count:
        raise InputError(f"{source.files[0]} and the other files hold no clip to score on")
    return {
        name: {key: float(np.mean([entry[key] for entry in entries])) for key in entries[0]} | {"clips": count}
        for name, entries in scores.items()
    }


def _features_of(spec):
    """Function of uint8 pictures (N, H, W, 3) to a backbone's features of unit length."""
    backbone = load_backbone(spec)
    if not isinstance(backbone.input, PictureInput) or backbone.input.frames > 1:
        raise InputError(f"{spec} takes no single pictures: give a backbone that does")
    fit = Fitting(backbone.input)

    def features(pictures):
        rows = backbone.features(np.stack([fit(picture) for picture in pictures])).astype(np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)

    return features


def _ways(model):
    """Names and functions of uint8 clips to larger ones."""
    for method in ("bilinear", "bicubic"):
        yield method, functools.partial(_resized, factor=model.scale, method=method)
    yield "network", model.resolve


def held_out(source: Source, *, num_frames: int, size: int, most: int | None = None) -> Iterator[tf.Tensor]:
    """Yields the pictures (1, T, size, size, 3) uint8 in the middle of each clip, T at most ``num_frames``."""
    config = _clip_data(num_frames, size)
    batches = make_dataset(source.files, config, windows="video", batch_size=1, keep=source.keep)
    with explain_errors(list(source.files), config):
        for features, _ in batches.take(most or -1):
            yield features[PICTURES][:, : int(features["num_frames"][0])]


def picture_scores(picture: np.ndarray, original: np.ndarray) -> tuple[float, float]:
    """(PSNR in dB, SSIM) of a uint8 picture (H, W, 3), over RGB, by scikit-image. Equal pictures have 100 dB."""
    try:
        from skimage.metrics import structural_similarity
    except ImportError:
        raise InputError("PSNR and SSIM need scikit-image: pip install 'yt8m[video]'") from None
    error = np.mean((picture.astype(np.float64) - original) ** 2)
    psnr = min(100.0, 10 * np.log10(255**2 / max(error, 1e-20)))
    side = min(7, *picture.shape[:2])
    return psnr, float(structural_similarity(picture, original, channel_axis=-1, win_size=side - (side + 1) % 2))


def _clip_data(num_frames, size):
    return DataConfig(
        level="clip",
        feature_names=(PICTURES,),
        feature_sizes=(CHANNELS,),
        num_classes=1 << 24,
        num_frames=num_frames,
        sampling="sequence",
        clip=ClipConfig(size=size),
    )
