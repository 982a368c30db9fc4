"""Training: pre-training on videos, fine-tuning on rated segments, and resuming a run that was stopped."""

import contextlib
import dataclasses
import warnings

import keras

from yt8m.config import RunConfig
from yt8m.data.augment import allowed_views, margin_of
from yt8m.data.cache import open_cache
from yt8m.data.feature_origins import check_origins, keep_origins, origins_of_files
from yt8m.data.manifest import check_manifest, inputs_of, make_manifest, write_manifest
from yt8m.data.record_checks import explain_errors
from yt8m.data.seen_videos import SeenVideos
from yt8m.data.splits import Source, Without, collect_ids, exclude_videos, open_source, sources_of
from yt8m.inference.scorer import check_views
from yt8m.models import checkpoints
from yt8m.models.base import build_model
from yt8m.models.clip_model import ClipModel
from yt8m.models.initialization import continue_from, initialize_from
from yt8m.models.learner import Learner
from yt8m.models.losses import make_loss, penalize
from yt8m.models.pair_learner import PairLearner
from yt8m.models.published import load_published
from yt8m.runtime.devices import Placement, default_jit_compile
from yt8m.runtime.files import file_digest
from yt8m.runtime.interrupts import handling_signals
from yt8m.runtime.locks import locked_folder
from yt8m.runtime.progress import Progress
from yt8m.training.board import Board
from yt8m.training.callbacks import (
    CountSteps,
    EvaluateHoldout,
    SaveCheckpoints,
    SetLearningRate,
    StopAtEnd,
    StopAtSignal,
    WriteCurves,
)
from yt8m.training.finishing import batch_norm_layers, finish_run
from yt8m.training.multigrid import check_multigrid, sizes_of_clips
from yt8m.training.optimizer_wrappers import layer_factors
from yt8m.training.optimizers import make_optimizer
from yt8m.training.pair_data import PairData, open_pairs
from yt8m.training.precision import settled
from yt8m.training.session import Session, TrainState
from yt8m.training.training_data import TrainingData
from yt8m.types import DataWarning, InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resources:
    """Means of training, which do not change its result.

    cache_dir: folder of packed examples to read instead of the records, see yt8m.data.cache, "" for none; a run may be
    resumed with another one or without. histograms: whether TensorBoard gets histograms of the weights at each
    evaluation, or epoch where nothing is held out. placement: the devices to train on, see yt8m.runtime.devices.place.
    accept_changed_inputs: whether what was begun may go on with files that have changed, which does change the result,
    with a warning, see yt8m.data.manifest.
    """

    cache_dir: str = ""
    histograms: bool = False
    placement: Placement = Placement()
    accept_changed_inputs: bool = False


def train(
    run: RunConfig,
    *,
    train_dir: str,
    source: Source | None = None,
    holdout: Source | None = None,
    resources: Resources = Resources(),
) -> TrainState:
    """Trains the model of ``run`` until its end and returns the final TrainState.

    source: the videos to train on, and holdout: those to evaluate on, or None; both as the run's patterns say where
    source is None. train_dir: folder of the run, see
    yt8m.models.checkpoints; a run that is already there resumes from its checkpoint and comes to the same result as one
    that was never stopped. Ctrl-C and SIGTERM end the step, leave a checkpoint behind and become a KeyboardInterrupt; a
    second one does not wait for the step, and leaves the checkpoint before. With several processes each calls this, and
    the first one writes.
    Raises InputError for bad records, for a train_dir that holds another run or is in use by another process, for files
    that have changed since the run began, and where there is nothing to train on; DivergedError where the loss is not
    finite.
    """
    if source is None:
        source, holdout = sources_of(run)
    with locked_folder(train_dir) if resources.placement.is_chief else contextlib.nullcontext():
        kept = None
        if checkpoints.has_begun(train_dir):
            kept = checkpoints.read_run_config(train_dir).train.mixed_precision
        run = settled(run, kept=kept, placement=resources.placement)
        return _train(run, train_dir, source, holdout, resources)


def _train(run, train_dir, source, holdout, resources):
    placement = resources.placement
    _check_run(run, resources, train_dir)
    # What the model is adapted to at the end may change until then.
    inputs = inputs_of(run.replace(adapt_bn=""), source, holdout)
    manifest = make_manifest(inputs | _other_inputs(run))
    files = [*source.files, *(holdout.files if holdout else ())]
    _check_features(run, inputs)
    if checkpoints.has_begun(train_dir):
        check_manifest(train_dir, manifest, accept_changed_inputs=resources.accept_changed_inputs)
    source = exclude_videos(source, run)
    pairs = open_pairs(run, source) if run.pairs else None
    if pairs is not None:
        # What is held out are pairs, of the same files.
        holdout = source if pairs[1] is not None else None
    keras.utils.set_random_seed(run.train.seed)
    with placement.scope():
        model = _build(run)
        learner = _make_learner(model, run)
        learner.compile(optimizer=_make_optimizer(run.train, learner, model), jit_compile=default_jit_compile())
        state = _restore_or_initialize(run, learner, model, train_dir)
    _check_adaptation(run, state, train_dir)
    if placement.is_chief:
        # Only now, so that what is refused leaves no run behind.
        checkpoints.write_run_config(train_dir, run)
        write_manifest(train_dir, manifest)
        keep_origins(files, train_dir)
        checkpoints.forget_metrics_after(train_dir, step=state.evaluated_at)
    if state.finished and not state.can_go_on(run.train):
        print(f"{train_dir} is trained to its end, step {state.step}")
        return state
    state.finished, state.adapted = False, None
    if placement.is_chief:
        checkpoints.restore_unadapted(train_dir)
    data = _make_data(run, source, holdout, inputs, pairs=pairs, train_dir=train_dir, resources=resources)
    with contextlib.ExitStack() as stack:
        board = None
        if placement.is_chief:
            board = stack.enter_context(contextlib.closing(Board(train_dir, histograms=resources.histograms)))
        progress = Progress("training", unit="steps", initial=state.step, shown=placement.is_chief)
        session = Session(
            data=data,
            learner=learner,
            model=model,
            state=state,
            holdout=holdout,
            train_dir=train_dir,
            board=board,
            progress=progress,
        )
        stack.enter_context(explain_errors(data.files, run.data))
        started = state.epoch
        _train_to_the_end(session)
    if isinstance(source.keep, Without) and not source.keep.met and state.epoch > started:
        text = f"none of the {len(source.keep.excluded)} videos of exclude_videos is among those to train on"
        warnings.warn(text, DataWarning, stacklevel=2)
    return state


def _other_inputs(run):
    """Dict of role to paths of what is read beside records."""
    return {
        "tokenizer": [run.data.text.tokenizer] if run.data.text.fields else None,
        "pairs": [run.pairs] if run.pairs else None,
        "pairs held out": [run.eval_pairs] if run.eval_pairs else None,
    }


def _make_data(run, source, holdout, inputs, *, pairs, train_dir, resources):
    # Of pairs, those held out have no video in common with the others.
    seen = _seen_before(run, train_dir, None if pairs else holdout)
    common = {"run": run, "source": source, "seen": seen, "placement": resources.placement}
    if pairs is not None:
        located, held_out, ids = pairs
        seen.add([video_id.encode() for video_id in sorted(ids)])
        return PairData(**common, pairs=located, held_out=held_out)
    cache = _open_cache(resources, run, source, holdout)
    return TrainingData(**common, pseudo=inputs["pseudo-labelled"], unlabelled=inputs["unlabelled"], cache=cache)


def _seen_before(run, train_dir, holdout):
    """The SeenVideos of what the run starts from and of its own earlier sittings; says where the holdout is of them."""
    seen = SeenVideos()
    overlap = checkpoints.overlap_with(run.init_from) if run.init_from else None
    if overlap is not None:
        seen.update(overlap.seen)
        if holdout is not None:
            overlap.add(collect_ids(holdout, skip_corrupt=run.data.skip_corrupt, title="comparing the holdout"))
            overlap.warn()
    elif run.init_from and holdout is not None:
        print(f"{run.init_from} does not say which videos it was trained on: the holdout may be of them")
    own = SeenVideos.load(checkpoints.seen_videos_path(train_dir))
    if own is not None:
        seen.update(own)
    return seen


def _train_to_the_end(session):
    """Fits epoch after epoch, then finishes the run."""
    signal = StopAtSignal(session)
    evaluation = EvaluateHoldout(session, signal)
    callbacks = [
        SetLearningRate(session),
        CountSteps(session),
        signal,
        WriteCurves(session),
        evaluation,
        SaveCheckpoints(session, signal),
        StopAtEnd(session),
    ]
    with handling_signals(signal.handle):
        try:
            session.progress.total = session.total_steps()
            with session.progress:
                # What was interrupted may have been an evaluation.
                evaluation.evaluate_if_due()
                while session.can_go_on():
                    with signal.steps():
                        session.fit_epoch(callbacks)
                    if session.holdout is None and session.board:
                        session.synchronize()
                        session.board.add_weights(session.model, step=session.state.step)
                    evaluation.evaluate_if_due()
                if session.holdout is None:
                    session.save_best()
                _finish(session, evaluation)
            session.state.finished = True
            session.save()
        except KeyboardInterrupt:
            if not signal.stepping:
                session.save()
            raise


def _finish(session, evaluation):
    if session.placement.is_chief and session.state.step:
        with session.placement.alone():
            finished = finish_run(
                session.run,
                session.train_dir,
                best=session.state.best,
                score=evaluation.score if session.holdout else None,
                say=session.progress.message,
            )
        session.state.best, session.state.adapted = finished.best, finished.adapted


def _check_run(run, resources, train_dir):
    """Raises InputError for what does not go together, or not with what ``train_dir`` holds."""
    placement = resources.placement
    if run.train.batch_size % placement.num_devices:
        raise InputError(
            f"batch_size is {run.train.batch_size}, which {placement.num_devices} devices cannot share evenly"
        )
    if run.pseudo_data_pattern and run.data.video_frames:
        raise InputError("pseudo-labelled segments come without their videos: they are not for a model of video_frames")
    if run.pairs and resources.cache_dir:
        raise InputError("cache_dir holds videos in the order of their files, and pairs read them in any: leave it out")
    if run.pairs and placement.num_processes > 1:
        raise InputError("training on pairs is for one process: leave out the flags of several, or pairs")
    checkpoints.check_same_run(train_dir, run)


def _check_features(run, inputs):
    """Raises InputError where records have features of different origin, or of another than the run to start from.

    inputs: dict of role to Source, of which what is excluded is read for its ids alone.
    """
    sources = [source for role, source in inputs.items() if source and role != "excluded"]
    sources += filter(None, [open_source(run.adapt_bn)])
    files = [file for source in sources for file in source.files]
    origins_of_files(files)
    if run.init_from:
        check_origins(run.init_from, files)
        _check_tokenizer(run)


def _check_tokenizer(run):
    """Raises InputError where the run to start from has another tokenizer, whose numbers mean other tokens."""
    here, there = run.data.text.tokenizer, checkpoints.read_run_config(run.init_from).data.text.tokenizer
    if here and there and file_digest(here) != file_digest(there):
        raise InputError(f"the tokenizer of {run.init_from} is another than {here}: leave out tokenizer")


def _check_adaptation(run, state, train_dir):
    """Raises InputError where a finished run is to be adapted, or was, to something else: its model would be lost."""
    if not state.finished or state.can_go_on(run.train):
        return
    there = checkpoints.read_run_config(train_dir).adapt_bn
    if run.adapt_bn and not there:
        raise InputError(
            f"{train_dir} is trained to its end, and adapt_bn is for the end of training. To adapt what it is now, and "
            f"keep it: adapt.py --train_dir={train_dir} --input_data_pattern='{run.adapt_bn}'"
        )
    if run.adapt_bn != there:
        raise InputError(
            f"{train_dir} is trained to its end, and adapted to adapt_bn={there!r}: give the same, or adapt "
            "another copy of it with adapt.py"
        )


def _build(run):
    """The VideoModel of ``run``, with its loss. Raises InputError where it cannot be trained or finished as asked."""
    model = build_model(
        run.model,
        run.data,
        dtype="mixed_bfloat16" if run.train.mixed_precision == "on" else None,
        projection_size=run.train.similarity.size if run.pairs else None,
    )
    check_views(model, allowed_views(run.train.augment))
    if isinstance(model, ClipModel):
        for size in sizes_of_clips(run):
            model.check_clips(num_frames=run.data.num_frames, size=(size, size))
    if run.adapt_bn:
        # What cannot be done is said before training, not after.
        batch_norm_layers(model)
        open_source(run.adapt_bn)
    if run.train.multigrid:
        check_multigrid(run, model)
    model.pair_loss = make_loss(run.train.loss, label_smoothing=run.train.label_smoothing)
    penalize(model, head_l2=run.train.head_l2, hidden_l2=run.train.hidden_l2)
    return model


def _make_learner(model, run):
    """The model to fit: the VideoModel itself, or a learner around it where there are losses besides the labels'."""
    config = run.train
    if run.pairs:
        return PairLearner(model, similarity=config.similarity)
    if not (config.masked_frames.weight or config.masked_tokens.weight or config.consistency.weight):
        return model
    return Learner(
        model,
        masked_frames=config.masked_frames,
        masked_tokens=config.masked_tokens,
        consistency=config.consistency,
        label_weight=config.label_weight,
    )


def _make_optimizer(config, learner, model):
    decay = config.rate.layer_decay
    factors = layer_factors(model, learner.trainable_variables, decay=decay) if decay < 1 else None
    return make_optimizer(config, factors=factors)


def _open_cache(resources, run, source, holdout):
    if not resources.cache_dir:
        return None
    files = [*source.files, *(holdout.files if holdout else ())]
    windows, margin = "rated" if run.train.segment_labels else "video", margin_of(run.train.augment)
    return open_cache(
        resources.cache_dir, files, run.data, windows=windows, margin=margin, placement=resources.placement
    )


def _restore_or_initialize(run, learner, model, train_dir):
    restored = checkpoints.restore_checkpoint(train_dir, learner)
    if restored is not None:
        state = TrainState.restored(restored, train_dir=train_dir)
        if "examples" not in restored and not state.finished and (run.train.multigrid or run.pseudo_data_pattern):
            what = "learning rate of multigrid training" if run.train.multigrid else "loss of pseudo-labelled examples"
            raise InputError(
                f"{train_dir} was begun by 0.2.0, whose {what} was another: finish it there, or give another train_dir"
            )
        print(f"resuming from step {state.step} of {train_dir}")
        return state
    if run.init_from:
        if run.init_optimizer:
            fresh = continue_from(learner, model, run.init_from, batch_size=run.train.batch_size)
            rate = float(keras.ops.convert_to_numpy(learner.optimizer.learning_rate))
            print(f"going on from the last checkpoint of {run.init_from}, at a learning rate of {rate:.3g}")
        else:
            fresh = initialize_from(model, run.init_from)
            print(f"starting from the weights of {run.init_from}")
        if fresh:
            print(f"{len(fresh)} weights that the two do not share are initialised, the first {fresh[0]}")
    if run.init_weights:
        fresh = load_published(model, run.init_weights)
        head = f"; {len(fresh)} weights of the head are initialised" if fresh else ""
        print(f"starting from the published weights of {run.init_weights}{head}")
    # Before the first step, or TensorFlow traces it twice; behind the weights, of which some optimizers keep copies.
    if not learner.optimizer.built:
        learner.optimizer.build(learner.trainable_variables)
    return TrainState()
