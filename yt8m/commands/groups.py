"""Groups of options that several commands share, and what is made of them."""

import dataclasses
import os
from typing import Any

from yt8m.commands.command_line import Options
from yt8m.commands.record_facts import default_features, found_num_classes, found_sizes, text_settings
from yt8m.config import VIDEO_FRAMES, ClipConfig, DataConfig, ModelConfig, RunConfig, TextConfig, TrainConfig
from yt8m.models import MODELS
from yt8m.models.presets import PRESETS, Preset
from yt8m.options import option
from yt8m.runtime.files import parse_json, read_json
from yt8m.types import CLIP_FRAMES, MAX_FRAMES, InputError

SIDES = ("all", "train", "holdout")
VOCABULARY_HELP = "CSV with the columns Index and Name: the names of the classes."
LABELS_HELP = "Ratings: CSV of vid:start,class,score, or TFRecord files."
VIDEO_LABELS_HELP = "Of whole videos: CSV of video_id,class[,class...], or TFRecord files."
CLIP_BATCH = 8
"""Examples of clips that are scored together by default: each has as many bytes as a hundred of features."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackendOptions(Options):
    """Backend of Keras."""

    backend: str = option(
        "",
        "Backend of Keras.",
        choices=("", "tensorflow", "jax", "torch"),
        defaults_to="the environment's KERAS_BACKEND, else tensorflow",
    )

    def prepare(self) -> None:
        """Makes Keras, imported later, compute with the backend, and leaves it the GPUs."""
        if self.backend:
            os.environ["KERAS_BACKEND"] = self.backend
        if os.environ.get("KERAS_BACKEND", "tensorflow") != "tensorflow":
            from yt8m.runtime.devices import leave_accelerators_to_keras

            leave_accelerators_to_keras()


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlacementOptions(BackendOptions):
    """The devices of a training run."""

    num_devices: int | None = option(
        None,
        "Devices that share each batch.",
        unit="devices",
        low=1,
        defaults_to="all GPUs or TPU cores of this machine, or one CPU",
    )
    num_processes: int = option(1, "Processes in step, one a host; with --backend=jax.", unit="processes", low=1)
    process_id: int = option(0, "Number of this process, from 0; process 0 writes the run.", low=0)
    coordinator: str = option("", "Address, host:port, of process 0, where there are several processes.")

    def place(self) -> Any:
        """The Placement; to be called before anything is computed."""
        from yt8m.runtime.devices import place

        return place(
            num_devices=self.num_devices,
            coordinator=self.coordinator,
            num_processes=self.num_processes,
            process_id=self.process_id,
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitOptions(Options):
    """Side of a split to read, and how the split is drawn."""

    configs = {RunConfig: ("holdout_files", "holdout_fraction"), TrainConfig: ("seed",)}

    split: str = option("all", "Side of the split of the files to read, drawn by --seed as in training.", choices=SIDES)

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.of(TrainConfig).get("seed", 0)

    def source(self, pattern: str, side: str | None = None) -> Any:
        """The Source of ``pattern``'s videos on a side of the split, None for --split's."""
        from yt8m.data.splits import split_sources

        side = self.split if side is None else side
        how = self.of(RunConfig)
        how = {name: how[name] for name in ("holdout_files", "holdout_fraction") if name in how}
        if side != "all" and not any(how.values()):
            raise InputError(f"--split={side} needs --holdout_files or --holdout_fraction, as given in training")
        if side == "all":
            how = {}
        train, holdout = split_sources(train_data_pattern=pattern, **how, seed=self.seed)
        return holdout if side == "holdout" else train

    def rated_labels(self, text: str, side: str | None = None) -> Any:
        """The RatedLabels that ``text`` names: a CSV of vid:start,class,score, or TFRecord files.

        side: of the split of TFRecord files, None for --split's.
        """
        from yt8m.ranking.rated_labels import RatedLabels

        side = self.split if side is None else side
        if text.endswith(".csv"):
            if side != "all":
                raise InputError(f"--split={side} is for --labels that are TFRecord files: {text} is scored as a whole")
            return RatedLabels.from_csv(text)
        from yt8m.data.labels import load_rated_labels

        return load_rated_labels(self.source(text, side))

    def video_labels(self, text: str) -> dict[str, tuple[int, ...]]:
        """Dict of video id to the classes that ``text`` names: CSV of video_id,class[,class...], or TFRecord files."""
        if text.endswith(".csv"):
            from yt8m.data.making.annotations import ClassIds, read_labels

            if self.split != "all":
                raise InputError(
                    f"--split={self.split} is for --labels that are TFRecord files: {text} is scored as a whole"
                )
            labels = read_labels(text, ClassIds())
        else:
            from yt8m.data.labels import load_video_labels

            labels = load_video_labels(self.source(text))
        if not any(labels.values()):
            raise InputError(f"{text} has no labels of whole videos")
        return labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class FeatureOptions(Options):
    """Features and classes of records."""

    configs = {DataConfig: ("feature_names", "feature_sizes", "num_classes", "skip_corrupt")}

    def data_config(
        self,
        files: list[str],
        *,
        preset: Preset | None = None,
        base: DataConfig | None = None,
        model: ModelConfig | None = None,
    ) -> DataConfig:
        """The DataConfig that the flags ask for.

        What they leave open comes from ``base``, the config of a run to start from, else from ``preset``, else from the
        first record of ``files``. model: what is trained on the data, None for nothing.
        """
        from yt8m.data.scan import floats_hint, probe

        given = self.of(DataConfig)
        if base is not None:
            chosen = base.to_dict()
        else:
            found = probe(files)
            if not found.features:
                said = floats_hint(found) if found.floats else "it has no feature that could be read"
                raise InputError(f"{files[0]}, record 0: {said}")
            chosen = {"level": found.level, "feature_names": default_features(found.features)}
            if found.level == "clip":
                chosen |= {"num_frames": CLIP_FRAMES, "sampling": "uniform"}
            if preset is not None:
                chosen |= {"num_frames": preset.num_frames, "sampling": preset.sampling}
        chosen |= given
        chosen["clip"] = chosen.get("clip", {}) | self.of(ClipConfig)
        if base is None and "feature_sizes" not in given:
            chosen["feature_sizes"] = found_sizes(chosen["feature_names"], found.features, files[0])
        if "num_classes" not in chosen:
            chosen["num_classes"] = found_num_classes(files[0])
        reads_texts = model is not None and MODELS[model.name].takes_texts
        chosen["text"] = text_settings(
            files[0], known=chosen.get("text", {}), given=self.of(TextConfig), wanted=reads_texts
        )
        if model is not None and MODELS[model.name].takes_video_frames and not chosen.get("video_frames"):
            chosen["video_frames"] = VIDEO_FRAMES
        return DataConfig.from_dict(chosen)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelOptions(Options):
    """Architecture and preset."""

    configs = {RunConfig: ("preset",)}

    model: str = option("", f"Architecture: {', '.join(MODELS)}.", defaults_to="that of --preset or --init_from")
    model_config: str = option(
        "",
        "Hyperparameters that differ from the defaults: JSON, as in '{\"num_layers\": 2}', or the path of a JSON file.",
    )

    def preset(self) -> Preset | None:
        """The Preset that --preset names."""
        name = self.of(RunConfig).get("preset")
        return PRESETS[name] if name else None

    def architecture(self, base: ModelConfig | None) -> ModelConfig:
        """The ModelConfig that the flags ask for; ``base``, that of --init_from, fills in what they leave open."""
        overrides = (
            json_of_flag(self.model_config, "model_config", "'{\"num_layers\": 2}'") if self.model_config else {}
        )
        preset = self.preset()
        name = self.model or (preset and preset.model) or (base and base.name)
        if not name:
            raise InputError("no model is named: give --preset, --model or --init_from")
        if preset and name != preset.model:
            raise InputError(f"--model={name} contradicts --preset, whose model is {preset.model}: give one of them")
        known = preset.hyperparameters if preset else base.hyperparameters if base and base.name == name else {}
        return ModelConfig(name=name, hyperparameters=known | overrides)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunCheckOptions(Options):
    """Facts that a trained run knows, checked where they are given all the same."""

    model: str = option("", "Architecture; not needed, and where given it must be the run's.", defaults_to="the run's")
    num_classes: int | None = option(
        None,
        "Size of the vocabulary; not needed, and where given it must be the run's.",
        low=1,
        defaults_to="the run's",
    )
    feature_names: tuple[str, ...] = option(
        (), "Features; not needed, and where given they must be the run's.", defaults_to="the run's"
    )
    feature_sizes: tuple[int, ...] = option(
        (),
        "Dimensions of the features; not needed, and where given they must be the run's.",
        low=1,
        defaults_to="the run's",
    )

    def check_run(self, run: RunConfig) -> None:
        """Raises InputError where one of these contradicts ``run``."""
        known = {
            "model": run.model.name,
            "num_classes": run.data.num_classes,
            "feature_names": run.data.feature_names,
            "feature_sizes": run.data.feature_sizes,
        }
        for name, trained in known.items():
            said = getattr(self, name)
            if said and said != trained:
                said, trained = (
                    ",".join(map(str, value)) if isinstance(value, tuple) else value for value in (said, trained)
                )
                raise InputError(f"--{name}={said} contradicts the run, which was trained with {trained}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ViewOptions(Options):
    """Views of each segment whose scores are averaged."""

    tta: str = option(
        "",
        "First and last temporal shift of test-time augmentation: all between are scored and averaged, as in -2,1; "
        "auto takes the range, of those within 3 frames, that ranks the run's holdout best. Under shift d a segment at "
        "s shows the frames from s - d on, as numpy's roll(frames, d) has them.",
        unit="frames",
        defaults_to="the preset's, else 0,0",
    )
    shift: int | None = option(
        None,
        "A single temporal shift, counted as in --tta, in place of it; 1 looks a second back.",
        unit="frames",
        low=-300,
        high=300,
    )
    tta_views: tuple[str, ...] = option(
        (),
        "Further views of each segment that are averaged: dilute, every second of the 9 frames around it, and enlarge, "
        "all of them, as in dilute,enlarge.",
    )

    def views(self, run: RunConfig, *, train_dir: str = "") -> tuple[int | str, ...]:
        """The views, as yt8m.data.views has them, that the flags or else ``run`` ask for.

        train_dir: folder of the run, on whose holdout --tta=auto chooses.
        """
        from yt8m.data.views import NAMED_VIEWS

        names = self.tta_views
        if not set(names) <= set(NAMED_VIEWS) or len(set(names)) < len(names):
            raise InputError(f"--tta_views={','.join(names)}: give some of {', '.join(NAMED_VIEWS)}, each once")
        return self._shifts(run, train_dir) + names

    def _shifts(self, run, train_dir):
        if self.shift is not None and self.tta:
            raise InputError("--shift and --tta contradict each other: give one of them")
        if self.shift is not None:
            return (self.shift,)
        if self.tta == "auto":
            tta = _chosen_shifts(run, train_dir)
        else:
            tta = self._range() if self.tta else run.tta
        first, last = tta
        if first > last:
            raise InputError(f"--tta={first},{last}: the first shift must not be greater than the last")
        return tuple(range(first, last + 1))

    def _range(self):
        try:
            first, last = map(int, self.tta.split(","))
        except ValueError:
            raise InputError(f"--tta={self.tta} is not a range of shifts: give two, as in -2,1, or auto") from None
        if max(-first, last) > MAX_FRAMES:
            raise InputError(f"--tta={self.tta}: shifts are at most {MAX_FRAMES} frames in either direction")
        return first, last


def _chosen_shifts(run, train_dir):
    if not train_dir:
        raise InputError("--tta=auto chooses on the holdout of a run that is trained: give a range, as in -2,1")
    from yt8m.data.splits import sources_of
    from yt8m.inference.shift_choice import choose_shifts
    from yt8m.models.checkpoints import load_model

    _, holdout = sources_of(run)
    if holdout is None:
        raise InputError(f"--tta=auto chooses on the holdout, and {train_dir} held nothing out: give a range")
    choice = choose_shifts(load_model(train_dir)[0], holdout, run.data)
    print(choice)
    return choice.shifts


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipViewOptions(Options):
    """Reading of clips: views whose scores are averaged, and another gamma than in training."""

    configs = {ClipConfig: ("views", "crops", "gamma")}

    def reading(self, run: RunConfig) -> DataConfig:
        """The DataConfig of ``run`` with what the flags say of reading."""
        return run.data.replace(**self.of(DataConfig), clip=run.data.clip.replace(**self.of(ClipConfig)))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassOptions(Options):
    """Segment classes, and the names of classes."""

    segment_label_ids_file: str = option(
        "", "CSV with the ids of the segment classes, header Index.", defaults_to="the whole vocabulary"
    )
    vocabulary: str = option("", VOCABULARY_HELP)

    def class_ids(self, num_classes: int) -> tuple[int, ...]:
        """The class ids to rank; ``num_classes``: of the vocabulary."""
        from yt8m.vocabulary import read_segment_class_ids

        if not self.segment_label_ids_file:
            return tuple(range(num_classes))
        return read_segment_class_ids(self.segment_label_ids_file, num_classes=num_classes)

    def class_names(self) -> dict[int, str]:
        """Class id to name; empty without --vocabulary."""
        from yt8m.vocabulary import read_class_names

        return read_class_names(self.vocabulary) if self.vocabulary else {}


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayOptions(Options):
    """A cluster that shares the work."""

    ray: str = option(
        "",
        "Address of a Ray cluster that does the work: HOST:PORT, or auto for the one that this machine is part of "
        "(started by `ray start --head`). All its machines need this package and the same paths to the files.",
    )


def json_of_flag(text: str, flag: str, example: str = "'{...}'") -> dict[str, Any]:
    """The dict that ``text``, the value of ``flag``, is: JSON itself, or the path of a file of it."""
    if text.lstrip().startswith("{"):
        return parse_json(text, f"--{flag}", what=f"JSON as in {example}")
    if not os.path.isfile(text):
        raise InputError(f"--{flag}={text} is neither JSON, as in {example}, nor a file")
    return read_json(text, what=f"JSON as in {example}")
