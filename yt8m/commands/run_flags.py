"""Flags that say what a run reads and which model it is, and the configs they make. Part of the scripts' layer."""

import json
import os

from absl import flags

from yt8m.config import BORDERS, SAMPLINGS, UNRATED_POLICIES, DataConfig, ModelConfig
from yt8m.models import MODELS
from yt8m.models.presets import PRESETS
from yt8m.types import InputError

VIDEO_FRAMES = 30
"""Frames of the whole video for a model that reads such, by default."""

PATTERN_HELP = "Paths or globs, comma-separated; local or gs://, plain or .gz."


def define_feature_flags():
    """--feature_names, --feature_sizes, --num_classes, --skip_corrupt."""
    flags.DEFINE_list(
        "feature_names",
        None,
        "Features to read, comma-separated, as in rgb,audio. Default: all that the first record holds.",
    )
    flags.DEFINE_list(
        "feature_sizes",
        None,
        "Dimension of each of --feature_names, as in 1024,128. Default: what the first record holds.",
    )
    flags.DEFINE_integer("num_classes", None, "Size of the vocabulary; labels are ids below it. Default: 3862.")
    flags.DEFINE_bool("skip_corrupt", False, "Count corrupt records and go on, instead of stopping at the first.")


def define_backend_flag():
    """--backend."""
    flags.DEFINE_enum(
        "backend",
        None,
        ("tensorflow", "jax", "torch"),
        "What Keras computes with. Default: the environment's KERAS_BACKEND, else tensorflow.",
    )


def define_placement_flags():
    """--num_devices, --coordinator, --num_processes, --process_id."""
    flags.DEFINE_integer(
        "num_devices", None, "Devices that share each batch. Default: all GPUs or TPU cores of this machine, or one CPU."
    )
    flags.DEFINE_integer("num_processes", 1, "Processes in step, one a host; with --backend=jax.", lower_bound=1)
    flags.DEFINE_integer("process_id", 0, "Number of this process, from 0; process 0 writes the run.", lower_bound=0)
    flags.DEFINE_string("coordinator", "", "host:port of process 0, where there are several processes.")


PLACEMENT_FLAGS = ("num_devices", "num_processes", "process_id", "coordinator")


def define_split_flags():
    """--holdout_files, --holdout_fraction, --seed."""
    flags.DEFINE_integer("holdout_files", 0, "Number of the pattern's files to hold out; drawn by --seed.")
    flags.DEFINE_float(
        "holdout_fraction", 0.0, "Fraction of the videos to hold out, by a hash of id and --seed: for a single file."
    )
    flags.DEFINE_integer(
        "seed", None, "Seed of everything random: split, initial weights, shuffling, search. Default: 0.", lower_bound=0
    )


def define_side_flag(pattern):
    """--split; pattern: the flags whose files are meant."""
    flags.DEFINE_enum(
        "split",
        "all",
        ("all", "train", "holdout"),
        f"Which side of the split of {pattern} to take, drawn by --seed as in training.",
    )


def define_model_flags():
    """--preset, --model, --model_config."""
    flags.DEFINE_string(
        "preset",
        None,
        f"One of the paper's nine models, with its sampling and shifts: {', '.join(PRESETS)}.",
    )
    flags.DEFINE_string(
        "model",
        None,
        "Architecture: logistic, moe, dbof, gated_netvlad, nextvlad, mix_nextvlad, frame_bert or video_context.",
    )
    flags.DEFINE_string(
        "model_config",
        None,
        "Hyperparameters that differ from the defaults: JSON, as in '{\"num_layers\": 2}', or the path of a JSON file.",
    )


def define_sampling_flags():
    """--num_frames, --sampling."""
    flags.DEFINE_integer("num_frames", None, "Frames of a video that a training example holds. Default: 300.")
    flags.DEFINE_enum(
        "sampling", None, SAMPLINGS, "How those are drawn: a contiguous sequence, random or uniform. Default: sequence."
    )


def define_video_frame_flags():
    """--video_frames, --video_radius."""
    flags.DEFINE_integer(
        "video_frames",
        None,
        "Frames of the whole video, evenly spaced, that --model=video_context sees beside each example. "
        f"Default: {VIDEO_FRAMES}.",
        lower_bound=0,
    )
    flags.DEFINE_integer(
        "video_radius",
        None,
        "Takes them from within that many frames of each segment. Default: from the whole video.",
        lower_bound=1,
    )


def define_unrated_flag():
    """--unrated."""
    flags.DEFINE_enum(
        "unrated",
        None,
        UNRATED_POLICIES,
        "What a (segment, class) pair without rating counts as: masked, nothing; negative, a negative; video_negative, "
        "half a negative where the video does not have the class either. Default: masked.",
    )


def define_border_flag():
    """--border."""
    flags.DEFINE_enum(
        "border",
        None,
        BORDERS,
        "What a shifted segment holds beyond its video: the edge frame again (clamp), the other end (roll), the mirror "
        "image (reflect), nothing (mask). Default: clamp.",
    )


def define_ray_flag(workers):
    """--ray; workers: a sentence on how many there are."""
    flags.DEFINE_string(
        "ray",
        "",
        "Address of a Ray cluster that does the work, HOST:PORT, or auto for the one that this machine is part of "
        f"(started by `ray start --head`). {workers} All its machines need this package and the same paths to the "
        "files.",
    )


def define_view_flags():
    """--shift, --tta, --tta_views."""
    flags.DEFINE_integer("shift", None, "A single temporal shift, in frames; negative is earlier. Not with --tta.")
    flags.DEFINE_list(
        "tta",
        None,
        "First and last temporal shift, in frames: all in between are scored and averaged, as in -2,1. "
        "Default: the preset's, else 0,0.",
    )
    flags.DEFINE_list(
        "tta_views",
        [],
        "Further views of each segment that are averaged: dilute, every second frame of the 9 around it, and enlarge, all "
        "of these, as in dilute,enlarge. Default: none.",
    )


def views_from_flags(run):
    """The views, tuple as yt8m.data.views has them, that the flags of define_view_flags or else ``run`` ask for."""
    from yt8m.data.views import NAMED_VIEWS

    names = tuple(flags.FLAGS["tta_views"].value)
    if not set(names) <= set(NAMED_VIEWS) or len(set(names)) < len(names):
        raise InputError(f"--tta_views={','.join(names)}: give some of {', '.join(NAMED_VIEWS)}, each once")
    return _shifts_from_flags(run) + names


def _shifts_from_flags(run):
    shift, tta = (flags.FLAGS[name].value for name in ("shift", "tta"))
    if shift is not None and tta is not None:
        raise InputError("--shift and --tta contradict each other: give one of them")
    if shift is not None:
        return (shift,)
    if tta is None:
        first, last = run.tta
    else:
        try:
            first, last = (int(text) for text in tta)
        except ValueError as error:
            raise InputError(f"--tta={','.join(tta)} is not a range of shifts: give two, as in -2,1") from error
    if first > last:
        raise InputError(f"--tta={first},{last}: the first shift must not be greater than the last")
    return tuple(range(first, last + 1))


def define_class_flag():
    """--segment_label_ids_file."""
    flags.DEFINE_string(
        "segment_label_ids_file", None, "CSV with the ids of the classes to rank, header Index. Default: the whole vocabulary."
    )


def class_ids_from_flags(num_classes):
    """The class ids, tuple of int, that the flag of define_class_flag names; ``num_classes``: of the vocabulary."""
    from yt8m.vocabulary import read_segment_class_ids

    path = flags.FLAGS["segment_label_ids_file"].value
    return read_segment_class_ids(path, num_classes=num_classes) if path else tuple(range(num_classes))


def define_run_check_flags():
    """--model, --feature_names, --feature_sizes, --num_classes, for scripts that know them from the run."""
    for name, what in (("model", "architecture"), ("num_classes", "vocabulary size")):
        flags.DEFINE_string(name, None, f"Not needed: the run knows its {what}. Where given, it must be that.")
    for name in ("feature_names", "feature_sizes"):
        flags.DEFINE_list(name, None, "Not needed: the run knows its features. Where given, they must be those.")


def check_run_flags(run):
    """Raises InputError where a flag of define_run_check_flags contradicts ``run``, a RunConfig."""
    known = {
        "model": run.model.name,
        "num_classes": str(run.data.num_classes),
        "feature_names": list(run.data.feature_names),
        "feature_sizes": [str(size) for size in run.data.feature_sizes],
    }
    for name, value in given(*known).items():
        if value != known[name]:
            said, trained = (",".join(text) if isinstance(text, list) else text for text in (value, known[name]))
            raise InputError(f"--{name}={said} contradicts the run, which was trained with {trained}")


def given(*names):
    """Dict of those of the flags ``names`` that are defined and were given a value."""
    return {name: flags.FLAGS[name].value for name in names if name in flags.FLAGS and flags.FLAGS[name].value is not None}


def model_config_from_flags(preset, base):
    """The ModelConfig that the flags ask for; ``base`` (of --init_from, or None) fills in what they leave open."""
    overrides = _read_hyperparameters(flags.FLAGS.model_config)
    name = flags.FLAGS.model or (preset and preset.model) or (base and base.name)
    if not name:
        raise InputError("no model is named: give --preset, --model or --init_from")
    if preset and name != preset.model:
        raise InputError(f"--model={name} contradicts --preset, whose model is {preset.model}: give one of them")
    hyperparameters = preset.hyperparameters if preset else base.hyperparameters if base and base.name == name else {}
    return ModelConfig(name=name, hyperparameters=hyperparameters | overrides)


def data_config_from_flags(files, preset=None, base=None, *, model=None):
    """The DataConfig that the flags ask for.

    What they leave open comes from ``base`` (the DataConfig of a run to go on from), else from ``preset``, else from
    the first record of ``files``. model: ModelConfig of what is trained on it, None for nothing.
    """
    from yt8m.data.tfrecord import probe

    settings = given(
        "num_classes", "num_frames", "sampling", "unrated", "border", "video_frames", "video_radius", "skip_corrupt"
    )
    if base is not None:
        chosen = base.to_dict()
    else:
        found = probe(files)
        chosen = {"level": found.level, "feature_names": default_features(found.features)}
        if preset is not None:
            chosen |= {"num_frames": preset.num_frames, "sampling": preset.sampling}
    names = flags.FLAGS.feature_names
    if names is not None:
        chosen["feature_names"] = tuple(names)
    if flags.FLAGS.feature_sizes is not None:
        chosen["feature_sizes"] = _sizes(flags.FLAGS.feature_sizes)
    elif base is None:
        chosen["feature_sizes"] = _found_sizes(chosen["feature_names"], found.features, files[0])
    if model is not None and MODELS[model.name].takes_video_frames and not chosen.get("video_frames"):
        settings.setdefault("video_frames", VIDEO_FRAMES)
    return DataConfig.from_dict(chosen | settings)


def default_features(available):
    """Names in the field's usual order: what is seen before what is heard, and further ones as the file has them."""
    usual = [name for name in ("rgb", "audio", "mean_rgb", "mean_audio") if name in available]
    return (*usual, *(name for name in available if name not in usual))


def _found_sizes(names, available, file):
    missing = [name for name in names if name not in available]
    if missing:
        raise InputError(
            f"{file}, record 0 has no feature {', '.join(missing)}; it has {', '.join(available) or 'none'}"
        )
    return tuple(available[name] for name in names)


def _sizes(texts):
    try:
        return tuple(int(text) for text in texts)
    except ValueError as error:
        raise InputError(f"--feature_sizes={','.join(texts)}: sizes are whole numbers, as in 1024,128") from error


def _read_hyperparameters(text):
    return read_json(text, "model_config", "'{\"num_layers\": 2}'") if text else {}


def read_json(text, flag, example="'{...}'"):
    """The dict that ``text``, the value of ``flag``, is: JSON itself, or the path of a file of it."""
    source = f"--{flag}"
    if not text.lstrip().startswith("{"):
        if not os.path.exists(text):
            raise InputError(f"--{flag}={text} is neither JSON, as in {example}, nor a file")
        source = text
        with open(text, encoding="utf-8") as file:
            text = file.read()
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"{source} is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"{source} must be a JSON object, as in {example}")
    return values


def source_from_flags(pattern, side):
    """The Source of ``pattern``'s videos on a ``side`` ("all", "train" or "holdout") of the split that the flags make."""
    from yt8m.data.splits import split_sources

    split = given("holdout_files", "holdout_fraction")
    if side != "all" and not any(split.values()):
        raise InputError(f"--split={side} needs --holdout_files or --holdout_fraction, as given in training")
    if side == "all":
        split = {}
    seed = flags.FLAGS.seed or 0
    train, holdout = split_sources(train_data_pattern=pattern, **split, seed=seed)
    return holdout if side == "holdout" else train


def read_rated_labels(text, side="all"):
    """The RatedLabels of a flag that names either a CSV of vid:start,class,score or TFRecord files.

    side: of the split that the flags make of the files, see source_from_flags.
    """
    from yt8m.ranking.evaluation import RatedLabels

    if text.endswith(".csv"):
        if side != "all":
            raise InputError(f"--split={side} is for --labels that are TFRecord files: {text} is scored as a whole")
        return RatedLabels.from_csv(text)
    from yt8m.data import labels
    from yt8m.data.tfrecord import probe

    source = source_from_flags(text, side)
    features = probe(source.files).features
    config = DataConfig(feature_names=tuple(features), feature_sizes=tuple(features.values()))
    return RatedLabels(*labels.read_rated_labels(list(source.files), config, keep=source.keep))
